"""Plays openrouter.ai for the container tests: its chat API, and its transcription, over TLS on port 443 of a private network.

Its certificate lies in /ca, see authority.sh. Hermes, told to trust that authority, runs with the very configuration
that it has in production.

The answer is told by the last message of the user:
  CALL <tool> <JSON object>   one call of that tool; the next answer then begins with "Tool said: ". With THEN between them several,
                              one after the other, each with the answer of the one before; then all that they said
  ... in your sandbox: <what> Python is run: what is code, or the sum of i*i for i from 1 to 1000; then what it has printed
  ... on the web: <what>      a search for it; then the excerpt of the first result, and its address
  SLOW <n>                    n words, one a second
  FAIL <status> <words>       refused with that status, as {"error": {"code", "message"}}; with 200 an answer without a word
  BREAK <words>               a few words, and then a provider's error in the stream, each time that it is asked
  THINK <n>                   n seconds with a comment line in each, then as below
  SILENT <n>                  a stream without a byte for n seconds, which then ends
  anything else               "Echo: " and the message

A recording is decoded, as a whole: one that isn't what its format says is refused (400). Its text is "Words of n seconds", and empty when
it is silent.

GET /calls on port 8000 lists the chat requests so far as JSON, DELETE /calls forgets them. GET
/recordings lists what came to be transcribed, as {"authorization", "model", "language", "format", "seconds", "bytes", "together": how many were at it then}; the oldest first. POST
/voice tells how that fares from now on, and has the list begin anew: {"status": of a refusal, "text": in the place of the words, "body": an answer that is no JSON, "seconds":
to wait}. Port 8000 answers on loopback only: it is for `docker exec`.

Port 8642 serves the same API without TLS under /v1: in Hermes' place, it shows what Open WebUI sends.

As the real one, a stream begins with a comment line, and ends with the usage in a chunk of its own without choices
(openrouter.ai/docs, "Streaming" and "Usage Accounting").

Failures that it plays: every status with an error's JSON, an answer without a word, a provider's error in the middle of a
stream (openrouter.ai/docs, "Errors and Debugging"), a model that thinks long, a connection that is dead, no bearer (401); for a recording
each status, an answer that is late or no JSON, text that is no words.

What it does not imitate: a model, what is said in a recording, token counts, prices and credit, rate limits, limits of a recording's size and length,
routing between providers, forms in the place of JSON, and every endpoint besides /chat/completions, /audio/transcriptions and
/models. The transcription is that of openrouter.ai/docs, "Speech-to-Text". A bearer is required; which one is not checked.
"""

import base64
import io
import json
import re
import shlex
import threading
import time
from urllib.parse import urlsplit

from serving import Calls, Handler, listen, serve

calls = []
recordings = []
fares = {}  # how a transcription fares
at_it = []  # a mark for each that runs
lock = threading.Lock()


def text_of(message):
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return content


def steps_of(said):
    """The tool calls that a question asks for, in order."""
    if asked := re.search(r"in your sandbox\b[^:]*: (.*)", said, re.DOTALL):
        code = asked[1] if "print(" in asked[1] else "print(sum(i * i for i in range(1, 1001)))"
        return [{"name": "terminal", "arguments": json.dumps({"command": f"python3 -c {shlex.quote(code)}"})}]
    if asked := re.search(r"on the web: (.*)", said):
        return [{"name": "web_search", "arguments": json.dumps({"query": asked[1]})}]
    found = [re.search(r"CALL (\w+) (\{.*\})", step, re.DOTALL) for step in said.split(" THEN ")]
    return [{"name": call[1], "arguments": call[2]} for call in found if call]


def answer(messages):
    """The next message: (words, tool call or None)."""
    asked = max(index for index, message in enumerate(messages) if message["role"] == "user")
    said = text_of(messages[asked])
    results = [text_of(message) for message in messages[asked:] if message["role"] == "tool"]
    steps = steps_of(said)
    if len(results) < len(steps):
        return "", steps[len(results)]
    if results and "in your sandbox" in said:
        return f"It has printed: {json.loads(results[-1])['output']}", None
    if results and "on the web: " in said:
        # The result stands between two tags of Hermes.
        found = json.loads(re.search(r"\{.*\}", results[-1], re.DOTALL)[0])["data"]["web"][0]
        return f"{found['description']} ({found['url']})", None
    if results:
        return "\n".join(f"Tool said: {result}" for result in results), None
    if slow := re.search(r"SLOW (\d+)", said):
        return "".join(f"{n} " for n in range(1, int(slow[1]) + 1)), None
    return f"Echo: {said}", None


def heard(recording, kind):
    """Seconds of a recording, and whether there is a sound in it. Raises ValueError when it isn't of that kind, or is damaged."""
    import av  # Large; only where somebody speaks.

    with av.open(io.BytesIO(recording)) as file:
        if kind not in file.format.name.split(","):
            raise ValueError
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        samples = b"".join(bytes(piece.planes[0])[: 2 * piece.samples] for frame in file.decode(audio=0) for piece in resampler.resample(frame))
    return len(samples) / 2 / 16_000, max(map(abs, memoryview(samples).cast("h")), default=0) > 500


class OpenRouter(Handler):
    def do_GET(self):
        if self.path.removeprefix("/api").startswith("/v1/models"):
            ids = ["openai/gpt-5.5", "hermes-agent"]
            self.send_json(200, {"data": [{
                "id": id, "name": id, "context_length": 400000,
                "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
                "pricing": {"prompt": "0", "completion": "0"}, "supported_parameters": ["tools"],
            } for id in ids]})
        else:
            self.send_json(404, {"error": {"code": 404, "message": "Not Found"}})

    def do_POST(self):
        body = self.body()
        if not self.path.endswith(("/chat/completions", "/audio/transcriptions")):
            return self.send_json(404, {"error": {"code": 404, "message": "Not Found"}})
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            return self.send_json(401, {"error": {"code": 401, "message": "No auth credentials found"}})
        if self.path.endswith("/audio/transcriptions"):
            return self.transcribe(json.loads(body))
        request = json.loads(body)
        with lock:
            calls.append({
                "authorization": self.headers["Authorization"], "bytes": len(body.encode()), "model": request["model"],
                "messages": request["messages"], "tools": [tool["function"]["name"] for tool in request.get("tools") or []],
            })
        said = next(text_of(message) for message in reversed(request["messages"]) if message["role"] == "user")
        failure = re.search(r"FAIL (\d+) ?(.*)", said)
        if failure and failure[1] != "200":
            return self.send_json(int(failure[1]), {"error": {"code": int(failure[1]), "message": failure[2]}})
        words, call = answer(request["messages"])
        if failure:
            words = ""
        pause = 1 if "SLOW" in json.dumps(request["messages"][-1]) else 0
        common = {"id": "gen-1", "model": request["model"], "created": int(time.time())}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        tool_calls = call and [{"index": 0, "id": f"call_{len(calls)}", "type": "function", "function": call}]
        finish = "tool_calls" if call else "stop"
        if not request.get("stream"):
            message = {"role": "assistant", "content": words, **({"tool_calls": tool_calls} if call else {})}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            return self.send_json(200, {**common, "object": "chat.completion", "choices": [choice], "usage": usage})

        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

        if silent := re.search(r"SILENT (\d+)", said):
            return time.sleep(int(silent[1]))
        think = re.search(r"THINK (\d+)", said)
        for _ in range(int(think[1]) if think else 1):
            self.wfile.write(b": OPENROUTER PROCESSING\n\n")
            self.wfile.flush()
            time.sleep(1 if think else 0)

        def send(delta, finish_reason=None, **more):
            choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
            chunk = {**common, "object": "chat.completion.chunk", "choices": [choice], **more}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()

        # Hermes asks to go on with words of its own.
        asked = "\n".join(text_of(message) for message in request["messages"] if message["role"] == "user")
        if broken := re.search(r"BREAK (.*)", asked):
            send({"role": "assistant", "content": "The first words"})
            error = {"code": 502, "message": broken[1]}
            return send({"content": ""}, "error", error=error)
        if call:
            send({"role": "assistant", "tool_calls": tool_calls})
        for word in words.split(" "):
            send({"role": "assistant", "content": word + " "})
            time.sleep(pause)
        send({}, finish)
        last = {**common, "object": "chat.completion.chunk", "choices": [], "usage": usage}
        self.wfile.write(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())


    def transcribe(self, request):
        audio = request["input_audio"]
        recording = base64.b64decode(audio["data"], validate=True)
        try:
            seconds, loud = heard(recording, audio["format"])
        except (ValueError, OSError):
            return self.send_json(400, {"error": {"code": 400, "message": "Provider returned error"}})
        with lock:
            at_it.append(0)
            recordings.append({
                "authorization": self.headers["Authorization"], "model": request["model"], "language": request.get("language"),
                "format": audio["format"], "seconds": seconds, "bytes": len(recording), "together": len(at_it),
            })
        time.sleep(fares.get("seconds", 0))
        with lock:
            at_it.pop()
        if status := fares.get("status"):
            return self.send_json(status, {"error": {"code": status, "message": "Provider returned error"}})
        if "body" in fares:
            return self.send(200, fares["body"].encode())
        text = fares.get("text", f"Words of {round(seconds)} seconds" if loud else "")
        self.send_json(200, {"text": text, "usage": {"seconds": seconds, "cost": seconds * 0.04 / 3600}})


class Records(Calls, OpenRouter):
    calls, lock = calls, lock

    def do_GET(self):
        if urlsplit(self.path).path != "/recordings":
            return super().do_GET()
        with lock:
            self.send_json(200, recordings)

    def do_POST(self):
        if urlsplit(self.path).path != "/voice":
            return super().do_POST()
        wish = json.loads(self.body())
        with lock:
            fares.clear()
            fares.update(wish)
            recordings.clear()
        self.send_json(200, {})


listen(("0.0.0.0", 8642), OpenRouter)
serve("openrouter.ai", OpenRouter, inside=Records)
