import { isIPv4 } from "node:net";
// By themselves: all of the SDK takes half a second to load, for which the commands in ops/ would wait, too.
import { Config } from "@pulumi/pulumi/config.js";
import * as runtime from "@pulumi/pulumi/runtime/config.js";
import { closestMatch } from "leven";
import { mistake } from "./mistake.ts";

/** What the machine that publishes the page is tagged with. openwebui/entrypoint.sh has it as TAG, and starts with no other. */
export const tailnetTag = "tag:hermes";
/** Where it publishes the page, and nothing else. */
export const tailnetPort = 443;

export interface Rule {
    /** Where the right value comes from, or what it looks like; it ends the sentence about a wrong one, and `npm run setup` asks with it. */
    hint: string;
    secret?: true;
    optional?: true;
    /** What is wrong with a value, as the middle of a sentence; nothing when it is fine. Never quotes a secret. */
    wrong?: (value: string) => string | undefined;
}

/**
 * Prefixes by which the services mark their credentials, the longer of two that share a beginning first. A key that
 * was pasted into the wrong setting is recognised by them.
 */
const credentialKinds: [prefix: string, kind: string][] = [
    ["sk-or-", "an OpenRouter API key"],
    ["sk-ant-", "an Anthropic API key"],
    ["sk-", "an OpenAI API key"],
    ["ak-", "a Modal token id"],
    ["as-", "a Modal token secret"],
    ["rnd_", "a Render API key"],
    ["tskey-auth-", "a Tailscale auth key"],
    ["tskey-api-", "a Tailscale API access token"],
    ["tskey-client-", "a Tailscale OAuth client secret"],
    ["github_pat_", "a fine-grained GitHub token"],
    ["ghp_", "a classic GitHub token"],
];

const kindOf = (value: string) => credentialKinds.find(([prefix]) => value.startsWith(prefix));

const startsWith = (prefix: string) => (value: string) => {
    const kind = kindOf(value);
    if (kind?.[0] === prefix) return value.length < prefix.length + 8 ? "is cut off" : undefined;
    return kind ? `is ${kind[1]}` : `doesn't start with ${prefix}`;
};

const matches = (pattern: RegExp, complaint: string) => (value: string) => (pattern.test(value) ? undefined : `${JSON.stringify(value)} ${complaint}`);

const oneOf = (allowed: string[]) => matches(new RegExp(`^(${allowed.join("|")})$`), `isn't one of ${allowed.join(", ")}`);

/** A fine-grained token is refused because GitHub Packages takes classic ones only (docs.github.com, "About permissions for GitHub Packages"). */
const packagesToken = (value: string) => {
    const kind = kindOf(value);
    return kind && kind[0] !== "ghp_" ? `is ${kind[1]}` : undefined;
};

/** Exa says nothing of the form of its keys; those that are seen in public are UUIDs. */
const exaKey = (value: string) => {
    const kind = kindOf(value);
    if (kind) return `is ${kind[1]}`;
    return value.length < 20 ? "is cut off" : undefined;
};

/** Each provider has a form of its own; what is certain is that it is no other service's. */
const bucketKey = (value: string) => {
    const kind = kindOf(value);
    if (kind) return `is ${kind[1]}`;
    return value.length < 12 ? "is cut off" : undefined;
};

const tailnetName = (value: string) => {
    const said = JSON.stringify(value);
    if (value.includes("://")) return `${said} carries a scheme`;
    if (value.includes("/")) return `${said} carries a path`;
    if (!value.endsWith(".ts.net")) return `${said} doesn't end in .ts.net`;
    return /^[a-z0-9]([a-z0-9-]*[a-z0-9])?\.ts\.net$/.test(value) ? undefined : `${said} isn't a tailnet's name but a machine's, or is mistyped`;
};

/**
 * Registries that Render pulls private images from (render.com/docs/deploy-an-image), with the name that its API has
 * for each. GitLab wants the project's path as well (docs.gitlab.com, "Container registry"), Google the repository's. Amazon's
 * is left out: its passwords last twelve hours, and Render pulls at each later start, too.
 */
const registries: [pattern: RegExp, name: string][] = [
    [/^ghcr\.io$/, "GITHUB"],
    [/^registry\.gitlab\.com(\/[a-z0-9._-]+){2,}$/, "GITLAB"],
    [/^docker\.io$/, "DOCKER"],
    [/^[a-z0-9-]+-docker\.pkg\.dev(\/[a-z0-9._-]+){2}$/, "GOOGLE_ARTIFACT"],
];

const renderRegistry = (imageRegistry: string) => registries.find(([pattern]) => pattern.test(imageRegistry))?.[1];

const plan = matches(/^(starter|standard|pro|pro_plus|pro_max|pro_ultra|\d+(\.\d+)?c-\d+(mb|g))$/, "isn't a Render instance type that can have a disk");
const planHint = "use starter, standard, pro or another paid type of render.com/pricing";
const boolean = oneOf(["true", "false"]);

const regions = ["oregon", "ohio", "virginia", "frankfurt", "singapore"];

const wholeNumber = (low: number, high: number) => (value: string) =>
    /^[1-9]\d*$/.test(value) && Number(value) >= low && Number(value) <= high
        ? undefined
        : `${JSON.stringify(value)} isn't a whole number from ${low} to ${high}`;

/** Render takes disks of 1 to 1000 GB; it never makes one smaller. */
const diskGb = { hint: "give the size in GB, such as 10; a disk grows and never shrinks", wrong: wholeNumber(1, 1000) };

/** Two numbers, what is requested of Modal and the limit, written as 0.25-2; undefined when they aren't that. */
export function requestAndLimit(value: string): [number, number] | undefined {
    const [, request, limit] = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(value) ?? [];
    return limit && Number(request) <= Number(limit) ? [Number(request), Number(limit)] : undefined;
}

const range = (low: number, high: number) => (value: string) => {
    const [request, limit] = requestAndLimit(value) ?? [0, 0];
    return low <= request && limit <= high
        ? undefined
        : `${JSON.stringify(value)} isn't two numbers from ${low} to ${high}, the smaller first, with a hyphen between them`;
};

/** IPv4 only: that is what Modal's client takes (`cidr_allowlist` in its sandbox.py). */
const sandboxNetwork = (value: string) => {
    const wrong = ["open", "none"].includes(value) ? undefined : value.split(",").find((cidr) => !isCidr(cidr));
    return wrong === undefined ? undefined : `has ${JSON.stringify(wrong)} in it, which isn't a network`;
};

/** "none" looks like a package, and Hermes takes it for no package. */
const sandboxPackages = (value: string) => {
    const wrong = value.split(",").find((name) => !/^(apt:[a-z0-9][a-z0-9+.-]+|[A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9.!+]+)?)$/.test(name));
    return wrong === undefined ? undefined : `has ${JSON.stringify(wrong)} in it, which isn't a package`;
};

/** What a sandbox, its shell or the programs in it live by, and what Modal and Hermes set there. */
const taken = new RegExp(
    [
        "^(PATH|HOME|SHELL|USER|LOGNAME|HOSTNAME|TERM|TZ|LANG|LANGUAGE|TMPDIR|PWD|OLDPWD|CDPATH|SHLVL|SHELLOPTS|ENV|IFS|PS[0-4]|OPT(ARG|ERR|IND)",
        "E?UID|PPID|GROUPS|DIRSTACK|FUNCNAME|GLOBIGNORE|POSIXLY_CORRECT|PROMPT_COMMAND|TIMEFORMAT|RANDOM|SECONDS|PYTHON[A-Z0-9]+",
        "(BASH|LC_|LD_|GCONV_|HERMES_|MODAL_).*)$",
    ].join("|"),
);

/**
 * The form is checked in hermes/entrypoint.sh, too. What is wrong is named by its place and never quoted: what stands where a
 * name belongs may be a secret.
 */
const sandboxSecrets = (value: string) => {
    const names: string[] = [];
    for (const [index, entry] of value.split(",").entries()) {
        const [, name, secret] = /^(?:everybody:)?([A-Z][A-Z0-9_]*)=(.+)$/.exec(entry) ?? [];
        const place = `entry ${index + 1}`;
        if (!name) return `isn't NAME=value in its ${place}`;
        if (taken.test(name)) return `has a name in its ${place} that the sandbox needs for itself (such as PATH, LD_PRELOAD or HERMES_HOME)`;
        if (names.includes(name)) return `has the name of an earlier entry again in its ${place}`;
        if (/^(["'`]).*\1$/.test(secret)) return `has quotation marks around the value of its ${place}`;
        if (placeholder.test(secret)) return `has a placeholder as the value of its ${place}`;
        names.push(name);
    }
    return undefined;
};

function isCidr(text: string): boolean {
    const [address, prefix, ...more] = text.split("/");
    return isIPv4(address) && /^\d{1,2}$/.test(prefix) && Number(prefix) <= 32 && more.length === 0;
}

/** Hermes looks zones up by their exact name, whereas Intl takes any case. */
function zone(value: string): string | undefined {
    const known = [...Intl.supportedValuesOf("timeZone"), "UTC"].find((name) => name.toLowerCase() === value.toLowerCase());
    if (known === value) return undefined;
    if (known) return `${JSON.stringify(value)} is written ${known}`;
    try {
        new Intl.DateTimeFormat("en", { timeZone: value });
        if (/^[A-Z]+$|^Etc\/|^[A-Z][a-z]+(\/[A-Z][a-z]+(_[A-Z][a-z]+)*)+$/.test(value)) return undefined; // a second name of a zone, such as Asia/Kolkata
    } catch {
        // is refused as well
    }
    return `${JSON.stringify(value)} isn't the name of a time zone`;
}

/** hermes/entrypoint.sh judges its variables the same way (hermes-entrypoint.test.ts compares the two). */
const rules = {
    registryUser: {
        hint: "give the user name alone, as it stands in your profile's URL",
        wrong: matches(/^[A-Za-z0-9._+-]+$/, "isn't a user name"), // GitLab's deploy tokens have gitlab+deploy-token-1
    },
    registryToken: {
        secret: true,
        hint: "make a classic token at github.com/settings/tokens/new?scopes=write:packages, with no other scope",
        wrong: packagesToken,
    },
    registryPullToken: {
        secret: true,
        optional: true,
        hint: "make a classic token at github.com/settings/tokens/new?scopes=read:packages, with no other scope",
        wrong: packagesToken,
    },
    renderApiKey: {
        secret: true,
        hint: "make a Render key in its dashboard, Account Settings, API Keys (it has no scopes; the workspace needs a payment card)",
        wrong: startsWith("rnd_"),
    },
    renderOwnerId: {
        hint: "copy tea-… (or usr-…) from the URL of the workspace's settings in Render's dashboard",
        wrong: matches(/^(tea|usr)-[a-z0-9]+$/, "isn't the id of a Render workspace"),
    },
    openrouterApiKey: {
        secret: true,
        hint: "make an OpenRouter key, with a spending limit, at openrouter.ai/settings/keys",
        wrong: startsWith("sk-or-"),
    },
    modalTokenId: {
        secret: true,
        hint: "make the pair, an id with ak- and a secret with as-, at modal.com/settings/tokens, in a workspace of its own with a budget",
        wrong: startsWith("ak-"),
    },
    modalTokenSecret: {
        secret: true,
        hint: "make the pair, an id with ak- and a secret with as-, at modal.com/settings/tokens, in a workspace of its own with a budget",
        wrong: startsWith("as-"),
    },
    tailscaleAuthKey: {
        secret: true,
        hint: `generate an auth key (reusable, pre-approved, ${tailnetTag}, not ephemeral) at login.tailscale.com/admin/settings/keys`,
        // Signed in advance for Tailnet Lock it ends in a signature and a key of 64 bytes (tailscale.com/ipn/ipnlocal, TailnetLockWrapPreauthKey).
        wrong: (value) => (value.includes("--TL") && !/--TL[\w+/]+-[\w+/]{86}$/.test(value) ? "is cut off" : startsWith("tskey-auth-")(value)),
    },
    tailnetDnsName: {
        hint: "give the name alone, such as tail1234.ts.net, from login.tailscale.com/admin/dns",
        wrong: tailnetName,
    },
    renderRegion: { hint: "write one of them in lower case", wrong: oneOf(regions) },
    modelDefault: {
        hint: "copy the model's id, vendor included, from openrouter.ai/models, such as openai/gpt-5.5",
        // With ~ in front OpenRouter has the newest of a family (its API reference, ModelAliasTarget).
        wrong: matches(
            /^~?[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*(:[A-Za-z0-9._-]+)?(@preset\/[A-Za-z0-9._-]+)?$/,
            "isn't an OpenRouter id of the form vendor/model",
        ),
    },
    voiceModel: {
        hint: "copy the model's id, vendor included, from openrouter.ai/models?output_modalities=transcription, or write none",
        wrong: matches(/^(none|[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*)$/, "isn't an OpenRouter id of the form vendor/model"),
    },
    agentName: {
        hint: "use one word of up to 30 letters and digits, such as Hermes",
        wrong: matches(/^[\p{L}\p{N}][\p{L}\p{M}\p{N}._'-]{0,29}$/u, "isn't a name that the page can show"),
    },
    hermesPlan: { hint: planHint, wrong: plan },
    webuiPlan: { hint: planHint, wrong: plan },
    hermesDiskGb: diskGb,
    webuiDiskGb: diskGb,
    fileLimitMb: { hint: "give the size in MB; neither service was measured with more than 10 (docs/figures.md)", wrong: wholeNumber(1, 10) },
    sandboxCpu: { hint: "write what is requested, and so paid for, and the limit, in cores, such as 0.25-2", wrong: range(0.125, 16) },
    sandboxMemoryMb: { hint: "write what is requested, and so paid for, and the limit, in MiB, such as 512-4096", wrong: range(128, 65_536) },
    sandboxIdleMinutes: { hint: "Modal ends a sandbox by itself after 15", wrong: wholeNumber(1, 12) },
    sandboxBackgroundMinutes: { hint: "a sandbox lives for a day at most", wrong: wholeNumber(1, 1380) },
    sandboxNetwork: { hint: "write open, none, or the networks that may be reached, such as 140.82.112.0/20,1.1.1.1/32", wrong: sandboxNetwork },
    sandboxPackages: {
        hint: "write none, or packages with commas between them: Debian's with apt: in front, Python's as pip takes them, such as apt:git,pandas==2.3.3",
        wrong: sandboxPackages,
    },
    sessionDays: { hint: "give the number of days, such as 90", wrong: wholeNumber(7, 3650) },
    jobMinutes: { hint: "give a whole number, such as 15", wrong: wholeNumber(1, 1440) },
    jobsPerPerson: { hint: "give a whole number, such as 20", wrong: wholeNumber(1, 1_000) },
    jobTurns: { hint: "give a whole number, such as 30", wrong: wholeNumber(2, 90) },
    jobTokens: { hint: "give a whole number, such as 180000", wrong: wholeNumber(10000, 100_000_000) },
    timezone: { hint: "write an IANA name such as Europe/Zurich, or UTC", wrong: zone },
    imageRegistry: {
        hint: "use ghcr.io, docker.io, registry.gitlab.com/<namespace>/<project> or <region>-docker.pkg.dev/<project>/<repository>",
        wrong: (value) => (renderRegistry(value) ? undefined : `${JSON.stringify(value)} isn't a registry that Render pulls private images from`),
    },
    webuiHostname: {
        hint: "use up to 63 lower-case letters, digits and inner hyphens",
        wrong: matches(/^(?!-)[a-z0-9-]{1,63}(?<!-)$/, "isn't a machine name"),
    },
    signIn: { hint: "write password or tailscale", wrong: oneOf(["password", "tailscale"]) },
    webuiAdminEmail: {
        hint: "any address works with a password, and no mail is ever sent to it; with signIn tailscale it is your login there",
        // The tailnet's logins may end in @github or @passkey.
        wrong: matches(/^[^@]+@[^@]+$/, "isn't an e-mail address or a login of your tailnet"),
    },
    webuiSignup: { hint: "write true or false", wrong: boolean },
    keyRotation: { hint: "any word will do, a date for example" },
    protectData: { hint: "write true, false or backup", wrong: oneOf(["true", "false", "backup"]) },
    replaceData: { optional: true, hint: "write the renderRegion that the services are to move to", wrong: oneOf(regions) },
    backupEveryMinutes: { hint: "give the number of minutes, such as 15", wrong: wholeNumber(5, 1440) },
    backupRepository: {
        optional: true,
        hint: "write s3:https://<the bucket's host>/<bucket>, such as s3:https://s3.us-west-004.backblazeb2.com/my-backups",
        wrong: matches(/^s3:https:\/\/[A-Za-z0-9.-]+(:\d+)?(\/[A-Za-z0-9._-]+)+$/, "isn't a bucket's address of that form"),
    },
    backupKeyId: { secret: true, optional: true, hint: "copy the id of a key that may list, read, write and delete in that bucket alone", wrong: bucketKey },
    backupKey: { secret: true, optional: true, hint: "copy the secret part of the key, which is shown once, when it is made", wrong: bucketKey },
    backupPassword: {
        secret: true,
        optional: true,
        hint: "make one of 20 characters or more, e.g. with openssl rand -hex 20, and keep it where your other passwords are: without it no backup can be read",
        wrong: (value) => (value.length < 20 ? "is shorter than 20 characters" : undefined),
    },
    backupRepositoryIds: {
        optional: true,
        hint: "`npm run verify` writes it; to begin without the backups of before, run `pulumi config rm backupRepositoryIds`, or take it out of ESC",
        wrong: matches(/^(hermes|open-webui)=[0-9a-f]{64}(,(hermes|open-webui)=[0-9a-f]{64})*$/, "isn't a list of repositories"),
    },
    exaApiKey: {
        secret: true,
        optional: true,
        hint: "make an Exa key, with a budget, at dashboard.exa.ai/api-keys",
        wrong: exaKey,
    },
    sandboxSecrets: {
        secret: true,
        optional: true,
        hint: "write NAME=value, with commas between several; the names in capitals, no comma in a value, and everybody: before a name that isn't the owner's alone",
        wrong: sandboxSecrets,
    },
    telegramBotToken: {
        secret: true,
        optional: true,
        hint: "ask @BotFather for one, it looks like 123456789:AA…",
        wrong: (value) => (/^\d{6,}:[A-Za-z0-9_-]{30,}$/.test(value) ? undefined : "isn't a Telegram bot token"),
    },
    telegramAllowedUsers: {
        optional: true,
        hint: "give numeric user ids separated by commas; @userinfobot tells yours",
        wrong: matches(/^[1-9]\d*(,[1-9]\d*)*$/, "isn't a list of Telegram user ids"),
    },
} satisfies Record<string, Rule>;

export type SettingName = keyof typeof rules;

/** What is known of each setting, in the order in which they are asked for. */
export const settingRules: Readonly<Record<SettingName, Rule>> = rules;

/** The default of webuiAdminEmail, which is nobody's login. */
const anybody = "admin@example.com";

/** Words that stand in templates; "exchangemedia" and "your-agent" are names. */
const placeholder =
    /x{5,}|\.{3}|…|<[^>]*>|(?<![a-z])((change|replace)[-_ ]?me|placeholder)(?![a-z])|^your[-_ ]([a-z]+[-_ ])*(key|token|id|user(name)?|secret|e?mail|tailnet|name|password|value|here)(?![a-z])/i;

/** What is wrong with a value whatever the setting: these mistakes come from copying. */
function copiedBadly(value: string, secret: boolean): string | undefined {
    if (value.trim() === "") return "is empty";
    if (/[\r\n]/.test(value)) return "has a line break in it, pasted along with the value";
    if (/\s/.test(value)) return "has white space in it, pasted along with the value";
    if (placeholder.test(value)) return secret ? "is a placeholder" : `${JSON.stringify(value)} is a placeholder`;
    if (secret) {
        // Copied from a page or a chat, a key comes with characters that nobody sees, or with one that looks like another.
        const at = value.search(/[^!-~]/u);
        if (at >= 0) {
            const code = value.codePointAt(at)?.toString(16).toUpperCase().padStart(4, "0") ?? "";
            return `has U+${code} as its character ${at + 1}, which no key has`;
        }
        if (/^(["'`]).*\1$/.test(value)) return "stands in quotation marks";
    }
    return undefined;
}

/** `isConfigSecret` is exported by the SDK but marked internal, hence absent from its types. */
const { isConfigSecret } = runtime as unknown as { isConfigSecret: (fullKey: string) => boolean };

/** The sentence about one setting, or nothing when its value is fine. */
function complaint(config: Config, key: string, rule: Rule): string | undefined {
    const value = config.get(key);
    if (value === undefined) return rule.optional ? undefined : `${key} is not set: ${rule.hint}.`;
    const wrong = copiedBadly(value, rule.secret ?? false) ?? rule.wrong?.(value);
    if (wrong) return `${key} ${wrong}: ${rule.hint}.`;
    if (rule.secret && !isConfigSecret(`${config.name}:${key}`)) {
        return `${key} is stored in plain text: set it with \`pulumi config set --secret ${key}\`, or under fn::secret in ESC.`;
    }
    return undefined;
}

/** What is stored under the project's name and no setting: mistyped, or a setting of another release. Keys of other namespaces are somebody else's. */
const strangers = ({ name }: Config) =>
    Object.keys(runtime.allConfig())
        .filter((fullKey) => fullKey.startsWith(`${name}:`))
        .map((fullKey) => fullKey.slice(name.length + 1))
        .filter((key) => !(key in rules));

/** What settings were called before. */
const formerNames: Record<string, SettingName | undefined> = {
    ghcrUser: "registryUser",
    ghcrToken: "registryToken",
    ghcrPullToken: "registryPullToken",
    uploadLimitMb: "fileLimitMb",
};

/** A value under a former name. It goes through a pipe, so that a secret is on no command line. */
function renamed(config: Config, key: string, now: SettingName): Complaint {
    const { secret }: Rule = rules[now];
    const move = `\`pulumi config get ${key} | pulumi config set ${secret ? "--secret " : ""}${now}\``;
    const remove = `\`pulumi config rm ${key}\``;
    if (config.get(now) === undefined) return { key: now, sentence: `${key} is called ${now} now: run ${move}, then ${remove}; in ESC rename it there.` };
    return {
        key,
        sentence: `${key} is called ${now} now, which has a value of its own: run ${move} if the old one is right, then ${remove}, or take it out of ESC.`,
    };
}

function stranger(key: string, known: SettingName[]): string {
    const nearest = closestMatch(key, known, { maxDistance: Math.ceil(key.length / 3) });
    return `${key} isn't a setting: ${nearest ? `set ${nearest}, and ` : ""}take it out with \`pulumi config rm ${key}\`, or of ESC.`;
}

export interface Complaint {
    /** What it is about: a setting, or what no setting is called. */
    key: string;
    sentence: string;
}

/**
 * Reads all settings, and gives one sentence for each that is wrong. No sentence quotes a secret. The settings are of use
 * only when there is no complaint.
 */
export function inspectSettings(config: Config) {
    const keys = Object.keys(rules) as SettingName[];
    const moved: Complaint[] = [];
    const unknown: Complaint[] = [];
    for (const key of strangers(config)) {
        const now = formerNames[key];
        if (now) moved.push(renamed(config, key, now));
        else unknown.push({ key, sentence: stranger(key, keys) });
    }
    const wrong = keys.flatMap((key) => {
        const sentence = moved.some((each) => each.key === key) ? undefined : complaint(config, key, rules[key]);
        return sentence === undefined ? [] : [{ key, sentence }];
    });
    const complaints: Complaint[] = [...moved, ...wrong, ...unknown];
    const botToken = config.get("telegramBotToken");
    const allowedUsers = config.get("telegramAllowedUsers");
    if (botToken !== undefined && allowedUsers === undefined) {
        complaints.push({
            key: "telegramAllowedUsers",
            sentence: `telegramAllowedUsers is not set, and telegramBotToken alone would let strangers knock: ${rules.telegramAllowedUsers.hint}.`,
        });
    }
    if (botToken === undefined && allowedUsers !== undefined) {
        complaints.push({
            key: "telegramBotToken",
            sentence: `telegramBotToken is not set, so telegramAllowedUsers has no effect: ${rules.telegramBotToken.hint}.`,
        });
    }
    const missingForBackups = (["backupRepository", "backupKeyId", "backupKey", "backupPassword"] as const).filter((key) => config.get(key) === undefined);
    // One half of them would look like backups, and be none; the password alone is that of the backups that `npm run backup` pulls.
    const bucket = missingForBackups.filter((key) => key !== "backupPassword");
    for (const key of bucket.length === 3 ? [] : missingForBackups) {
        complaints.push({ key, sentence: `${key} is not set, and there are no backups without it: ${rules[key].hint}.` });
    }

    if (config.get("signIn") === "tailscale" && config.get("webuiAdminEmail") === anybody) {
        complaints.push({
            key: "webuiAdminEmail",
            sentence:
                "webuiAdminEmail is not set, and with signIn tailscale the admin is who has it as login: " +
                "give yours as login.tailscale.com/admin/users shows it, such as alice@example.com or alice@github.",
        });
    }
    if (config.get("protectData") === "backup" && missingForBackups.length === 4) {
        complaints.push({
            key: "protectData",
            sentence:
                "protectData is backup, and there is nowhere to put one: set backupRepository, or backupPassword alone for backups on this machine, or protectData to true or false.",
        });
    }

    const values = Object.fromEntries(keys.map((key) => [key, config.get(key) ?? ""])) as Record<SettingName, string>;
    const settings = {
        ...values,
        // A push token can read, too; a second, read-only one is for those who want Render to hold less.
        registryPullToken: config.get("registryPullToken") ?? values.registryToken,
        // Open WebUI stores it so.
        webuiAdminEmail: values.webuiAdminEmail.toLowerCase(),
        hermesDiskGb: Number(values.hermesDiskGb),
        webuiDiskGb: Number(values.webuiDiskGb),
        // A consent to one region and no other: it has no effect once the services stand there.
        mayChangeRegion: values.replaceData === values.renderRegion,
        /** What Render's API calls the image registry. */
        renderRegistry: renderRegistry(values.imageRegistry) ?? "",
        /**
         * What the images' names begin with. A registry's host alone is followed by the user, as at GHCR; one with a path
         * already names the repository. Image paths are lower-case even where the user's name isn't.
         */
        imageBase: values.imageRegistry.includes("/") ? values.imageRegistry : `${values.imageRegistry}/${values.registryUser.toLowerCase()}`,
        hasBackups: missingForBackups.length === 0,
        telegram: botToken && allowedUsers ? { botToken, allowedUsers } : undefined,
    };
    return { settings, complaints };
}

export type Settings = ReturnType<typeof inspectSettings>["settings"];

/**
 * Reads and checks the whole configuration. Secrets come back as plain strings: wrap each in `pulumi.secret` where it
 * is used.
 *
 * Throws one mistake, with a line for each wrong setting. Called before the first resource, so a bad value costs nothing. No
 * secret's value is ever part of the message.
 */
export function readSettings(): Settings {
    const { settings, complaints } = inspectSettings(new Config());
    if (complaints.length > 0) {
        throw mistake(["The configuration can't be used; nothing was created or changed.", ...complaints.map(({ sentence }) => `  - ${sentence}`)].join("\n"));
    }
    return settings;
}
