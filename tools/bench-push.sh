#!/usr/bin/env bash
# Benchmark onebox, Ansible and pyinfra on the host of the stack ONEBOX_STACK (default: local), which is created if it
# does not exist. The host is restored afterwards.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
export ONEBOX_STACK="${ONEBOX_STACK:-local}"

if ! command -v rsync >/dev/null 2>&1; then
  if is_root && is_debian_like; then
    step "rsync, which Ansible and pyinfra use for uploads" apt_install rsync
  else
    fail "rsync is missing; Ansible and pyinfra use it for uploads. Install it (Debian: apt-get install rsync)."
  fi
fi
tools/up.sh
. tools/env.sh
python -m benchmarks push
