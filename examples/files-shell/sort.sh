#!/bin/sh
set -e
cd "$MYELIN_FILES/desk"
read -r name || [ -n "$name" ]
mkdir sorted
sort "./$name" > "sorted/$name"
echo "$(wc -l < "sorted/$name") lines"
