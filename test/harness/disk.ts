/** Which paths of its disk Hermes looks for, and which of them the agent may have. */
import { readFileSync } from "node:fs";
import { output } from "./docker.ts";
import type { Testbed } from "./testbed.ts";

/**
 * What Hermes 0.19.0 looks for on its disk and entrypoint.sh doesn't seal: each path, with all that is below it, and why the
 * agent may have it. A path that a new release brings belongs here or into the seal; what decides is whether code, settings
 * or credentials are taken from it.
 */
const agentsOwn: Record<string, string> = {
    // What the agent knows and does: text for the model, or JSON and SQLite that hold such.
    "SOUL.md": "its character",
    memories: "what it remembers",
    skills: "what it has learned; skills.inline_shell is off, and their scripts run in the sandbox",
    "skill-bundles": "lists of skills that are loaded together",
    ".skills_prompt_snapshot.json": "the list of skills, as the model read it",
    ".no-bundled-skills": "a marker: no skills of the package are copied; it has none",
    sessions: "chats",
    "state.db": "the same; /health looks whether it can be used",
    "response_store.db": "answers over the API",
    "response_store.db-shm": "the same",
    "response_store.db-wal": "the same",
    cron: "its jobs; their model, provider and address are dropped, their scripts are sealed",
    "telegram-inbox": "messages that wait for an answer (private_hermes/inbox.py)",
    "page-owner": "the account of the page's first admin, who may have more in the sandbox (private_hermes/people.py)",
    "page-reports": "reports of jobs, until Open WebUI has fetched them (private_hermes/reports.py)",
    ".restored": "when the backup was made that the disk comes from; what waited then isn't done again",
    uploads: "files of people, until they are put into their sandboxes (private_hermes/handover.py)",
    summaries: "summaries of long chats of the page (private_hermes/summaries.py)",
    checkpoints: "what is kept of files before they are changed",
    "processes.json": "background processes in the sandbox, by their number there",
    "sandboxes.json": "ids of the sandboxes and of their saved files",
    "modal_snapshots.json": "the same, of Hermes' own environment, which isn't used",
    // Credentials and caches of secrets that are named only in a list of what is never sent to a chat (gateway/platforms/base.py).
    ".anthropic_oauth.json": "in that list",
    auth: "in that list",
    "auth.lock": "in that list; a lock, too",
    "cache/bws_cache.json": "in that list",
    "mcp-tokens": "in that list",
    "webhook_subscriptions.json": "in that list",
    // What is fetched, and kept for a while.
    cache: "pictures, sounds and documents of chats, and OpenRouter's list of models",
    audio_cache: "an older place of the same",
    browser_screenshots: "the same",
    delegation_cache: "the same",
    document_cache: "the same",
    image_cache: "the same",
    video_cache: "the same",
    web_cache: "the same",
    "models_dev_cache.json": "models.dev's list of models: sizes and abilities",
    "context_length_cache.yaml": "how much a model takes",
    "channel_directory.json": "names of the chats that were seen",
    "channel_aliases.json": "other names for these; Telegram's list of users decides who gets an answer",
    matrix: "a session of Matrix, which isn't switched on",
    skins: "colours of a terminal",
    status_phrases: "words that a chat shows while it works",
    "status_phrases.yaml": "the same",
    logs: "its log",
    // Of the process itself. Who plants one confuses a status, or has a message sent to a chat that is admitted anyway.
    ".clean_shutdown": "whether the last stop was one",
    ".restart_failure_counts": "chats that ended badly before",
    ".restart_notify.json": "the chat that asked for a restart",
    ".restart_pending.json": "the same",
    ".update_pending.json": "the chat that asked for an update, which is refused",
    ".update_pending.claimed.json": "the same",
    gateway: "chats that can't be reached",
    "gateway.lock": "a lock",
    "gateway.pid": "its process",
    "gateway_state.json": "its status",
    "gateway-starts.log": "when it started",
    "gateway_voice_mode.json": "whether a chat wants to be spoken to",
    state: "signs of life",
};

/** Starts Hermes so that it writes down each path of the disk that it tries, see test/stand-ins/internet/tried.py. */
export async function startWatched(testbed: Testbed): Promise<void> {
    await testbed.addVolume("watch", "install -m 644 /tried.py /disk/sitecustomize.py");
    await testbed.start("hermes", { PYTHONPATH: "/watch" }, { watch: "/watch" });
}

/** The paths that it has tried since, and that are neither sealed nor the agent's own. */
export async function unknownOnDisk(testbed: Testbed): Promise<string[]> {
    const lines = async (...command: string[]) => (await output(testbed.running("hermes"), ...command)).trim().split("\n");
    // Sealed is what root owns, and all that is in it; removed is what entrypoint.sh lists as such.
    const sealed = await lines("find", "/opt/data", "-mindepth", "1", "-user", "root", "-printf", "%P\n");
    const [, list] = /^readonly REMOVED=\((.*?)^\)/ms.exec(readFileSync("hermes/entrypoint.sh", "utf8")) ?? [];
    const removed = list.match(/^ +\S+/gm) ?? [];
    const known = [...sealed, ...removed.map((name) => name.trim()), ...Object.keys(agentsOwn)];
    const tried = await lines("sort", "-u", "/tmp/tried");
    if (!tried.includes("config.yaml")) throw new Error("What Hermes tries isn't written down.");
    // Something new is written beside its place under such a name, and never read there.
    return tried.filter((path) => !/\.tmp(\.\w+)*$/.test(path) && !known.some((name) => path === name || path.startsWith(`${name}/`)));
}
