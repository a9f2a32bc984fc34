"""Does less for the same answer, for half a CPU is all that the smallest plan has. docs/figures.md says what each part saves.

- Pieces of an answer are joined: each costs a thread's hop, a frame and a TLS record on its way to the page. The first goes at once,
  and none waits longer than PAUSE. What isn't text (a file, news of a tool, the end) goes by itself, in its place.
- Hermes makes a client for each question, and reads the certificate authorities for each: HERMES_CA_BUNDLE names one alone
  (entrypoint.sh), for HAProxy is all that it speaks to (way_out.py).
- What the model says is read ten times a second, not at each word: to wake up costs ten times as much as to read one word more.
- A chunk that carries text alone isn't made an object of pydantic's. Every other chunk is: a tool's call, usage, a reason for the end.
- YAML is parsed in C. Hermes reads its configuration at least twice for each message, by PyYAML's slow parser.
"""

import collections
import time
from queue import Empty

import yaml
from openai.types.chat import ChatCompletionChunk

from . import replaces

# Seconds. Five updates a second are as fluent as a word each.
PAUSE = 0.2
# Seconds between two looks at what the model has said.
LOOK = 0.1


class Joined:
    """The queue of an answer's pieces, which gives texts that come within PAUSE as one. Read by one thread at a time."""

    def __init__(self, queue):
        self._queue, self._next, self._given = queue, collections.deque(), 0.0

    def _take(self, timeout):
        return self._next.popleft() if self._next else self._queue.get(timeout=timeout) if timeout > 0 else self._queue.get_nowait()

    def get(self, timeout):
        return self._joined(self._take(timeout), self._given + PAUSE)

    def get_nowait(self):
        return self._joined(self._take(0), 0)

    def _joined(self, piece, until):
        if type(piece) is not str:
            return piece
        pieces = [piece]
        try:
            while type(piece := self._take(until - time.monotonic())) is str:
                pieces.append(piece)
            self._next.append(piece)
        except Empty:
            pass
        self._given = time.monotonic()
        return "".join(pieces)


def gather(stream):
    """Lets who reads a connection (a NetworkStream of httpcore's) wait until LOOK is over, where nothing is there to read.

    So it wakes up once for all that came meanwhile, and what came before the pause is never kept back.
    """
    read, due = stream.read, 0.0

    def gathered(*arguments, **more):
        nonlocal due
        if stream.get_extra_info("is_readable"):
            return read(*arguments, **more)
        time.sleep(max(0, due - time.monotonic()))
        data = read(*arguments, **more)
        due = time.monotonic() + LOOK
        return data

    stream.read = gathered


def is_text(data):
    """Whether a chunk says a few words, and nothing else that Hermes looks at."""
    match data:
        case {"object": "chat.completion.chunk", "choices": [{"delta": {"content": str()} as delta} as choice]}:
            return not data.get("usage") and not choice.get("finish_reason") and not any(delta[name] for name in delta.keys() - {"content", "role"})
    return False


class Plain:
    """A part of a chunk, with its fields as attributes."""

    def __init__(self, fields):
        self.__dict__ = fields

    def __repr__(self):
        # Hermes adds up its length, for a statistic, at each chunk.
        return ""


def chunk_of(data):
    [choice] = data["choices"]
    delta = {**dict.fromkeys(("role", "function_call", "refusal", "tool_calls"), None), **choice["delta"]}
    return Plain({
        **dict.fromkeys(("service_tier", "system_fingerprint", "usage"), None),
        **data,
        "choices": [Plain({"index": 0, "finish_reason": None, "logprobs": None, **choice, "delta": Plain(delta)})],
    })


@replaces("openai._base_client:BaseClient._process_response_data")
def process(original, self, *, data, cast_to, response):
    # The first word has come by now, at once.
    stream = response.extensions.get("network_stream")
    if cast_to is ChatCompletionChunk and stream and "read" not in vars(stream):
        gather(stream)
    if cast_to is ChatCompletionChunk and is_text(data):
        return chunk_of(data)
    return original(data=data, cast_to=cast_to, response=response)


# safe_load looks it up at each call.
@replaces("yaml:SafeLoader")
def loader(original):
    return yaml.CSafeLoader
