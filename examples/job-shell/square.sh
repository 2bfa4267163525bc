#!/bin/sh
# The item is the event's body. What is no number fails.
n=$(cat)
case $n in
'' | *[!0-9]*)
	echo "not a number: $n" >&2
	exit 1
	;;
esac
echo $((n * n))
