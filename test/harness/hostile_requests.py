"""Holds what leaves pictures out of a request (hermes/private_hermes/messages.py) against requests that are valid, and as hostile as
a seeded generator makes them: texts that look like pictures or like the JSON around one, escapes, blanks, pieces of any length.

    python hostile_requests.py COUNT    # where Hermes is installed

What comes out must be valid JSON, and what went in but for the pictures that are too many or too large. Prints how many requests
had some left out; ends at the first that isn't right, with what it was.
"""

import asyncio
import json
import random
import sys

from private_hermes import messages
from private_hermes.messages import LEFT_OUT, read_without_old_pictures

# Small, so that small requests reach them.
messages.KEPT_PICTURES, messages.MOST_PICTURES = 400, 3
PARTS = ['"', "\\", "{", "}", ",", ":", " ", "\n", "é", "\ud83d", "🙂", "url", "image_url", '"url"', "data:image/", '"data:image/', "png;base64,", "AAAA", LEFT_OUT]
PARTS += ['"url": "data:image/png;base64,AAAA"', '{"url":"data:image/png;base64,', '\\"url\\":\\"data:image/', '{"image_url": {"url": "data:image/', "</style>\\"]


def text():
    return "".join(random.choices(PARTS, k=random.randrange(12)))


def picture():
    """The address of a picture: of one that is too large by itself now and then, or an SVG with quotation marks in it."""
    return "data:image/" + random.choice(["png;base64," + "A" * random.choice([0, 5, 90, 900]), "svg+xml," + text(), text()])


def value(depth):
    kinds = [text, lambda: random.choice([None, True, -1.5e3, 0])]
    if depth:
        kinds += [lambda: [value(depth - 1) for _ in range(random.randrange(4))], lambda: {key(): value(depth - 1) for _ in range(random.randrange(4))}]
    return random.choice(kinds)()


def key():
    return random.choice(["url", "image_url", "text", "content", "data:image/png", "\"url", text()])


def message():
    parts = [{"type": "image_url", "image_url": random.choice([{"url": picture()}, {"detail": "low", "url": picture()}, picture()])} for _ in range(random.randrange(4))]
    parts += [{"type": "text", "text": random.choice([text, picture])()} for _ in range(random.randrange(3))]
    random.shuffle(parts)
    return {"role": "user", "content": random.choice([parts, text(), picture()]), key(): value(3)}


def written(request):
    """The request as one of the ways to write JSON has it."""
    pair = random.choice([(",", ":"), (", ", ": "), (" ,\t", " : \r\n ")])
    said = json.dumps(request, ensure_ascii=random.random() < 0.5, indent=random.choice([None, None, 1]), separators=pair)
    return (said.replace("/", "\\/") if random.random() < 0.1 else said).encode("utf-8", "surrogatepass")


async def pieces(data):
    while data:
        length = random.choice([1, 2, 7, 60, 500, 5000])
        yield data[:length]
        data = data[length:]


def pictures(node, name=None):
    """The addresses of pictures, in the order of the text, each with what holds it and under which name."""
    if isinstance(node, dict):
        for name, child in node.items():
            if name in ("url", "image_url") and isinstance(child, str) and child.startswith("data:image/"):
                yield node, name
            yield from pictures(child)
    elif isinstance(node, list):
        for child in node:
            yield from pictures(child)


def without(request):
    """The request as it ought to come out, told by a parsed one."""
    kept, size = [], 0
    for holder, name in pictures(request):
        # As many as the bytes that carry it, escapes included.
        length = len(json.dumps(holder[name], ensure_ascii=False).encode("utf-8", "surrogatepass")) - 2
        if length > messages.KEPT_PICTURES:
            holder[name] = LEFT_OUT
            continue
        kept.append((holder, name, length))
        size += length
        while size > messages.KEPT_PICTURES or len(kept) > messages.MOST_PICTURES:
            holder, name, length = kept.pop(0)
            holder[name] = LEFT_OUT
            size -= length
    return request


async def main(count):
    changed = 0
    for seed in range(count):
        random.seed(seed)
        request = {"model": text(), "messages": [message() for _ in range(random.randrange(4))], "stream": True}
        data = written(request)
        found = json.loads(await read_without_old_pictures(pieces(data)))
        # With escapes in them, pictures are longer than is reckoned here, or aren't found: then that nothing else is another counts.
        expected = without(json.loads(data))
        if found != expected and (b"\\u" in data or b"\\/" in data):
            for (left, name), (right, other) in zip(pictures(found), pictures(expected), strict=True):
                left[name] = right[other] = ""
        assert found == expected, f"request {seed} came out as another: {data!r}"
        changed += found != json.loads(data)
    print(changed)


asyncio.run(main(int(sys.argv[1])))
