#!/usr/bin/env bash
# Takes the screenshots of docs/images anew: each page of the dashboard, wide and
# narrow, light and dark, as its tests see it, with 256 colours.
#   pictures.sh [TEST]   those of one test alone, such as TestPages
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
scripts/servers.sh
taken=$(mktemp -d)
trap 'rm -rf "$taken"' EXIT
DASHBOARD_PICTURES=$taken go test -count 1 -timeout 60m -skip TestOverviewUnderLoad -run "${1:-.}" ./test/dashboard
rm -f "$taken"/*-wide.png "$taken"/{nowhere,broken,new-go-http}-*.png # the last looks like edit
cp "$taken"/*.png docs/images
du -ch docs/images/*.png | tail -1
