#!/usr/bin/env bash
# suites.sh NAME PACKAGES [FLAG...]: runs suites. A test that failed is run again
# by itself when all else is done, up to two times; if it passes then, it is told
# of as unsteady, and the run goes on. Nothing is forgiven that can only be a fault:
# a race, a panic, a test that does not end, a guarantee that was not kept. Nor is more than
# a few of them. See docs/decisions/0032-unsteady-tests.md.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1 packages=$2
shift 2
mkdir -p .cache
sum=.cache/gotestsum-$(cat tools/go.mod tools/go.sum | sha256sum | cut -c1-16)
[ -x "$sum" ] || go build -C tools -o "../$sum" gotest.tools/gotestsum
said=.cache/$name.json unsteady=.cache/$name.unsteady
rm -f "$said" "$unsteady"
"$sum" --format standard-quiet --hide-summary skipped --jsonfile "$said" \
  --rerun-fails=2 --rerun-fails-max-failures=6 --rerun-fails-abort-on-data-race --rerun-fails-run-root-test \
  --rerun-fails-report "$unsteady" --packages "$packages" -- "$@"
if grep -q 'the books do not balance' "$said"; then
  echo "a guarantee was not kept: that is not forgiven, though the test passed when it was run again"
  exit 1
fi
[ ! -s "$unsteady" ] || { echo "UNSTEADY, in $name:"; cat "$unsteady"; }
