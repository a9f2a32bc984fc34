"""Has a chat that goes on after an upgrade learn what has changed for it.

Hermes 0.19.0 stores the prompt that a chat begins with and takes it as long as the model is the same
(`_stored_prompt_matches_runtime` in agent/conversation_loop.py). So an old chat would never hear what config.yaml says of the place
where answers are shown (`platform_hints`). Here such a prompt is made anew, once.
"""

from agent import conversation_loop

from . import replace


def install():
    def matches(agent, prompt):
        hint = (agent._platform_hint_overrides.get(agent.platform or "") or {}).get("replace", "").strip()
        return hint in prompt and matched(agent, prompt)

    matched = replace(conversation_loop, "_stored_prompt_matches_runtime", matches, "(agent, prompt: 'str') -> 'bool'")
