"""Sends one HTTP request from inside the private network and prints what came back, for `docker exec`.

Standard input: {"method", "url", "headers", "body"} as JSON; a body is sent as JSON. Prints {"status", "headers", "body"}, or
{"error"} when there was no answer. A request to upgrade to a websocket ends with the answer's headers.
"""

import http.client
import json
import sys
from urllib.parse import urlsplit

call = json.load(sys.stdin)
url = urlsplit(call["url"])
data = None if call.get("body") is None else json.dumps(call["body"])
connection = http.client.HTTPConnection(url.hostname, url.port, timeout=120)
try:
    connection.request(
        call["method"], f"{url.path}?{url.query}", data, {"Content-Type": "application/json", **call.get("headers", {})}
    )
    response = connection.getresponse()
    body = "" if response.status == 101 else response.read().decode()
    result = {"status": response.status, "headers": dict(response.headers), "body": body}
except OSError as error:
    result = {"error": str(error)}
print(json.dumps(result))
