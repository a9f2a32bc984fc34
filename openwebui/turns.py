"""Lets few chats begin at a time, so that the first of many are answered early.

What Open WebUI does before it asks Hermes takes most of what half a CPU has when forty people write in the same second. Shared by all of
them, each begins when the last one could. One after the other, half of them begin in half that time, and the last one as before.
"""

import asyncio
import contextvars

from .replacing import replaces

# Two, as one of them may wait for the database.
TURNS = 2
# Seconds, after which the next one begins in any case: a turn is for the work of a moment, and nobody waits for what hangs.
LONGEST = 5

PATH = "/api/chat/completions"

# The turn of the request, in the task that Open WebUI makes for its answer, too.
turn = contextvars.ContextVar("turn", default=None)


class Turn:
    """The right to begin, of one request; given back once, whoever does it first."""

    def __init__(self, turns):
        self._turns, self._timer = turns, None

    async def begin(self):
        await self._turns.acquire()
        self._timer = asyncio.get_running_loop().call_later(LONGEST, self.end)

    def end(self):
        if self._timer:
            self._timer.cancel()
            self._timer = None
            self._turns.release()


class Turns:
    """ASGI middleware that gives each message a turn, once all of it is here: nobody waits for somebody's slow network."""

    def __init__(self, app):
        self._app = app
        self._turns = asyncio.Semaphore(TURNS)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"] != PATH:
            return await self._app(scope, receive, send)
        mine = Turn(self._turns)
        turn.set(mine)

        async def received():
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                await mine.begin()
            return message

        async def answer(message):
            # A refusal asks nobody.
            if message["type"] == "http.response.start" and message["status"] >= 400:
                mine.end()
            await send(message)

        try:
            await self._app(scope, received, answer)
        except BaseException:
            mine.end()
            raise


@replaces("open_webui.utils.middleware:process_chat_payload")
async def process_chat_payload(original, *arguments):
    try:
        return await original(*arguments)
    finally:
        if mine := turn.get():
            mine.end()


def register(main):
    main.app.add_middleware(Turns)
