"""What a person reads of each failure of OpenRouter: from [[status, body], …] as JSON on standard input, as a list of sentences.

The errors are those that the client library makes of such an answer, or of none (status 0).
"""

import json
import sys

import httpx
import openai
from private_hermes import failures

client = openai.OpenAI(api_key="x", base_url="http://127.0.0.1:9")


def error_of(status, body):
    request = httpx.Request("POST", "http://127.0.0.1:9/chat/completions")
    if not status:
        return openai.APIConnectionError(request=request)
    return client._make_status_error_from_response(httpx.Response(status, text=body if isinstance(body, str) else json.dumps(body), request=request))


print(json.dumps([failures.told(failures.reason_of(error), failures.words_of(error)) for error in (error_of(*one) for one in json.load(sys.stdin))]))
