"""Makes “Continue Response” go on with an answer that broke off, and joins what comes to it.

Open WebUI 0.12.4 sends the half answer as the last message, as some model servers take it. Hermes takes the last message for the
question: it would glue the half answer to the person's words, and answer those anew. Here a request to go on stands behind it.

A model may repeat a little of what it had said, begin its code block anew, or leave out the space in between: that is put right where the
two meet. Nobody can tell half a word from a whole one; so the model is asked to begin with the last word of the half answer.
"""

import json
import re

from open_webui.private.replacing import replaces

GO_ON = (
    "[Your answer above was cut off. Go on exactly where it ends, as if it had never stopped: no greeting, no comment, nothing of it again but "
    "its last word, with which you begin. In the middle of a code block begin with its last line, and don't open the block again.]"
)
# How much of the continuation is waited for before it is joined, in characters: a repeated line, or the line of a code block's beginning.
BEGINNING = 200
FENCE = re.compile(r"^\s*(```|~~~)", re.MULTILINE)
REOPENED = re.compile(r"\s*(?:```|~~~)[^\n]*\n")


def joined(half, rest):
    """What is to stand behind the half answer, of what a model says in continuation."""
    in_code = len(FENCE.findall(half)) % 2 == 1
    if in_code and (fence := REOPENED.match(rest)):
        rest = rest[fence.end() :]
        again = True
    else:
        again = False
    end, beginning = half.rstrip(), rest.lstrip()
    for length in range(min(len(end), len(beginning)), 0, -1):
        # A letter or two alike are no repetition, unless they are a word.
        if end.endswith(beginning[:length]) and (length == len(end) or length > 2 or not end[-length - 1].isalnum()):
            return beginning[length:] if half == end else beginning[length:].lstrip(half[len(end) :])
    if again and not half.endswith("\n"):
        return f"\n{rest}"
    # Between words; some scripts have no space there, and a number none behind its point.
    apart = rest[:1].isalnum() and max(half[-1:], rest[:1]) < "\u2e80" and not re.search(r"[\s([{“‘\"'`*_/-]$|\d[.,]$", half)
    return f" {rest}" if apart and half and not in_code else rest


async def with_joint(lines, half):
    """The lines of a stream; the words at its beginning are held back until they can be joined to the half answer."""
    held, words, met = [], "", False
    async for line in lines:
        if met:
            yield line
            continue
        text, ends = None, line.startswith(b"data: [DONE]")
        if line.startswith(b"data: {"):
            choice = (json.loads(line[6:]).get("choices") or [{}])[0]
            text, ends = (choice.get("delta") or {}).get("content"), bool(choice.get("finish_reason"))
            words += text or ""
        if not words and not ends:
            yield line
            continue
        held.append(line)
        # A file comes in parts of its own (files.py).
        if met := len(words) >= BEGINNING or ends or "](data:" in words:
            for piece in spoken(held, joined(half, words)):
                yield piece
    if not met:
        for piece in spoken(held, joined(half, words)):
            yield piece


def spoken(lines, words):
    """Lines of a stream with these words in the place of their own: all of them in the first that has any."""
    for line in lines:
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            delta = ((event.get("choices") or [{}])[0].get("delta")) or {}
            if delta.get("content"):
                delta["content"], words = words, ""
                line = b"data: " + json.dumps(event).encode() + b"\n"
        yield line


@replaces("open_webui.utils.chat:generate_chat_completion")
async def generate_chat_completion(original, request, form_data, user, bypass_filter=False, bypass_system_prompt=False):
    messages, half = form_data.get("messages") or [], None
    if messages and messages[-1].get("role") == "assistant" and getattr(request.state, "metadata", {}).get("assistant_message_id"):
        half = messages[-1].get("content")
        form_data = {**form_data, "messages": [*messages, {"role": "user", "content": GO_ON}]}
    response = await original(request, form_data, user, bypass_filter, bypass_system_prompt)
    if isinstance(half, str) and hasattr(response, "body_iterator"):
        response.body_iterator = with_joint(response.body_iterator, half)
    return response
