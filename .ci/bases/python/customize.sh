#!/bin/sh
#
# mmdebstrap's customize hook for the python:* stand-in (see build.sh): $1 is the root of the new system.
# PYTHON_VERSION: the minor version that the image's tag promises. A line that begins with "bases: " says what fails.
set -eu
root=$1
python=python$PYTHON_VERSION

fail() {
  echo "bases: $*" >&2
  exit 1
}

apt_get() { DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get --yes --no-install-recommends "$@"; }

# Debian has had no Python 3.12: the next below that runs on Debian 13 is that of Debian 12. Nothing else comes from there, and
# the finished image doesn't know it.
from_bookworm() {
  python=python3.11
  sed 's/trixie/bookworm/g' "$root/etc/apt/sources.list" >"$root/etc/apt/sources.list.d/bookworm.list"
  printf 'Package: %s\nPin: release n=bookworm\nPin-Priority: %s\n\n' '*' -1 "python3* libpython3*" 990 >"$root/etc/apt/preferences.d/bookworm"
  apt_get update --error-on=any
  apt_get install "$python-venv"
  rm "$root/etc/apt/sources.list.d/bookworm.list" "$root/etc/apt/preferences.d/bookworm"
}

if chroot "$root" apt-cache show "$python" >/dev/null 2>&1; then
  apt_get install "$python-venv"
elif [ "$PYTHON_VERSION" = 3.12 ]; then
  from_bookworm
else
  fail "this Debian release has no Python $PYTHON_VERSION, and .ci/bases/python/customize.sh knows no other source"
fi

# The authorities that this machine trusts and Debian doesn't, each in a file, so that a later
# update-ca-certificates in a Dockerfile keeps them.
awk -v folder="$root/usr/local/share/ca-certificates" '
  /BEGIN CERTIFICATE/ { pem = "" }
  { pem = pem $0 "\n" }
  /END CERTIFICATE/ {
    if (NR == FNR) known[pem]
    else if (!(pem in known)) { file = folder "/host-" ++n ".crt"; printf "%s", pem > file; close(file) }
  }' "$root/etc/ssl/certs/ca-certificates.crt" /etc/ssl/certs/ca-certificates.crt
chroot "$root" update-ca-certificates
# pip brings its own authorities and needs to be told.
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$root/etc/pip.conf"

# A venv at /usr/local looks like the official image to a Dockerfile: python and pip in /usr/local/bin, packages in
# /usr/local/lib/python3.X/site-packages, and no EXTERNALLY-MANAGED.
chroot "$root" "$python" -m venv /usr/local

# What the official image removes too; --no-compile builds and read-only users then start as slowly as there.
find "$root/usr" -name __pycache__ -prune -exec rm -r {} +
# mmdebstrap copies the host's.
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
rm -rf "$root"/var/log/* "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old
