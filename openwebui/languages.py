"""Says what this deployment says by itself in the language of the page, as far as page/texts.json has it: a sentence that isn't there stays.

The page tells its language with each request (page/connection.js). Hermes knows its sentences of failures by their beginning
(hermes/private_hermes/failures.py), and so they are put back into English before it gets them. What comes to a person without a request of
theirs, as the report of a job, comes in the language in which their page has last sent a message.
"""

import json
import logging
import re
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path

from open_webui.models.users import Users

SENTENCES = json.loads(Path(__file__).with_name("texts.json").read_text())["sentences"]
LANGUAGES = set(SENTENCES["Runs Python"])
# Not within quotation marks: a job's name may have two sentences.
BETWEEN = re.compile(r"(?<=[.”]) (?=[A-Z])(?![^“”]*”)")
# What a service says follows in quotation marks, as it is; what is told of a job follows its name, and what its script has printed the reason.
BEGINNING = re.compile(r"(It says:|Scheduled job “[^”]*”:|It took too long\.|It ended with exit code \d+\.)(.+)", re.DOTALL)
HEADER = b"x-page-language"
# Of a user's settings in Open WebUI, beside those of its own.
SETTING = "language"
# As Hermes writes a moment (`moment` in hermes/private_hermes/jobs.py).
MOMENT = "%A, %d %B %Y, %H:%M"

log = logging.getLogger(__name__)

# Of the request that is answered, "" where it tells none.
language = ContextVar("language", default="")


def template(sentence):
    """A sentence with holes as an expression, each hole a group."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(sentence)))


TEMPLATES = [(template(sentence), sentence) for sentence in SENTENCES if "{" in sentence]


def filling(name, value):
    """What fills a hole; the days and months of a moment are English, so it is put into figures."""
    if name == "when":
        try:
            return f"{datetime.strptime(value, MOMENT):%Y-%m-%d, %H:%M}"
        except ValueError:
            pass
    return value


def of(sentence, wanted):
    """A sentence in a language, or None if it isn't known."""
    if sentence in SENTENCES:
        return SENTENCES[sentence].get(wanted)
    if found := BEGINNING.fullmatch(sentence):
        beginning, rest = (of(part.strip(), wanted) or part.strip() for part in found.groups())
        return f"{beginning} {rest}".strip()
    for pattern, known in TEMPLATES:
        if found := pattern.fullmatch(sentence):
            said = SENTENCES[known].get(wanted)
            # Not by `format`: what is filled in may have such marks itself.
            return said and re.sub(r"\{(\w+)\}", lambda hole: filling(hole[1], found[hole[1]]), said)
    return None


def translated(text, wanted=None):
    """A text of one or more sentences in a language, given by its code, or in that of the request; those that aren't known stay."""
    wanted = language.get() if wanted is None else wanted
    if wanted not in LANGUAGES:
        return text
    return " ".join(of(sentence, wanted) or sentence for sentence in BETWEEN.split(text))


def in_english(text, *known):
    """A text in which those English sentences stand again that were put into any language."""
    for sentence in known:
        for other in {translated(sentence, one) for one in LANGUAGES}:
            text = text.replace(other, sentence)
    return text


def accepted(header):
    """The first language of a browser's Accept-Language that there is here, "" where that is English or none."""
    codes = (part.split(";")[0].strip().split("-")[0].lower() for part in header.split(","))
    found = next((code for code in codes if code in LANGUAGES or code == "en"), "")
    return "" if found == "en" else found


async def remember(user, wanted):
    """Keeps the language of a person's page for what comes to them later."""
    if (wanted in LANGUAGES or wanted == "en") and wanted != remembered(user):
        try:
            await Users.update_user_settings_by_id(user.id, {SETTING: wanted})
        except Exception:
            # As of a full disk; the message goes on.
            log.exception("The language of a person's page can't be kept")


def remembered(user):
    return getattr(user.settings, SETTING, "") or ""


class Languages:
    """ASGI middleware that notes the language of a request, for all that runs for it."""

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            language.set(next((value.decode("latin-1") for name, value in scope["headers"] if name == HEADER), ""))
        await self._app(scope, receive, send)


def register(main):
    main.app.add_middleware(Languages)
