"""Gives the agent the name that people read, and leaves its id alone: chats and settings refer to that.

Open WebUI 0.12.4 shows the name that a provider lists beside a model's id, and the id where there is none, as at Hermes. A name that an
admin has given the model in the Admin Panel wins.
"""

import os

from open_webui.private.replacing import replaces


@replaces("open_webui.routers.openai:get_all_models_responses")
async def get_all_models_responses(original, request, user):
    responses = await original(request, user)
    name = os.environ.get("AGENT_NAME")
    for response in responses if name else []:
        # Nothing while Hermes doesn't answer.
        for model in (response or {}).get("data", []):
            model["name"] = name
    return responses
