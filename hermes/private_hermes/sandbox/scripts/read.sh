#!/bin/bash
# Prints the file $1 if it has $2 bytes at most; the exit code tells why not (NOT_READ in person.py). What a link leads to counts.
[ -e "$1" ] || exit 71
[ ! -d "$1" ] || exit 72
[ -f "$1" ] || exit 73
[ "$(stat -Lc %s -- "$1")" -le "$2" ] || exit 74
exec head -c $(($2 + 1)) -- "$1" 2>/dev/null
