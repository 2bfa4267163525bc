#!/usr/bin/env bash
# Checks the shared-memory protocol's models and that each planted mistake in
# them is found. Installs spin if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
for program in spin cc; do
  command -v "$program" >/dev/null || exec_setup=1
done
[ -z "${exec_setup:-}" ] || scripts/setup.sh
go run ./test/model "$@"
