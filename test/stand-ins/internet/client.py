"""Sends HTTP requests from inside the private network, for `docker exec`: one for each line of standard input, side by side.

A line: {"id", "method", "url", "headers", "body"} as JSON; a body is sent as JSON. With "form" in its place a form is sent, {name: text, or
{"name", "content": in base64} for a file}. Prints a line for each, once it is answered: {"id", "status", "headers", "body"}, or
{"id", "error"} when there was no answer. With "socket" it goes to that Unix socket, whatever host the URL names. A request to upgrade to a websocket ends with the answer's headers.
"""

import base64
import http.client
import json
import mimetypes
import socket
import sys
import threading
from urllib.parse import urlsplit

printing = threading.Lock()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def send(call):
    url = urlsplit(call["url"])
    kind, data = "application/json", None if call.get("body") is None else json.dumps(call["body"])
    if call.get("form"):
        kind, data = "multipart/form-data; boundary=part", b""
        for name, value in call["form"].items():
            file, content = "", value
            if isinstance(value, dict):
                file = f'; filename="{value["name"]}"\r\nContent-Type: {mimetypes.guess_type(value["name"])[0]}'
                content = base64.b64decode(value["content"])
            data += f'--part\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
            data += (content if file else content.encode()) + b"\r\n"
        data += b"--part--\r\n"
    if call.get("socket"):
        connection = UnixConnection(call["socket"])
    else:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=120)
    connection.request(
        call["method"], f"{url.path}?{url.query}", data, {"Content-Type": kind, **call.get("headers", {})}
    )
    response = connection.getresponse()
    body = "" if response.status == 101 else response.read().decode(errors="replace")
    connection.close()
    return {"status": response.status, "headers": dict(response.headers), "body": body}


def answer(call):
    try:
        result = send(call)
    except Exception as error:  # whatever it is, who asks has to hear of it
        result = {"error": str(error) or type(error).__name__}
    with printing:
        print(json.dumps({"id": call.get("id"), **result}), flush=True)


mimetypes.init()  # by itself it begins in whatever thread comes first, while the others take it for done
for line in sys.stdin:
    threading.Thread(target=answer, args=(json.loads(line),)).start()
