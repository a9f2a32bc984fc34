"""Leads what the app asks of Hermes to the socket behind which relay.py connects with it, and follows no redirect.

The kernel lets the app have Unix sockets alone (confined.py). All that it asks Hermes for goes through aiohttp, which can use such a socket;
what would ask anybody else, or in another way, gets an error at once.
"""

import asyncio
import os

from aiohttp import ClientConnectionError, ClientConnectorError, ClientError
from open_webui.private.replacing import replaces
from yarl import URL


@replaces("aiohttp.connector:TCPConnector._create_connection")
async def connection(original, self, req, traces, timeout):
    if req.url.origin() != URL(os.environ["OPENAI_API_BASE_URL"]).origin():
        raise ClientConnectionError(f"{req.url.origin()} can't be reached: the app reaches Hermes, and nobody else")
    try:
        return (await asyncio.get_running_loop().create_unix_connection(self._factory, os.environ["HERMES_SOCKET"]))[1]
    except OSError as error:
        raise ClientConnectorError(req.connection_key, error) from error


@replaces("aiohttp.client:ClientSession._request")
async def request(original, self, method, url, **more):
    """Follows no redirect. Open WebUI would carry a chat, with the headers that name the user, wherever an answer says."""
    answer = await original(method, url, **{**more, "allow_redirects": False})
    if answer.status in (301, 302, 303, 307, 308):
        answer.close()
        raise ClientError(f"{url} leads elsewhere, and nothing here follows")
    return answer
