#!/bin/bash
# Runs the script $1 by itself. Where it fails, the end of its errors is printed, too.
exec 3>&1
errors=$(bash -c "$1" 2>&1 >&3 3>&-)
code=$?
[ $code = 0 ] || printf %s "$errors" | tail -c 1000
exit $code
