# shellcheck shell=bash
# Sourced. Functions that report the progress and duration of long steps.

onebox_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
onebox_state="$onebox_root/.onebox"
onebox_cache="${XDG_CACHE_HOME:-$HOME/.cache}/onebox"
mkdir -p "$onebox_state/log" "$onebox_cache"

say() { printf '%s\n' "$*"; }

fail() {
  printf 'onebox: %s\n' "$*" >&2
  exit 1
}

# step TITLE COMMAND [ARG ...]: run the command with its output in a log; print the last line of the log every 15 seconds
# and the duration at the end. On failure print the end of the log and return the command's status.
step() {
  local title=$1 log began status=0 pid
  shift
  log="$onebox_state/log/$(printf '%s' "$title" | tr -cs 'A-Za-z0-9' '-' | sed 's/-$//').log"
  began=$SECONDS
  printf '  %s …\n' "$title"
  ("$@") >"$log" 2>&1 </dev/null &
  pid=$!
  local waited=0
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    waited=$((waited + 1))
    if [ $((waited % 75)) -eq 0 ]; then
      printf '    %ss  %s\n' "$((SECONDS - began))" "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
    fi
  done
  wait "$pid" || status=$?
  if [ "$status" -ne 0 ]; then
    printf '  %s: failed after %ss. The end of %s:\n' "$title" "$((SECONDS - began))" "${log#"$onebox_root"/}" >&2
    tail -n 30 "$log" | sed 's/^/    /' >&2
    return "$status"
  fi
  printf '  %s: done in %ss\n' "$title" "$((SECONDS - began))"
}

is_root() { [ "$(id -u)" -eq 0 ]; }

is_debian_like() { command -v apt-get >/dev/null 2>&1; }

# apt_install PACKAGE ...: requires root and apt.
apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "$@"
}
