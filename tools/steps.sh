# shellcheck shell=bash
# Sourced. Long work says what it does, what it did last, and for how long.

onebox_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
onebox_state="$onebox_root/.onebox"
onebox_cache="${XDG_CACHE_HOME:-$HOME/.cache}/onebox"
mkdir -p "$onebox_state/log" "$onebox_cache"

say() { printf '%s\n' "$*"; }

fail() {
  printf 'onebox: %s\n' "$*" >&2
  exit 1
}

# step WORDS COMMAND [ARG ...]: runs the command with its output in a log, a sign of life every 15 seconds, and
# one line with the seconds it took. On failure the log's tail is shown and the command's status returned.
step() {
  local words=$1 log began status=0 pid
  shift
  log="$onebox_state/log/$(printf '%s' "$words" | tr -cs 'A-Za-z0-9' '-' | sed 's/-$//').log"
  began=$SECONDS
  printf '  %s …\n' "$words"
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
    printf '  %s: failed after %ss. The end of %s:\n' "$words" "$((SECONDS - began))" "${log#"$onebox_root"/}" >&2
    tail -n 30 "$log" | sed 's/^/    /' >&2
    return "$status"
  fi
  printf '  %s: done in %ss\n' "$words" "$((SECONDS - began))"
}

is_root() { [ "$(id -u)" -eq 0 ]; }

is_debian_like() { command -v apt-get >/dev/null 2>&1; }

# apt_install PACKAGE ...: only as root on a machine with apt. A service that a package brings is not started.
apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "$@"
}
