#!/usr/bin/env bash
# Provide a Docker daemon: use a running one, start it, or (as root on Debian or Ubuntu) install it.
set -euo pipefail
. "$(dirname "$0")/steps.sh"

answers() { docker info >/dev/null 2>&1; }

has_systemd() { [ -d /run/systemd/system ]; }

# A killed daemon leaves its pid file; if another process has that pid now, dockerd refuses to start.
forget_dead_daemon() {
  local pid
  for file in /var/run/docker.pid /run/docker/containerd/containerd.pid; do
    [ -f "$file" ] || continue
    pid=$(cat "$file" 2>/dev/null || true)
    case "$(cat "/proc/${pid:-none}/comm" 2>/dev/null || true)" in
      dockerd | containerd) ;;
      *) rm -f "$file" ;;
    esac
  done
}

start() {
  if has_systemd; then
    systemctl start docker
  else
    forget_dead_daemon
    setsid nohup dockerd >"$onebox_cache/dockerd.log" 2>&1 </dev/null 9>&- &
  fi
  for _ in $(seq 300); do
    answers && return
    sleep 0.2
  done
  tail -n 20 "$onebox_cache/dockerd.log" 2>/dev/null
  return 1
}

# Print the missing packages, one per line.
missing_packages() {
  local command package
  while read -r command package; do
    command -v "$command" >/dev/null 2>&1 || echo "$package"
  done <<'LIST'
docker docker.io
iptables iptables
debootstrap debootstrap
ssh openssh-client
LIST
  answers || command -v dockerd >/dev/null 2>&1 || echo docker.io
}

find_or_start() {
  local missing
  mapfile -t missing < <(missing_packages | sort -u)
  if [ "${#missing[@]}" -gt 0 ]; then
    if is_root && is_debian_like; then
      step "Debian packages ${missing[*]}" "$0" install "${missing[@]}"
    elif printf '%s\n' "${missing[@]}" | grep -qx docker.io; then
      fail "Docker is missing. Install it (Debian: apt-get install docker.io debootstrap) or run this as root, then try again."
    fi
  fi
  answers && return
  if docker info 2>&1 | grep -q 'permission denied'; then
    fail "Docker runs, but you are not allowed to use it. Add yourself to the group docker (sudo usermod -aG docker $(id -un)) and log in again."
  fi
  is_root || fail "The Docker daemon does not respond. Start it (sudo systemctl start docker), then try again."
  step "Docker daemon" "$0" start || fail "The Docker daemon does not start. Its log is $onebox_cache/dockerd.log."
}

export PATH="$PATH:/usr/sbin:/sbin"
case ${1:-} in
  "") find_or_start ;;
  start) start ;;
  install)
    shift
    apt_install "$@"
    ;;
  *) fail "Usage: tools/docker.sh [start | install PACKAGE …], not '$1'." ;;
esac
