#!/usr/bin/env bash
# Install the tools of the tests: promtool for the alert rules, Chromium for the UI, faketime for the clock of one program.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
bin="$onebox_state/bin"

# Extract one program from the package; installing the package would start Prometheus on this machine.
fetch_promtool() {
  local work="$onebox_state/promtool.partial"
  rm -rf "$work" && mkdir -p "$work" "$bin"
  chmod 777 "$work"
  cd "$work"
  is_root && apt-get update -qq
  apt-get download -qq prometheus
  dpkg-deb -x prometheus_*.deb .
  mv usr/bin/promtool "$bin/promtool"
  cd / && rm -rf "$work"
}

case ${1:-} in
  "")
    if [ ! -x "$bin/promtool" ] && ! type -P promtool >/dev/null 2>&1; then
      if is_debian_like; then
        step "promtool" "$0" promtool
      else
        say "  promtool is missing, so the tests of the alert rules will fail; it is part of Prometheus."
      fi
    fi
    if ! command -v chromium >/dev/null 2>&1 && is_root && is_debian_like; then
      step "Chromium for the UI's tests" "$0" chromium
    fi
    if ! command -v faketime >/dev/null 2>&1 && is_root && is_debian_like; then
      step "faketime for the tests with other clocks" "$0" faketime
    fi
    ;;
  promtool) fetch_promtool ;;
  chromium) apt_install chromium fonts-dejavu-core ;;
  faketime) apt_install faketime ;;
  *) fail "Usage: tools/test-tools.sh [promtool | chromium | faketime], not '$1'." ;;
esac
