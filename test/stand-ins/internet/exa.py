"""Plays api.exa.ai for the container tests: its search and its reading of pages, over TLS on port 443.

Environment: EXA_API_KEY, the one key that is taken (header x-api-key); any other gets the 401 that Exa has for it. The certificate
lies in /ca, see authority.sh.

The web is what the test publishes: POST /pages on port 8000, {"url", "title", "text"}. A search gives the pages that have a word of
four letters or more in common with the query, each with its text as the one excerpt; /contents gives the text of the page. Each keeps
to numResults and maxCharacters. GET /calls gives each request as {"path", "body"}, DELETE /calls forgets them. Port 8000 answers on
loopback only: it is for `docker exec`.

Failures that it plays: a wrong key (401); a page that isn't there or can't be read, as a status of its own beside a 200
({"url", "tag"} in POST /pages); and those of POST /faults, {"status", "seconds", "bytes"}: until the next one, or {}, each request
is refused with that status in Exa's form, waits so long, or gets an answer of so many bytes.

What it does not imitate: a ranking, excerpts that are chosen by the query, a live crawl and its time-out, credit and budgets that are
used up (402 comes when a test says so), limits of its own (429 likewise), the prices in `costDollars`, every other endpoint and
every parameter that private_hermes/web.py and ops/exa.ts don't send.

Read at exa.ai/docs (reference/search, reference/get-contents, admin/error-codes, changelog/contents-endpoint-status-changes,
search/highlights) and, for the names of parameters and of the fields of an answer, in the package exa-py 2.28.0.
"""

import json
import os
import re
import threading
import time
from urllib.parse import urlsplit

from serving import Calls, Handler, serve

KEY = os.environ["EXA_API_KEY"]
# In Exa's own words (exa.ai/docs/admin/error-codes); a 429 has the sentence alone.
TAGS = {400: "INVALID_REQUEST_BODY", 401: "INVALID_API_KEY", 402: "NO_MORE_CREDITS", 403: "ACCESS_DENIED", 500: "INTERNAL_ERROR", 503: "SERVICE_OVERLOADED"}

lock = threading.Lock()
pages = {}
calls = []
fault = {}


def words(text):
    return set(re.findall(r"\w{4,}", text.lower()))


def search(question):
    wanted = words(question["query"])
    found = [page for page in pages.values() if wanted & words(f"{page.get('title')} {page.get('text')}")]
    highlights = question.get("contents", {}).get("highlights")
    limit = highlights["maxCharacters"] if isinstance(highlights, dict) else None
    return {"results": [
        {
            "id": page["url"], "url": page["url"], "title": page["title"], "publishedDate": None, "author": None,
            **({"highlights": [page["text"][:limit]], "highlightScores": [0.5]} if highlights else {}),
        }
        for page in found[: question.get("numResults", 10)]
    ]}


def contents(question):
    results, statuses = [], []
    for url in question["urls"]:
        page = pages.get(url, {"tag": "CRAWL_NOT_FOUND"})
        if "tag" in page:
            statuses.append({"id": url, "status": "error", "error": {"tag": page["tag"], "httpStatusCode": 404}})
        else:
            text = page["text"][: question["text"]["maxCharacters"]]
            # Exa answers under the address at which it found the page.
            results.append({"id": f"{url}#found", "url": f"{url}#found", "title": page["title"], "text": text})
            statuses.append({"id": url, "status": "success", "source": "cached"})
    return {"results": results, "statuses": statuses}


class Exa(Handler):
    def refuse(self, status):
        more = {} if status == 429 else {"requestId": "request-1", "tag": TAGS.get(status, "UNKNOWN")}
        self.send_json(status, {**more, "error": f"Refused with the key {self.headers['x-api-key']}"})

    def do_POST(self):
        question = json.loads(self.body())
        with lock:
            calls.append({"path": self.path, "body": question})
            now = dict(fault)
        if self.headers["x-api-key"] != KEY:
            return self.refuse(401)
        time.sleep(now.get("seconds", 0))
        if "status" in now:
            return self.refuse(now["status"])
        if "bytes" in now:
            return self.send_json(200, {"results": [], "padding": "x" * now["bytes"]})
        answers = {"/search": search, "/contents": contents}
        if self.path not in answers:
            return self.send_json(404, {"error": "Not Found"})
        with lock:
            self.send_json(200, {"requestId": "request-1", **answers[self.path](question)})


class Web(Calls):
    calls, lock = calls, lock

    def do_POST(self):
        wish = json.loads(self.body())
        with lock:
            if urlsplit(self.path).path == "/faults":
                fault.clear()
                fault.update(wish)
            else:
                pages[wish["url"]] = wish
        self.send_json(200, {})


serve("api.exa.ai", Exa, inside=Web)
