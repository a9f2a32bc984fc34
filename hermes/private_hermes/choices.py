"""Has every question go to OpenRouter, with the key and the model of the environment, whoever asks for another.

A scheduled job, a chat and a request's body may each carry a model, a provider and an address of its own. Hermes 0.19.0 has no
setting against it, and one with the provider "custom" would send its prompts to any server. All of them end at a client of the
OpenAI SDK, made in several places (agent/agent_runtime_helpers.py, agent/auxiliary_client.py), so that one is guarded: address
and key when it is made, the model when a request is built. Clients of any other kind aren't made at all.
"""

import os

from agent.copilot_acp_client import CopilotACPClient
from agent.gemini_native_adapter import GeminiNativeClient
from agent.transports.codex_app_server import CodexAppServerClient
from cron import jobs
from hermes_constants import OPENROUTER_BASE_URL
from openai import AsyncOpenAI, OpenAI
from openai._base_client import BaseClient

from . import replace

OTHER_CLIENTS = [CodexAppServerClient, CopilotACPClient, GeminiNativeClient]
# Fields of a request in which OpenRouter takes further models (openrouter.ai/docs, "Model Fallbacks" and "Presets").
MORE_MODELS = {"models", "preset"}
# Of a job. The snapshots would stop it for good once HERMES_MODEL changes; an address is asked for its models, too.
OF_A_JOB = {"model", "provider", "base_url", "model_snapshot", "provider_snapshot"}


def install():
    key, model = os.environ["OPENROUTER_API_KEY"], os.environ["HERMES_MODEL"]

    def guard(client):
        def make_for_openrouter(self, **more):
            make(self, **{**more, "api_key": key, "base_url": OPENROUTER_BASE_URL})

        make = replace(client, "__init__", make_for_openrouter)

    for client in (OpenAI, AsyncOpenAI):
        guard(client)

    def build_request(self, options, **more):
        options = options.model_copy()
        for part in ("json_data", "extra_json"):
            if isinstance(body := getattr(options, part), dict):
                body = {name: value for name, value in body.items() if name not in MORE_MODELS}
                setattr(options, part, {**body, "model": model} if "model" in body else body)
        request = build(self, options, **more)
        if request.url.host != "openrouter.ai":
            raise PermissionError(f"This deployment asks OpenRouter alone, not {request.url.host}.")
        return request

    build = replace(BaseClient, "_build_request", build_request, "(self, options: 'FinalRequestOptions', *, retries_taken: 'int' = 0) -> 'httpx.Request'")

    def refuse(self, *arguments, **more):
        raise PermissionError("This deployment asks OpenRouter alone.")

    for client in OTHER_CLIENTS:
        replace(client, "__init__", refuse)

    def load_jobs_without_choices():
        return [{name: value for name, value in job.items() if name not in OF_A_JOB} for job in load_jobs()]

    load_jobs = replace(jobs, "load_jobs", load_jobs_without_choices, "() -> List[Dict[str, Any]]")
