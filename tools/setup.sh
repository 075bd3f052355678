#!/usr/bin/env bash
# Python packages, engine, Docker: what is missing is installed, what is there is left alone.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"

say "onebox: tools"
tools/venv.sh
tools/engine.sh
tools/docker.sh
