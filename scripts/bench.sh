#!/usr/bin/env bash
# Measures both sides of each ratio in turn, alone on the machine: a lock keeps
# two runs apart.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
if ! command -v wrk >/dev/null || ! command -v h2load >/dev/null; then
  sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq wrk nghttp2-client >/dev/null
fi
scripts/servers.sh
CGO_ENABLED=0 go build -o bin/ ./test/bench/bare
CGO_ENABLED=0 go build -o bin/bench ./test/bench
# The baseline worker decodes with msgpack's C extension, and functions read keys by
# redis-py beside their bindings: both in a venv of their own.
venv=.cache/bench-venv
if [ ! -x "$venv/bin/python3" ] || ! "$venv/bin/python3" -c 'import msgpack, redis; assert redis.__version__ == "8.1.0"' 2>/dev/null; then
  python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check msgpack redis==8.1.0
fi
exec flock -o "${TMPDIR:-/tmp}/myelin-bench.lock" bin/bench -rounds "${ROUNDS:-5}" -seconds "${SECONDS_EACH:-3}" -only "${1:-}" -python "$venv/bin/python3"
