"""Plays a forge such as GitHub, on port 80: repositories over HTTP by git's own program, and their pull requests, all behind one token.

  /OWNER/NAME.git/...           git, to read alone; the token is the password of any user
  GET /repos/OWNER/NAME/pulls   as docs.github.com, "List pull requests": the number, title and commit of each; the token is the bearer

A repository is a bare one in /srv/OWNER/NAME.git, a pull request its ref refs/pull/NUMBER/head, as at GitHub. Tests make both with the
git in this image. The token is FORGE_TOKEN; without it the answer is 401.

What it does not imitate: TLS, pushes, reviews and all else of a forge.
"""

import base64
import json
import os
import re
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = os.environ["FORGE_TOKEN"]
FORMAT = "%(refname) %(objectname) %(contents:subject)"


class Forge(BaseHTTPRequestHandler):
    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self):
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            given = base64.b64decode(given).decode().partition(":")[2]
        if given != TOKEN:
            self.answer(401, headers=[("WWW-Authenticate", 'Basic realm="forge"')])
        elif found := re.fullmatch(r"/repos/(\w+/\w+)/pulls", self.path):
            self.pulls(found[1])
        else:
            self.git()

    do_GET = do_POST = handle_request

    def pulls(self, repository):
        refs = subprocess.check_output(["git", "-C", f"/srv/{repository}.git", "for-each-ref", f"--format={FORMAT}", "refs/pull/*/head"], text=True)
        lines = [line.split(" ", 2) for line in refs.splitlines()]
        pulls = [{"number": int(ref.split("/")[2]), "title": title, "head": {"sha": commit}} for ref, commit, title in lines]
        self.answer(200, json.dumps(pulls).encode(), [("Content-Type", "application/json")])

    def git(self):
        path, _, query = self.path.partition("?")
        variables = {
            "GIT_PROJECT_ROOT": "/srv",
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE, env={**os.environ, **variables}).stdout
        head, _, rest = said.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.answer(int(headers.pop("Status", "200").split()[0]), rest, headers.items())


server = ThreadingHTTPServer(("", 80), Forge)
print("the forge is ready", flush=True)
server.serve_forever()
