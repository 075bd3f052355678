#!/usr/bin/env bash
# tools/in-env.sh COMMAND [ARG ...]: run a command in the environment of tools/env.sh, for pipelines.
set -euo pipefail
. "$(dirname "$0")/env.sh"
cd "$ONEBOX_ROOT"
exec "$@"
