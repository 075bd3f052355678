#!/usr/bin/env bash
# Install what is missing: Python packages, engine, Docker. Idempotent.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"

say "onebox: tools"
tools/venv.sh
tools/engine.sh
tools/docker.sh
