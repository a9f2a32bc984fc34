"""The least that it takes to hand the words of a model on: a bare server, and what asks it. The bench holds both services against it.

    python floor.py serve URL       on port 8000, hands each request on to URL, and its answer back as it comes
    python floor.py ask URL CHATS WORDS
                                    asks for that many answers at once; prints the seconds until the first word of each as JSON
"""

import asyncio
import json
import sys
import time

from aiohttp import ClientSession, TCPConnector, web


async def serve(url):
    session = ClientSession(connector=TCPConnector(limit=0))

    async def hand_on(request):
        async with session.post(url, data=await request.read(), headers={"Content-Type": "application/json", "Authorization": "Bearer none"}) as answer:
            response = web.StreamResponse(status=answer.status)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app = web.Application()
    app.router.add_post("/", hand_on)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 8000).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def ask(url, chats, words):
    async def one(session, number):
        body = {"model": "vendor/model", "stream": True, "messages": [{"role": "user", "content": f"FAST {words}, says number {number}"}]}
        start, first = time.monotonic(), None
        async with session.post(url, json=body) as answer:
            answer.raise_for_status()
            async for piece in answer.content.iter_any():
                first = first or time.monotonic() - start
        return first

    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        print(json.dumps(await asyncio.gather(*(one(session, number) for number in range(chats)))))


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    asyncio.run(serve(*arguments) if what == "serve" else ask(arguments[0], *map(int, arguments[1:])))
