#!/bin/sh
#
# Makes the root of a python:* stand-in (see ../build.sh) as a tar file. Needs root and mmdebstrap, which makes any Debian
# release from any other.
#
#   build.sh VERSION SUITE TAR     Python's minor version and the Debian release, as the image's tag names them
set -eu

# usr-is-merged: otherwise apt picks usrmerge, which drags 45 MB of Perl along. The dpkg options stay in
# the image, as in Debian's slim images.
PYTHON_VERSION=$1 exec mmdebstrap --variant=minbase \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --include=usr-is-merged,ca-certificates,netbase,tzdata \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook="$(dirname "$0")/customize.sh" \
  "$2" "$3"
