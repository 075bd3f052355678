#!/usr/bin/env bash
# tools/smoke.sh STACK: request one prediction from the API's public address, for the middle of each feature's range.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
. tools/env.sh

request() { curl --fail --silent --show-error --max-time 10 "$@"; }
advice="Try: onebox status --stack $1, onebox logs flask-api --stack $1."

url=$(pulumi stack output --stack "$1" api_url)
row=$(request "$url/config" | python -c '
import json, sys
middle = {item["name"]: (item["min"] + item["max"]) / 2 for item in json.load(sys.stdin)["features"]}
print(json.dumps({"features": middle}))') || fail "$url/config lists no features. $advice"
answer=$(request -H 'Content-Type: application/json' -H 'X-Synthetic: 1' --data "$row" "$url/predict") ||
  fail "$url/predict returned no prediction. $advice"
printf '%s\n' "$answer"
