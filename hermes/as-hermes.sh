#!/bin/bash
# as-hermes MODULE [ARGUMENT...]: runs a module of private_hermes as Hermes' user, as all of that user is run (confined.py).
# In a terminal of its own, where there is one: whoever keeps that of root's shell reads there what is typed later.
export HERMES_HOME=/opt/data HERMES_MANAGED_DIR=/etc/hermes HOME=/home/hermes
command=(confined 10000 /opt/hermes/bin/python -I -m "private_hermes.$1" "${@:2}")
if [[ -t 0 || -t 1 || -t 2 ]]; then
  SHELL=/bin/bash exec script -qec "${command[*]@Q}" /dev/null
fi
exec "${command[@]}"
