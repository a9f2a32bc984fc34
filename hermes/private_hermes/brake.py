"""Stops a message whose model goes in circles, and says what it has cost.

Hermes 0.19.0 leaves its guard against loops off for people at a terminal. config.yaml switches it on, with fewer turns than Hermes'
90. Here is what it doesn't know: the same call with the same result of any tool, what a message costs in tokens, and a call whose
arguments are no JSON. Hermes takes the last for an answer that was cut off, and pays for five of them.

Each stop is one sentence, below what was written before. A job has the same brake; runs.py makes it tighter.
"""

import dataclasses
import json

from agent.tool_guardrails import ToolGuardrailDecision
from tools.registry import registry

from . import replaces
from .costs import spends
from .registering import context

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


@replaces("run_agent:AIAgent.run_conversation")
def run_conversation(original, self, *arguments, **more):
    self.calls_before, self.tokens_before, self.unreadable = self.session_api_calls, tokens_of(self), 0
    # A command that says the same time after time gets nowhere either, whatever it may change.
    guard = self._tool_guardrails
    guard.config = dataclasses.replace(guard.config, idempotent_tools=frozenset(registry.get_all_tool_names()), mutating_tools=frozenset())
    return original(*arguments, **more)


@replaces("agent.chat_completion_helpers:_repair_tool_call_arguments")
def repair_arguments(original, raw_args, tool_name="?"):
    repaired = original(raw_args, tool_name)
    # Where it gives up Hermes says {}, and means that the answer was cut off.
    return json.dumps({UNREADABLE: raw_args[:1000]}) if repaired == "{}" else repaired


def refuse(tool_name, args, **more):
    """Answers a call that can't be read, before it is made; the third of a message ends its turn."""
    if UNREADABLE not in args:
        return None
    if agent := spends.get():
        agent.unreadable += 1
        if agent.unreadable >= TRIES:
            agent._set_tool_guardrail_halt(ToolGuardrailDecision(action="halt", code="unreadable", tool_name=tool_name, count=agent.unreadable))
    return {"action": "block", "message": f"The arguments of {tool_name} are no JSON, so it was not called. Call it again with one JSON object."}


@replaces("run_agent:AIAgent._append_guardrail_observation")
def observe(original, self, function_name, function_args, function_result, *, failed):
    result = original(function_name, function_args, function_result, failed=failed)
    if tokens_of(self) - self.tokens_before > getattr(self, "token_limit", LIMITS.get(self.platform, LIMIT)):
        self._set_tool_guardrail_halt(ToolGuardrailDecision(action="halt", code="tokens", tool_name=function_name))
    return result


@replaces("run_agent:AIAgent._toolguard_controlled_halt_response")
def halted(original, self, decision):
    return sentence(self, decision.code, decision.tool_name, decision.count)


@replaces("run_agent:AIAgent._handle_max_iterations")
def out_of_turns(original, self, messages, api_call_count):
    # The model says where it has got to, in one call without tools. Hermes streams it to nobody, and doesn't count it.
    said = original(messages, api_call_count)
    self.session_api_calls += 1
    said = f"{said}\n\n{sentence(self, 'turns')}"
    if self.stream_delta_callback:
        self.stream_delta_callback(f"\n\n{said}")
    return said


def register():
    context.register_hook("pre_tool_call", refuse)
