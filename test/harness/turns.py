"""Proofs of openwebui/turns.py, run with the image's Python: ends with an AssertionError at the first that doesn't hold."""

import asyncio
import contextlib

from open_webui.private import turns


def app_of(began, going):
    """An app that refuses what has no text, fails at "fail", hangs at "hang", and otherwise answers, then begins, as the real one does."""

    async def begin(text, mine):
        await going.wait()
        mine.end()

    async def app(scope, receive, send):
        text = b""
        while True:
            message = await receive()
            text += message["body"]
            if not message.get("more_body"):
                break
        began.append(text.decode())
        if text == b"fail":
            raise ValueError
        await send({"type": "http.response.start", "status": 200 if text else 400})
        if text and text != b"hang":
            asyncio.create_task(begin(text, turns.turn.get()))

    return turns.Turns(app)


async def ask(app, *parts, path=turns.PATH):
    parts = list(parts)

    async def receive():
        part = parts.pop(0)
        if isinstance(part, asyncio.Event):
            await part.wait()
            part = b""
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message):
        pass

    await app({"type": "http", "path": path}, receive, send)


async def asked(*requests, go=True):
    """What has begun of these at once, before and after the turns of the first were over."""
    began, going = [], asyncio.Event()
    app = app_of(began, going)
    tasks = [asyncio.create_task(ask(app, *request)) for request in requests]
    await asyncio.sleep(0.05)
    first = list(began)
    if go:
        going.set()
    done, _ = await asyncio.wait(tasks, timeout=2)
    for task in done:
        task.exception()  # Looked at, or Python prints it.
    return first, began


async def main():
    texts = [[b"%d" % number] for number in range(6)]
    assert await asked(*texts) == (["0", "1"], list("012345")), "two begin at a time, in their order"
    assert await asked(*texts, go=False) == (["0", "1"], ["0", "1"]), "nobody begins before one is over"
    assert (await asked([b""], [b""], [b""], [b"3"]))[0] == ["", "", "", "3"], "who is refused keeps no turn"
    assert (await asked([b"fail"], [b"fail"], [b"fail"], [b"3"]))[0] == ["fail", "fail", "fail", "3"], "nor who fails"
    slow = asyncio.Event()
    assert (await asked([b"a", slow], [b"b", slow], [b"c", slow], [b"3"], [b"4"]))[0] == ["3", "4"], "nor whose message is still on its way"
    turns.LONGEST = 0.2
    assert await asked([b"hang"], [b"hang"], [b"2"], [b"3"]) == (["hang", "hang"], ["hang", "hang", "2", "3"]), "nor what hangs, for good"
    turns.LONGEST, began = 60, []
    app = app_of(began, asyncio.Event())
    await asyncio.wait([asyncio.create_task(ask(app, b"hang", path="/api/config")) for _ in range(6)], timeout=1)
    assert len(began) == 6, "whatever else is asked has no turns"


async def ready():
    """What Open WebUI makes ready for Hermes ends the turn, also when it fails."""

    async def original(model):
        return 1 / model

    for model in (1, 0):
        semaphore = asyncio.Semaphore(1)
        mine = turns.Turn(semaphore)
        turns.turn.set(mine)
        await mine.begin()
        with contextlib.suppress(ZeroDivisionError):
            await turns.process_chat_payload(original, model)
        assert not semaphore.locked(), "what is ready for Hermes keeps no turn"


asyncio.run(main())
asyncio.run(ready())
