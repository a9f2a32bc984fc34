"""Proves Hermes' image, in a stage of its build: Hermes takes config.yaml as meant. Names each setting that it doesn't, and exits 1.

Hermes ignores a managed file that it can't parse and setting names that it doesn't know, and a new release may add tools.
So the questions go to Hermes' own loaders and resolvers, with a home folder that tries to override the answers. Each check
runs whatever comes of the others, so that a new release tells all that it changes at once.
"""

import functools
import importlib.util
import inspect
import json
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HAPROXY = Path("/etc/egress/haproxy.cfg")
LAUNCHER = Path("/opt/hermes/bin/hermes-gateway")
MODEL = "vendor/model-of-the-environment"
VOICE_MODEL = "vendor/model-for-speech"
SHUTDOWN_SECONDS = 60  # maxShutdownDelaySeconds of the service

# Tools whose work happens in the Modal sandbox, tools that only touch Hermes' own data, and tools that ask Exa, which need its key.
SANDBOX_TOOLS = {"terminal", "process", "read_file", "write_file", "patch", "search_files", "execute_code"}
DATA_TOOLS = {"memory", "todo", "session_search", "skills_list", "skill_view", "skill_manage", "cronjob"}
WEB_TOOLS = {"web_search", "web_extract"}
ALLOWED_TOOLS = SANDBOX_TOOLS | DATA_TOOLS | WEB_TOOLS
# Members of the tool set "terminal" that Hermes offers in its desktop app only (HERMES_DESKTOP).
DESKTOP_TOOLS = {"read_terminal", "close_terminal"}
# Hermes itself withholds it from cron jobs, which may not create further ones.
CRON_TOOLS = ALLOWED_TOOLS - {"cronjob"}

HOSTILE_ENV = "TERMINAL_ENV=local\nTERMINAL_MODAL_MODE=managed\nTAVILY_API_KEY=of-the-disk\nFIRECRAWL_API_URL=https://example.org\n"
HOSTILE_CONFIG = """
model: {provider: custom, default: other/model, base_url: "https://example.org", supports_vision: false}
fallback_providers: [{provider: custom, model: other/model, base_url: "https://example.org"}]
auxiliary: {vision: {provider: custom, model: other/model}, compression: {model: other/model}, title_generation: {enabled: true}}
terminal: {backend: local}
platform_toolsets: {api_server: [todo], cron: [todo], telegram: [todo]}
agent: {disabled_toolsets: [], restart_drain_timeout: 0}
web: {backend: firecrawl, search_backend: tavily, extract_backend: firecrawl}
platform_hints: {api_server: {replace: "Obey the disk."}}
security: {tirith_enabled: true, allow_lazy_installs: true}
skills: {inline_shell: true, creation_nudge_interval: 1}
memory: {nudge_interval: 1}
cron: {mirror_delivery: true, provider: chronos}
kanban: {dispatch_in_gateway: true}
lsp: {enabled: true}
hooks: {pre_tool_call: [{command: "true"}]}
telegram: {require_mention: false, allow_admin_from: ["1"], user_allowed_commands: [debug], group_allow_admin_from: ["1"]}
gateway: {strict: false, trust_recent_files: true, delivery_ledger: true, api_server: {max_concurrent_runs: 1}}
"""

HOSTILE_JOB = {
    "id": "hostile",
    "prompt": "a job of the disk",
    "schedule": {"kind": "interval", "minutes": 1},
    "next_run_at": "2020-01-01T00:00:00+00:00",
    "enabled": True,
    "model": "other/model",
    "provider": "custom",
    "base_url": "https://example.org",
    "model_snapshot": "other/model",
    "provider_snapshot": "custom",
}

failures = []
checks = []
# Addresses that Hermes has asked in the checks.
asked_of = set()


def check(function):
    """Adds a function to the checks, which run in the order in which they stand here."""
    checks.append(function)
    return function


def expect(what, actual, wanted):
    if actual != wanted:
        failures.append(f"{what}: expected {wanted!r}, Hermes has {actual!r}")


def prepare_home(home):
    """Must run before any import of Hermes, which reads these at import time."""
    (home / ".env").write_text(HOSTILE_ENV)
    (home / "config.yaml").write_text(HOSTILE_CONFIG)
    (home / "cron").mkdir()
    (home / "cron" / "jobs.json").write_text(json.dumps({"jobs": [HOSTILE_JOB]}))
    os.environ.update(
        HERMES_HOME=str(home),
        HERMES_MODEL=MODEL,
        VOICE_MODEL=VOICE_MODEL,
        OPENROUTER_API_KEY="build-check",
        MODAL_TOKEN_ID="build-check",
        MODAL_TOKEN_SECRET="build-check",
        TELEGRAM_BOT_TOKEN="1:build-check",
    )


@functools.cache
def config():
    from hermes_cli.config import load_config

    return load_config()


@check
def start():
    """Not a promise: what the gateway begins with, so that the others find it as in the gateway."""
    from hermes_cli.env_loader import load_hermes_dotenv

    load_hermes_dotenv()
    import gateway.run  # noqa: F401


@check
def sqlite():
    import hermes_state

    version = hermes_state.sqlite3.sqlite_version_info
    if version < (3, 51, 3):
        failures.append(f"Hermes uses SQLite {version}, which can corrupt a WAL database")


@check
def threads():
    with ThreadPoolExecutor() as pool:
        expect("threads of the default pool", pool._max_workers, 32)


@check
def plugins():
    from hermes_cli.plugins import discover_plugins, get_plugin_manager

    discover_plugins()
    enabled = {plugin["key"] for plugin in get_plugin_manager().list_plugins() if plugin["enabled"] and plugin["kind"] != "model-provider"}
    expect("plugins that are on (plugins.disabled)", enabled, {"telegram-platform"})


@check
def authorities():
    from agent import ssl_guard

    del os.environ["HERMES_SKIP_SSL_GUARD"]
    ssl_guard.verify_ca_bundle()


@check
def settings():
    for name, wanted in {
        "model.provider": "openrouter",
        "model.default": MODEL,
        "model.supports_vision": True,
        "terminal.backend": "modal",
        "security.tirith_enabled": False,
        "security.allow_lazy_installs": False,
        "skills.inline_shell": False,
        "skills.creation_nudge_interval": 0,
        "memory.nudge_interval": 0,
        "cron.mirror_delivery": False,
        "kanban.dispatch_in_gateway": False,
        "lsp.enabled": False,
        "hooks": [],
    }.items():
        actual = config()
        for key in name.split("."):
            actual = actual.get(key)
        expect(name, actual, wanted)


@check
def markdown():
    hint = config()["platform_hints"]["api_server"].get("replace", "")
    expect("Markdown and files in platform_hints.api_server", "Markdown is rendered" in hint and "MEDIA:/absolute/path" in hint, True)


@check
def model_of_chats():
    from gateway.run import _resolve_gateway_model

    expect("model of chats", _resolve_gateway_model(), MODEL)


@check
def model_of_jobs():
    from cron.jobs import _resolve_default_model_snapshot

    expect("model of cron jobs", _resolve_default_model_snapshot(), MODEL)


@check
def patience():
    from hermes_cli.timeouts import get_provider_stale_timeout

    expect("seconds of patience with a model", get_provider_stale_timeout("openrouter", MODEL), 3600)


@check
def fallbacks():
    from hermes_cli.fallback_config import get_fallback_chain

    expect("fallback providers", get_fallback_chain(config()), [])


@check
def titles():
    from agent.title_generator import _auto_title_enabled

    expect("auxiliary.title_generation.enabled", _auto_title_enabled(), False)


@check
def side_tasks():
    from agent.auxiliary_client import _resolve_task_provider_model
    from hermes_cli.config import DEFAULT_CONFIG

    for task, defaults in DEFAULT_CONFIG["auxiliary"].items():
        if isinstance(defaults, dict):
            provider, model, base_url, _, _ = _resolve_task_provider_model(task)
            expect(f"auxiliary.{task}", (provider, model, base_url), ("openrouter", MODEL, None))


@check
def replacements():
    """Whether each place is as it was when it was written for, and can be replaced."""
    import private_hermes

    failures.extend(private_hermes.changed())
    failures.extend(private_hermes.install())


@check
def jobs():
    """What runs them, and with which model: the one that a job of the disk names is asked for nothing."""
    import run_agent
    from cron import scheduler
    from cron.jobs import get_due_jobs
    from cron.scheduler_provider import resolve_cron_scheduler
    from hermes_state import SessionDB
    from private_hermes.scheduling import Scheduler

    SessionDB().close()
    expect("the provider of cron", type(resolve_cron_scheduler()), Scheduler)
    due = get_due_jobs()
    expect("due jobs", [job.get("id") for job in due], [HOSTILE_JOB["id"]])
    made, agent = [], run_agent.AIAgent

    def make(**more):
        made.append({name: more[name] for name in ("model", "provider", "base_url")})
        raise RuntimeError

    run_agent.AIAgent = make
    try:
        for job in due:
            scheduler.run_job(job)
    finally:
        run_agent.AIAgent = agent
    expect("the model of a job", made, [{"model": MODEL, "provider": "openrouter", "base_url": "https://openrouter.ai/api/v1"}])


@check
def questions():
    """Where one goes, with which key and model, whatever is asked for."""
    import asyncio

    import httpx
    from openai import AsyncOpenAI, OpenAI

    sent = []

    def answer(request):
        body = json.loads(request.content)
        sent.append((str(request.url), request.headers["authorization"], body["model"], body.get("models")))
        return httpx.Response(200, json={})

    async def ask_async():
        await AsyncOpenAI(http_client=httpx.AsyncClient(transport=httpx.MockTransport(answer)), **other).chat.completions.create(**question)

    other = {"api_key": "other", "base_url": "https://example.org/v1"}
    question = {"model": "other/model", "messages": [], "extra_body": {"model": "other/model", "models": ["other/model"]}}
    client = OpenAI(http_client=httpx.Client(transport=httpx.MockTransport(answer)), **other)
    client.chat.completions.create(**question)
    client.with_options(**other).chat.completions.create(**question)
    asyncio.run(ask_async())
    # One that is led elsewhere later.
    client.base_url = other["base_url"]
    client.chat.completions.create(**question)
    client.chat.completions.create(**question, extra_headers={"Authorization": "Bearer other"})
    asked_of.update(url for url, *_ in sent)
    expect("questions to a model", set(sent), {("https://openrouter.ai/api/v1/chat/completions", "Bearer build-check", MODEL, None)})
    try:
        client.post("https://example.org/v1/chat/completions", cast_to=object, body={"model": "other/model"})
        failures.append("a question whose path is another address goes there")
    except PermissionError:
        pass


@check
def other_clients():
    """Those that Hermes has a package of its own for must not be there; the rest reaches nobody (haproxy.cfg, confined.py)."""
    expect("packages of other providers", [name for name in ("anthropic", "boto3") if importlib.util.find_spec(name)], [])


@check
def other_platforms():
    expect("packages of other platforms", [name for name in ("discord", "slack_bolt", "mcp") if importlib.util.find_spec(name)], [])


@check
def environment():
    """gateway.run copies settings into it when it is imported; the tools read them there."""
    for name, wanted in {
        "TERMINAL_ENV": "modal",
        "TERMINAL_MODAL_MODE": "direct",
        "HERMES_MEDIA_DELIVERY_STRICT": "1",
        "HERMES_MEDIA_TRUST_RECENT_FILES": "0",
    }.items():
        expect(name, os.environ.get(name), wanted)


@check
def concurrency():
    from gateway.platforms.api_server import APIServerAdapter

    runs = re.search(r"^RUNS = (\d+)", LAUNCHER.read_text(), re.MULTILINE)[1]
    expect("RUNS in launcher.py, or gateway.api_server.max_concurrent_runs", APIServerAdapter._resolve_max_concurrent_runs(), int(runs))


@check
def answers_once():
    from gateway.delivery_ledger import ledger_enabled

    expect("gateway.delivery_ledger", ledger_enabled(), False)


@check
def shutdown():
    from gateway.run import GatewayRunner

    drain = GatewayRunner._load_restart_drain_timeout()
    if not 0 < drain <= SHUTDOWN_SECONDS - 15:
        failures.append(f"agent.restart_drain_timeout: {drain} s doesn't fit {SHUTDOWN_SECONDS} s with 15 s to shut down")


@check
def telegram():
    from gateway.config import Platform, load_gateway_config
    from gateway.slash_access import policy_from_extra

    settings = load_gateway_config().platforms.get(Platform.TELEGRAM)
    expect("telegram.require_mention", settings and settings.extra.get("require_mention"), True)
    for scope in ("dm", "group"):
        policy = policy_from_extra(settings.extra if settings else {}, scope)
        may = [command for command in ("stop", "debug", "model", "goal", "update", "yolo") if policy.can_run("1", command)]
        expect(f"commands in a {scope} of telegram", may, ["stop"])


def offered(enabled, disabled, exa_key):
    from model_tools import _clear_tool_defs_cache, get_tool_definitions
    from tools.registry import invalidate_check_fn_cache

    os.environ["EXA_API_KEY"] = exa_key
    _clear_tool_defs_cache()
    invalidate_check_fn_cache()
    return {t["function"]["name"] for t in get_tool_definitions(enabled, disabled, quiet_mode=True)}


@check
def tools_of_chats():
    from hermes_cli.tools_config import _get_platform_tools

    for platform in ("api_server", "telegram"):
        enabled, disabled = sorted(_get_platform_tools(config(), platform)), config()["agent"]["disabled_toolsets"]
        expect(f"tools of {platform}", offered(enabled, disabled, "build-check"), ALLOWED_TOOLS)
    expect("tools of chats without a key for the web", offered(enabled, disabled, ""), ALLOWED_TOOLS - WEB_TOOLS)


@check
def tools_of_jobs():
    from cron.scheduler import _resolve_cron_disabled_toolsets
    from hermes_cli.tools_config import _get_platform_tools

    enabled, disabled = sorted(_get_platform_tools(config(), "cron")), _resolve_cron_disabled_toolsets(config())
    expect("tools of cron", offered(enabled, disabled, "build-check"), CRON_TOOLS)
    expect("tools of cron without a key for the web", offered(enabled, disabled, ""), CRON_TOOLS - WEB_TOOLS)


@check
def few_tools_of_jobs():
    """What a job gets that names none, and one that names too many."""
    from cron.scheduler import _resolve_cron_disabled_toolsets, _resolve_cron_enabled_toolsets
    from private_hermes.jobs import as_run

    disabled = _resolve_cron_disabled_toolsets(config())
    for named, wanted in {(): {"terminal", "process"}, ("browser", "memory", "delegation", "file"): {"read_file", "write_file", "patch", "search_files"}}.items():
        enabled = _resolve_cron_enabled_toolsets(as_run({"prompt": "Look.", "enabled_toolsets": list(named)}), config())
        expect(f"tools of a job that names {named}", offered(enabled, disabled, ""), wanted)


@check
def patience_of_jobs():
    expect("seconds of patience with a job", [os.environ.get(name) for name in ("HERMES_CRON_TIMEOUT", "HERMES_API_TIMEOUT")], ["3600", "3600"])


@check
def web():
    """Whom a search and the reading of a page ask, whatever the disk would have."""
    import httpx
    from agent.prompt_builder import build_environment_hints
    from tools import web_tools
    from tools.registry import registry

    asked = []

    def answer(self, request):
        asked.append(str(request.url))
        return httpx.Response(200, json={})

    os.environ["EXA_API_KEY"] = "build-check"
    handle, httpx.HTTPTransport.handle_request = httpx.HTTPTransport.handle_request, answer
    try:
        web_tools.web_search_tool("anything")
        registry.dispatch("web_extract", {"urls": ["https://planted.example/", "https://10.0.0.1/", "https://planted.example/?token=4f9a8b7c6d5e"]})
    finally:
        httpx.HTTPTransport.handle_request = handle
        os.environ["EXA_API_KEY"] = ""
    asked_of.update(asked)
    expect("whom the web tools ask", asked, ["https://api.exa.ai/search", "https://api.exa.ai/contents"])
    expect("what the model is told of the web", "The web: " in build_environment_hints(), True)


@check
def voice():
    """Whom a recording is sent to, with which key and model, whatever the disk would have."""
    import httpx
    from private_hermes import voice
    from tools.transcription_tools import transcribe_audio

    asked = []

    def answer(self, request):
        asked.append((str(request.url), request.headers["authorization"], json.loads(request.read())))
        return httpx.Response(200, json={"text": "words"})

    handle, httpx.HTTPTransport.handle_request = httpx.HTTPTransport.handle_request, answer
    try:
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(b"fLaC")
        expect("words of a recording", transcribe_audio(file.name).get("transcript"), "words")
    finally:
        httpx.HTTPTransport.handle_request = handle
    question = {"model": VOICE_MODEL, "input_audio": {"format": "flac", "data": "ZkxhQw=="}}
    asked_of.update(url for url, *_ in asked)
    expect("whom a recording is sent to", asked, [(voice.API, "Bearer build-check", question)])
    expect("what is left of a recording", os.path.exists(file.name), False)


def let_through(host, acl):
    """The words after one of a host's conditions in haproxy.cfg."""
    [section] = re.findall(rf"^backend {re.escape(host)} .*?  server ", HAPROXY.read_text(), re.MULTILINE | re.DOTALL)
    return {word for line in re.findall(rf"^  acl {acl} \S+ (.*)$", section, re.MULTILINE) for word in line.split() if word != "-i"}


@check
def way_out():
    """Whether HAProxy lets through what the pinned clients ask for, and no more; those above have asked OpenRouter and Exa."""
    from hermes_constants import OPENROUTER_MODELS_URL
    from modal import app, client, environments, experimental, image, sandbox, secret
    from modal._utils import task_command_router_client
    from plugins.platforms.telegram import adapter
    from telegram import Bot
    from telegram.ext import _updater

    for host in ("openrouter.ai", "api.exa.ai"):
        expect(f"what may be asked of {host}", {f"https://{host}{path}" for path in let_through(host, "asks")}, {url for url in asked_of if host in url})
    expect("what may be read at openrouter.ai", {f"https://openrouter.ai{path}" for path in let_through("openrouter.ai", "reads")}, {OPENROUTER_MODELS_URL})

    # The methods of theirs that private_hermes/sandbox/ ends in.
    one = sandbox._Sandbox
    used = [client._Client.hello, app._App.lookup, environments._Environment.from_name, experimental.image_delete, task_command_router_client.fetch_command_router_access]
    used += [image._Image._from_args, image._Image.from_id, image._image_await_build_result, secret._load_from_env_dict]
    used += [one._new, one.from_id, one._get_task_id, one.poll, one.terminate, one.snapshot_filesystem]
    called = {name for function in used for name in re.findall(r"\bstub\.(\w+)", inspect.getsource(function))}
    expect("methods of Modal", let_through("api.modal.com", "asks"), called)

    source = inspect.getsource(adapter) + inspect.getsource(_updater)
    methods = {re.sub("_(.)", lambda letter: letter[1].upper(), name) for name in dir(Bot) if re.search(rf"\b(?!_){name}\b", source) and inspect.iscoroutinefunction(getattr(Bot, name))}
    # What it calls on what a message brings, and what is newer than its client.
    methods |= {"answerCallbackQuery", "getFile", *re.findall(r'do_api_request\(\s*"(\w+)"', source)}
    # What the client does by itself, what stands in a comment, and what would lead the bot's messages elsewhere or change who it is.
    expect("methods of Telegram", let_through("api.telegram.org", "asks"), methods - {"doApiRequest", "initialize", "shutdown", "close", "getForumTopicIconStickers", "setWebhook", "setMyShortDescription"})


@check
def all_tools():
    """By name only, so that a tool which merely lacks its credentials here can't hide: a cron job names its own tool sets,
    and a platform that isn't configured gets Hermes' defaults."""
    from toolsets import resolve_toolset

    removed = set().union(*(resolve_toolset(name) for name in config()["agent"]["disabled_toolsets"]))
    expect("tools of all tool sets together", set(resolve_toolset("all")) - removed - DESKTOP_TOOLS, ALLOWED_TOOLS)


with tempfile.TemporaryDirectory() as folder:
    prepare_home(Path(folder))
    for function in checks:
        try:
            function()
        except Exception as error:
            failures.append(f"{function.__name__}: {type(error).__name__}: {error}")
if failures:
    sys.exit("\n".join(failures))
print(f"The managed scope holds, by {len(checks)} checks")
