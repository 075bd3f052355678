#!/usr/bin/env bash
# Everything that can be known without running the software.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
tools/venv.sh
. tools/env.sh

say "onebox: check"
step "lint (ruff)" ruff check .
step "format (ruff)" ruff format --check .
step "types (mypy --strict)" mypy
step "import rules (import-linter)" lint-imports
step "locks in step with pyproject.toml and the .in files" tools/lock.sh --check
step "compose file against its schema" check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
