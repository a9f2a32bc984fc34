"""Hooks this deployment's modules into Open WebUI, and proves that Open WebUI uses what they replace.

    python3 -m open_webui.private.hooks MODULE ...

Run while the image is built, with an empty DATA_DIR. Adds a call of each module's `install`, with the namespace to replace in, to
the end of a file of Open WebUI's. Ends with a sentence when Open WebUI doesn't use what was put there, or isn't what it was.
"""

import importlib
import inspect
import sys
from pathlib import Path

# By module: the file that is added to; who uses what is replaced there, and under which name.
HOOKS = {
    "answers": ("utils/middleware.py", "open_webui.utils.middleware", "save_response_stream"),
    # Of the class that serves the page it replaces a method.
    "assets": ("main.py", None, None),
    "failures": ("routers/openai.py", "open_webui.utils.chat", "generate_openai_chat_completion"),
    "files": ("utils/files.py", "open_webui.utils.middleware", "convert_markdown_base64_images"),
    "handover": ("utils/middleware.py", "open_webui.utils.middleware", "process_chat_payload"),
    # It replaces nothing.
    "identity": ("main.py", None, None),
    # It replaces nothing.
    "leftovers": ("main.py", None, None),
    # It replaces nothing.
    "loops": ("main.py", None, None),
    "names": ("routers/openai.py", "open_webui.routers.openai", "get_all_models_responses"),
    # It replaces nothing.
    "reports": ("main.py", None, None),
    "scans": ("utils/middleware.py", "open_webui.utils.middleware", "chat_completion_files_handler"),
    "start": ("main.py", None, None),
    "uploads": ("routers/files.py", "open_webui.routers.files", "index_file"),
    "voice": ("routers/audio/__init__.py", "open_webui.routers.audio", "_transcribe_openai"),
}


def expected(function, parameters):
    """Gives a function of Open WebUI's; raises when it has other parameters than those that a module was written for."""
    if list(inspect.signature(function).parameters) != parameters:
        raise RuntimeError(f"{function.__name__} has other parameters than {parameters}")
    return function


def hook(modules):
    for module in modules:
        with open(Path(__file__).parents[1] / HOOKS[module][0], "a") as file:
            file.write(f"\nfrom open_webui.private import {module} as private_{module}\nprivate_{module}.install(globals())\n")
    for module in modules:
        _, user, name = HOOKS[module]
        if user and getattr(importlib.import_module(user), name).__module__ != f"open_webui.private.{module}":
            sys.exit(f"{user} doesn't use the {name} of {module}.py")


if __name__ == "__main__":
    hook(sys.argv[1:])
