"""Leaves models of pydantic's unbuilt until they are first used, where nothing here ever uses them.

Open WebUI imports the whole of MCP's client and parts of LangChain's, for connections to tool servers and an index that this deployment
doesn't have. What checks the values of their 900 models, pydantic would build at each start. It is a setting of pydantic's own that leaves
it; a model that is used all the same is built then.
"""

import gc

from pydantic import BaseModel

from .replacing import replaces

# Not langchain_core: uploads.py makes a document of its, in threads.
PACKAGES = {"langchain_classic", "langsmith", "mcp", "mcp_types"}


@replaces("pydantic._internal._config:ConfigWrapper.for_model")
def for_model(original):
    def later(kind, bases, namespace, raw_annotations, kwargs):
        config = original.__func__(kind, bases, namespace, raw_annotations, kwargs)
        if namespace.get("__module__", "").partition(".")[0] in PACKAGES:
            config.config_dict["defer_build"] = True
        return config

    return classmethod(later)


def problems():
    """A sentence, when each of these models is built at the start."""
    models = [kind for kind in gc.get_objects() if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__module__.partition(".")[0] in PACKAGES]
    return [] if any(not kind.__pydantic_complete__ for kind in models) else [f"All models of {', '.join(sorted(PACKAGES))} are built at the start"]
