"""Replaces functions and values of a program that has no place for what is ours. The same file is in both images.

A table lists each place: its name, "module:name.name"; the beginning of the SHA-256 of its source as it was when ours was written for
it; our files. What stands there is an ordinary function below `@replaces`, which has what was there as its first argument, `original`.
"""

import ast
import functools
import hashlib
import importlib
import inspect
import re
from types import MethodType

# The functions below `@replaces`, by the place and the module.
functions = {}


def replaces(place):
    """Marks a function that `put` puts in a place; the table must have it, with the function's module.

    The function is called as what it replaces, with `original` before all else. A method gets `original` bound, so that it is called
    without `self`. In the place of a value that is no function, the function is called once, and gives the new one.
    """

    def mark(function):
        functions[place, function.__module__.removeprefix(f"{__package__}.")] = function
        return function

    return mark


def find(place):
    """The owner of a place "module:name.name", the last name, and what is there; of a module alone, that. Raises ImportError, AttributeError, KeyError."""
    module, _, path = place.partition(":")
    owner = importlib.import_module(module)
    if not path:
        return None, None, owner
    *outer, name = path.split(".")
    for part in outer:
        owner = owner[part] if isinstance(owner, dict) else getattr(owner, part)
    return owner, name, owner[name] if isinstance(owner, dict) else inspect.getattr_static(owner, name)


def source(place):
    """The source of a place: of a function, a class or a module, or of the assignment that makes a value. Raises as `find`, and LookupError."""
    found = find(place)[2]
    found = getattr(found, "__func__", found)
    if inspect.isroutine(found) or inspect.isclass(found) or inspect.ismodule(found):
        return inspect.getsource(found)
    module, _, path = place.partition(":")
    text = inspect.getsource(importlib.import_module(module))
    for node in ast.parse(text).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and getattr(node.targets[0] if isinstance(node, ast.Assign) else node.target, "id", None) == path.split(".")[0]:
            return ast.get_source_segment(text, node)
    raise LookupError(place)


def digest(text):
    """The beginning of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def around(original, function, method):
    """What calls `function` with `original` first; `method` says whether that is one, and gets its object."""
    if isinstance(original, staticmethod):
        return staticmethod(around(original.__func__, function, False))
    if not inspect.isfunction(original):
        return function(original)

    def call(*arguments, **more):
        return function(MethodType(original, arguments[0]) if method else original, *arguments, **more)

    async def call_async(*arguments, **more):
        return await call(*arguments, **more)

    # With the name and the signature of Hermes' own.
    return functools.wraps(original)(call_async if inspect.iscoroutinefunction(original) else call)


def changed(rows):
    """What isn't as it was when ours was written for it, a sentence for each such row (place, SHA-256 or phrase, our files, …).

    To be asked before anything is replaced, while the image is built: in the image nothing changes any more.
    """
    problems = []
    for place, known, modules, *_ in rows:
        files = " and ".join(f"{name.replace('.', '/')}.py" for name in modules.split())
        try:
            text = source(place)
        except (ImportError, AttributeError, LookupError):
            problems.append(f"{place} is gone: read {files}")
            continue
        if not re.fullmatch("[0-9a-f]{12}", known):
            if known not in text:
                problems.append(f"{place} hasn't {known!r} any more: read it and {files} again")
        elif known != (actual := digest(text)):
            problems.append(f"{place} is another one: read it and {files} again, then put {actual} in the place of {known} (seams.py)")
    return problems


def put(place, module):
    """Puts the function of one of our modules in a place, around what is there. Raises as `find`."""
    owner, last, original = find(place)
    new = around(original, functions[place, module], inspect.isclass(owner))
    if isinstance(owner, dict):
        owner[last] = new
    else:
        setattr(owner, last, new)
