#!/usr/bin/env bash
# tools/provision.sh STACK: save the preview in .onebox/plan.txt, then update. For `local` the local cloud is started first.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
. tools/env.sh
stack=$1

if [ "$stack" = local ]; then
  exec tools/up.sh
fi
pulumi preview --stack "$stack" --non-interactive --diff | tee "$onebox_state/plan.txt"
exec pulumi up --stack "$stack" --yes --skip-preview --non-interactive
