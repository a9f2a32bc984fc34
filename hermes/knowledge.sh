#!/bin/sh
# Shows what the agent knows and removes of it (private_hermes/knowledge.py), as Hermes' user: what it writes stays Hermes' own.
exec as-hermes knowledge "$@"
