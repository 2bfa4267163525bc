#!/bin/sh
# The sum of the numbers in the body, one on a line.
awk '{ sum += $1 } END { print sum + 0 }'
