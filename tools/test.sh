#!/usr/bin/env bash
# Run the pure tests (no Docker), the process tests, then the end-to-end tests on a real stack.
# Arguments are passed to the end-to-end tests.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
tools/test-tools.sh
. tools/env.sh
mkdir -p "$onebox_state/reports"

say "onebox: pure tests, with their coverage"
pytest -q -n 2 -m 'not e2e and not process' --junit-xml="$onebox_state/reports/pure.xml" \
  --cov --cov-report="xml:$onebox_state/coverage.xml"
say "onebox: process tests (they start programs on this machine)"
pytest -q -n 2 -m process --junit-xml="$onebox_state/reports/process.xml"
say "onebox: end-to-end tests (engine, cloud-init, sshd, Docker, Prometheus, browser)"
pytest -v -m e2e --junit-xml="$onebox_state/reports/e2e.xml" "$@"
