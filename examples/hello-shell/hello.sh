#!/bin/sh
# The event's body is the standard input; what is printed is the response.
name=$(cat)
printf 'Hello, %s' "${name:-stranger}"
