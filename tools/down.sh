#!/usr/bin/env bash
# Destroy the stack `local` and stop its local cloud; images, engine and .venv stay for the next `make up`.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
stack=${ONEBOX_STACK:-local}
state=".onebox/state/.pulumi/stacks/onebox/$stack.json"
if [ ! -x .venv/bin/python ]; then
  say "onebox: nothing to destroy."
  exit 0
fi
. tools/env.sh

if [ -f "$state" ] && command -v pulumi >/dev/null 2>&1; then
  if python -m infra.local status --name "$stack" >/dev/null 2>&1; then
    pulumi destroy --stack "$stack" --yes --skip-preview --non-interactive --suppress-permalink=true
  fi
fi
if docker info >/dev/null 2>&1; then
  python -m infra.local stop --name "$stack" --all
  # Without its cloud the state would list resources that no longer exist.
  if [ -f "$state" ]; then
    pulumi stack rm "$stack" --yes --force --preserve-config >/dev/null
  fi
fi
say "onebox: destroyed. Images, engine and .venv stay for the next make up; make clean deletes what this checkout created."
