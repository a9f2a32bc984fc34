#!/bin/sh
# The hermes command of this deployment (private_hermes/command.py), as Hermes' user: what root writes on the disk, nobody else reads.
exec as-hermes command "$@"
