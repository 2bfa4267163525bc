#!/usr/bin/env bash
# Format, vet, lint and architecture. The linter lives in a module of its own
# so that its dependencies never touch ours.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
unformatted=$(git ls-files '*.go' | xargs gofmt -l)
[ -z "$unformatted" ] || { printf 'not gofmt-ed:\n%s\n' "$unformatted"; exit 1; }
go vet ./...
go test ./internal/archtest
mkdir -p .cache
lint=.cache/golangci-lint-$(cat tools/go.mod tools/go.sum | sha256sum | cut -c1-16)
[ -x "$lint" ] || go build -C tools -o "../$lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint
"$lint" run ./...
