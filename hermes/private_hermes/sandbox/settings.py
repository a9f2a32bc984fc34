"""What the variables SANDBOX_* say of sandboxes; hermes/entrypoint.sh has checked their form, and their defaults stand in hermes/Dockerfile."""

import os
import re
import shlex

from ..people import is_owner

# What the setting sandboxSecrets gives to sandboxes: by the name of the variable whether it is everybody's, and the value.
SECRETS = {}
for entry in filter(None, os.environ.get("SANDBOX_SECRETS", "").split(",")):
    who, name, value = re.fullmatch("(everybody:)?([A-Z0-9_]+)=(.+)", entry).groups()
    SECRETS[name] = (bool(who), value)


def requested(name, kind):
    """What is requested of Modal and the limit, written as "request-limit"."""
    request, limit = os.environ[name].split("-")
    return kind(request), kind(limit)


def network():
    """SANDBOX_NETWORK as Modal's client takes it."""
    chosen = os.environ["SANDBOX_NETWORK"].strip()
    if chosen == "open":
        return {}
    if chosen == "none":
        return {"block_network": True}
    return {"cidr_allowlist": [cidr.strip() for cidr in chosen.split(",")]}


def packages():
    """SANDBOX_PACKAGES: the names of Debian's packages, and of Python's."""
    named = os.environ["SANDBOX_PACKAGES"].strip()
    names = [] if named == "none" else named.split(",")
    return [name.removeprefix("apt:") for name in names if name.startswith("apt:")], [name for name in names if not name.startswith("apt:")]


def with_packages(image):
    """An image with them, which Modal builds once and keeps. What it builds reaches the internet, whatever SANDBOX_NETWORK says."""
    debian, python = packages()
    commands = []
    if debian:
        commands.append(f"apt-get update && apt-get install -y --no-install-recommends {shlex.join(debian)} && rm -rf /var/lib/apt/lists/*")
    if python:
        commands.append(f"python -m pip install --no-cache-dir --root-user-action=ignore {shlex.join(python)}")
    return image.run_commands(*commands) if commands else image


def idle_seconds():
    return 60 * float(os.environ["SANDBOX_IDLE_MINUTES"])


def background_minutes():
    return float(os.environ["SANDBOX_BACKGROUND_MINUTES"])


def secrets_of(person):
    """The variables that a person's sandbox begins with: those of SANDBOX_SECRETS that are everybody's, and all of them for the owner."""
    return {name: value for name, (everybodys, value) in SECRETS.items() if everybodys or is_owner(person)}
