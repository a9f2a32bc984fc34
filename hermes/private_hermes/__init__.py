"""What this deployment changes in Hermes; the launcher (launcher.py) installs all of it. seams.py lists each place.

A module for each reason. What stands in the place of a function of Hermes is an ordinary function below `@replaces`, and has what was
there as its first argument, `original`. A module may have two more functions: `register()`, for what Hermes offers a place for, and
`start()`, for threads and what the gateway does once.
"""

import contextlib
import importlib

from . import replacing
from .replacing import replaces as replaces
from .seams import RELIED_ON, REPLACED

MODULES = (
    "attachments brake choices costs failures files handover health inbox job_tool jobs knowledge loops messages own page people places progress prompts reports "
    "restored runs sandbox.environment sent speed summaries telegram_adapter telegram_cut telegram_kinds undelivered upkeep views voice web"
).split()


def changed():
    """What of Hermes isn't as it was when ours was written for it, a sentence each. To be asked before `install`."""
    return replacing.changed(row for door in (*REPLACED.values(), *RELIED_ON.values()) for row in door)


def install():
    """Puts everything in its place and starts nothing; gives what went wrong, a sentence each."""
    problems = []
    listed = [(place, name) for door in REPLACED.values() for place, _, names, _ in door for name in names.split() if name in MODULES]
    # All before the first is replaced: what is imported from a place later would be ours already.
    for module in dict.fromkeys(place.partition(":")[0] for place, _ in listed):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    for name in MODULES:
        try:
            importlib.import_module(f"{__name__}.{name}")
        except Exception as error:
            problems.append(f"private_hermes.{name}: {type(error).__name__}: {error}")
    problems += [f"{name}.py replaces {place}, which seams.py doesn't list" for place, name in replacing.functions.keys() - set(listed) if name in MODULES]
    for place, name in listed:
        try:
            replacing.put(place, name)
        except Exception as error:
            problems.append(f"{place}, replaced by {name}.py: {type(error).__name__}: {error}")
    for name in MODULES:
        try:
            call(name, "register")
        except Exception as error:
            problems.append(f"private_hermes.{name}: {type(error).__name__}: {error}")
    return problems


def start():
    """Starts the threads of the gateway."""
    for name in MODULES:
        call(name, "start")


def call(name, function):
    getattr(importlib.import_module(f"{__name__}.{name}"), function, lambda: None)()
