#!/usr/bin/env bash
# requirements.in -> requirements.txt with hashes, for the project and for the two images. `--check` only compares.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"

compile() {
  local input=$1 output=$2
  shift 2
  .venv/bin/uv pip compile --quiet --no-header --generate-hashes --output-file "$output" "$@" "$input"
}

all() {
  local suffix=$1
  compile requirements.in "requirements.txt$suffix" --universal --python-version 3.11
  # Debian 13's Python, in the images.
  compile app/requirements.in "app/requirements.txt$suffix" --python-version 3.13 --python-platform linux
  compile ui/requirements.in "ui/requirements.txt$suffix" --python-version 3.13 --python-platform linux
  # What installs them there: each image's context has to hold its own copy.
  for image in app ui; do
    compile tools/image-installer.in "$image/installer.txt$suffix" --python-version 3.13 --python-platform linux
  done
}

locks=(requirements.txt app/requirements.txt ui/requirements.txt app/installer.txt ui/installer.txt)
case ${1:-} in
  "") all "" ;;
  --check)
    trap 'rm -f "${locks[@]/%/.fresh}"' EXIT
    # What is locked stays locked: a fresh compile starts from the lock and only moves where the .in file demands it.
    for lock in "${locks[@]}"; do cp "$lock" "$lock.fresh"; done
    all .fresh
    for lock in "${locks[@]}"; do
      diff -u "$lock" "$lock.fresh" >/dev/null || fail "$lock does not follow from its .in file; run: make lock"
    done
    ;;
  *) fail "tools/lock.sh takes nothing or --check, not '$1'." ;;
esac
