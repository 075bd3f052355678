#!/usr/bin/env bash
# The pure tests (seconds, no Docker), then one real stack end to end. Arguments go to the second run of pytest.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
tools/test-tools.sh
. tools/env.sh
mkdir -p "$onebox_state/reports"

say "onebox: pure tests"
pytest -q -m 'not e2e' --junit-xml="$onebox_state/reports/pure.xml"
say "onebox: the real thing (engine, cloud-init, sshd, Docker, Prometheus, browser)"
pytest -v -m e2e --junit-xml="$onebox_state/reports/e2e.xml" "$@"
