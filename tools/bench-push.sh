#!/usr/bin/env bash
# onebox against Ansible and pyinfra on the rehearsal host of the stack ONEBOX_STACK (default: local), which is made
# where there is none. Leaves the host as it was.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
export ONEBOX_STACK="${ONEBOX_STACK:-local}"

if ! command -v rsync >/dev/null 2>&1; then
  if is_root && is_debian_like; then
    step "rsync, which the other two send files with" apt_install rsync
  else
    fail "the other two send files with rsync, and it is not here; install it (Debian: apt-get install rsync)."
  fi
fi
tools/up.sh
. tools/env.sh
python -m benchmarks push
