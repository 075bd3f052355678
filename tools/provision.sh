#!/usr/bin/env bash
# tools/provision.sh STACK: preview and update, saved in .onebox/plan.txt. For `local` the local cloud is started first.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
. tools/env.sh
stack=$1

if [ "$stack" = local ]; then
  exec tools/up.sh
fi
# One command for preview and update: the update then pushes the release that the preview showed, or refuses.
pulumi up --stack "$stack" --yes --non-interactive --diff | tee "$onebox_state/plan.txt"
