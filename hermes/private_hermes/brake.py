"""Stops a message whose model goes in circles, and says what it has cost.

Hermes 0.19.0 leaves its guard against loops off for people at a terminal. config.yaml switches it on, with fewer turns than Hermes'
90. Here is what it doesn't know: the same call with the same result of any tool, what a message costs in tokens, and a call whose
arguments are no JSON. Hermes takes the last for an answer that was cut off, and pays for five of them.

Each stop is one sentence, below what was written before. A job has the same brake; runs.py makes it tighter.
"""

import json

from agent import chat_completion_helpers
from agent.tool_guardrails import ToolCallGuardrailController, ToolGuardrailDecision
from run_agent import AIAgent

from . import replace

# Tokens that one message may cost, by the platform that it comes from; those that the provider had cached count a tenth, as most
# charge them. A message with 20 commands in a chat of 200,000 tokens stays below.
LIMITS = {"cron": 500_000}
LIMIT = 2_000_000

# Stands for arguments that are no JSON, so that the call is answered and not asked for again in silence.
UNREADABLE = "arguments that are no JSON"
# Calls that can't be read, until the message ends: the first, and two more by which the model may put it right.
TRIES = 3

REASONS = {
    "repeated_exact_failure_block": "the model has tried the same call of {tool} again and again, and it failed {count} times",
    "same_tool_failure_halt": "{tool} has failed {count} times in a row",
    "idempotent_no_progress_block": "the model has repeated one call of {tool}, and had the same result {count} times",
    "unreadable": "the model called {tool} {count} times in a way that can't be read. Try again, or set modelDefault to another model",
    "tokens": "this message has taken more of the model than one may",
    "turns": "this message has taken more steps than one may",
}


def tokens_of(agent):
    """What an agent has cost so far, in tokens of full price."""
    return int(agent.session_input_tokens + agent.session_output_tokens + agent.session_cache_write_tokens + agent.session_cache_read_tokens / 10)


def sentence(agent, code, tool="", count=0):
    """What a person reads in the place of more of the same."""
    calls, tokens = agent.session_api_calls - agent.calls_before, tokens_of(agent) - agent.tokens_before
    reason = REASONS.get(code, "the model goes in circles").format(tool=tool or "a tool", count=count)
    return f"⚠️ **Stopped:** {reason}. It has cost {calls} calls of the model and {tokens:,} tokens. Say how to go on, or ask for less at once."


def install():
    def run_conversation(self, *arguments, **more):
        self.calls_before, self.tokens_before = self.session_api_calls, tokens_of(self)
        return converse(self, *arguments, **more)

    converse = replace(AIAgent, "run_conversation", run_conversation, RUN)

    def repair(raw_args, tool_name="?"):
        repaired = repair_arguments(raw_args, tool_name)
        # Where it gives up Hermes says {}, and means that the answer was cut off.
        return json.dumps({UNREADABLE: raw_args[:1000]}) if repaired == "{}" else repaired

    repair_arguments = replace(chat_completion_helpers, "_repair_tool_call_arguments", repair, "(raw_args: 'str', tool_name: 'str' = '?') -> 'str'")

    def reset(self):
        self.unreadable = 0
        reset_for_turn(self)

    reset_for_turn = replace(ToolCallGuardrailController, "reset_for_turn", reset, "(self) -> 'None'")

    def before_call(self, tool_name, args):
        if not args or UNREADABLE not in args:
            return before(self, tool_name, args)
        self.unreadable += 1
        action = "halt" if self.unreadable >= TRIES else "refuse"  # a word of its own: it isn't run, and the turn goes on
        says = f"The arguments of {tool_name} are no JSON, so it was not called. Call it again with one JSON object."
        return ToolGuardrailDecision(action=action, code="unreadable", message=says, tool_name=tool_name, count=self.unreadable)

    before = replace(ToolCallGuardrailController, "before_call", before_call, "(self, tool_name: 'str', args: 'Mapping[str, Any] | None') -> 'ToolGuardrailDecision'")
    # A command that says the same time after time gets nowhere either, whatever it may change.
    replace(ToolCallGuardrailController, "_is_idempotent", lambda self, tool_name: True, "(self, tool_name: 'str') -> 'bool'")

    def observe(self, function_name, function_args, function_result, *, failed):
        result = append(self, function_name, function_args, function_result, failed=failed)
        if tokens_of(self) - self.tokens_before > getattr(self, "token_limit", LIMITS.get(self.platform, LIMIT)):
            self._set_tool_guardrail_halt(ToolGuardrailDecision(action="halt", code="tokens", tool_name=function_name))
        return result

    append = replace(AIAgent, "_append_guardrail_observation", observe, "(self, tool_name: str, function_args: dict, function_result: str, *, failed: bool) -> str")

    def halted(self, decision):
        return sentence(self, decision.code, decision.tool_name, decision.count)

    replace(AIAgent, "_toolguard_controlled_halt_response", halted, "(self, decision: agent.tool_guardrails.ToolGuardrailDecision) -> str")

    def out_of_turns(self, messages, api_call_count):
        # The model says where it has got to, in one call without tools. Hermes streams it to nobody, and doesn't count it.
        said = summarize(self, messages, api_call_count)
        self.session_api_calls += 1
        said = f"{said}\n\n{sentence(self, 'turns')}"
        if self.stream_delta_callback:
            self.stream_delta_callback(f"\n\n{said}")
        return said

    summarize = replace(AIAgent, "_handle_max_iterations", out_of_turns, "(self, messages: list, api_call_count: int) -> str")


RUN = (
    "(self, user_message: Any, system_message: str = None, conversation_history: List[Dict[str, Any]] = None, task_id: str = None, "
    "stream_callback: Optional[<built-in function callable>] = None, persist_user_message: Optional[Any] = None, "
    "persist_user_timestamp: Optional[float] = None, moa_config: Optional[dict[str, Any]] = None) -> Dict[str, Any]"
)
