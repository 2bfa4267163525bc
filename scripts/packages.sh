#!/usr/bin/env bash
# Installs the Debian packages that are named, starting none of their services,
# now or at the next boot.
set -euo pipefail
say() { printf 'setup: %s\n' "$*" >&2; }

say "installing $*"
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! command -v sudo >/dev/null; }; then
  say "cannot install packages here; please install: $*"; exit 1
fi
# Debian asks this program before it starts a service; a machine's own is kept.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '$sudo rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod 755 "$policy"
fi
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
for package in "$@"; do
  unit=${package/#openssh-server/ssh}.service
  [ ! -e "/lib/systemd/system/$unit" ] || ! command -v systemctl >/dev/null ||
    $sudo systemctl disable --quiet "$unit" 2>/dev/null || true
done
