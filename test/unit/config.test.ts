import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { inspectSettings } from "../../config.ts";
import { tryProgram } from "../harness/program.ts";
import { backupSettings, declaredSettings, requiredSettings, secretSettings } from "../harness/settings.ts";

/** The lines of complaint that the program ends with, by the setting that each is about. */
async function complaints(overrides: Record<string, string | undefined>, plainText: string[] = []): Promise<Record<string, string>> {
    const { failure, resources, secrets } = await tryProgram(overrides, { plainText });
    expect(failure, "the program didn't refuse").toBeInstanceOf(pulumi.RunError);
    expect(failure, "Pulumi would format the stack").toHaveProperty("stack", undefined);
    expect(resources, "something was declared in spite of it").toEqual([]);
    const { message } = failure as Error;
    for (const secret of secrets.map((value) => value.trim()).filter((value) => value !== "")) expect(message).not.toContain(secret);
    const [, ...lines] = message.split("\n");
    return Object.fromEntries(lines.map((line) => [line.replace(/^ {2}- (\w+) .*$/, "$1"), line]));
}

const otherCredentials = requiredSettings();

describe("a bad value is refused with a sentence that names it", () => {
    test.for<[setting: string, value: string, says: RegExp]>([
        ["tailnetDnsName", "https://tail1234.ts.net", /scheme.*login\.tailscale\.com\/admin\/dns/],
        ["tailnetDnsName", "tail1234.ts.net/", /path/],
        ["tailnetDnsName", "tail1234", /doesn't end in \.ts\.net/],
        ["tailnetDnsName", "example.com", /doesn't end in \.ts\.net/],
        ["tailnetDnsName", "open-webui.tail1234.ts.net", /machine/],
        ["tailnetDnsName", "Tail1234.ts.net", /mistyped/],
        ["tailnetDnsName", ".ts.net", /mistyped/],
        ["renderOwnerId", "my-team", /tea-/],
        ["renderOwnerId", "srv-c1a2b3c4d5e6f7g8h9i0", /tea-/],
        ["renderRegion", "Oregon", /lower case/],
        ["renderOwnerId", "tea-c1a2b3c4d5e6f7g8h9i0/settings", /tea-/],
        ["renderRegion", "oregon-2", /lower case/],
        ["renderRegion", "us-oregon", /lower case/],
        ["renderRegion", "us-west-2", /oregon, ohio, virginia, frankfurt, singapore/],
        ["modelDefault", "gpt-5.5", /vendor/],
        ["modelDefault", "openrouter/openai/gpt-5.5", /vendor/],
        ["voiceModel", "whisper-1", /vendor\/model.*output_modalities=transcription.*none/],
        ["voiceModel", "", /is empty.*write none/],
        ["openrouterApiKey", `sk-proj-${"a1".repeat(20)}`, /is an OpenAI API key: .*openrouter\.ai/],
        ["openrouterApiKey", `sk-ant-${"a1".repeat(20)}`, /is an Anthropic API key/],
        ["openrouterApiKey", "0123456789abcdef", /doesn't start with sk-or-/],
        ["openrouterApiKey", "sk-or-v1", /cut off/],
        ["tailscaleAuthKey", `tskey-api-${"a1".repeat(20)}`, /is a Tailscale API access token: generate an auth key/],
        ["tailscaleAuthKey", `tskey-auth-${"a1".repeat(10)}--TL${"Ab+/".repeat(20)}`, /is cut off/],
        ["tailscaleAuthKey", `tskey-client-${"a1".repeat(20)}`, /is a Tailscale OAuth client secret/],
        ["modalTokenId", otherCredentials.modalTokenSecret, /is a Modal token secret/],
        ["modalTokenSecret", otherCredentials.modalTokenId, /is a Modal token id/],
        ["renderApiKey", otherCredentials.registryToken, /is a classic GitHub token/],
        ["registryToken", otherCredentials.renderApiKey, /is a Render API key/],
        ["registryToken", `github_pat_${"a1".repeat(20)}`, /is a fine-grained GitHub token: make a classic token/],
        ["registryPullToken", `github_pat_${"a1".repeat(20)}`, /is a fine-grained GitHub token: .*read:packages/],
        ["backupEveryMinutes", "1", /from 5 to 1440/],
        ["exaApiKey", otherCredentials.openrouterApiKey, /is an OpenRouter API key: .*dashboard\.exa\.ai/],
        ["exaApiKey", "0a1b2c3d-4e5f", /is cut off/],
        ["sandboxSecrets", otherCredentials.registryToken, /isn't NAME=value in its entry 1: write NAME=value/],
        ["sandboxSecrets", `GITHUB_TOKEN=${otherCredentials.registryToken},`, /isn't NAME=value in its entry 2/],
        ["sandboxSecrets", "A=0a1b2c3d,anna:B=0a1b2c3d", /isn't NAME=value in its entry 2: .*everybody:/],
        ["sandboxSecrets", "github_token=0a1b2c3d", /isn't NAME=value in its entry 1: .*capitals/],
        ["sandboxSecrets", "GITHUB_TOKEN=", /isn't NAME=value/],
        ...["PATH", "HOME", "LD_PRELOAD", "HERMES_HOME", "MODAL_TOKEN_ID", "BASH_ENV", "PYTHONPATH", "LC_ALL", "UID", "TZ"].map(
            (name): [string, string, RegExp] => [
                "sandboxSecrets",
                `GOOD=0a1b2c3d,everybody:${name}=0a1b2c3d`,
                /in its entry 2 that the sandbox needs for itself/,
            ],
        ),
        ["sandboxSecrets", "TWICE=0a1b2c3d,everybody:TWICE=4e5f6a7b", /the name of an earlier entry again in its entry 2/],
        ["sandboxSecrets", 'QUOTED="0a1b2c3d"', /quotation marks around the value of its entry 1/],
        ["sandboxSecrets", "GITHUB_TOKEN=your-github-token", /has a placeholder as the value of its entry 1/],
        ["sandboxSecrets", "A=0a1b2c3d, B=0a1b2c3d", /has white space in it/],
        ["exaApiKey", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", /is a placeholder/],
        ["registryUser", "octo/cat", /user name alone/],
        ["registryUser", "octo@example.com", /user name alone/],
        ["registryUser", "@octo", /user name alone/],
        ["tailnetDnsName", "-.ts.net", /mistyped/],
        ["agentName", "Hermes ", /white space.*one word/],
        ["agentName", "Hermes!", /name that the page can show: use one word/],
        ["agentName", "J".repeat(31), /up to 30/],
        ["hermesPlan", "..c-1g", /instance type/],
        ["hermesPlan", "1.c-1g", /instance type/],
        ["hermesPlan", "free", /instance type/],
        ["webuiPlan", "Standard", /instance type/],
        ["imageRegistry", "registry.gitlab.com", /registry\.gitlab\.com\/<namespace>\/<project>/],
        ["imageRegistry", "registry.gitlab.com/family", /<namespace>\/<project>/],
        ["imageRegistry", "123456789012.dkr.ecr.us-east-1.amazonaws.com/me", /isn't a registry/],
        ["imageRegistry", "quay.io", /ghcr\.io/],
        ["imageRegistry", "https://ghcr.io", /ghcr\.io/],
        ["imageRegistry", "europe-west1-docker.pkg.dev", /<project>/],
        ["webuiHostname", "Open_WebUI", /lower-case/],
        ["webuiHostname", "open-webui.tail1234.ts.net", /lower-case/],
        ["webuiHostname", "-chat", /lower-case/],
        ["webuiHostname", "chat-", /lower-case/],
        ["webuiHostname", "c".repeat(64), /lower-case/],
        ["webuiAdminEmail", "admin", /e-mail/],
        ["webuiSignup", "yes", /true or false/],
        ["signIn", "Tailscale", /isn't one of password, tailscale/],
        ["protectData", "TRUE", /true, false or backup/],
        ["protectData", "backup", /nowhere to put one: set backupRepository/],
        ["renderApiKey", "rnd_xxxxx", /is a placeholder/],
        ["renderOwnerId", "tea-xxxxx", /"tea-xxxxx" is a placeholder/],
        ["registryUser", "<github-user>", /"<github-user>" is a placeholder/],
        ["registryUser", "your-github-username", /is a placeholder/],
        ["modalTokenId", "ak-...", /is a placeholder/],
        ["modalTokenId", "ak-…", /is a placeholder/],
        ["webuiHostname", "change-me", /is a placeholder/],
        ["tailnetDnsName", "your-tailnet.ts.net", /is a placeholder/],
        ["webuiAdminEmail", "your-email@example.com", /is a placeholder/],
        ["registryUser", "please_change_me", /is a placeholder/],
        ["webuiHostname", "placeholder", /is a placeholder/],
        ["webuiHostname", "replace-me", /is a placeholder/],
        ["keyRotation", "", /is empty/],
        ["hermesDiskGb", "0", /from 1 to 1000: .*never shrinks/],
        ["hermesDiskGb", "1001", /from 1 to 1000/],
        ["webuiDiskGb", "5.5", /from 1 to 1000/],
        ["webuiDiskGb", "10GB", /from 1 to 1000/],
        ["sandboxCpu", "2", /0\.25-2/],
        ["sandboxCpu", "2-0.25", /the smaller first/],
        ["sandboxCpu", "0.1-2", /from 0\.125 to 16/],
        ["sandboxMemoryMb", "512-100000", /from 128 to 65536/],
        ["sandboxIdleMinutes", "13", /from 1 to 12: .*15/],
        ["sandboxBackgroundMinutes", "1440", /from 1 to 1380: .*day/],
        ["sessionDays", "1", /from 7 to 3650/],
        ["jobMinutes", "0", /from 1 to 1440/],
        ["jobTokens", "1.5", /from 10000 to/],
        ["sandboxNetwork", "github.com", /"github\.com" in it, which isn't a network: .*open, none/],
        ["sandboxNetwork", "1.1.1.1/32,1.1.1/24", /"1\.1\.1\/24"/],
        ["sandboxNetwork", "1.1.1.1/33", /isn't a network/],
        ["sandboxPackages", "apt:git,pandas;reboot", /"pandas;reboot" in it, which isn't a package: .*apt:git/],
        ["sandboxPackages", "apt:-o,pandas", /"apt:-o"/],
        ["sandboxPackages", "--index-url=https://example.org,pandas", /isn't a package/],
        ["fileLimitMb", "0", /from 1 to 10/],
        ["fileLimitMb", "11", /from 1 to 10: .*figures/],
        ["timezone", "Europe/Zürich", /isn't the name of a time zone: .*Europe\/Zurich/],
        ["timezone", "Europe/Atlantis", /isn't the name of a time zone/],
        ["timezone", "+02:00", /isn't the name of a time zone/],
        ["timezone", "europe/zurich", /is written Europe\/Zurich/],
        ["timezone", "Asia/KOLKATA", /isn't the name of a time zone/],
        ["replaceData", "true", /renderRegion that/],
    ])("%s = %s", async ([setting, value, says]) => {
        const said = await complaints({ [setting]: value });
        expect(Object.keys(said)).toEqual([setting]);
        expect(said[setting]).toMatch(says);
    });

    test("where the tailnet signs people in, nobody is the admin by default", async () => {
        const said = await complaints({ signIn: "tailscale" });
        expect(said).toEqual({
            webuiAdminEmail: expect.stringMatching(/webuiAdminEmail is not set, .*login\.tailscale\.com\/admin\/users.*alice@github/) as string,
        });
    });

    test("an auth key that is signed in advance for Tailnet Lock is fine", async () => {
        const tailscaleAuthKey = `tskey-auth-${"a1".repeat(10)}--TL${"Ab+/".repeat(40)}-${"Z".repeat(86)}`;
        expect(Object.keys(await complaints({ tailscaleAuthKey, protectData: "TRUE" }))).toEqual(["protectData"]);
    });

    test("names that only look like placeholders are fine, and so is the user of a deploy token", async () => {
        const fine = {
            registryUser: "exchangemedia",
            webuiAdminEmail: "bob@exchangemedia.com",
            signIn: "tailscale",
            webuiHostname: "your-agent",
            agentName: "Zoë",
            hermesPlan: "0.5c-512mb",
            imageRegistry: "registry.gitlab.com/family/agent",
        };
        for (const [setting, value] of [...Object.entries(fine), ["registryUser", "gitlab+deploy-token-1"], ["webuiAdminEmail", "alice@github"]]) {
            expect(Object.keys(await complaints({ webuiAdminEmail: "alice@example.org", [setting]: value, protectData: "TRUE" })), value).toEqual([
                "protectData",
            ]);
        }
    });

    test.for(Object.keys(requiredSettings()))("%s missing, empty, blank, or with a line break", async (setting) => {
        const value = requiredSettings()[setting];
        expect((await complaints({ [setting]: undefined }))[setting]).toMatch(/is not set/);
        expect((await complaints({ [setting]: "" }))[setting]).toMatch(/is empty/);
        expect((await complaints({ [setting]: "   " }))[setting]).toMatch(/is empty/);
        expect((await complaints({ [setting]: `${value}\n` }))[setting]).toMatch(/line break/);
        expect((await complaints({ [setting]: ` ${value}` }))[setting]).toMatch(/white space/);
    });

    test.for(secretSettings)("%s is refused in plain text", async (setting) => {
        const settings = {
            ...backupSettings(),
            registryPullToken: requiredSettings().registryToken,
            exaApiKey: randomUUID(),
            sandboxSecrets: `GITHUB_TOKEN=${requiredSettings().registryToken},everybody:WEATHER_KEY=a=b`,
            telegramBotToken: `123456789:${"A".repeat(35)}`,
            telegramAllowedUsers: "42",
        };
        const said = await complaints(settings, [setting]);
        expect(Object.keys(said)).toEqual([setting]);
        expect(said[setting]).toMatch(/plain text: .*--secret/);
    });
});

describe("Telegram", () => {
    const telegramBotToken = `123456789:${"A".repeat(35)}`;

    test("isn't switched on for everybody", async () => {
        const said = await complaints({ telegramBotToken });
        expect(Object.keys(said)).toEqual(["telegramAllowedUsers"]);
        expect(said.telegramAllowedUsers).toMatch(/strangers/);
    });

    test("isn't silently off", async () => {
        expect(Object.keys(await complaints({ telegramAllowedUsers: "42" }))).toEqual(["telegramBotToken"]);
    });

    test.for(["@me", "42,", "*", "42 43"])("takes user ids only, not %s", async (telegramAllowedUsers) => {
        expect(Object.keys(await complaints({ telegramBotToken, telegramAllowedUsers }))).toEqual(["telegramAllowedUsers"]);
    });

    test("wants a bot's token", async () => {
        expect(Object.keys(await complaints({ telegramBotToken: "mybot", telegramAllowedUsers: "42" }))).toEqual(["telegramBotToken"]);
    });
});

describe("backups", () => {
    const settings = backupSettings();

    test("on this machine take their password alone, also for `protectData: backup`", async () => {
        const { backupPassword } = settings;
        expect((await tryProgram({ backupPassword, protectData: "backup" })).failure).toBeUndefined();
    });

    test("are switched on by four settings, and not by fewer", async () => {
        expect((await tryProgram(settings)).failure).toBeUndefined();
        for (const missing of Object.keys(settings)) {
            const said = await complaints({ ...settings, [missing]: undefined });
            expect(Object.keys(said)).toEqual([missing]);
            expect(said[missing]).toMatch(/no backups without it/);
        }
    });

    test.for<[setting: string, value: string, says: RegExp]>([
        ["backupRepository", "https://bucket.example.com/backups", /s3:https:/],
        ["backupRepository", "s3:https://bucket.example.com", /s3:https:/],
        ["backupRepository", "s3:http://bucket.example.com/backups", /s3:https:/],
        ["backupRepository", "s3:https://id:secret@bucket.example.com/backups", /s3:https:/],
        ["backupKeyId", otherCredentials.renderApiKey, /is a Render API key: .*that bucket alone/],
        ["backupKey", "0123456789", /is cut off/],
        ["backupPassword", "correct-horse", /shorter than 20.*openssl rand/],
    ])("%s = %s is refused", async ([setting, value, says]) => {
        const said = await complaints({ ...settings, [setting]: value });
        expect(Object.keys(said)).toEqual([setting]);
        expect(said[setting]).toMatch(says);
    });
});

test.for(["UTC", "Europe/Zurich", "America/Port-au-Prince", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "Europe/Kyiv", "Etc/GMT+1"])(
    "%s is a time zone",
    async (timezone) => {
        expect((await tryProgram({ timezone })).failure).toBeUndefined();
    },
);

test("whatever no key may contain is refused by name, in each secret setting", async () => {
    const whole: Record<string, string> = {
        ...requiredSettings(),
        ...backupSettings(),
        registryPullToken: requiredSettings().registryToken,
        exaApiKey: randomUUID(),
        sandboxSecrets: `GITHUB_TOKEN=${requiredSettings().registryToken}`,
        telegramBotToken: `123456789:${requiredSettings().registryToken.slice(4)}`,
    };
    // Zero-width ones, a Cyrillic letter, a no-break hyphen, control and tag characters, a curly quote, half of a pair.
    for (const character of ["\u200b", "\u2060", "\u00ad", "\u0430", "\u2011", "\u0007", "\u{e0061}", "\u201d", "\ud83d"]) {
        const keys = secretSettings.map((key) => [key, `${whole[key].slice(0, 12)}${character}${whole[key].slice(12)}`]);
        const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
        const said = await complaints({ ...Object.fromEntries(keys), backupRepository: whole.backupRepository, telegramAllowedUsers: "42" } as Record<
            string,
            string
        >);
        expect(said).toEqual(
            Object.fromEntries(secretSettings.map((key) => [key, expect.stringContaining(`${key} has U+${code} as its character 13, which no key has: `)])),
        );
    }
    expect((await complaints({ registryToken: `"${whole.registryToken}"` })).registryToken).toMatch(/stands in quotation marks/);
});

test.for<[key: string, says: RegExp]>([
    ["modelDefalt", /modelDefalt isn't a setting: set modelDefault, and take it out with `pulumi config rm modelDefalt`/],
    ["openrouterApikey", /: set openrouterApiKey, /],
    ["telegramAllowedUser", /: set telegramAllowedUsers, /],
    ["something", /something isn't a setting: take it out /],
])("a key that no setting has is named, with the nearest that exists: %s", async ([key, says]) => {
    expect(Object.values(await complaints({ [key]: "anything" }))).toEqual([expect.stringMatching(says)]);
});

test("settings under a former name: how they are called now, and what moves them, once for each", async () => {
    const { registryUser, registryToken } = requiredSettings();
    const old = { ghcrUser: registryUser, ghcrToken: registryToken, ghcrPullToken: registryToken, uploadLimitMb: "5" };
    const said = await complaints({ registryUser: undefined, registryToken: undefined, ...old });
    const move = (before: string, now: string) => `pulumi config get ${before} | pulumi config set ${now}\``;
    expect(Object.values(said)).toEqual([
        expect.stringContaining(`ghcrUser is called registryUser now: run \`${move("ghcrUser", "registryUser")}, then \`pulumi config rm ghcrUser\``),
        expect.stringContaining(`ghcrToken is called registryToken now: run \`${move("ghcrToken", "--secret registryToken")}`),
        expect.stringContaining(`ghcrPullToken is called registryPullToken now: run \`${move("ghcrPullToken", "--secret registryPullToken")}`),
        // The default is a value, too.
        expect.stringContaining(`uploadLimitMb is called fileLimitMb now, which has a value of its own: run \`${move("uploadLimitMb", "fileLimitMb")} if`),
    ]);
});

test("keys of other namespaces are left alone", () => {
    const keys = ["aws:region", "private-herms:modelDefault", "pulumi:tags"];
    pulumi.runtime.setAllConfig(Object.fromEntries(keys.map((key) => [key, "x"])));
    const said = inspectSettings(new pulumi.Config("private-hermes")).complaints.map(({ sentence }) => sentence);
    expect(said.filter((sentence) => sentence.includes("isn't a setting"))).toEqual([]);
});

test("all mistakes are told at once, and no secret's value with them", async () => {
    const settings = requiredSettings();
    const bad = {
        tailnetDnsName: "https://x.ts.net",
        renderRegion: "Oregon",
        openrouterApiKey: `sk-proj-${settings.registryToken}`,
        tailscaleAuthKey: `${settings.tailscaleAuthKey}\n`,
        modalTokenId: settings.modalTokenSecret,
        modalTokenSecret: settings.modalTokenId,
        registryToken: settings.renderApiKey,
        telegramBotToken: `bot${settings.registryToken}`,
    };
    const said = await complaints(bad);
    expect(Object.keys(said).sort()).toEqual([...Object.keys(bad), "telegramAllowedUsers"].sort());
    const text = Object.values(said).join("\n");
    for (const key of secretSettings) {
        if (key in bad) expect(text).not.toContain(bad[key as keyof typeof bad].trim());
    }
});

describe("the template of the ESC environment", () => {
    const template = (
        parse(readFileSync(new URL("../../esc.template.yaml", import.meta.url), "utf8")) as {
            values: { pulumiConfig: Record<string, string | { "fn::secret": string }> };
        }
    ).values.pulumiConfig;

    test("has the required settings and no others", () => {
        const required = Object.keys(declaredSettings).filter((key) => declaredSettings[key].default === undefined);
        expect(Object.keys(template).sort()).toEqual(required.sort());
        expect(Object.keys(requiredSettings()).sort()).toEqual(required.sort());
    });

    test("marks as secret what the program treats as secret", () => {
        const marked = Object.keys(template).filter((key) => typeof template[key] !== "string");
        expect(marked.sort()).toEqual(
            Object.keys(template)
                .filter((key) => declaredSettings[key].secret)
                .sort(),
        );
    });

    test("deploys nothing until every placeholder in it is replaced", async () => {
        const values = Object.entries(template).map(([key, value]) => [key, typeof value === "string" ? value : value["fn::secret"]]);
        expect(Object.keys(await complaints(Object.fromEntries(values) as Record<string, string>)).sort()).toEqual(Object.keys(template).sort());
    });
});

test("Pulumi.yaml describes every setting", () => {
    for (const [key, { type, description }] of Object.entries(declaredSettings as Record<string, { type: string; description?: string }>)) {
        expect(type, key).toMatch(/^(string|boolean|integer)$/);
        expect(description ?? "", key).toMatch(/\.$/);
    }
});
