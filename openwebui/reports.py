"""Fetches the reports of scheduled jobs from Hermes, and puts each into a chat of its job in the account that the job was made in.

Hermes keeps a report until it is told that it is stored here (hermes/private_hermes/reports.py). A message's id comes from the report's, so
that one that is fetched twice is there once. The chat is marked as unread, and a page that is open shows it. Each report is an answer to a
line that says which job it is and when it ran: a model takes a chat in which both sides speak by turns.

A chat that holds many reports, or much text, takes no more: the next one begins another of the same name. So a message in it costs what it
costs in any chat, and nothing is deleted.

Open WebUI's own automations would be a second scheduler, without silence and without Telegram, in which nobody sees the jobs of the first.

Environment, for the tests: REPORTS_EVERY, seconds from one look to the next.
"""

import asyncio
import itertools
import logging
import os
import tempfile
import uuid
from contextlib import asynccontextmanager

import aiohttp
from open_webui.models.chats import ChatForm, Chats
from open_webui.models.users import Users
from open_webui.private import failures, loops
from open_webui.private.contract import link_of_file
from open_webui.private.files import NOT_STORED, store
from open_webui.private.languages import remembered, translated
from open_webui.private.life import live_with
from open_webui.socket.main import sio

EVERY = float(os.environ.get("REPORTS_EVERY", 30))
# In seconds; a file of 10 MB takes one.
PATIENCE = aiohttp.ClientTimeout(total=120)
# Reports that a chat takes, and characters of all that stands in it.
MAX_REPORTS = 20
MAX_CHARACTERS = 40_000
# What ids are made in.
IDS = uuid.uuid5(uuid.NAMESPACE_OID, "report of a scheduled job")

log = logging.getLogger(__name__)


async def fetched(hermes, url, kind, name, metadata, user):
    """A file of a report as a link, stored as one of the person's; or a sentence."""
    try:
        with tempfile.TemporaryFile() as file:
            async with hermes.get(url) as answer:
                async for piece in answer.content.iter_chunked(1 << 16):
                    file.write(piece)
            id = await store(name, kind, file, metadata, user)
    except OSError:
        # As of a full disk; the words come.
        log.exception("A file of a report can't be stored")
        return translated(NOT_STORED.format(name), remembered(user))
    return link_of_file(name, kind.startswith("image/"), id)


def full(messages):
    """Whether a chat takes no further report; `messages` are those of its history, by id."""
    texts = [str(message.get("content") or "") for message in messages.values()]
    # The version of an id: those of a report are made by uuid5, all others are random.
    reports = sum(id[14:15] == "5" for id in messages) // 2
    return reports >= MAX_REPORTS or sum(map(len, texts)) >= MAX_CHARACTERS


async def chat_for(user, job, name, answered):
    """The chat that a report goes to: the one that has it, if it comes again, or the first that isn't full."""
    for number in itertools.count():
        id = str(uuid.uuid5(IDS, f"{job}/{user.id}" + (f"/{number}" if number else "")))
        chat = await Chats.get_chat_by_id_and_user_id(id, user.id)
        if not chat:
            empty = {"title": f"⏰ {name}", "models": [os.environ["DEFAULT_MODELS"]], "history": {"messages": {}, "currentId": None}, "messages": []}
            return await Chats.insert_new_chat(id, user.id, ChatForm(chat=empty))
        messages = chat.chat["history"]["messages"]
        if answered in messages or not full(messages):
            return chat


async def deliver(hermes, url):
    """Stores a report. Gives whether somebody is there to read it."""
    async with hermes.get(url) as answer:
        report = await answer.json(content_type=None)
    user = await (Users.get_user_by_id(report["account"]) if report["account"] else Users.get_super_admin_user())
    if not user:
        return False
    asked, answered = (str(uuid.uuid5(IDS, f"{what} {report['id']}/{user.id}")) for what in ("asked", "answered"))
    model = os.environ["DEFAULT_MODELS"]
    chat = await chat_for(user, report["job"], report["name"], answered)
    chat_id, history = chat.id, chat.chat["history"]
    if not (history["messages"].get(answered) or {}).get("done"):
        # Where the person is in the chat, or where this has ended in the middle.
        before = history["messages"].get(asked)
        parent = before["parentId"] if before else history.get("currentId")
        beginning = translated(f"Scheduled job “{report['name']}”:", remembered(user)).rstrip(":： ")
        about = f"{beginning} ({report['job']}), {report['at']}"
        place = {"chat_id": chat_id, "message_id": answered}
        text = "".join(
            [
                failures.in_words(part, user.role == "admin", remembered(user)) if isinstance(part, str) else await fetched(hermes, f"{url}/{part['file']}", part["kind"], part["name"], place, user)
                for part in report["parts"]
            ]
        )
        for message in (
            {"id": asked, "parentId": parent, "role": "user", "content": about, "models": [model]},
            {"id": answered, "parentId": asked, "role": "assistant", "content": text, "model": model, "done": True},
        ):
            if not await Chats.upsert_message_to_chat_by_id_and_message_id(chat_id, message["id"], message):
                raise RuntimeError("Open WebUI can't store it")
        await Chats.mark_chat_unread_by_id(chat_id, user.id)
    await sio.emit("events", {"chat_id": chat_id, "message_id": answered, "data": {"type": "chat:list"}}, room=f"user:{user.id}")
    return True


async def look():
    """Delivers all that wait. One that can't be stored is left for the next look, and keeps no other from coming."""
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    async with aiohttp.ClientSession(headers=headers, timeout=PATIENCE, raise_for_status=True) as hermes:
        reports = f"{os.environ['OPENAI_API_BASE_URL']}/reports"
        owner = await Users.get_super_admin_user()
        async with hermes.get(reports, params={"owner": owner.id} if owner else {}) as answer:
            waiting = (await answer.json())["waiting"]
        for id in waiting:
            try:
                there = await deliver(hermes, f"{reports}/{id}")
                async with hermes.delete(f"{reports}/{id}", params={} if there else {"gone": "yes"}):
                    pass
            except Exception:
                log.exception("A report can't be delivered")


async def watch():
    while True:
        try:
            await look()
        except (aiohttp.ClientError, TimeoutError):
            # It is updated.
            pass
        except Exception:
            log.exception("Reports can't be fetched")
        await asyncio.sleep(EVERY)


@asynccontextmanager
async def life():
    looking = asyncio.create_task(watch())
    loops.watch(looking, "fetching the reports of jobs")
    yield
    looking.cancel()


def register(main):
    live_with(main.app, life)
