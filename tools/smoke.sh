#!/usr/bin/env bash
# tools/smoke.sh STACK: one prediction from the API's public address, shown as it came.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
. tools/env.sh

url=$(pulumi stack output --stack "$1" api_url)
answer=$(curl --fail --silent --show-error --max-time 10 -H 'Content-Type: application/json' -H 'X-Synthetic: 1' \
  --data '{"features": [5.1, 3.5, 1.4, 0.2]}' "$url/predict") ||
  fail "$url/predict gave no prediction; look at: onebox status --stack $1, onebox logs flask-api --stack $1."
printf '%s\n' "$answer"
