#!/bin/bash
# The ids of the processes that the command $1 has started and that still run.
marked() { grep -lszxF "$HERMES_MARK=$1" /proc/[0-9]*/environ | cut -d/ -f3; }
# Ends them: by SIGTERM, and by SIGKILL what is there after three seconds.
# shellcheck disable=SC2046 # each id is a word
end() {
  local left
  kill -TERM $(marked "$1") 2>/dev/null
  for left in {1..50}; do
    [ "$(marked "$1")" ] || return 0
    [ "$left" -le 30 ] || kill -KILL $(marked "$1") 2>/dev/null
    sleep .1
  done
}
