#!/opt/hermes/bin/python
"""Starts the gateway with what private_hermes replaces in it, installed as hermes-gateway.

The name is one that Hermes recognises as a gateway process; the arguments are those of the hermes command.
"""

import gc
import os
import sys

if os.geteuid() == 0:
    sys.exit("hermes-gateway isn't for root, whose files Hermes couldn't use. In a shell, call hermes.")

# Collecting while thousands of modules are imported is a fifth of the start, and finds nothing.
gc.disable()

from hermes_cli.main import main  # must come first: importing it sets up the process

import private_hermes

if __name__ == "__main__":
    if problems := private_hermes.install():
        sys.exit("\n".join(problems))
    private_hermes.start()
    # What is there now stays; it needn't be looked through again.
    gc.freeze()
    gc.enable()
    try:
        sys.exit(main())
    finally:
        from private_hermes.sandbox import wait_until_rested

        wait_until_rested()
