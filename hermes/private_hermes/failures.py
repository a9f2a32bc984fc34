"""Tells why the model failed, in the place of the answer: in the page, on Telegram and from a scheduled job.

Hermes 0.19.0 ends a streamed answer that failed with a chunk that has the reason beside an empty choice
(`_write_sse_chat_completion` in gateway/platforms/api_server.py). Open WebUI stores a reason only of a chunk without choices. Of this one
it passes the reason on to pages that are open, which show it until they are loaded again (openwebui/failures.py takes it out), and stores
a blank answer. Here one sentence is added to the answer: the reason, and what to do.

The sentence is not the model's. It begins with `FAILURE`, and is taken out of the history of later requests by that. If nothing else is
left of the answer, a short note replaces it, because some providers reject two messages of the user in a row.

Telegram hides the reason ("check gateway logs") and tells it twice, an answer without a word five times (gateway/run.py). There the
sentence is not stored with the chat, and the next message comes to the model together with the one that had no answer.

A failed request is not copied to the disk either, with all that its chat carries (`_dump_api_request_debug` in run_agent.py).
"""

import asyncio
import json
import logging
import re

from agent.error_classifier import FailoverReason as Kind
from agent.error_classifier import classify_api_error
from gateway.platforms import api_server

from . import replaces
from .contract import FAILURE, REFUSED

PICTURE_LEFT_OUT = {"type": "text", "text": "[A picture stood here and was left out, because the provider of the model refused it.]"}
NO_ANSWER = "[This message got no answer: the service of the model failed.]"

UNKNOWN = "OpenRouter doesn't understand the request for this model. Set modelDefault to another model, if it happens again."
CREDIT = "OpenRouter refuses: the credit is used up. Add some at https://openrouter.ai/settings/credits."
LIMIT = "OpenRouter refuses: the spending limit of the key is reached. Raise it at https://openrouter.ai/settings/keys."
KEY = "OpenRouter doesn't take the key. Put a valid one into the setting openrouterApiKey, then run pulumi up."
PRIVACY = "No provider of this model fits the privacy settings of the account. Change them at https://openrouter.ai/settings/privacy, or set modelDefault to another model."
NO_TOOLS = "This model can't call tools, and the agent works by them. Set modelDefault to another model, then run pulumi up."
WORDS = "OpenRouter refuses this message. Say it in other words, or set modelDefault to another model."
TOO_LONG = "This chat is too long for the model. Begin a new one, or leave files out."
NO_MODEL = "OpenRouter doesn't have this model. Set modelDefault to another one, then run pulumi up."
BUSY = "The model has too much to do at the moment. Try again in a minute."
OUT_OF_ORDER = "The model is out of order or out of reach. Try again in a minute; https://status.openrouter.ai tells whether others have it, too."
FAILED = "The service of the model failed. Try again in a minute."

# By the status of OpenRouter's answer (openrouter.ai/docs, "Errors and Debugging"), where that says enough.
BY_STATUS = {401: KEY, 402: CREDIT, 408: OUT_OF_ORDER, 413: TOO_LONG, 429: BUSY}
# By both: Hermes takes an unknown model for a service that isn't there.
BY_BOTH = {(403, Kind.billing): LIMIT, (404, Kind.unknown): NO_MODEL}
# Otherwise by what Hermes makes of the error.
BY_KIND = {
    Kind.billing: CREDIT,
    Kind.auth: WORDS,  # with 403, as OpenRouter's moderation answers
    Kind.content_policy_blocked: WORDS,
    Kind.provider_policy_blocked: PRIVACY,
    Kind.context_overflow: TOO_LONG,
    Kind.payload_too_large: TOO_LONG,
    Kind.long_context_tier: TOO_LONG,
    Kind.model_not_found: NO_MODEL,
    Kind.rate_limit: BUSY,
    Kind.upstream_rate_limit: BUSY,
    Kind.overloaded: OUT_OF_ORDER,
    Kind.server_error: OUT_OF_ORDER,
    Kind.timeout: OUT_OF_ORDER,
    Kind.ssl_cert_verification: OUT_OF_ORDER,
}
# What Hermes ends a turn with for reasons of its own, of which it tells in words alone; the first that fits.
OWN_WORDS = [
    (r"invalid tool call", "The model called a tool that doesn't exist, three times. Try again, or set modelDefault to another model."),
    (r"truncat", "The answer is longer than the model may write at once. Ask it to go on."),
    (r"context length exceeded|payload too large", TOO_LONG),
    (r"empty|no response|invalid api response", "The model answered with nothing. Try again, or set modelDefault to another model."),
]


# What Hermes calls the end of a turn in which the model has said nothing, and what it says while it still tries.
NOTHING_SAID = {"empty_response_exhausted", "all_retries_exhausted_no_response"}
# The end that brake.py tells of is one of these, too.
RETRYING = re.compile(r"empty response from model|returned no content after all retries|tool guardrail halted|iteration budget exhausted", re.IGNORECASE)


def reason_of(error):
    """Why OpenRouter has not answered, by its status and by what Hermes makes of the error."""
    found = classify_api_error(error, provider="openrouter")
    # OpenRouter has no code for it, and Hermes takes it for a model that doesn't exist.
    if found.status_code == 404 and "support tool use" in found.message:
        return NO_TOOLS
    known = BY_STATUS.get(found.status_code) or BY_BOTH.get((found.status_code, found.reason)) or BY_KIND.get(found.reason)
    return known or (UNKNOWN if found.status_code else FAILED)


def words_of(error):
    """OpenRouter's own words, or those of the provider that it has asked; "" if there are none."""
    body = getattr(error, "body", None)
    body = body.get("error", body) if isinstance(body, dict) else {}
    metadata = body.get("metadata") if isinstance(body, dict) else None
    try:
        # openrouter.ai/docs, "Provider errors".
        return str(json.loads(metadata["raw"])["error"]["message"])
    except (KeyError, TypeError, ValueError):
        return str(body.get("message") or "") if isinstance(body, dict) else ""


def told(reason, words=""):
    words = " ".join(api_server._redact_api_error_text(words).split())[:200].rstrip(" .")
    return f"{FAILURE} {reason}" + (f" It says: “{words}”." if words else "")


def sentence(text):
    """What a person reads of a failure: one reason with the way out, and the provider's own words where there are some."""
    text = text or ""
    # Of an error of OpenRouter's Hermes passes on what `summarize_error` has made of it, with words of its own around it.
    if found := re.search(rf"{re.escape(FAILURE)}[^\n]*", text):
        return found[0]
    return told(next((said for pattern, said in OWN_WORDS if re.search(pattern, text, re.IGNORECASE)), FAILED))


def of_result(result):
    """The same of what a turn ends with."""
    return told(TOO_LONG) if result.get("compression_exhausted") else sentence(result.get("error"))


def has_pictures(content):
    return isinstance(content, list) and any(isinstance(part, dict) and part.get("type") == "image_url" for part in content)


def without_pictures(message):
    content = message.get("content")
    if not has_pictures(content):
        return message
    return {**message, "content": [PICTURE_LEFT_OUT if isinstance(part, dict) and part.get("type") == "image_url" else part for part in content]}


def without_sentences(history):
    """The messages before this one, without the sentences that were put into answers, and without the pictures that these say were refused."""
    cleaned = []
    for message in history or []:
        content = message.get("content")
        if message.get("role") == "assistant" and isinstance(content, str) and f"{FAILURE} {REFUSED}" in content:
            # Those of the message itself; where that has none, any of those before.
            ours = -1 if cleaned and has_pictures(cleaned[-1].get("content")) else 0
            cleaned[ours:] = [without_pictures(before) for before in cleaned[ours:]]
        if message.get("role") == "assistant" and isinstance(content, str) and FAILURE in content:
            message = {**message, "content": content.split(FAILURE)[0].rstrip() or NO_ANSWER}
        cleaned.append(message)
    return cleaned


async def run_agent(original, user_message, conversation_history, *arguments, stream_delta_callback=None, **more):
    written = False

    def on_delta(delta):
        nonlocal written
        written = written or bool(delta and delta.strip())
        stream_delta_callback(delta)

    callback, history = on_delta if stream_delta_callback else None, without_sentences(conversation_history)
    try:
        result, usage = await original(user_message, history, *arguments, stream_delta_callback=callback, **more)
    except asyncio.CancelledError:
        raise
    except Exception:
        # What broke is in the log, and may carry what nobody should read.
        logging.getLogger(__name__).exception("The agent failed")
        result, usage = {"failed": True}, {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    error, answer = result.get("error"), (result.get("final_response") or "").strip()
    if not error and not written and not result.get("interrupted"):
        # After an answer without a word Hermes asks again, and in the end gives none as if that were one, or words of its
        # own (agent/turn_finalizer.py).
        if answer in ("", "(empty)") or result.get("turn_exit_reason") == "empty_response_exhausted":
            result, error = {**result, "failed": True}, "empty"
        elif callback:
            # One that came whole, and was not streamed.
            callback(answer)
    # As Hermes itself tells a failure.
    if result.get("failed") or (error and not result.get("completed", True)):
        said = of_result({**result, "error": error})
        if UNKNOWN in said and any(has_pictures(one) for one in (user_message, *(before.get("content") for before in history))):
            said = f"{FAILURE} {REFUSED}"
        # A person reads it once, whatever Hermes would add.
        result = {**result, "completed": False, "failed": True, "error": said.removeprefix(f"{FAILURE} "), "final_response": said}
        if callback:
            stream_delta_callback(f"\n\n{said}" if written else said)
    return result, usage


# The one place where Hermes makes words of an error, whose status and body it still has there.
@replaces("run_agent:AIAgent._summarize_api_error")
def summarize_error(original, error):
    return told(reason_of(error), words_of(error))


# On Telegram, where a failure is told by what ends a turn, and by what is said meanwhile: told once, at the end.
@replaces("gateway.run:_normalize_empty_agent_response")
def explain(original, agent_result, response, *, history_len=0):
    error = agent_result.get("error")
    if error and not agent_result.get("completed", True) and not agent_result.get("interrupted"):
        return of_result(agent_result)
    return original(agent_result, response, history_len=history_len)


@replaces("run_agent:AIAgent.run_conversation")
def run_conversation(original, self, *arguments, **more):
    tell = self.status_callback

    def tell_the_rest(event, message):
        if not (FAILURE in message or RETRYING.search(message)):
            tell(event, message)

    self.status_callback = tell and tell_the_rest
    try:
        result = original(*arguments, **more)
    finally:
        self.status_callback = tell
    # A job finds out by Hermes' own words that it has said nothing.
    if self.platform != "cron" and result.get("turn_exit_reason") in NOTHING_SAID and (theirs := self._format_turn_completion_explanation(result["turn_exit_reason"])):
        result = {**result, "final_response": (result.get("final_response") or "").replace(theirs, sentence("empty"))}
    return result


# In a report of a scheduled job, which is otherwise silent when the model has answered with nothing.
@replaces("cron.scheduler:run_job")
def run_job(original, job, **more):
    success, output, answer, error = original(job, **more)
    return (False, output, "", "empty") if success and not answer.strip() else (success, output, answer, error)


def known(error):
    """The sentence of what a run has failed with, or None."""
    is_known = FAILURE in error or any(re.search(pattern, error, re.IGNORECASE) for pattern, _ in OWN_WORDS)
    return sentence(error) if is_known else None


@replaces("run_agent:AIAgent._dump_api_request_debug")
def dump_nothing(original, self, *arguments, **more):
    return None
