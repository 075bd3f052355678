#!/usr/bin/env bash
# Write the hash-locked requirements.txt of the project (from pyproject.toml) and of the two images (from their .in files).
# `--check` only compares.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"

compile() {
  local input=$1 output=$2
  shift 2
  .venv/bin/uv pip compile --quiet --no-header --generate-hashes --output-file "$output" "$@" "$input"
}

# Each waits for the network, so they run concurrently.
all() {
  local suffix=$1 pid pids=()
  # The union of all groups: one environment provisions, rehearses, trains, serves and tests.
  local groups=(--extra program --group serve --group train --group rehearse --group dev)
  # Debian 13's Python, in the images.
  local image=(--python-version 3.13 --python-platform linux)
  compile pyproject.toml "requirements.txt$suffix" "${groups[@]}" --universal --python-version 3.11 & pids+=($!)
  compile images/api/requirements.in "images/api/requirements.txt$suffix" "${image[@]}" & pids+=($!)
  compile images/ui/requirements.in "images/ui/requirements.txt$suffix" "${image[@]}" & pids+=($!)
  # The installer; each image's build context needs its own copy.
  compile images/installer.in "images/api/installer.txt$suffix" "${image[@]}" & pids+=($!)
  compile images/installer.in "images/ui/installer.txt$suffix" "${image[@]}" & pids+=($!)
  for pid in "${pids[@]}"; do wait "$pid"; done
}

locks=(requirements.txt images/api/requirements.txt images/ui/requirements.txt images/api/installer.txt images/ui/installer.txt)
case ${1:-} in
  "") all "" ;;
  --check)
    trap 'rm -f "${locks[@]/%/.fresh}"' EXIT
    # A fresh compile starts from the lock and changes only what its source demands.
    for lock in "${locks[@]}"; do cp "$lock" "$lock.fresh"; done
    all .fresh
    for lock in "${locks[@]}"; do
      diff -u "$lock" "$lock.fresh" >/dev/null || fail "$lock does not match its source. Run: make lock"
    done
    ;;
  *) fail "Usage: tools/lock.sh [--check], not '$1'." ;;
esac
