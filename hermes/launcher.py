#!/opt/hermes/bin/python
"""Starts the gateway with what private_hermes replaces in it, installed as hermes-gateway.

The name is one that Hermes recognises as a gateway process; the arguments are those of the hermes command.
"""

import os
import sys

if os.geteuid() == 0:
    sys.exit("hermes-gateway isn't for root, whose files Hermes couldn't use. In a shell, call hermes.")

from private_hermes import way_out

way_out.lead()

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor

# Collecting while thousands of modules are imported is a fifth of the start, and finds nothing.
gc.disable()

from hermes_cli.main import main  # must come before all else of Hermes: importing it sets up the process

import private_hermes

RUNS = 64  # at once; prove.py holds config.yaml's max_concurrent_runs to it
# Two for each, for the agent and for what sends its words on, and some for all else.
# Python's own number goes by the processors of the machine: with four of them the fifth chat at once would stop the words of all.
THREADS = 2 * RUNS + 32


class Policy(asyncio.DefaultEventLoopPolicy):
    """Gives each event loop its threads, which are made as they are needed."""

    def new_event_loop(self):
        loop = super().new_event_loop()
        loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="asyncio"))
        return loop


if __name__ == "__main__":
    asyncio.set_event_loop_policy(Policy())
    if problems := private_hermes.install():
        sys.exit("\n".join(problems))
    private_hermes.start()
    # What is there now stays; it needn't be looked through again.
    gc.freeze()
    gc.enable()
    try:
        sys.exit(main())
    finally:
        from private_hermes.sandbox.everybody import wait_until_rested

        wait_until_rested()
