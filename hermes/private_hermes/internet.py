"""Asks a service on the internet, and waits and reads no longer than its caller allows."""

import functools
import time

import httpx
from agent.ssl_verify import resolve_httpx_verify


class TooLong(Exception):
    """An answer has more bytes than its caller reads."""


@functools.cache
def authorities():
    """As Hermes takes them for a model, read once."""
    return resolve_httpx_verify()


def post(url, seconds, limit, **request):
    """Status and bytes of an answer that is complete within `seconds` and has `limit` bytes at most; `request` is httpx's.

    Raises TooLong, httpx.TimeoutException when it is late, and another httpx.HTTPError when there is none.
    """
    end = time.monotonic() + seconds
    answer = bytearray()
    with httpx.Client(timeout=seconds, verify=authorities()) as client, client.stream("POST", url, **request) as response:
        for piece in response.iter_bytes():
            answer += piece
            if len(answer) > limit:
                raise TooLong
            # httpx's own limit begins anew with each piece.
            if time.monotonic() > end:
                raise httpx.ReadTimeout("")
    return response.status_code, bytes(answer)
