#!/bin/bash
# Ends all that the command $1 has started. A Stop may come before the command has begun, so it waits two seconds for that.
# end.sh stands before it.
for _ in {1..20}; do [ "$(marked "$1")" ] && break; sleep .1; done
end "$1"
