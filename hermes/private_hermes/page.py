"""The page: what happens to a request of Open WebUI, and to its answer, around Hermes' own adapter for its API.

Hermes makes this class in the place of its own, for the last one that is registered for a platform wins (gateway/platform_registry.py).
"""

import re
from functools import partial

from gateway.platform_registry import PlatformEntry, platform_registry
from gateway.platforms.api_server import APIServerAdapter, check_api_server_requirements

from . import costs, failures, files, handover, health, messages, own, people, progress, reports, speed, voice


def as_asked(content):
    """A message as the model is asked with it: with the pictures that models take, and files as the model wrote them."""
    return files.as_written(messages.with_taken(content))


class Page(APIServerAdapter):
    def _http_route_table(self):
        ours = [*voice.ROUTES, *reports.ROUTES, *handover.ROUTES, *own.ROUTES]
        return [*super()._http_route_table(), *((method, path, partial(self._with_key, answer)) for method, path, answer in ours)]

    async def _with_key(self, answer, request):
        """One of our own routes, for whoever has the key. Hermes' own look for it themselves."""
        return self._check_auth(request) or await answer(request)

    async def _handle_health(self, request):
        return health.refusal() or await super()._handle_health(request)

    async def _handle_chat_completions(self, request):
        people.begin_chat(request)
        return await super()._handle_chat_completions(request)

    async def _run_agent(self, user_message, conversation_history, **more):
        message, *history = [as_asked(content) for content in (user_message, *(before.get("content") for before in conversation_history))]
        if re.fullmatch("api-[0-9a-f]{16}", more.get("session_id") or ""):
            # Hermes has derived it from the first words.
            more["session_id"] = people.session_of_chat([more.get("ephemeral_system_prompt") or "", str((history or [message])[0])])
        history = [{**before, "content": content} for before, content in zip(conversation_history, history)]
        # A failure becomes a sentence of the answer, in which files are looked for.
        return await files.run_agent(partial(failures.run_agent, super()._run_agent), message, history, **more)

    async def _write_sse_chat_completion(self, request, completion_id, model, created, stream_q, agent_task, agent_ref=None, **more):
        # Joined before anything is made of them.
        pieces = costs.WithCost(progress.Alive(progress.with_lines(files.with_files(speed.Joined(stream_q)))), agent_ref)
        return await super()._write_sse_chat_completion(request, completion_id, model, created, pieces, agent_task, agent_ref, **more)

    async def _write_sse_responses(self, *, stream_q, **more):
        return await super()._write_sse_responses(stream_q=files.with_files(stream_q), **more)


def register():
    platform_registry.register(
        PlatformEntry(
            name="api_server",
            label="API Server",
            adapter_factory=Page,
            check_fn=check_api_server_requirements,
            source="builtin",
            allow_update_command=False,
        )
    )
