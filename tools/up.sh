#!/usr/bin/env bash
# Install the tools and deploy the stack `local`, from a fresh checkout to a served prediction. Idempotent.
# ONEBOX_DATA and ONEBOX_LABEL: your own table to train on instead of Iris (see app/train_model.py).
# ONEBOX_STACK: another stack in a local cloud; ONEBOX_CLOUD_OPTIONS: its ports and subnet, so that two can run at once.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
began=$SECONDS
stack=${ONEBOX_STACK:-local}
read -ra cloud_options <<<"${ONEBOX_CLOUD_OPTIONS:-}"

if [ ! -x .venv/bin/python ] || ! docker info >/dev/null 2>&1 || [ ! -e .onebox/engine ]; then
  say "onebox: tools are missing. Installing: Python packages to .venv, the Pulumi engine to $onebox_cache, and"
  say "(as root on Debian or Ubuntu) the packages docker.io, debootstrap, iptables, openssh-client."
fi
tools/setup.sh
. tools/env.sh

say "onebox: models and local cloud"
step "both models (python app/train_model.py)" python app/train_model.py --if-stale
python -m infra.local start --name "$stack" "${cloud_options[@]}"
tools/stack.sh "$stack"

say "onebox: pulumi up -s $stack"
pulumi up --stack "$stack" --yes --skip-preview --non-interactive --suppress-permalink=true
say ""
say "onebox: serving after $((SECONDS - began))s."
pulumi stack output --stack "$stack" --json | python -c '
import json, sys
outputs = json.load(sys.stdin)
for name in ("api_url", "ui_url", "prometheus_url", "ssh_command"):
    print(f"  {name:<15} {outputs[name]}")'
say "Next: . tools/env.sh, then pulumi preview | up | refresh | destroy -s $stack, onebox status | push | logs | ssh; make down destroys it."
