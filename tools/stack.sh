#!/usr/bin/env bash
# tools/stack.sh NAME [CLOUD]: create the stack NAME with a login key, a passphrase for its secrets and the
# configuration of the local cloud CLOUD (default: the same name). Idempotent.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
. tools/env.sh
name=$1
cloud=${2:-$1}

mkdir -p "$PULUMI_HOME" "$onebox_state/state"
if [ ! -s "$onebox_state/passphrase" ]; then
  (umask 077 && head -c 32 /dev/urandom | base64 >"$onebox_state/passphrase.partial")
  mv "$onebox_state/passphrase.partial" "$onebox_state/passphrase"
fi
if [ ! -s "$onebox_state/id_ed25519" ]; then
  rm -f "$onebox_state/id_ed25519" "$onebox_state/id_ed25519.pub"
  ssh-keygen -q -t ed25519 -N '' -C onebox-rehearsal -f "$onebox_state/id_ed25519"
fi
python -m infra.local.plugin "$PULUMI_HOME"
if ! pulumi stack ls --json 2>/dev/null | python -c '
import json, sys
sys.exit(sys.argv[1] not in {stack["name"] for stack in json.load(sys.stdin)})' "$name"; then
  # The file of an earlier state has the salt of another passphrase.
  [ ! -f "Pulumi.$name.yaml" ] || sed -i '/^encryptionsalt:/d' "Pulumi.$name.yaml"
  pulumi stack init "$name" --secrets-provider passphrase --no-select >/dev/null
  pulumi stack select "$name"
fi
python -m infra.local config --name "$cloud" | python -m infra.local.stack_config "Pulumi.$name.yaml"
