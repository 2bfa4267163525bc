#!/bin/sh
# Each line of the standard input is the body of an event; each line that is
# printed is the answer to one, in their order.
while IFS= read -r name; do
	printf 'Hello, %s, one of %d\n' "$name" "$MYELIN_BATCH_SIZE"
done
