"""Where people are signed in by the tailnet: refuses, with one sentence and before Open WebUI, whoever comes without a login.

`tailscale serve` names the login of a person's device in a header, and takes a forged one out. A tagged device has none. Open WebUI would
show it an endless spinner, and would let it use a session that somebody had opened elsewhere: it compares the session's account with the
header only where there is one (get_current_user in open_webui/utils/auth.py).

Without WEBUI_AUTH_TRUSTED_EMAIL_HEADER it does nothing.
"""

import os

from open_webui.private.languages import accepted, translated

HEADER = os.environ.get("WEBUI_AUTH_TRUSTED_EMAIL_HEADER", "").lower().encode()
# What entrypoint.sh and the image's health check ask, on the socket itself.
OPEN = {"/health", "/ready"}
SENTENCE = "This page signs people in by their Tailscale login, and this device has none, as it is tagged: open the page on a device of your own."


class Identity:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        asked = scope["type"] in ("http", "websocket") and scope["path"] not in OPEN
        if not asked or any(name == HEADER and value.strip() for name, value in scope["headers"]):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            # The page isn't there to tell its language.
            asks = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
            said = f"{translated(SENTENCE, accepted(asks))}\n".encode()
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(said)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": said})


def register(main):
    if HEADER:
        main.app.add_middleware(Identity)
