#!/usr/bin/env bash
# What the tests need beside the project itself: promtool for the alert rules, a Chromium for the UI, a clock that can be set for
# one program.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"
bin="$onebox_state/bin"

# Only the one program out of the package: installing it would start a Prometheus on this machine.
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
        say "  promtool is not here, so the tests of the alert rules will fail; it comes with Prometheus."
      fi
    fi
    if ! command -v chromium >/dev/null 2>&1 && is_root && is_debian_like; then
      step "Chromium for the UI's tests" "$0" chromium
    fi
    if ! command -v faketime >/dev/null 2>&1 && is_root && is_debian_like; then
      step "faketime for the tests of clocks" "$0" faketime
    fi
    ;;
  promtool) fetch_promtool ;;
  chromium) apt_install chromium fonts-dejavu-core ;;
  faketime) apt_install faketime ;;
  *) fail "tools/test-tools.sh takes nothing, promtool, chromium or faketime, not '$1'." ;;
esac
