#!/bin/bash
# Runs a command and prints what it prints, its middle left out where it is long. The last line is the id and the exit code.
# Arguments: id, seconds, bytes to keep of the beginning and of the end, length of the script on standard input or "-", script, input.
# end.sh stands before it.
id=$1 seconds=$2 head=$3 tail=$4 length=$5 script=$6 input=$7 at=$HERMES_FOLDER/$1
# shellcheck disable=SC2174 # the folder above is there
mkdir -p -m 700 "$HERMES_FOLDER"
# `tail` prints once its input ends, and a child of the command may hold that open for days: `cat` stands between, and is ended then.
# What comes later is read all the same, or it would end the child.
exec 3>&1 > >(
  exec 3>&-
  stdbuf -o0 head -c "$head"
  (echo "$BASHPID" >"$at.relay"; exec cat) | tail -c $((tail + 1))
  : >"$at.told"
  exec cat >/dev/null
) 2>/dev/null
printer=$!
[ -e "$HERMES_FOLDER/env" ] || { bash -lc "unset $HERMES_SECRETS; export -p" >"$at.env" && mv "$at.env" "$HERMES_FOLDER/env"; }
start() { export "$HERMES_MARK=$id"; exec 3>&- timeout --kill-after=5 "$seconds" bash "$@" 2>&1; }
if [ "$length" = - ]; then
  (start -c "$script") < <(printf %s "$input")
else
  head -c "$length" >"$at.sh"
  (start "$at.sh")
fi
code=$?
case $code in 124 | 137) [ "$SECONDS" -lt "$seconds" ] || end "$id" ;; esac
exec >&3
told() { [ -e "$at.told" ] || ! kill -0 "$printer"; }
for pause in 0 .01 .03 .1 .5; do told && break; sleep "$pause"; done
told || kill "$(cat "$at.relay")" && for pause in {1..100}; do told && break; sleep .01; done
rm -f "$at".*
printf '\n%s %d\n' "$id" "$code"
