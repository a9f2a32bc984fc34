"""What the stand-ins of this folder share: answers in JSON, and two servers, one as the world sees it and one for `docker exec`."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def body(self):
        return self.bytes().decode()

    def bytes(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send_json(self, status, body):
        self.send(status, json.dumps(body).encode())

    def send(self, status, data):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Calls(Handler):
    """For `inside`: GET lists the calls that a stand-in has had, DELETE forgets them. Both attributes are the stand-in's own."""

    calls = lock = None

    def do_GET(self):
        with self.lock:
            self.send_json(200, self.calls)

    def do_DELETE(self):
        with self.lock:
            self.calls.clear()
        self.send_json(200, {})


def listen(address, handler):
    """Answers without TLS, beside what else there is to do."""
    threading.Thread(target=ThreadingHTTPServer(address, handler).serve_forever, daemon=True).start()


def serve(host, handler, inside):
    """Plays a host with its certificate of /ca on port 443, and has `inside` answer on port 8000 of the loopback."""
    listen(("127.0.0.1", 8000), inside)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"/ca/{host}.crt", f"/ca/{host}.key")
    server = ThreadingHTTPServer(("0.0.0.0", 443), handler)
    # Each connection shakes hands in its own thread, when it is first read: one that stalls holds up nobody.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    print(f"{host} stand-in ready", flush=True)
    server.serve_forever()
