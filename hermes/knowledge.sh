#!/bin/sh
# Shows what the agent knows and removes of it (private_hermes/knowledge.py), as Hermes' user: what it writes stays Hermes' own.
export HERMES_HOME=/opt/data HERMES_MANAGED_DIR=/etc/hermes HOME=/home/hermes
exec confined 10000 /opt/hermes/bin/python -I -m private_hermes.knowledge "$@"
