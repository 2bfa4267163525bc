#!/usr/bin/env bash
# Looks at the dashboard with 1,000 functions and 500 changes of them a second, for
# LOAD (10m), and fails if it draws less than 59 frames a second while it is
# scrolled, takes more than 15 % of a core, or holds more and more memory.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
scripts/servers.sh
go test -count 1 -timeout 0 -run TestOverviewUnderLoad -v ./test/dashboard -args -load "${LOAD:-10m}"
