"""Plays openrouter.ai for the container tests: its chat API over TLS, on port 443 of a private network.

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

GET /calls on port 8000 lists the chat requests so far as JSON, DELETE /calls forgets them. Port 8000 answers on
loopback only: it is for `docker exec`.

Port 8642 serves the same API without TLS under /v1: in Hermes' place, it shows what Open WebUI sends.

As the real one, a stream begins with a comment line, and ends with the usage in a chunk of its own without choices
(openrouter.ai/docs, "Streaming" and "Usage Accounting").

Failures that it plays: every status with an error's JSON, an answer without a word, a provider's error in the middle of a
stream (openrouter.ai/docs, "Errors and Debugging"), a model that thinks long, a connection that is dead, no bearer (401).

What it does not imitate: a model, token counts, prices and credit, rate limits, routing between providers, and every endpoint
besides /chat/completions and /models. A bearer is required; which one is not checked.
"""

import json
import re
import shlex
import threading
import time

from serving import Calls, Handler, listen, serve

calls = []
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
        if not self.path.endswith("/chat/completions"):
            return self.send_json(404, {"error": {"code": 404, "message": "Not Found"}})
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            return self.send_json(401, {"error": {"code": 401, "message": "No auth credentials found"}})
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


class Records(Calls, OpenRouter):
    calls, lock = calls, lock


listen(("0.0.0.0", 8642), OpenRouter)
serve("openrouter.ai", OpenRouter, inside=Records)
