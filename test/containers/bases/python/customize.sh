#!/bin/sh
#
# mmdebstrap's customize hook for the python:* stand-in (see ../build.sh): $1 is the root of the new system.
# PYTHON_VERSION: the minor version that the image's tag promises; fails when the Debian release has another.
set -eu
root=$1

found=$(chroot "$root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$found" != "$PYTHON_VERSION" ]; then
  echo "this Debian release carries Python $found, not $PYTHON_VERSION" >&2
  exit 1
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
chroot "$root" python3 -m venv /usr/local

# What the official image removes too; --no-compile builds and read-only users then start as slowly as there.
find "$root/usr" -name __pycache__ -prune -exec rm -r {} +
# mmdebstrap copies the host's.
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
rm -rf "$root"/var/log/* "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old
