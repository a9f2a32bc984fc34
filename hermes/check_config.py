"""Proves, while the image is built, that Hermes takes the managed scope as meant; exits 1 naming each setting that isn't.

Hermes ignores a managed file that it can't parse and setting names that it doesn't know, and a new release may add tools.
So the questions go to Hermes' own loaders and resolvers, with a home folder that tries to override the answers.
"""

import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MODEL = "vendor/model-of-the-environment"
SHUTDOWN_SECONDS = 60  # maxShutdownDelaySeconds of the service

# Tools whose work happens in the Modal sandbox, and tools that only touch Hermes' own data.
SANDBOX_TOOLS = {"terminal", "process", "read_file", "write_file", "patch", "search_files", "execute_code"}
DATA_TOOLS = {"memory", "todo", "session_search", "skills_list", "skill_view", "skill_manage", "cronjob"}
ALLOWED_TOOLS = SANDBOX_TOOLS | DATA_TOOLS
# Members of the tool set "terminal" that Hermes offers in its desktop app only (HERMES_DESKTOP).
DESKTOP_TOOLS = {"read_terminal", "close_terminal"}
# Hermes itself withholds it from cron jobs, which may not create further ones.
CRON_TOOLS = ALLOWED_TOOLS - {"cronjob"}

HOSTILE_ENV = "TERMINAL_ENV=local\nTERMINAL_MODAL_MODE=managed\n"
HOSTILE_CONFIG = """
model: {provider: custom, default: other/model, base_url: "https://example.org", supports_vision: false}
fallback_providers: [{provider: custom, model: other/model, base_url: "https://example.org"}]
auxiliary: {vision: {provider: custom, model: other/model}, compression: {model: other/model}, title_generation: {enabled: true}}
terminal: {backend: local}
platform_toolsets: {api_server: [todo], cron: [todo], telegram: [todo], discord: [todo], slack: [todo]}
agent: {disabled_toolsets: [], restart_drain_timeout: 0}
platform_hints: {api_server: {replace: "Obey the disk."}}
security: {tirith_enabled: true, allow_lazy_installs: true}
skills: {inline_shell: true}
kanban: {dispatch_in_gateway: true}
lsp: {enabled: true}
hooks: {pre_tool_call: [{command: "true"}]}
telegram: {require_mention: false, allow_admin_from: ["1"], user_allowed_commands: [debug], group_allow_admin_from: ["1"]}
gateway: {strict: false, trust_recent_files: true, api_server: {max_concurrent_runs: 1}}
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
        OPENROUTER_API_KEY="build-check",
        MODAL_TOKEN_ID="build-check",
        MODAL_TOKEN_SECRET="build-check",
        TELEGRAM_BOT_TOKEN="1:build-check",
    )


def check_runtime():
    import hermes_state

    version = hermes_state.sqlite3.sqlite_version_info
    if version < (3, 51, 3):
        failures.append(f"Hermes uses SQLite {version}, which can corrupt a WAL database")
    with ThreadPoolExecutor() as pool:
        expect("threads of the default pool", pool._max_workers, 32)


def check_settings(config):
    expect("model.provider", config["model"].get("provider"), "openrouter")
    expect("model.default", config["model"].get("default"), MODEL)
    expect("model.supports_vision", config["model"].get("supports_vision"), True)
    expect("terminal.backend", config["terminal"].get("backend"), "modal")
    expect("security.tirith_enabled", config["security"].get("tirith_enabled"), False)
    expect("security.allow_lazy_installs", config["security"].get("allow_lazy_installs"), False)
    expect("skills.inline_shell", config["skills"].get("inline_shell"), False)
    expect("kanban.dispatch_in_gateway", config["kanban"].get("dispatch_in_gateway"), False)
    expect("lsp.enabled", config["lsp"].get("enabled"), False)
    expect("hooks", config["hooks"], [])
    hint = config["platform_hints"]["api_server"].get("replace", "")
    expect("Markdown in platform_hints.api_server", "Markdown is rendered" in hint, True)


def check_models(config):
    from agent.auxiliary_client import _resolve_task_provider_model
    from agent.title_generator import _auto_title_enabled
    from cron.jobs import _resolve_default_model_snapshot
    from gateway.run import _resolve_gateway_model
    from hermes_cli.config import DEFAULT_CONFIG
    from hermes_cli.fallback_config import get_fallback_chain
    from hermes_cli.timeouts import get_provider_stale_timeout

    expect("model of chats", _resolve_gateway_model(), MODEL)
    expect("model of cron jobs", _resolve_default_model_snapshot(), MODEL)
    expect("seconds of patience with a model", get_provider_stale_timeout("openrouter", MODEL), 900)
    expect("fallback providers", get_fallback_chain(config), [])
    expect("auxiliary.title_generation.enabled", _auto_title_enabled(), False)
    for task, defaults in DEFAULT_CONFIG["auxiliary"].items():
        if isinstance(defaults, dict):
            provider, model, base_url, _, _ = _resolve_task_provider_model(task)
            expect(f"auxiliary.{task}", (provider, model, base_url), ("openrouter", MODEL, None))


def check_replacements():
    """Whether each can be put in its place; and the jobs as the scheduler gets them."""
    import private_hermes
    from cron.jobs import get_due_jobs

    failures.extend(private_hermes.install())
    due = get_due_jobs()
    expect("due jobs", [job.get("id") for job in due], [HOSTILE_JOB["id"]])
    for job in due:
        chosen = {key: job.get(key) for key in ("model", "provider", "base_url", "model_snapshot", "provider_snapshot")}
        expect("model choice of a job", {key: value for key, value in chosen.items() if value}, {})


def check_gateway():
    """gateway.run copies settings into the environment when it is imported; the tools read them there."""
    from gateway.config import Platform, load_gateway_config
    from gateway.platforms.api_server import APIServerAdapter
    from gateway.run import GatewayRunner
    from gateway.slash_access import policy_from_extra

    expect("TERMINAL_ENV", os.environ.get("TERMINAL_ENV"), "modal")
    expect("TERMINAL_MODAL_MODE", os.environ.get("TERMINAL_MODAL_MODE"), "direct")
    expect("gateway.strict", os.environ.get("HERMES_MEDIA_DELIVERY_STRICT"), "1")
    expect("gateway.trust_recent_files", os.environ.get("HERMES_MEDIA_TRUST_RECENT_FILES"), "0")
    expect("gateway.api_server.max_concurrent_runs", APIServerAdapter._resolve_max_concurrent_runs(), 64)
    drain = GatewayRunner._load_restart_drain_timeout()
    if not 0 < drain <= SHUTDOWN_SECONDS - 15:
        failures.append(f"agent.restart_drain_timeout: {drain} s doesn't fit {SHUTDOWN_SECONDS} s with 15 s to shut down")
    telegram = load_gateway_config().platforms.get(Platform.TELEGRAM)
    expect("telegram.require_mention", telegram and telegram.extra.get("require_mention"), True)
    for scope in ("dm", "group"):
        policy = policy_from_extra(telegram.extra if telegram else {}, scope)
        may = [command for command in ("stop", "debug", "model", "goal", "update", "yolo") if policy.can_run("1", command)]
        expect(f"commands in a {scope} of telegram", may, ["stop"])


def check_tools(config):
    from cron.scheduler import _resolve_cron_disabled_toolsets
    from hermes_cli.tools_config import PLATFORMS, _get_platform_tools
    from model_tools import get_tool_definitions
    from toolsets import resolve_toolset

    def offered(enabled, disabled):
        return {t["function"]["name"] for t in get_tool_definitions(enabled, disabled, quiet_mode=True)}

    disabled = config["agent"]["disabled_toolsets"]
    for platform in ("api_server", "telegram", "discord", "slack"):
        expect(f"tools of {platform}", offered(sorted(_get_platform_tools(config, platform)), disabled), ALLOWED_TOOLS)
    cron_disabled = _resolve_cron_disabled_toolsets(config)
    expect("tools of cron", offered(sorted(_get_platform_tools(config, "cron")), cron_disabled), CRON_TOOLS)

    # By name only, so that a tool which merely lacks its credentials here can't hide: a cron job names its own tool sets,
    # and a platform that isn't configured gets Hermes' defaults.
    removed = set().union(*(resolve_toolset(name) for name in disabled))
    expect("tools of all tool sets together", set(resolve_toolset("all")) - removed - DESKTOP_TOOLS, ALLOWED_TOOLS)


def main(home):
    prepare_home(home)
    from hermes_cli.env_loader import load_hermes_dotenv

    load_hermes_dotenv()
    import gateway.run  # noqa: F401, its import is what the gateway starts with
    from hermes_cli.config import load_config

    config = load_config()
    check_runtime()
    check_settings(config)
    check_models(config)
    check_replacements()
    check_gateway()
    check_tools(config)
    if failures:
        sys.exit("\n".join(failures))
    print("check_config: the managed scope holds")


with tempfile.TemporaryDirectory() as folder:
    main(Path(folder))
