#!/usr/bin/env bash
# The suites that kill things, again and again, for as long as you like.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
scripts/servers.sh
rounds=${ROUNDS:-20}
go test -timeout 0 -count "$rounds" -run 'Kill|Term|Drain|Redeploy|Adopt|Crash|Handover|Misbehave' \
  ./test/e2e ./control/... ./platform/... ./processor/... ./trigger/http ./runtime/...

# An alias that is moved 100 times under 5,000 requests a second, alone and with
# Kafka and RabbitMQ, and users who stay where they are.
go test -timeout 0 -count 1 -v ./control -run 'WhileAliasesMove|WhateverMoves|WeightsAreRight|StickyUsers|LargeStore' -args -long

# Many events through each runtime while workers are killed, stopped and hostile
# (EVENTS=10000000, RUNTIMES="python nodejs").
for runtime in ${RUNTIMES:-python nodejs java golang c}; do
  go test -timeout 0 -count 1 -v ./test/soak -args -runtime "$runtime" -events "${EVENTS:-10000000}"
done

# Streams and queues whose workers, processors, brokers and networks are killed.
go test -timeout 0 -count 1 -v ./test/chaos -args -events "${STREAM_EVENTS:-100000}" -rate 1000
