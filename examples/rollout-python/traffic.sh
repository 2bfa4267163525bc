#!/bin/sh
# Asks an address again and again until it is ended: the traffic by which a
# version is judged.
url=${1:-http://127.0.0.1:8080/greet:prod}
while :; do
	curl -s -o /dev/null -d Ada "$url"
done
