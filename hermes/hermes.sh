#!/bin/sh
# The hermes command of this deployment (private_hermes/command.py), as Hermes' user: what root writes on the disk, nobody else reads.
export HERMES_HOME=/opt/data HERMES_MANAGED_DIR=/etc/hermes HOME=/home/hermes
exec confined 10000 /opt/hermes/bin/python -I -m private_hermes.command "$@"
