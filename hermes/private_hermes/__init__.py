"""What this deployment replaces in Hermes, a module for each reason; the launcher (gateway.py) installs all of them.

Each module has a function `install()`, which replaces by `replace()` alone. That one refuses whatever isn't as it was when
the module was written, so that an upgrade of Hermes fails while the image is built (check_config.py), and never at night.
"""

import importlib
import inspect

# In this order.
MODULES = [
    "brake",
    "summaries",  # wraps what brake.py does
    "choices",
    "failures",
    "health",
    "inbox",
    "loops",  # wraps what inbox.py does
    "knowledge",
    "messages",
    "people",
    "places",
    "jobs",  # wraps what failures.py and people.py do
    "runs",  # wraps what jobs.py does
    "progress",
    "prompts",
    "sandbox",
    "files",  # wraps what failures.py and messages.py put in its place
    "upkeep",
    "voice",  # wraps what inbox.py does
    "reports",
    "sent",
    "views",
    "handover",  # wraps what voice.py does, and so does attachments.py
    "attachments",
    "web",
    "telegram_kinds",
    "speed",  # wraps all that is done to the pieces of an answer
]


class Unexpected(Exception):
    """Hermes isn't what a module of this package was written for."""


def expected(owner, name, signature=None):
    """Gives `owner.name`.

    `signature` is what `inspect.signature` printed for it in the release that this was written for; without one, any will do.
    Raises `Unexpected` when it is missing or another.
    """
    found = getattr(owner, name, None)
    place = f"{getattr(owner, '__name__', owner)}.{name}"
    if found is None:
        raise Unexpected(f"{place} is gone")
    actual = str(inspect.signature(found))
    if signature not in (None, actual):
        raise Unexpected(f"{place} has the signature {actual}, written for was {signature}")
    return found


def replace(owner, name, replacement, signature=None):
    """Puts `replacement` in the place of `owner.name` and gives what was there, which is as in `expected`."""
    found = expected(owner, name, signature)
    setattr(owner, name, replacement)
    return found


def install():
    """Installs every module; gives what went wrong, a sentence each."""
    problems = []
    for name in MODULES:
        try:
            importlib.import_module(f"{__name__}.{name}").install()
        except Exception as error:
            problems.append(f"private_hermes.{name}: {type(error).__name__}: {error}")
    return problems
