"""Proves that Hermes in memory differs from Hermes on the disk in the places that hermes/private_hermes/seams.py lists, and in no other.

    python seams.py    # in Hermes' image, with the gateway's environment

One process installs what is replaced and says how all that it has looks: functions by their code, values by themselves. Two others import
the same modules alone; what differs between these two changes by itself. Ends with 1 and a line for each place that isn't listed, or that is
listed and as on the disk.
"""

import hashlib
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from types import FunctionType

# Hermes, and its libraries in which something is replaced.
LOOKED_AT = {"agent", "cron", "gateway", "hermes_cli", "hermes_state", "httpx", "model_tools", "openai", "plugins", "run_agent", "telegram", "tools", "toolsets", "yaml"}
# How deep values are looked into: the fields of a tool are five levels down.
DEEP = 6
HOME = "/tmp/home-of-seams"


def name_of(function):
    """A function's own name, whatever module has it, too."""
    return f"{function.__module__}:{function.__qualname__}"


def look(place, value, found, deep=DEEP, seen=()):
    """Notes how a value looks: a function under its place and its name, the parts of a value under theirs."""
    kind = type(value)
    if kind in (staticmethod, classmethod):
        return look(place, value.__func__, found, deep, seen)
    if kind is FunctionType:
        code = value.__code__
        found[f"{place} {name_of(value)}"] = hashlib.sha256(f"{code.co_filename} {code.co_firstlineno}".encode() + code.co_code).hexdigest()
    elif issubclass(kind, type):
        found[place] = f"{value.__module__}.{value.__qualname__}"
    elif issubclass(kind, (str, bytes, int, float, bool, type(None))):
        found[place] = repr(value)
    elif issubclass(kind, (set, frozenset)):
        found[place] = repr(sorted(map(repr, value)))
    elif deep and id(value) not in seen and (issubclass(kind, (dict, list, tuple)) or kind.__module__.partition(".")[0] in LOOKED_AT - {"openai"}):
        parts = value if issubclass(kind, dict) else dict(enumerate(value)) if issubclass(kind, (list, tuple)) else {}
        parts = parts or {name: getattr(value, name, None) for name in (*getattr(kind, "__slots__", ()), *getattr(value, "__dict__", ()))}
        if issubclass(kind, (list, tuple)):
            found[place] = len(value)
        for name, part in list(parts.items()):
            look(f"{place}.{name}", part, found, deep - 1, (*seen, id(value)))


def memory(modules):
    """How all looks that modules have. A value and a class are looked into where they are made, and not where they are imported to."""
    found = {}
    for module in map(importlib.import_module, modules):
        try:
            made = set(re.findall(r"^(\w+)(?: *:[^=\n]+)? *=", inspect.getsource(module), re.MULTILINE))
        except (OSError, TypeError):
            continue
        for name, value in list(vars(module).items()):
            place = f"{module.__name__}:{name}"
            if type(value) is FunctionType or issubclass(type(value), type) or name in made:
                look(place, value, found)
            if issubclass(type(value), type) and value.__module__ == module.__name__:
                for part, member in list(vars(value).items()):
                    if not re.fullmatch("__(?!init__).*__", part):
                        look(f"{place}.{part}", member, found, 1)
    return found


def one_process():
    """Reads the modules to look at, or null for those that there are once all is installed; writes what it has found."""
    modules, places = json.load(sys.stdin), {}
    import gateway.run  # noqa: F401
    import private_hermes
    from private_hermes.replacing import find
    from private_hermes.seams import REGISTERED, REPLACED

    if not modules:
        if problems := private_hermes.install():
            sys.exit("\n".join(problems))
        modules = sorted(name for name in sys.modules if name.partition(".")[0] in LOOKED_AT)
    else:
        # In the same order, for Hermes registers tools as they are imported.
        for place, *_ in (row for door in REPLACED.values() for row in door):
            importlib.import_module(place.partition(":")[0])
    found = memory(modules)
    for place, *_ in (row for door in REPLACED.values() for row in door):
        there = find(place)[2]
        there = getattr(there, "__func__", there)
        places[place] = name_of(there) if type(there) is FunctionType else place
    registered = [place for door in REGISTERED.values() for place, *_ in door]
    print(json.dumps({"modules": modules, "found": found, "listed": sorted(set(places.values())), "registered": registered}))


def process(modules, seed):
    shutil.rmtree(HOME, ignore_errors=True)
    os.mkdir(HOME)
    run = subprocess.run([sys.executable, __file__, "one"], input=json.dumps(modules), capture_output=True, text=True, env={**os.environ, "HERMES_HOME": HOME, "PYTHONHASHSEED": seed})
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


def main():
    installed = process(None, "1")
    plain, again = (process(installed["modules"], seed) for seed in "12")
    # What is None before is filled when it is first used.
    differs = {key for key, looks in plain["found"].items() if looks == again["found"].get(key) != installed["found"].get(key) and looks != "None"}
    problems, seen = [], set()
    for key in differs:
        place, _, name = key.partition(" ")
        known = [row for row in plain["listed"] if (name or place) == row or place.startswith(f"{row}.")]
        seen.update(known)
        if not known and not any(f"{place}.".startswith(f"{row}.") for row in plain["registered"]):
            problems.append(f"{name or place} is another one in memory, and seams.py doesn't list it")
    problems += [f"{row} is listed in seams.py, and is in memory as on the disk" for row in set(plain["listed"]) - seen]
    if problems:
        sys.exit("\n".join(sorted(problems)))
    print(f"{len(plain['listed'])} functions and values differ, of {len(plain['found'])}")


if __name__ == "__main__":
    one_process() if sys.argv[1:] else main()
