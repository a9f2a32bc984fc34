"""Proves what hermes/private_hermes/speed.py does to an answer on its way, in the image of Hermes. Ends with 1 and a sentence when one doesn't hold."""

import json
import queue
import random
import socket
import sys

from httpcore._backends.sync import SyncStream
from openai._models import construct_type
from openai.types.chat import ChatCompletionChunk
from private_hermes import speed
from private_hermes.speed import Joined, chunk_of, gather, is_text


class Said:
    """A queue whose pieces are all there, and that never waits."""

    def __init__(self, pieces):
        self.pieces, self.waits = list(pieces), 0

    def get(self, timeout):
        self.waits += 1
        return self.get_nowait()

    def get_nowait(self):
        if not self.pieces:
            raise queue.Empty
        return self.pieces.pop(0)


def taken(source, joined, how):
    """All that comes out of a queue; `how` chooses the way for each."""
    while True:
        try:
            yield joined.get(0.5) if how() else joined.get_nowait()
        except queue.Empty:
            return


def flat(pieces):
    """A list of pieces, with texts that stand side by side as one."""
    whole = []
    for piece in pieces:
        if isinstance(piece, str) and whole and isinstance(whole[-1], str):
            whole[-1] += piece
        else:
            whole.append(piece)
    return whole


seed = random.randrange(10**9)
chance = random.Random(seed)
for _ in range(2000):
    kinds = ["a", "b\n", "", "ü", print, ("__tool_progress__", {"status": "running"}), None]
    sent = [chance.choice(kinds) for _ in range(chance.randrange(12))]
    source = Said(sent)
    got = list(taken(source, Joined(source), lambda: chance.random() < 0.7))
    if flat(got) != flat(sent):
        sys.exit(f"seed {seed}: {sent} came as {got}")
    if [piece for piece in got if not isinstance(piece, str)] != [piece for piece in sent if not isinstance(piece, str)]:
        sys.exit(f"seed {seed}: of {sent} what isn't text came as {got}")

# The first of an answer doesn't wait for a second one.
source = Said(["first"])
if Joined(source).get(0.5) != "first" or source.waits != 1:
    sys.exit("the first piece waits")



class Clock:
    """In the place of `time`: while somebody sleeps, the model says something."""

    def __init__(self, says):
        self.now, self.slept, self.says = 100.0, [], says

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        self.says()


# What is there is read at once, however much it is; only who has read all of it waits, and not longer than LOOK after the last time.
here, there = socket.socketpair()
speed.time = Clock(lambda: there.sendall(b"abc"))
stream = SyncStream(here)
gather(stream)
there.sendall(b"12")
read = [stream.read(1, timeout=5) for _ in range(8)]
if b"".join(read) != b"12abcabc" or [round(seconds, 6) for seconds in speed.time.slept] != [0, speed.LOOK]:
    sys.exit(f"{read} was read, with pauses of {speed.time.slept}")

# What Hermes reads of a chunk (agent/chat_completion_helpers.py) is the same of one that was made without pydantic.
common = {"id": "gen-1", "object": "chat.completion.chunk", "created": 1, "model": "vendor/model"}
call = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "terminal", "arguments": "{}"}}
deltas = [
    {"content": "words"},
    {"role": "assistant", "content": ""},
    {"role": "assistant", "content": "ü\n", "reasoning": None, "reasoning_details": [], "tool_calls": None},
    {"content": "", "reasoning": "It thinks."},
    {"content": "", "reasoning_content": "It thinks."},
    {"content": None, "tool_calls": [call]},
    {"content": "words", "tool_calls": [call]},
    {"content": None, "refusal": "No."},
    {"content": "words", "annotations": [{"type": "url_citation"}]},
    {},
]
chunks = [{**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
chunks += [
    {**common, "provider": "A", "system_fingerprint": "f", "choices": [{"index": 0, "delta": {"content": "words"}, "logprobs": None, "native_finish_reason": None}]},
    {**common, "choices": [{"index": 0, "delta": {"content": "last"}, "finish_reason": "stop"}]},
    {**common, "choices": [{"index": 0, "delta": {"content": "last"}, "finish_reason": None}], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
    {**common, "choices": []},
    {**common, "choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]},
]


def read(chunk):
    [choice] = chunk.choices
    names = ("content", "role", "tool_calls", "function_call", "refusal", "reasoning", "reasoning_content")
    return [choice.finish_reason, choice.index, chunk.model, chunk.id, chunk.usage, *(getattr(choice.delta, name, None) for name in names)]


plain = [data for data in chunks if is_text(data)]
if [data["choices"][0]["delta"]["content"] for data in plain] != ["words", "", "ü\n", "words"]:
    sys.exit(f"taken for text alone: {json.dumps(plain)}")
for data in plain:
    if read(chunk_of(data)) != read(construct_type(type_=ChatCompletionChunk, value=data)):
        sys.exit(f"read in another way than by pydantic: {json.dumps(data)}")
