"""Lets FastAPI look into a route when it is first asked for, and not at the start, of which that was a third.

Open WebUI has some 550 routes. For each FastAPI reads the signatures of its function and of all that this depends on, and builds what checks
its parameters and its answer: twice, for the file of the route and for the app. Here a route has what it is found by, and what one router
takes over from another; all else is made at its first request, in a few ms. `problems` makes all of them, while the image is built.
"""

import functools
import gc
import inspect

from fastapi import routing
from fastapi.datastructures import DefaultPlaceholder

from .replacing import replaces

# How a route is made, kept under this name until somebody asks for what isn't there yet.
LATER = "_make"


@replaces("fastapi.routing:APIRoute.__init__")
def make(original, self, path, endpoint, **settings):
    given = {**defaults(original.__func__), **settings}
    if isinstance(given["response_model"], DefaultPlaceholder):
        if "return" in getattr(endpoint, "__annotations__", {"return": None}):
            # FastAPI finds out what it answers.
            return original(path, endpoint, **settings)
        given["response_model"] = None
    self.__dict__.update(given, path=path, endpoint=endpoint)
    self.name = routing.get_name(endpoint) if self.name is None else self.name
    self.methods = {method.upper() for method in self.methods or ["GET"]}
    self.tags, self.responses, self.dependencies = self.tags or [], self.responses or {}, list(self.dependencies or [])
    self.description = (self.description or inspect.cleandoc(endpoint.__doc__ or "")).split("\f")[0].strip()
    self.path_regex, self.path_format, self.param_convertors = routing.compile_path(path)
    self.__dict__[LATER] = functools.partial(original, path, endpoint, **settings)


@functools.cache
def defaults(function):
    """The parameters of a function that have a default, with it."""
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items() if parameter.default is not parameter.empty}


def missing(route, name):
    """What Python asks for an attribute that isn't there."""
    if make := route.__dict__.pop(LATER, None):
        make()
        return getattr(route, name)
    raise AttributeError(f"{type(route).__name__} has no {name}")


def problems():
    """Makes all routes, as nothing else may find what is wrong with one; gives a sentence for each that a router has taken for another."""
    routes = [route for route in gc.get_objects() if isinstance(route, routing.APIRoute) and LATER in route.__dict__]
    found = [] if routes else ["No route of Open WebUI's waits for its first request"]
    for route in routes:
        before = {name: value for name, value in route.__dict__.items() if name != LATER}
        route.__dict__[LATER]()
        found += [f"{route.path}: {name} isn't {value!r}" for name, value in before.items() if route.__dict__[name] != value]
    return found


def register(_):
    routing.APIRoute.__getattr__ = missing
