"""Puts load on Open WebUI over the tailnet, for `docker exec`: chats as the page holds them, or uploads of files.

Each chat has its own websocket, over which the words of the answer come, and runs at the same time as all others.
Open WebUI sends every event to every websocket of the account: with one account, 40 chats are 40 times the events of
40 accounts, so several can be given.

Standard input, as JSON, one of
  {"url", "tokens": [...], "model", "chats": how many, "words": length of each answer, "pace": how they come, "tabs"?: pages of the account
   that are open during each, 1 without}
  {"url", "tokens": [...], "uploads": how many, "megabytes": size of each}
where the tokens are those of signed-in accounts, which take turns. The chats rely on a model that answers
"<pace> <n>" with the words 1 to n (test/stand-ins/internet/openrouter.ts).

Prints as JSON, in the order in which they were started, times in s since the message or the file was sent
  chats    [{"complete": whether every word came, "first": time of the first one or null, "updates": in how many pieces, "total", "error"?}]
  uploads  [{"status": HTTP status, or null without an answer, "total", "error"?}]
The exit code is 0 whatever became of them.
"""

import asyncio
import json
import ssl
import sys
import time
import uuid

import aiohttp
import socketio
from aiohttp_socks import ProxyConnector, ProxyError
from socketio.exceptions import SocketIOError

PROXY = "socks5://127.0.0.1:1055"  # tailscaled's
CA = "/ca/bundle.pem"
PATIENCE = 150  # s that a chat may take, and an upload
FAILURES = (OSError, aiohttp.ClientError, ProxyError, SocketIOError)


def connect(url: str, token: str) -> aiohttp.ClientSession:
    """A client of its own, as each browser has one: no connection is shared."""
    connector = ProxyConnector.from_url(PROXY, rdns=True, ssl=ssl.create_default_context(cafile=CA), limit=0)
    return aiohttp.ClientSession(url, connector=connector, headers={"Origin": url, "Authorization": f"Bearer {token}"})


async def open_page(socket: socketio.AsyncClient, url: str, token: str) -> None:
    """Connects as a page does, which tries again until it is connected."""
    while not socket.connected:
        try:
            await socket.connect(url, socketio_path="/ws/socket.io", transports=["websocket"], auth={"token": token}, wait_timeout=PATIENCE)
        except FAILURES:
            await asyncio.sleep(1)
    # The page doesn't wait for the answer to this, but no event comes before it.
    await socket.call("user-join", {"auth": {"token": token}})


class Chat:
    """One message of a new chat, and its answer as far as it has come."""

    def __init__(self):
        self.id = str(uuid.uuid4())  # of the answer
        self.start = time.monotonic()
        self.first: float | None = None
        self.text, self.updates = "", 0
        self.error: str | None = None
        self.ended = asyncio.Event()

    def receive(self, event: dict) -> None:
        """Takes one of the account's events: a piece of an answer, its end, or something else."""
        kind = event["data"]["type"]
        if event.get("message_id") != self.id or kind not in ("response:completion", "chat:completion", "chat:message:error"):
            return
        data = event["data"]["data"]
        if data.get("type") == "response.output_text.delta":
            self.first = self.first or time.monotonic() - self.start
            self.text += data["delta"]
            self.updates += 1
        elif data.get("error"):
            self.fail(f"the page is told: {data['error']}")
        elif data.get("done"):
            self.ended.set()

    def fail(self, reason: str) -> None:
        if not self.ended.is_set():
            self.error = reason
            self.ended.set()

    async def run(self, session: aiohttp.ClientSession, url: str, token: str, body: dict, others: int) -> None:
        """Returns when the answer has ended; `error` says why it ended early. Raises when it didn't begin."""
        socket = socketio.AsyncClient(http_session=session, reconnection=False)
        socket.on("events", self.receive)
        socket.on("disconnect", lambda *_: self.fail("the websocket was closed"))
        sockets = [socket, *(socketio.AsyncClient(http_session=session, reconnection=False) for _ in range(others))]
        try:
            for each in sockets:
                await open_page(each, url, token)
            self.start = time.monotonic()
            async with session.post("/api/chat/completions", json={**body, "id": self.id, "session_id": socket.sid}) as response:
                if response.status != 200:
                    return self.fail(f"HTTP status {response.status} for the message: {await response.text()}")
            await self.ended.wait()
        finally:
            for each in sockets:
                await each.disconnect()


def message(number: int, order: dict) -> dict:
    """The request that the page sends for the first message of a chat, without the ids of this one."""
    content, model = f"{order['pace']} {order['words']}, says number {number}", order["model"]
    user = {"id": str(uuid.uuid4()), "parentId": None, "childrenIds": [], "role": "user", "content": content,
            "models": [model], "timestamp": int(time.time())}
    return {
        "model": model, "stream": True, "messages": [{"role": "user", "content": content}], "parent_id": None,
        "user_message": user,
        "background_tasks": {"title_generation": True, "tags_generation": True, "follow_up_generation": True},
    }


async def chat(number: int, token: str, order: dict) -> dict:
    one = Chat()
    try:
        async with asyncio.timeout(PATIENCE), connect(order["url"], token) as session:
            await one.run(session, order["url"], token, message(number, order), order.get("tabs", 1) - 1)
    except FAILURES as error:
        one.fail(reason(error))
    result = {
        "complete": not one.error and one.text.split() == [str(n) for n in range(1, order["words"] + 1)],
        "first": one.first,
        "updates": one.updates,
        "total": time.monotonic() - one.start,
    }
    return {**result, "error": one.error} if one.error else result


async def upload(number: int, token: str, order: dict) -> dict:
    line = f"Line of file {number}.\n".encode()
    form = aiohttp.FormData()
    content = line * (order["megabytes"] * 1_000_000 // len(line))
    form.add_field("file", content, filename=f"{number}.txt", content_type="text/plain")
    start = time.monotonic()
    result: dict = {"status": None}
    try:
        async with connect(order["url"], token) as session:
            async with session.post("/api/v1/files/", data=form, timeout=aiohttp.ClientTimeout(PATIENCE)) as response:
                result["status"] = response.status
                await response.read()
    except FAILURES as error:
        result["error"] = reason(error)
    return {**result, "total": time.monotonic() - start}


def reason(error: Exception) -> str:
    """Some of these say nothing but their name."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


async def main() -> None:
    order = json.load(sys.stdin)
    kind, one = ("chats", chat) if "chats" in order else ("uploads", upload)
    tokens = order["tokens"]
    runs = (one(number, tokens[number % len(tokens)], order) for number in range(order[kind]))
    print(json.dumps({kind: await asyncio.gather(*runs)}))


asyncio.run(main())
