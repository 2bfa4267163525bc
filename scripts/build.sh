#!/usr/bin/env bash
# Builds the two programs. Both are static.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
version=$(git describe --tags --always --dirty 2>/dev/null || echo dev)
export CGO_ENABLED=0
go build -trimpath -ldflags "-s -w -X main.version=$version" -o bin/ ./cmd/...
