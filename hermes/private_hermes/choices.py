"""Sends every question to OpenRouter, with the key and the model of the environment, whoever asks for another.

A scheduled job, a chat and a request's body may each carry a model, a provider and an address of its own. Hermes 0.19.0 has no
setting against it. All of them end at a client of the OpenAI SDK, made in several places (agent/agent_runtime_helpers.py,
agent/auxiliary_client.py), so that what it asks is decided when a request is built: address, key and model. Clients of any other kind
reach nobody: no way leads to another host, and no key is in here (confined.py, haproxy.cfg).
"""

import os

from hermes_constants import OPENROUTER_BASE_URL

from . import replaces

# Read before anything on the disk may set them.
KEY, MODEL = os.environ["OPENROUTER_API_KEY"], os.environ["HERMES_MODEL"]
# Fields of a request in which OpenRouter takes further models (openrouter.ai/docs, "Model Fallbacks" and "Presets").
MORE_MODELS = {"models", "preset"}


@replaces("openai._base_client:BaseClient._build_request")
def build_request(original, self, options, **more):
    options = options.model_copy()
    for part in ("json_data", "extra_json"):
        if isinstance(body := getattr(options, part), dict):
            body = {name: value for name, value in body.items() if name not in MORE_MODELS}
            setattr(options, part, {**body, "model": MODEL} if "model" in body else body)
    self.base_url = OPENROUTER_BASE_URL
    request = original(options, **more)
    request.headers["authorization"] = f"Bearer {KEY}"
    # The path of a question may be a whole address.
    if request.url.host != "openrouter.ai":
        raise PermissionError(f"This deployment asks OpenRouter alone, not {request.url.host}.")
    return request
