"""The command `hermes` in a shell of the service: Hermes' own, with what this deployment replaces, for what may be done there.

Hermes 0.19.0 takes the folder of its data away from everybody else whenever it is called, by `chmod 0700` (`_secure_dir` in
hermes_cli/config.py). Called as root, as Render's shell does, it locked the gateway out from its own disk. hermes.sh calls this as
Hermes' user. Settings, credentials and code come from the image here, and a second gateway or scheduler would work in the same
sandboxes: what would change or start these is refused.
"""

import sys

# By command, the actions that are let through; None for all of them.
ALLOWED = {
    "cron": {"list", "create", "add", "edit", "pause", "resume", "run", "remove", "rm", "delete", "status", "runs", "history"},
    "config": {"show", "path", "env-path", "check"},
    "sessions": {"list", "stats", "export", "rename", "delete"},
    "skills": {"list", "check"},
    "memory": {"status"},
    "tools": {"list"},
    "hooks": {"list"},
    "plugins": {"list"},
    "pairing": {"list"},
    "insights": None,
    "status": None,
    "version": None,
    "logs": None,
    "prompt-size": None,
}
# Of those above, the ones for which Hermes does nothing but read when they come without an action.
READS_ALONE = {"cron", "config", "memory"}
HELP = {"-h", "--help"}
REASONS = {
    "gateway": "the gateway is this service; restart the service at Render",
    "tick": "the gateway's scheduler does it each minute",
    "chat": "chat in the page",
}
SEALED = "settings, credentials and code are those of the deployment; change them with pulumi config set, then pulumi up"


def refusal(arguments):
    """Why a call isn't let through, as a sentence, or None."""
    command, action = [*arguments, "", ""][:2]
    if not arguments:
        command = "chat"
    elif command in {*HELP, "-V", "--version"} or (command in ALLOWED and action in HELP):
        return None
    elif command in ALLOWED:
        actions = ALLOWED[command]
        if actions is None or action in actions or (not action and command in READS_ALONE):
            return None
        return f"hermes: {f'{command} {action}'.strip()} isn't for this shell: {REASONS.get(action, SEALED)}. Here it takes: {', '.join(sorted(actions))}."
    elif command.startswith("-"):
        command = "chat"
    return f"hermes: {command} isn't for this shell: {REASONS.get(command, SEALED)}. Here work: {', '.join(ALLOWED)}."


def main():
    if problem := refusal(sys.argv[1:]):
        sys.exit(problem)
    from hermes_cli.main import main as hermes  # must come first: importing it sets up the process

    import private_hermes

    if problems := private_hermes.install():
        sys.exit("\n".join(problems))
    sys.argv[0] = "hermes"
    return hermes()


if __name__ == "__main__":
    sys.exit(main())
