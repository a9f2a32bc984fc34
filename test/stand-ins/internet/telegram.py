"""Plays api.telegram.org for the container tests: as much of the bot API as Hermes asks for, over TLS on port 443.

Environment: TELEGRAM_BOT_TOKEN, the one bot's token; any other gets the 401 that Telegram has for it. The certificate
lies in /ca, see authority.sh.

People write by POST /updates on port 8000: {"from": user id, "text", "chat": group id (a private chat when left out),
"age": seconds since then, "voice": a voice message in base64, whose caption the text is then, "size": its bytes as Telegram says them}.
A mention (@private_hermes_bot) and a /command at the beginning are marked as Telegram marks them. GET /chats/<id> gives
the texts that the bot has in that chat as people see them, with edits and deletions applied; GET /calls each method that
was called, with its parameters; GET /pending how many updates wait for the bot; GET /files/<id> what the bot has sent into
that chat besides texts, as {"kind": "photo" or "document", "name", "content": in base64}. Port 8000 answers on loopback only: it is for
`docker exec`.

As at Telegram: a bot can't write to somebody who never wrote to it, updates wait until they are fetched with an offset
beyond them, deleteWebhook may drop those that wait, an album has 2 to 10 items (core.telegram.org/bots/api,
"sendMediaGroup"; 400 otherwise), and a file of a person's is fetched from the path that getFile gives.

Failures that it plays: a wrong token (401), a chat that doesn't exist, a message that is too long or to be edited and gone or
unchanged (400), an unknown method (404); and those of POST /faults on port 8000, {"method", "times", "code", "description",
"retry_after": seconds, with 429 only}: the next calls of that method are refused so. What is sent with each is in Telegram's
own words (core.telegram.org/bots/api, "Making requests"; "Conflict" as its servers say it to a second poller).

What it does not imitate: webhooks, files that people send besides voice messages, other kinds of files, limits of
their size and what a photo is, inline keyboards, topics, limits of its own (429) and pollers that it counts (409),
privacy mode (a group's bot sees every message here), rules of MarkdownV2, methods newer than sendMessageDraft (404, as from an
older server), and what people's apps show.
"""

import base64
import json
import os
import re
import threading
import time
from email import policy
from email.parser import BytesParser
from urllib.parse import parse_qs, unquote, urlsplit

from serving import Handler, serve

TOKEN = os.environ["TELEGRAM_BOT_TOKEN"]
BOT = {"id": int(TOKEN.split(":")[0]), "is_bot": True, "first_name": "Hermes", "username": "private_hermes_bot"}

changed = threading.Condition()
updates = []
calls = []
faults = {}  # what the next calls of a method are refused with
chats = {}  # what Telegram knows of a chat, by its id
shown = {}  # text by message id, by chat id; in the order in which they were sent
files = {}  # what was sent besides texts, by chat id
spoken = {}  # voice messages, by their file's id
ids = iter(range(1, 1_000_000))


class Refused(Exception):
    """An error as the bot API has it: code, description, and what else it has."""


def write(sender, text, chat=None, age=0, voice=None, size=None):
    """A person writes to the bot, in private or in a group, or has done so `age` seconds ago."""
    user = {"id": sender, "is_bot": False, "first_name": f"User {sender}"}
    place = {"id": chat, "type": "group", "title": "Friends"} if chat else {**user, "type": "private"}
    place.pop("is_bot", None)
    # A command takes the mention that is attached to it.
    entities = [
        {"type": "bot_command" if match[0].startswith("/") else "mention", "offset": match.start(), "length": len(match[0])}
        for match in re.finditer(rf"^/\w+(@\w+)?|@{BOT['username']}", text)
    ]
    with changed:
        chats[place["id"]] = place
        message = {"message_id": next(ids), "date": int(time.time()) - age, "chat": place, "from": user}
        if voice is None:
            message |= {"text": text, **({"entities": entities} if entities else {})}
        else:
            content, file = base64.b64decode(voice), str(next(ids))
            spoken[file] = content
            about = {"file_id": file, "file_unique_id": file, "duration": 1, "mime_type": "audio/ogg", "file_size": size or len(content)}
            message |= {"voice": about, **({"caption": text, "caption_entities": entities} if text else {})}
        updates.append({"update_id": next(ids), "message": message})
        changed.notify_all()


def known(parameters):
    chat = chats.get(int(parameters["chat_id"]))
    if not chat:
        raise Refused(400, "Bad Request: chat not found")
    return chat


def message(chat, message_id, text):
    return {"message_id": message_id, "date": int(time.time()), "chat": chat, "from": BOT, "text": text}


def get_updates(parameters):
    offset, patience = int(parameters.get("offset", 0)), float(parameters.get("timeout", 0))
    with changed:
        updates[:] = [update for update in updates if update["update_id"] >= offset]
        changed.wait_for(lambda: updates, timeout=patience)
        return updates[: int(parameters.get("limit", 100))]


def delete_webhook(parameters):
    if parameters.get("drop_pending_updates", "").lower() == "true":
        with changed:
            updates.clear()
    return True


def send(parameters):
    chat, number = known(parameters), next(ids)
    # In characters of UTF-16, after its markup is taken away; that isn't done here.
    if len(parameters["text"].encode("utf-16-le")) // 2 > 4096:
        raise Refused(400, "Bad Request: message is too long")
    shown.setdefault(chat["id"], {})[number] = parameters["text"]
    return message(chat, number, parameters["text"])


def edit(parameters):
    chat, number = known(parameters), int(parameters["message_id"])
    if number not in shown.get(chat["id"], {}):
        raise Refused(400, "Bad Request: message to edit not found")
    if shown[chat["id"]][number] == parameters["text"]:
        raise Refused(400, "Bad Request: message is not modified")
    shown[chat["id"]][number] = parameters["text"]
    return message(chat, number, parameters["text"])


def delete(parameters):
    shown.get(known(parameters)["id"], {}).pop(int(parameters["message_id"]), None)
    return True


def send_file(kind, parameters):
    chat, number, (name, content) = known(parameters), next(ids), attached(parameters, parameters[kind])
    files.setdefault(chat["id"], []).append({"kind": kind, "name": name, "content": base64.b64encode(content).decode()})
    sizes = {"file_id": str(number), "file_unique_id": str(number), "width": 1, "height": 1}
    return {**message(chat, number, ""), kind: [sizes] if kind == "photo" else sizes}


def send_album(parameters):
    items = json.loads(parameters["media"])
    if not 2 <= len(items) <= 10:
        raise Refused(400, "Bad Request: group of media must include 2-10 items")
    return [send_file(item["type"], {**parameters, item["type"]: item["media"]}) for item in items]


def get_file(parameters):
    file = parameters["file_id"]
    return {"file_id": file, "file_unique_id": file, "file_size": len(spoken[file]), "file_path": f"voice/{file}.oga"}


def attached(parameters, value):
    """A file of a request: its name and its bytes."""
    return value if isinstance(value, tuple) else parameters[value.removeprefix("attach://")]


def parameters_of(headers, body):
    """The parameters of a call; a file is (name, bytes)."""
    kind = headers.get("Content-Type", "")
    if not kind.startswith("multipart/form-data"):
        return {key: values[-1] for key, values in parse_qs(body.decode(), keep_blank_values=True).items()}
    parts = BytesParser(policy=policy.HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body).get_payload()
    found = {}
    for part in parts:
        content = part.get_payload(decode=True)
        found[part.get_param("name", header="content-disposition")] = (part.get_filename(), content) if part.get_filename() else content.decode()
    return found


METHODS = {
    "getMe": lambda _: {**BOT, "can_join_groups": True, "can_read_all_group_messages": True, "supports_inline_queries": False},
    "getUpdates": get_updates,
    "deleteWebhook": delete_webhook,
    "sendMessage": send,
    "sendPhoto": lambda parameters: send_file("photo", parameters),
    "sendDocument": lambda parameters: send_file("document", parameters),
    "sendMediaGroup": send_album,
    "editMessageText": edit,
    "deleteMessage": delete,
    "getFile": get_file,
    "getChat": lambda parameters: {**known(parameters), "accent_color_id": 0, "max_reaction_count": 11},
    **dict.fromkeys(("sendChatAction", "sendMessageDraft", "setMessageReaction"), lambda parameters: bool(known(parameters))),
    **dict.fromkeys(("setMyCommands", "deleteMyCommands", "setMyShortDescription", "setMyDescription"), lambda _: True),
}


class BotApi(Handler):
    def do_POST(self):
        body = self.bytes()
        token, _, method = unquote(urlsplit(self.path).path).removeprefix("/bot").partition("/")
        parameters = parameters_of(self.headers, body)
        try:
            if token != TOKEN:
                raise Refused(401, "Unauthorized")
            with changed:
                calls.append({"method": method, "parameters": {key: value for key, value in parameters.items() if isinstance(value, str)}})
                fault = faults.get(method, {"times": 0})
                fault["times"] -= 1
            if fault["times"] >= 0:
                raise Refused(fault["code"], fault["description"], {"parameters": {"retry_after": fault["retry_after"]}} if "retry_after" in fault else {})
            if method not in METHODS:
                raise Refused(404, "Not Found")
            self.send_json(200, {"ok": True, "result": METHODS[method](parameters)})
        except Refused as refused:
            code, description, *more = refused.args
            self.send_json(code, {"ok": False, "error_code": code, "description": description, **(more[0] if more else {})})

    def do_GET(self):
        if file := re.fullmatch(rf"/file/bot{TOKEN}/voice/(\w+)\.oga", unquote(urlsplit(self.path).path)):
            return self.send(200, spoken[file[1]])
        self.do_POST()


class People(Handler):
    def do_POST(self):
        wish = json.loads(self.body())
        if urlsplit(self.path).path == "/faults":
            with changed:
                faults[wish["method"]] = wish
            return self.send_json(200, {})
        write(wish["from"], wish["text"], wish.get("chat"), wish.get("age", 0), wish.get("voice"), wish.get("size"))
        self.send_json(200, {})

    def do_GET(self):
        path = urlsplit(self.path).path
        with changed:
            if path == "/calls":
                return self.send_json(200, calls)
            if path.startswith("/files/"):
                return self.send_json(200, files.get(int(path.removeprefix("/files/")), []))
            if path == "/pending":
                return self.send_json(200, len(updates))
            return self.send_json(200, list(shown.get(int(path.removeprefix("/chats/")), {}).values()))


serve("api.telegram.org", BotApi, inside=People)
