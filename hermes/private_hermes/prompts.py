"""Tells the model what it has of the web, and a chat that goes on after an upgrade what has changed for it.

The web: what the model may ask depends on EXA_API_KEY, and what its code may reach on SANDBOX_NETWORK. Hermes 0.19.0 says neither, and
tells some models to look facts up with web_search, whether or not they have it (agent/prompt_builder.py). What a sandbox has besides
Python depends on SANDBOX_PACKAGES. The sentences go where Hermes takes a description of the environment from
(`HERMES_ENVIRONMENT_HINT`).

Old chats: Hermes stores the prompt that a chat begins with and takes it as long as the model is the same
(`_stored_prompt_matches_runtime` in agent/conversation_loop.py). So an old chat would never hear of the above, nor what config.yaml
says of the place where answers are shown (`platform_hints`). When the gateway starts, the prompts without it are taken out of the
database, and Hermes makes them anew.
"""

import contextlib
import logging
import os
import sqlite3

from hermes_cli.config import load_config
from hermes_state import SessionDB

from .sandbox.settings import network, packages
from .web import key


def reach():
    """What the model is told of its way to the web."""
    allowed = network()
    if allowed.get("block_network"):
        sandbox = "Your sandbox has no network: nothing can be fetched or installed there."
    elif networks := allowed.get("cidr_allowlist"):
        sandbox = f"From the sandbox only these networks can be reached: {', '.join(networks)}."
    else:
        sandbox = "Your sandbox reaches the internet: code there can fetch and download, and pip and apt-get can install what is missing."
    if key():
        return f"The web: look things up with web_search, and read pages with web_extract. {sandbox}"
    if allowed:
        return f"The web: you have none, no web_search either. {sandbox} Say so when a question needs the web, in the place of a guess."
    return f"The web: you have no web_search. {sandbox} Read a page of which you know the address there, with curl, or with Python's urllib.request where that is missing."


def tools():
    """What the model is told of the programs in its sandbox."""
    debian, python = packages()
    if not debian + python:
        return "It has Python, and none of its packages."
    return f"Beside Python it has, unless it is an old one: {', '.join(debian + python)}."


ENVIRONMENT = f"{reach()} {tools()}"
# NULL is what Hermes itself writes to have a prompt made anew (`update_session_billing_route` in hermes_state.py).
FORGET = "UPDATE sessions SET system_prompt = NULL WHERE source LIKE ? AND system_prompt IS NOT NULL AND instr(system_prompt, ?) = 0"

log = logging.getLogger(__name__)


def forget_old():
    """Takes the prompts out of the database that say something else than a new one would. Raises sqlite3.Error."""
    hints = [(platform, (hint.get("replace") or "").strip()) for platform, hint in load_config()["platform_hints"].items() if isinstance(hint, dict)]
    with contextlib.closing(SessionDB()) as db:
        db._execute_write(lambda connection: connection.executemany(FORGET, [("%", ENVIRONMENT), *hints]))


def register():
    os.environ["HERMES_ENVIRONMENT_HINT"] = ENVIRONMENT


def start():
    try:
        forget_old()
    except sqlite3.Error as error:
        # As on a full disk: the next start does it.
        log.warning("old chats don't hear of what is new in their prompt: %s", error)
