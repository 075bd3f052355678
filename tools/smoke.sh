#!/usr/bin/env bash
# tools/smoke.sh STACK: one prediction from the API's public address, for a row from the middle of the model's own ranges.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
. tools/env.sh

ask() { curl --fail --silent --show-error --max-time 10 "$@"; }
advice="look at: onebox status --stack $1, onebox logs flask-api --stack $1."

url=$(pulumi stack output --stack "$1" api_url)
row=$(ask "$url/config" | python -c '
import json, sys
middle = {item["name"]: (item["min"] + item["max"]) / 2 for item in json.load(sys.stdin)["features"]}
print(json.dumps({"features": middle}))') || fail "$url/config does not say what the models take; $advice"
answer=$(ask -H 'Content-Type: application/json' -H 'X-Synthetic: 1' --data "$row" "$url/predict") ||
  fail "$url/predict gave no prediction; $advice"
printf '%s\n' "$answer"
