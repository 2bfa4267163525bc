#!/usr/bin/env bash
# The dashboard's sources are in dashboard/web, what is made of them in
# dashboard/dist, which is committed so that nobody needs Node.js to build Myelin.
#   install  the tools, kept by version beside the servers of tests (see servers.sh)
#   build    dashboard/dist anew
#   node     a script of dashboard/web with them
#   check    types, unit tests, and that dashboard/dist is what the sources make
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'dashboard: %s\n' "$*" >&2; }
web=$PWD/dashboard/web

cache=${MYELIN_SERVERS:-}
if [ -z "$cache" ]; then
  if [ "$(id -u)" = 0 ]; then cache=/var/cache/myelin/servers; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/myelin/servers; fi
fi

# A Node.js that the tools run on: the one in PATH, or one of those that
# functions are tested with.
fits() { "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || a === 20 && b >= 19 ? 0 : 1)' 2>/dev/null; }
if ! fits node; then
  found=
  for node in $(scripts/nodes.sh | tr : ' '); do
    if fits "$node"; then found=$(dirname "$node"); fi
  done
  [ -n "$found" ] || { say "want Node.js 20.19 or later, and there is none"; exit 1; }
  PATH=$found:$PATH
fi

tools=$cache/dashboard-$(cat "$web/package-lock.json" | sha256sum | cut -c1-16)
install() {
  if [ ! -e "$tools/node_modules" ]; then
    say "fetching the tools of the dashboard"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/new.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    cp "$web"/package.json "$web"/package-lock.json "$web"/.npmrc "$work"
    npm ci --silent --prefix "$work" >&2
    mv -T "$work" "$tools" || [ -e "$tools/node_modules" ] # another run may have been first
  fi
  # A directory is somebody's own, made by npm.
  [ -d "$web/node_modules" ] && [ ! -L "$web/node_modules" ] || ln -sfn "$tools/node_modules" "$web/node_modules"
}
run() { local tool=$1; shift; (cd "$web" && node "node_modules/$tool" "$@"); }

case ${1:-} in
install) install ;;
node)
  shift
  cd "$web"
  exec node "$@"
  ;;
build)
  install
  run vite/bin/vite.js build --logLevel warn
  ;;
check)
  install
  run svelte-check/bin/svelte-check --tsconfig ./tsconfig.json --fail-on-warnings --output human
  run vitest/vitest.mjs run --reporter=dot
  made=$(mktemp -d)
  trap 'rm -rf "$made"' EXIT
  DASHBOARD_OUT=$made run vite/bin/vite.js build --logLevel warn
  diff -rq "$made" dashboard/dist >&2 || { say "dashboard/dist is not what the sources make: run scripts/dashboard.sh build"; exit 1; }
  ;;
*) say "want install, build, node or check"; exit 2 ;;
esac
