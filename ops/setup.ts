/**
 * Asks for each setting, checks its form and asks its service about it at once, and stores it: in the stack's ESC environment at
 * Pulumi Cloud, in the stack's configuration elsewhere. Makes stack and environment where there are none.
 *
 *   npm run setup
 *
 * What is stored already and right is left alone, so that it can be stopped (Ctrl-C) and run again at any time. No secret is
 * shown, and none is ever on a command line. Needs a terminal. Ends with 0 when everything that is required is stored, with
 * 130 when it was stopped, otherwise with 1.
 *
 * Environment
 *   PULUMI_CONFIG_PASSPHRASE   of a stack outside Pulumi Cloud; asked for where it is needed and not given
 *   RENDER_HOST                Render's API, as its Pulumi provider takes it (https://api.render.com/v1)
 */
import { cancel, intro, isCancel, log, multiselect, outro, password, select, text } from "@clack/prompts";
import { type Complaint, type SettingName, settingRules } from "../config.ts";
import { getCli } from "./cli.ts";
import { CommandFailed } from "./command.ts";
import { credentialChecks } from "./credentials.ts";
import { type Check, failure, format, type Line, runAll } from "./report.ts";
import { project, pulumiCli, readStored, stackOf, type Stored, unreadable } from "./stack.ts";
import { openStore, readBackend, readStacks, type Store } from "./store.ts";

/** The user has pressed Ctrl-C. */
class Stopped extends Error {}

/** The answer to a question. Throws `Stopped`. */
async function answer<T>(question: Promise<T>): Promise<Exclude<T, symbol>> {
    const given = await question;
    if (isCancel(given)) throw new Stopped();
    return given as Exclude<T, symbol>;
}

/** Secrets that were typed in: no line shows them, whatever the CLI says. */
const typedSecrets: string[] = [];

/** Asks for a secret; each character shows as a mark. */
async function secretly(message: string, validate?: (typed: string | undefined) => string | undefined): Promise<string> {
    const typed = ((await answer(password({ message, validate, clearOnError: true }))) as string | undefined) ?? "";
    typedSecrets.push(typed.trim());
    return typed;
}

/** Asks for a line of text. */
const line = async (message: string, validate: (typed: string | undefined) => string | undefined, initialValue?: string) =>
    ((await answer(text({ message, validate, initialValue }))) as string | undefined) ?? "";

const backups: SettingName[] = ["backupRepository", "backupKeyId", "backupKey", "backupPassword"];
/** What is typed by who wants no backups. */
const none = "none";
const aboutBackups =
    "Next, a bucket for backups. Without one, every chat, account and memory goes with the disks: by `pulumi destroy`, by a move, with the workspace. " +
    "10 GB are free at Backblaze B2 and at Cloudflare R2. docs/backups.md says how to make a key there that can't destroy what it has stored. " +
    `Write ${none} to go on without.`;

/** Settings that a service can judge only together. */
const together: SettingName[][] = [
    ["imageRegistry", "registryUser", "registryToken"],
    ["renderApiKey", "renderOwnerId"],
    ["modalTokenId", "modalTokenSecret"],
    backups,
    ["telegramBotToken", "telegramAllowedUsers"],
];

const names = Object.keys(settingRules) as SettingName[];
/** All settings, those that belong together at the place of the first. */
const steps = [...new Set(names.map((key) => together.find((keys) => keys.includes(key)) ?? [key]))].map((keys) => [...keys]);

const fullKey = (key: SettingName) => `${project.name}:${key}`;
const defaultOf = (key: SettingName) => (project.config as Partial<typeof project.config>)[key]?.default?.toString();
const isRequired = (key: SettingName) => !settingRules[key].optional && defaultOf(key) === undefined;

/** What is stored, with these values in addition. */
function withValues({ name, values, secretKeys }: Stored, given: Partial<Record<SettingName, string>>): Stored {
    const keys = Object.keys(given) as SettingName[];
    return {
        name,
        values: { ...values, ...Object.fromEntries(keys.map((key) => [fullKey(key), given[key] ?? ""])) },
        secretKeys: [...secretKeys, ...keys.filter((key) => settingRules[key].secret).map(fullKey)],
    };
}

const capitalised = (sentence: string) => `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`;

/** Lines no longer than the terminal has room for beside the guide. */
function wrapped(sentence: string): string {
    const lines = [""];
    for (const word of sentence.split(" ")) {
        if (lines[lines.length - 1].length + word.length > process.stdout.columns - 6) lines.push("");
        lines[lines.length - 1] += `${lines[lines.length - 1] === "" ? "" : " "}${word}`;
    }
    return lines.join("\n");
}

/** Where a value comes from and what it is for, as a sentence. */
function about(key: SettingName): string {
    const { hint, optional } = settingRules[key];
    return isRequired(key) || optional ? capitalised(hint) : `${project.config[key].description} ${capitalised(hint)}`;
}

/** Asks for one setting until its form is right; undefined when the user keeps what is there. */
async function ask(stored: Stored, key: SettingName): Promise<string | undefined> {
    const present = (stored.values as Partial<Stored["values"]>)[fullKey(key)];
    const fallback = defaultOf(key);
    // Nobody should go on without backups by pressing Enter once more.
    const asksForNone = key === "backupRepository" && present === undefined;
    const keeps = asksForNone
        ? ` (${none} goes on without backups)`
        : present !== undefined
          ? " (Enter keeps the present one)"
          : fallback !== undefined
            ? ` (Enter keeps ${fallback})`
            : settingRules[key].optional
              ? " (Enter leaves it out)"
              : "";
    const complaint = (value: string | undefined) =>
        stackOf(value === undefined ? stored : withValues(stored, { [key]: value })).complaints.find((each) => each.key === key)?.sentence;
    log.info(wrapped(about(key)));
    const message = `${key}${keeps}`;
    const validate = (typed = "") => {
        if (asksForNone && typed.trim() === "") return `Give the bucket's address, or write ${none}: then all of it goes with the disks.`;
        return asksForNone && typed.trim() === none ? undefined : complaint(typed.trim() || present);
    };
    const typed = (settingRules[key].secret ? await secretly(message, validate) : await line(message, validate)).trim();
    if (asksForNone && typed === none) return undefined;
    if (typed !== "") return typed;
    // Enter on a secret that is kept in plain text stores it anew.
    return complaint(undefined) ? present : undefined;
}

/** Runs the checks of some settings and shows what they found. Gives what has failed. */
async function refusals(candidate: Stored, keys: SettingName[]): Promise<Line[]> {
    const stack = stackOf(candidate);
    const checks = credentialChecks(stack).filter((check) => check.about?.some((key) => keys.includes(key)));
    const lines = await runAll(checks, stack.secrets, (found) => {
        log.message(wrapped(format(found)), { spacing: 0 });
    });
    return lines.filter(({ status }) => status === "failure");
}

/** Asks for the settings of a step that are missing or wrong, or for all of them; checks and stores them. Gives what is stored then. */
async function take(keys: SettingName[], store: Store, stored: Stored, all = false): Promise<Stored> {
    let given: Partial<Record<SettingName, string>> = {};
    const isThere = (key: SettingName) => fullKey(key) in withValues(stored, given).values;
    /** Whether something was typed; undefined when the user leaves the step out. */
    const askFor = async (wanted: SettingName[]): Promise<boolean | undefined> => {
        let typed = false;
        for (const key of wanted) {
            const value = await ask(withValues(stored, given), key);
            if (value === undefined && settingRules[key].optional && !isThere(key)) return undefined;
            if (value === undefined) continue;
            given = { ...given, [key]: value };
            typed = true;
        }
        return typed;
    };
    const isOfStep = (each: Complaint): each is Complaint & { key: SettingName } => keys.some((key) => key === each.key);
    const wrong = () => stackOf(withValues(stored, given)).complaints.filter(isOfStep);
    for (const { key, sentence } of wrong()) if (isThere(key) && !all) log.warn(wrapped(sentence));
    if (all && (await askFor(keys)) === undefined) return stored;
    // One setting may be wrong because of another.
    for (let left = wrong(); left.length > 0; left = wrong()) await askFor(left.map(({ key }) => key));
    for (let failed = await refusals(withValues(stored, given), keys); failed.length > 0; failed = await refusals(withValues(stored, given), keys)) {
        // The sentence names the settings that it is about, if it can be put right here.
        const named = keys.filter((key) => failed.some(({ message, fix }) => `${message} ${fix ?? ""}`.includes(key)));
        if (await askFor(named)) continue;
        const again = await answer(
            select({
                message: "What now?",
                options: [
                    { value: true, label: "Check again: it is put right at the service" },
                    { value: false, label: "Go on with it as it is: npm run preflight will say it again" },
                ],
            }),
        );
        if (!again) break;
    }
    for (const [key, value] of Object.entries(given)) await store.put(key as SettingName, value);
    if (Object.keys(given).length > 0) log.success(`Stored ${Object.keys(given).join(" and ")}.`);
    return withValues(stored, given);
}

const hasPassphrase = () => process.env.PULUMI_CONFIG_PASSPHRASE !== undefined || process.env.PULUMI_CONFIG_PASSPHRASE_FILE !== undefined;

/** Lets the user select a stack, or makes one; nothing where one is selected. */
async function selectStack(cloud: boolean): Promise<void> {
    const stacks = await readStacks();
    if (stacks.some(({ current }) => current)) return;
    const another = "";
    const chosen =
        stacks.length === 0
            ? another
            : await answer(
                  select({
                      message: "Which stack?",
                      options: [...stacks.map(({ name }) => ({ value: name, label: name })), { value: another, label: "A new one" }],
                  }),
              );
    if (chosen !== another) {
        await pulumiCli("stack", "select", chosen);
        return;
    }
    const name = await line(
        "Name of the new stack",
        (typed = "") => (/^[A-Za-z0-9][A-Za-z0-9_-]{0,50}$/.test(typed) ? undefined : "Use letters, digits, - and _."),
        "dev",
    );
    if (!cloud && !hasPassphrase()) {
        log.info(wrapped("Outside Pulumi Cloud a passphrase encrypts the secrets. Pulumi asks for it at every command; without it they are lost."));
        const phrase = await secretly("A passphrase for the stack", (typed) => (typed ? undefined : "Give at least one character."));
        await secretly("The same once more", (typed) => (typed === phrase ? undefined : "That is another one."));
        process.env.PULUMI_CONFIG_PASSPHRASE = phrase;
    }
    await pulumiCli("stack", "init", name);
    log.success(`Made the stack ${name}.`);
}

/** Reads what is stored; asks for the passphrase where the CLI needs one that it doesn't have. Rejects with `CommandFailed`. */
async function readAll(): Promise<Stored> {
    for (;;) {
        try {
            return await readStored();
        } catch (error) {
            if (!(error instanceof CommandFailed) || !/passphrase/i.test(error.message)) throw error;
            if (hasPassphrase()) log.warn("The passphrase is wrong.");
            process.env.PULUMI_CONFIG_PASSPHRASE = await secretly("The stack's passphrase");
        }
    }
}

/** Asks for everything that is missing or wrong, then for what the user wants to change. */
async function askAll(): Promise<void> {
    const backend = await readBackend();
    await selectStack(backend.cloud);
    const store = await openStore(backend, (sentence) => {
        log.success(capitalised(sentence));
    });
    let stored = await readAll();
    const isStored = (key: SettingName) => fullKey(key) in stored.values;
    const present = names.filter(isStored);
    log.info(wrapped(`Settings go to ${store.where}.${present.length > 0 ? ` There already: ${present.join(", ")}.` : ""}`));
    for (const keys of steps) {
        // The registry stands in front of its user, and is asked for with it the first time.
        if (keys.some((key) => isRequired(key) || isStored(key))) stored = await take(keys, store, stored, keys.some(isRequired) && !keys.some(isStored));
    }
    // Not each time: only when somebody is setting up.
    if (!isStored("backupRepository") && names.some((key) => isRequired(key) && isStored(key) && !present.includes(key))) {
        log.info(wrapped(aboutBackups));
        stored = await take(backups, store, stored, true);
    }
    for (;;) {
        const more = await answer(
            multiselect({
                message: "All that is required is there. Change or add anything else? (Space chooses, Enter goes on)",
                options: steps.map((keys) => ({
                    value: keys,
                    label: keys.join(", "),
                    hint: keys.map((key) => (isStored(key) ? "set" : (defaultOf(key) ?? "not set"))).join(", "),
                })),
                required: false,
            }),
        );
        if (more.length === 0) return;
        for (const keys of more) stored = await take(keys, store, stored, true);
    }
}

/** Runs the conversation. Gives the exit code. */
export async function setup(): Promise<number> {
    if (!process.stdin.isTTY || !process.stdout.isTTY) {
        console.error(
            "✗ Setup: it asks questions and needs a terminal: run it in one, or set each setting with `pulumi config set` (docs/credentials.md, “By hand”).",
        );
        return 1;
    }
    intro("Setting up private-hermes. Ctrl-C stops it; run it again, and it goes on where it was.");
    try {
        await askAll();
        outro("All set. Next: npm run preflight, then pulumi up.");
        return 0;
    } catch (error) {
        if (error instanceof Stopped) {
            cancel("Stopped. What was stored is kept; npm run setup goes on from there.");
            return 130;
        }
        const check: Check = { name: "Stack", run: () => unreadable(error) };
        const [finding] = await runAll([check], typedSecrets, () => undefined);
        cancel(format(finding.status === "unchecked" ? { ...finding, ...failure(finding.message, getCli) } : finding));
        return 1;
    }
}

if (import.meta.main) process.exitCode = await setup();
