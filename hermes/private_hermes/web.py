"""Searches the web and reads pages by Exa alone, and opens no address that anybody names.

Hermes 0.19.0 has a provider for Exa (plugins/web/exa). It needs a package that this image doesn't have, reads an answer of any length,
and hands on whatever the service says. Here a provider of our own is a client of a few lines: what comes back has limits, each failure is a
sentence, and nothing of it has the key.

The tool that reads pages is one of our own, too. Hermes' looks up a page's host before it asks for it (`async_is_safe_url`): whoever
planted the address would learn of that from the name alone. Here an address goes to Exa, and nowhere else. Of a long page Hermes saves
the text on its own disk, and names a path that the sandbox doesn't have. Here the model is told how to get more of it.

Without EXA_API_KEY neither tool is offered. Hermes would offer both, because config.yaml names the service
(`get_active_search_provider` in agent/web_search_registry.py).
"""

import ipaddress
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlsplit

import httpx
from agent.redact import _PREFIX_RE
from agent.web_search_provider import WebSearchProvider
from tools import web_tools
from tools.registry import tool_error
from tools.url_safety import normalize_url_for_request, sensitive_query_param_name
from toolsets import create_custom_toolset, resolve_toolset

from .internet import TooLong, post
from .registering import change_tool, context

API = "https://api.exa.ai"
# Results of a search: one request includes as many, further ones cost extra (exa.ai/docs/admin/pricing).
MAX_RESULTS = 10
# Characters of a result's excerpts, and of all pages that one call reads together: some 15,000 tokens.
EXCERPT = 1_000
MAX_PAGES = 5
PAGES = 60_000
# Characters of a page if none are named.
CHARACTERS = 15_000
# Bytes of an answer, far above what is asked for.
MAX_ANSWER = 2_000_000
# Until an answer is complete. Exa opens a page that it doesn't know for as long as the second says; it gives this in milliseconds.
SECONDS = 40
CRAWL_SECONDS = 20

# The statuses are those of exa.ai/docs/admin/error-codes.
REASONS = {
    401: "Exa doesn't take the key of this deployment. Its owner has to put a valid one into the setting exaApiKey, then run pulumi up.",
    402: "Exa refuses: the credit is used up, or the budget of the key. The owner of this deployment raises it at https://dashboard.exa.ai.",
    403: "Exa refuses this request: the plan of the account or Exa's rules don't allow it.",
    429: "Exa has too many requests of this account at the moment. Wait a few seconds before another one.",
}
OUT_OF_ORDER = "Exa is out of order at the moment. Try again in a minute."
# What it says of a page (exa.ai/docs/changelog/contents-endpoint-status-changes).
PAGE_REASONS = {
    "CRAWL_NOT_FOUND": "There is no such page.",
    "CRAWL_TIMEOUT": "The page doesn't answer in time.",
    "SOURCE_NOT_AVAILABLE": "The site doesn't let this page be read.",
}

SEARCH = {
    "name": "web_search",
    "description": "Searches the web through Exa. Gives titles, addresses and excerpts. Ask in plain words for what a page should say.",
    "parameters": {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to look for. It goes to Exa: leave out what is private."},
            "limit": {"type": "integer", "description": "How many results.", "minimum": 1, "maximum": MAX_RESULTS, "default": 5},
        },
        "required": ["query"],
    },
}
EXTRACT = {
    "name": "web_extract",
    "description": "Reads web pages through Exa, PDFs, too, and gives their text as Markdown.",
    "parameters": {
        "type": "object",
        "properties": {
            "urls": {"type": "array", "items": {"type": "string"}, "description": f"Public addresses, at most {MAX_PAGES}. They go to Exa.", "maxItems": MAX_PAGES},
            "char_limit": {
                "type": "integer",
                "description": f"Characters of each page, {CHARACTERS} if left out. All pages of a call share {PAGES}.",
                "minimum": 2000,
                "maximum": PAGES,
            },
        },
        "required": ["urls"],
    },
}


EMPTY = {"url": "", "title": "", "content": "", "error": None}


class Refused(Exception):
    """There is no answer; the text is for the model, who tells it the person."""


def key():
    return os.environ.get("EXA_API_KEY", "").strip()


def is_on():
    return bool(key())


def ask(path, question):
    """What Exa answers to a question, parsed. Raises Refused."""
    if not key():
        # Hermes reads an address that a message names in its own way (agent/context_references.py), with or without the tools.
        raise Refused("This deployment reads no web pages. Its owner may switch it on by the setting exaApiKey.")
    try:
        status, answer = post(f"{API}{path}", SECONDS, MAX_ANSWER, headers={"x-api-key": key()}, json=question)
        if status == 200:
            return json.loads(answer)
    except TooLong:
        raise Refused("Exa's answer is too long to be read. Ask for less.") from None
    except httpx.TimeoutException:
        raise Refused(f"Exa didn't answer within {SECONDS} seconds. Try again, or ask for less.") from None
    except httpx.HTTPError:
        raise Refused("Exa can't be reached at the moment. Try again in a minute.") from None
    except ValueError:
        raise Refused(OUT_OF_ORDER) from None
    raise Refused(REASONS.get(status) or (OUT_OF_ORDER if status >= 500 else f"Exa doesn't take this request ({status}). Ask in another way."))


def search(query, limit):
    question = {"query": query, "numResults": min(limit, MAX_RESULTS), "type": "auto", "contents": {"highlights": {"maxCharacters": EXCERPT}}}
    try:
        found = ask("/search", question).get("results") or []
    except Refused as refused:
        return {"success": False, "error": str(refused)}
    return {"success": True, "data": {"web": [
        {
            "url": result.get("url") or "",
            "title": (result.get("title") or "")[:200],
            "description": " … ".join(result.get("highlights") or [])[:EXCERPT],
            "position": position,
        }
        for position, result in enumerate(found[:MAX_RESULTS], 1)
    ]}}


def page(url):
    """One page. Each has a request of its own, for Exa may answer under another form of the address; the price is the same."""
    empty = {**EMPTY, "url": url}
    try:
        # A character more than is shown at most, so that it shows whether the page goes on.
        answer = ask("/contents", {"urls": [url], "text": {"maxCharacters": PAGES + 1}, "livecrawlTimeout": CRAWL_SECONDS * 1000})
    except Refused as refused:
        return {**empty, "error": str(refused)}
    results = answer.get("results") or []
    if results and results[0].get("text"):
        return {**empty, "title": (results[0].get("title") or "")[:200], "content": results[0]["text"]}
    [status, *_] = answer.get("statuses") or [{}]
    tag = re.sub(r"[^A-Z_]", "", str((status.get("error") or {}).get("tag") or ""))[:40]
    return {**empty, "error": PAGE_REASONS.get(tag) or f"Exa can't read this page{tag and f' ({tag})'}."}


class Exa(WebSearchProvider):
    """Under a name of its own, which config.yaml chooses: Hermes' own provider for Exa is registered later, and would take its place."""

    name = "exa-direct"

    def is_available(self):
        # Without a key it says so itself. Hermes would look for another provider, and the disk may have keys for one.
        return True

    def supports_extract(self):
        return True

    def search(self, query, limit=5):
        return search(query, limit)

    def extract(self, urls, **more):
        with ThreadPoolExecutor(len(urls)) as pool:
            return list(pool.map(page, urls))


def is_public(url):
    """Whether an address may be asked of Exa, by its form alone. Others would only tell Exa what private hosts are called."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.username or parts.password:
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".localhost", ".internal", ".ts.net"))


def refusal(url):
    """Why Exa isn't asked for an address, or None."""
    if not isinstance(url, str) or not is_public(url):
        return "Blocked: this is a private or internal address, or none of a web page."
    # What Hermes knows of secrets, however they are written.
    if sensitive_query_param_name(url) or any(_PREFIX_RE.search(form) for form in (url, unquote(url))):
        return "Blocked: there seems to be a secret in this address, which would go to Exa. Leave it out."
    return None


def shortened(content, limit):
    """The beginning of a page, and whether there was more of it."""
    content = web_tools.convert_base64_images_to_links(content)
    if len(content) <= limit:
        return content
    whole = f"{len(content)} characters" if len(content) <= PAGES else f"more than {PAGES} characters"
    return f"{content[:limit]}\n\n[The page goes on: these are the first {limit} of {whole}. A higher char_limit, or fewer urls in a call, gives up to {PAGES}.]"


def read(args, **more):
    """The handler of web_extract."""
    urls = args.get("urls")
    urls = urls[:MAX_PAGES] if isinstance(urls, list) else []
    if not urls:
        return tool_error("urls has to be a list of addresses.")
    try:
        wanted = int(args.get("char_limit"))
    except (TypeError, ValueError):
        wanted = CHARACTERS
    limit = max(2_000, min(wanted, PAGES // len(urls)))
    with ThreadPoolExecutor(len(urls)) as pool:
        pages = list(pool.map(lambda url: {**EMPTY, "url": str(url), "error": problem} if (problem := refusal(url)) else page(normalize_url_for_request(url)), urls))
    for found in pages:
        if found.get("content"):
            found["content"] = shortened(found["content"], limit)
    return json.dumps({"results": pages}, indent=2, ensure_ascii=False)


def register():
    context.register_web_search_provider(Exa())
    # The tools of a browser, which are off, would take the search away with them.
    create_custom_toolset("browser", "", [name for name in resolve_toolset("browser") if name != "web_search"])
    change_tool("web_search", schema=SEARCH, check_fn=is_on)
    change_tool("web_extract", schema=EXTRACT, check_fn=is_on, handler=read, is_async=False)
