"""Puts each file that a person gives into that person's own sandbox, before a tool first wants it: /root/uploads/<name>, byte for byte.

Until then it lies on Hermes' disk, in uploads/<person>/<id>/. The page brings it there with the message that names it, over two
routes beside the chats, behind the same bearer and with the header that says whose it is (openwebui/handover.py); Hermes asks the page
for nothing. Telegram brings its documents itself. Before a person's next command what isn't in the sandbox yet is put there. Which
files were put stands in a list in the sandbox, and so is saved with it: one that was lost with a sandbox is put there again, and one
that was deleted there isn't.

A file has its own name. A second one of that name gets a number, and names are remembered, so that a path which the model was told
never leads to another file. The page gives a file again that Hermes has deleted meanwhile.
"""

import asyncio
import collections
import io
import json
import logging
import os
import re
import shlex
import shutil
import threading
import time
import uuid

from aiohttp import web
from gateway.platforms import api_server
from hermes_constants import get_hermes_home

from .files import LIMIT
from .people import person_of_request
from .sandbox.limits import CALL, HOME, PIECE
from .sandbox.modal_client import Ended
from .sandbox.person import first

# In the sandbox: where they lie, and the ids of those that were put there.
FOLDER, LIST = f"{HOME}/uploads", f"{HOME}/.uploads"
# On Hermes' disk: bytes in all, and seconds since a message has named it. One that was named within the last hour may still be wanted.
MOST, KEPT, FRESH = 500 << 20, 7 * 24 * 3600, 3600
# Bytes that the disk keeps free for all else.
ROOM = 128 << 20
# How many names of a person are remembered, and the bytes of one (NAME_MAX, less those of a number).
NAMES, LONGEST = 2000, 240

TOO_LARGE = f"it is larger than {LIMIT >> 20} MB"
NO_ROOM = "the disk of the service hermes has no room for it"

# Puts the bytes of standard input under a name. What already has that name, which isn't one of these, gets another one.
PUT = f"""
mkdir -p {FOLDER} && cd {FOLDER} && cat >.{{id}} && [ "$(stat -c %s .{{id}})" = {{size}} ] && chmod 644 .{{id}} &&
  mv -T --backup=numbered .{{id}} {{name}} && echo {{id}} >>{LIST} && exit
code=$?; rm -f .{{id}}; exit $code
"""

# Puts the files that are attached to a mail beside it. It is read there and not here, for it is foreign data.
ATTACHED = r"""
import email, email.policy, os, re, sys

name = sys.argv[1]
with open(name, "rb") as file:
    mail = email.message_from_binary_file(file, policy=email.policy.default)

def keep(name, data):
    name = re.sub(r"[\x00-\x1f\x7f]", "_", os.path.basename(name.replace("\\", "/"))).strip(" .")[-80:] or "file"
    stem, end = os.path.splitext(name)
    number, path = 1, os.path.join(folder, name)
    while os.path.exists(path):
        number += 1
        path = os.path.join(folder, f"{stem} ({number}){end}")
    os.makedirs(folder, exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)

def look(part):
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload(0)
        return keep(f"{inner['Subject'] or 'a mail'}.eml".replace("/", "_"), inner.as_bytes())
    if part.is_multipart():
        for one in part.iter_parts():
            look(one)
    elif part.get_filename():
        keep(part.get_filename(), part.get_payload(decode=True) or b"")

folder = f"{name}.files"
look(mail)
"""

log = logging.getLogger(__name__)
# Of the files on the disk; for each person, while files are put.
disk, putting = threading.Lock(), collections.defaultdict(threading.Lock)
# By person: the id of a sandbox of Modal's, and those of the files that needn't be put there.
done = {}


class Refused(Exception):
    """A file isn't kept; says why, as the end of a sentence."""


# --- On Hermes' disk -----------------------------------------------------------------------------------------------


def root():
    return get_hermes_home() / "uploads"


def files_of(person):
    """The files that are kept for a person: their paths by their ids."""
    return {folder.name: file for folder in (root() / person).glob("*/") for file in folder.iterdir()}


def name_in(person, id, name):
    """The name of a file in the sandbox: its own, as far as a path takes it, with a number if another file has it."""
    names = root() / person / "names.json"
    try:
        known = json.loads(names.read_text()) if names.exists() else {}
    except ValueError:
        log.warning("the names of earlier files of %s can't be read; those that are kept have them", person)
        known = {id: file.name for id, file in files_of(person).items()}
    if id not in known:
        name = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", "_", name.replace("\\", "/").rsplit("/", 1)[-1])
        stem, end = os.path.splitext(name if name.strip(" .") else "file")
        stem, end = stem.encode()[: LONGEST - len(end.encode()[:40])].decode(errors="ignore"), end.encode()[:40].decode(errors="ignore")
        name, number, taken = stem + end, 1, set(known.values())
        while name in taken:
            number += 1
            name = f"{stem} ({number}){end}"
        known = dict([*known.items(), (id, name)][-NAMES:])
        new = names.with_suffix(".tmp")
        new.write_text(json.dumps(known))
        new.replace(names)
    return known[id]


def told(name):
    """What the model is told of a file's place in the sandbox."""
    place = f"{FOLDER}/{name}"
    return f"{place} (what is attached to it lies in {place}.files/)" if name.lower().endswith(".eml") else place


def forget(file):
    shutil.rmtree(file.parent, ignore_errors=True)


def make_room(size):
    """Deletes what nobody has named for long until there is room for a file. Raises Refused."""
    files = sorted(root().glob("*/*/*"), key=lambda file: file.parent.stat().st_mtime)
    total = sum(file.stat().st_size for file in files)
    while total + size > MOST:
        if not files or files[0].parent.stat().st_mtime > time.time() - FRESH:
            raise Refused(NO_ROOM)
        total -= files[0].stat().st_size
        forget(files.pop(0))
    if shutil.disk_usage(root()).free < size + ROOM:
        raise Refused(NO_ROOM)


def keep(person, id, name, new):
    """Keeps a file, given as a path on this disk, which is gone then; tells where it will lie in the sandbox. Raises Refused and OSError."""
    with disk:
        try:
            (root() / person).mkdir(parents=True, exist_ok=True)
            make_room(new.stat().st_size)
            name, folder = name_in(person, id, name), root() / person / id
            folder.mkdir(exist_ok=True)
            new.replace(folder / name)
            os.utime(folder)
        finally:
            new.unlink(missing_ok=True)
        return told(name)


def named(person, ids):
    """Where files will lie that are named again: their paths in the sandbox, by their ids, of those that are kept."""
    with disk:
        kept = {id: file for id, file in files_of(person).items() if id in ids}
        for file in kept.values():
            os.utime(file.parent)
        return {id: told(file.name) for id, file in kept.items()}


def delete_old():
    """Deletes what no message has named for long; upkeep.py calls it."""
    with disk:
        for file in root().glob("*/*/*"):
            if file.parent.stat().st_mtime < time.time() - KEPT:
                forget(file)
        # What a crash has left.
        for new in root().glob("*.new"):
            if new.stat().st_mtime < time.time() - FRESH:
                new.unlink(missing_ok=True)


# --- Into the sandbox ----------------------------------------------------------------------------------------------


def missing(env):
    """The files that may not be in a person's sandbox yet, as in `files_of`."""
    kept, (known, put) = files_of(env.person), done.get(env.person, (None, ()))
    return {id: file for id, file in kept.items() if not (env._sandbox and env._sandbox.object_id == known and id in put)}


def hand_over(env, below):
    """Puts them there. Raises what Modal's client raises, Ended and SandboxError; what the sandbox doesn't take is said by its next command."""
    def run(script, seconds, given=""):
        output = io.BytesIO()
        try:
            code = env._run_in(below, uuid.uuid4().hex, script, seconds, 1 << 20, 300, given, output)
        except Ended as ended:
            # The command hasn't begun.
            raise Ended(False) from ended
        return output.getvalue(), code

    with putting[env.person]:
        if not (files := missing(env)):
            return
        listed, _ = run(f"cat {LIST} 2>/dev/null", CALL)
        for id, file in files.items():
            if id.encode() in listed.split():
                continue
            try:
                script = PUT.format(id=id, size=file.stat().st_size, name=shlex.quote(f"./{file.name}"))
                output, code = run(script, CALL, lambda file=file: pieces(file))
            except FileNotFoundError:
                continue  # Nobody wants it any more.
            if not code and file.name.lower().endswith(".eml"):
                run(f"cd {FOLDER} && python3 -c {shlex.quote(ATTACHED)} {shlex.quote(f'./{file.name}')}", CALL)
            if code:
                reason = (output.decode(errors="replace").strip().splitlines() or ["it came in part"])[-1]
                env._tell(f"[{FOLDER}/{file.name} isn't there: the sandbox doesn't take it ({reason}).]")
        known, put = done.get(env.person, (None, ()))
        done[env.person] = (below.object_id, {*files, *(put if known == below.object_id else ())})


def pieces(file):
    with file.open("rb") as open_file:
        while piece := open_file.read(PIECE):
            yield piece


# --- From the page -------------------------------------------------------------------------------------------------


def refusal(sentence, status):
    return web.json_response(api_server._openai_error(sentence), status=status)


async def offered(request):
    """POST {"ids"}: the paths in the sandbox of those files that needn't be sent, as {"paths": {id: path}}."""
    ids = (await request.json())["ids"]
    return web.json_response({"paths": await asyncio.to_thread(named, person_of_request(request), ids)})


async def taken(request):
    """PUT /v1/uploads/<id>?name=<name> with the bytes: {"path": in the sandbox}, or why it isn't kept."""
    id, new = request.match_info["id"], root() / f"{uuid.uuid4().hex}.new"
    if not re.fullmatch(r"[0-9A-Za-z-]{1,64}", id):
        return refusal("The id of a file is letters, digits and dashes.", 400)
    try:
        new.parent.mkdir(mode=0o700, exist_ok=True)
        with new.open("wb") as file:
            async for piece in request.content.iter_chunked(1 << 16):
                if file.tell() + len(piece) > LIMIT:
                    return refusal(TOO_LARGE, 413)
                file.write(piece)
        return web.json_response({"path": await asyncio.to_thread(keep, person_of_request(request), id, request.query.get("name", ""), new)})
    except Refused as refused:
        return refusal(str(refused), 507)
    except OSError as error:
        log.warning("a file can't be kept: %s", error)
        return refusal(NO_ROOM, 507)
    finally:
        new.unlink(missing_ok=True)


ROUTES = [("POST", "/v1/uploads", offered), ("PUT", "/v1/uploads/{id}", taken)]

# Before a command of the person.
first.append((missing, hand_over))
