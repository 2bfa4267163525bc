#!/usr/bin/env bash
# Every suite, against real parts. ONLY=./trigger/... narrows it; the fixed
# checks (format, vet, lint, floors) then are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
export PATH
started=$SECONDS
scripts/servers.sh
step() { printf '\n== %s (%ds)\n' "$*" $((SECONDS - started)); }

# Node.js in the versions that functions may ask for; Python's are found.
if [ -z "${MYELIN_TEST_NODES+set}" ]; then
  MYELIN_TEST_NODES=$(scripts/nodes.sh)
fi
export MYELIN_TEST_NODES

if [ -n "${ONLY:-}" ]; then
  exec go test -timeout 20m $ONLY
fi

step "format, vet, lint, floors"
scripts/check.sh

# The suites that measure nothing run beside each other; each ends what it
# starts. They wait more than they compute, so there is one more of them than
# processors; the code has been vetted above. test/e2e and the programs' own scripts need the built programs.
step "all suites"
scripts/suites.sh all ./... -vet=off -p $(($(nproc) + 1)) -timeout 25m

step "the race detector where goroutines share most"
scripts/suites.sh race "./event/... ./processor/... ./trigger/... ./runtime/shm/... ./runtime/native/... ./control/reconcile ./gateway ./test/fault" \
  -vet=off -race -short -p $(($(nproc) + 1)) -timeout 15m

step "done"
