#!/usr/bin/env bash
# Make .venv contain exactly requirements.txt. Idempotent.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"

find_python() {
  local candidate
  for candidate in "${ONEBOX_SYSTEM_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "Python 3.11 or newer is missing. Install it (Debian: apt-get install python3 python3-venv)."
}

# Identify the inputs of the venv: lock, interpreter and path (a venv that was moved is broken).
lock_of() { printf '%s %s %s\n' "$(sha256sum requirements.txt | cut -d' ' -f1)" "$("$1" -c 'import sys; print(sys.version.split()[0])')" "$(readlink -f .venv)"; }

fill() {
  local python wanted
  python=$(find_python)
  wanted=$(lock_of "$python")
  if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    if ! "$python" -c 'import ensurepip' 2>/dev/null && is_root && is_debian_like; then
      apt_install python3-venv
    fi
    "$python" -m venv .venv
  fi
  # uv installs the lock several times faster than pip; pip installs uv from its line of the lock.
  awk '/^uv==/{on=1} on{print} on && !/\\$/{exit}' requirements.txt >"$onebox_state/uv.txt"
  .venv/bin/python -m pip install --quiet --require-hashes -r "$onebox_state/uv.txt"
  .venv/bin/uv pip sync --python .venv/bin/python --require-hashes --allow-empty-requirements requirements.txt
  # The engine lists the program's packages with pip, so pip stays.
  .venv/bin/python -m ensurepip --upgrade >/dev/null
  .venv/bin/python - "$onebox_root" <<'PY'
import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "onebox.pth").write_text(sys.argv[1] + "\n")
PY
  printf '%s\n' "$wanted" >.venv/onebox-lock
}

case ${1:-} in
  "")
    if [ "$(cat .venv/onebox-lock 2>/dev/null)" != "$(lock_of "$(find_python)")" ] ||
      ! .venv/bin/python -c '' 2>/dev/null; then
      step "Python packages of requirements.txt to .venv" "$0" fill
    fi
    ;;
  fill) fill ;;
  *) fail "Usage: tools/venv.sh [fill], not '$1'." ;;
esac
