#!/usr/bin/env bash
# Starts Myelin in the foreground, deploys the examples, calls each and prints
# the addresses. Ctrl-C drains the functions and stops.
set -euo pipefail
cd "$(dirname "$0")/.."
api=${API_ADDR:-127.0.0.1:8070} gateway=${GATEWAY_ADDR:-127.0.0.1:8080}
examples=${EXAMPLES:-hello-go hello-python hello-nodejs hello-java hello-shell hello-c}

# In a session of its own, so that a Ctrl-C reaches it once, through the trap: a
# second one would end it at once.
setsid bin/myelin up --api-addr "$api" --gateway-addr "$gateway" &
up=$!
trap 'trap "" INT TERM; kill -INT $up 2>/dev/null; wait $up; exit' INT TERM
export MYELIN_API=$api

serving() { curl -fsS -o /dev/null "http://$api/api/v1/healthz" 2>/dev/null; }
for _ in $(seq 300); do
  serving && break
  kill -0 $up 2>/dev/null || { wait $up; exit $?; } # it has said why
  sleep 0.1
done

status=0
for name in $examples; do
  if ! bin/myelin run "examples/$name"; then status=1; continue; fi
done
echo
for name in $examples; do
  url="http://$gateway/$name"
  printf '%s  ->  %s\n' "curl -d World $url" "$(curl -sS -d World "$url" || true)"
done
echo
bin/myelin get functions
if [ "$status" != 0 ]; then kill -INT $up; wait $up || true; exit 1; fi
echo
echo "Myelin runs in the foreground: API and dashboard http://$api, gateway http://$gateway. Ctrl-C drains and stops."
wait $up
