#!/opt/hermes/bin/python
"""Starts the gateway with what private_hermes replaces in it, installed as hermes-gateway.

The name is one that Hermes recognises as a gateway process; the arguments are those of the hermes command.
"""

import sys

from hermes_cli.main import main  # must come first: importing it sets up the process

import private_hermes

if __name__ == "__main__":
    if problems := private_hermes.install():
        sys.exit("\n".join(problems))
    sys.exit(main())
