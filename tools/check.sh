#!/usr/bin/env bash
# All static checks: nothing of the project is started.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"

shell_scripts() {
  if ! command -v shellcheck >/dev/null 2>&1 && is_root && is_debian_like; then
    step "shellcheck" apt_install shellcheck
  fi
  if command -v shellcheck >/dev/null 2>&1; then
    step "shell scripts (shellcheck)" shellcheck --external-sources --source-path=SCRIPTDIR:. tools/*.sh tools/bin/onebox \
      .ci/run infra/local/images/host/instance-* infra/local/provider/pulumi-resource-aws
  else
    say "  shell scripts: not checked, because shellcheck is missing (Debian: apt-get install shellcheck)."
  fi
}

tools/venv.sh
. tools/env.sh

say "onebox: check"
step "lint (ruff)" ruff check .
step "format (ruff)" ruff format --check .
step "types (mypy --strict)" mypy
step "import rules (import-linter)" lint-imports
step "lock files match pyproject.toml and the .in files" tools/lock.sh --check
step "Python 3.9 on the host (vermin)" vermin --target=3.9- --eval-annotations --violations --no-tips provisioning/agent
shell_scripts
step "compose file against its schema" check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
