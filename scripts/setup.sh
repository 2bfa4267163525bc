#!/usr/bin/env bash
# Installs what is missing on this machine and nothing else. With everything
# there it needs no network and takes no time.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

# package <- how to see that it is there
missing=()
need() { # need PACKAGE TEST...
  local package=$1; shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_headers() { "$1" -c 'import os,sysconfig,sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"],"Python.h")))'; }

has_jdk() { # one from 17 on, with the headers of its native interface
  for java in "${JAVA_HOME:-/none}"/bin/java "$(command -v java)" /usr/lib/jvm/*/bin/java; do
    local home; home=$(dirname "$(dirname "$(readlink -f "$java")")")
    [ -x "$home/bin/javac" ] && [ -e "$home/include/jni.h" ] || continue
    [ "$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release")" -ge 17 ] && return
  done
  return 1
}

need python3 test -x /usr/bin/python3
need python3-dev has_headers /usr/bin/python3
need python3-venv /usr/bin/python3 -c 'import ensurepip, venv'
need python3-pip /usr/bin/python3 -m pip --version
need nodejs command -v node
need npm command -v npm
need openjdk-17-jdk-headless has_jdk
need maven command -v mvn
need gcc command -v cc
need libc6-dev test -e /usr/include/stdio.h
need spin command -v spin
need curl command -v curl
need git command -v git
need tzdata test -e /usr/share/zoneinfo/Europe/Berlin
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt

if [ ${#missing[@]} -gt 0 ]; then
  scripts/packages.sh "${missing[@]}"
fi

for dir in /usr/local/go/bin /usr/lib/go/bin; do
  command -v go >/dev/null || PATH="$PATH:$dir"
done
if ! command -v go >/dev/null; then
  say "Go is missing: install Go 1.26 or later (https://go.dev/dl) and run this again"; exit 1
fi
want=$(awk '$1=="go"{print $2}' go.mod)
have=$(go env GOVERSION | sed 's/^go//')
if [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -1)" != "$want" ]; then
  export GOTOOLCHAIN=auto # Go 1.21 and later fetch the right toolchain themselves
  go version >/dev/null || { say "Go $have is too old and $want cannot be fetched"; exit 1; }
fi

# Modules, once; a stamp keeps later runs offline.
stamp=.cache/modules-$(cat go.mod go.sum | sha256sum | cut -c1-16)
if [ ! -e "$stamp" ]; then
  say "fetching Go modules"
  go mod download
  mkdir -p .cache && touch "$stamp"
fi
