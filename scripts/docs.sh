#!/usr/bin/env bash
# Writes generated pages and files anew; the same tests fail when one is stale.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
go test ./function ./cmd/myelin ./sdk/nuclio ./control/api/openapi ./deploy -run 'Fresh|Reference|Schema|Golden' -update
