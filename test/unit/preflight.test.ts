import { spawnSync } from "node:child_process";
import { statfs } from "node:fs/promises";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { status as grpc } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { runCommand } from "../../ops/command.ts";
import { preflight } from "../../ops/preflight.ts";
import type { Line } from "../../ops/report.ts";
import { Commands } from "../harness/commands.ts";
import { idle } from "../harness/render-services.ts";
import { Accounts, type World } from "../stand-ins/accounts.ts";
import { Exa } from "../stand-ins/internet/exa.ts";
import { OpenRouter } from "../stand-ins/internet/openrouter.ts";
import { Telegram } from "../stand-ins/internet/telegram.ts";
import { pulumiSays, type StackOptions } from "../harness/pulumi-says.ts";
import { type Case, casesOf, expectLine, printedBy, reportOf, sentence } from "../harness/report.ts";
import { requiredSettings } from "../harness/settings.ts";
import { RenderApi } from "../stand-ins/render/api.ts";

vi.mock(import("node:fs/promises"), async (original) => ({ ...(await original()), statfs: vi.fn() }));
vi.mock(import("../../ops/command.ts"), async (original) => {
    const actual = await original();
    return { ...actual, runCommand: vi.fn(actual.runCommand) };
});
/** Nine processes for each line of a table would be most of its time, and prove no more than those of a few tests. */
const withoutProcesses = () => {
    vi.mocked(runCommand).mockImplementation(commands.run);
};

/** In bytes. */
const freeOnDisk = (bytes: number) => vi.mocked(statfs).mockResolvedValue({ bavail: bytes / 4096, bsize: 4096 } as never);

const gibibyte = 1024 ** 3;
const dockerInfo = (changes = {}) =>
    JSON.stringify({ ServerVersion: "28.2.2", Architecture: "x86_64", DockerRootDir: "/", OperatingSystem: "Debian", ...changes });
const tailnet = (changes = {}) =>
    JSON.stringify({
        BackendState: "Running",
        CurrentTailnet: { MagicDNSSuffix: "tail1234.ts.net" },
        CertDomains: ["laptop.tail1234.ts.net"],
        Peer: null,
        ...changes,
    });

const day = 24 * 60 * 60 * 1000;
const exaKey = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
const botToken = `123456789:${"Ab1-".repeat(9)}`;

let settings: Record<string, string> & { registryPullToken: string };
let commands: Commands;
let world: World;
let accounts: Accounts;
let render: RenderApi;

/** Installs the CLI with this stack. */
const stack = (options: Partial<StackOptions> = {}) => commands.install("pulumi", pulumiSays({ settings, ...options }));
const docker = (info: string | { error: string } = dockerInfo()) =>
    commands.install("docker", { "info --format {{json .}}": info, "image inspect moby/buildkit:buildx-stable-1": { error: "Error: No such image" } });
/** Makes buildx remember a builder. */
function rememberBuilder(driver: string) {
    const folder = commands.makeFolder("docker");
    mkdirSync(join(folder, "buildx", "instances"), { recursive: true });
    writeFileSync(join(folder, "buildx", "instances", "mine"), JSON.stringify({ Name: "mine", Driver: driver }));
    return vi.stubEnv("DOCKER_CONFIG", folder);
}

beforeEach(async () => {
    settings = { ...requiredSettings(), registryPullToken: `ghp_${"0a1b".repeat(8)}` };
    commands = new Commands();
    world = {
        github: {
            [settings.registryToken]: { login: "octo-cat", scopes: "write:packages" },
            [settings.registryPullToken]: { login: "octo-cat", scopes: "read:packages" },
        },
        registry: { tokens: { [settings.registryToken]: ["pull", "push"], [settings.registryPullToken]: ["pull"] }, opaque: false, whole: false },
        basic: [settings.registryToken],
        openRouter: new OpenRouter({
            keys: { [settings.openrouterApiKey]: { limit: 50, limit_remaining: 20, limit_reset: "monthly", is_free_tier: false } },
            models: [
                { id: "openai/gpt-5.5", supported_parameters: ["tools"] },
                { id: "openai/no-tools", supported_parameters: [] },
            ],
            voices: [
                { id: "openai/whisper-large-v3-turbo", architecture: { input_modalities: ["audio"], output_modalities: ["transcription"] } },
                { id: "openai/tts", architecture: { input_modalities: ["text"], output_modalities: ["speech"] } },
            ],
        }),
        modal: { [settings.modalTokenId]: settings.modalTokenSecret },
        exa: new Exa({ [exaKey]: 200 }),
        telegram: new Telegram({ [botToken]: { username: "my_hermes_bot", users: ["1001", "1002"] } }),
        dns: {},
        failing: {},
    };
    accounts = await Accounts.start(world);
    render = await RenderApi.start(settings.renderApiKey, settings.renderOwnerId, idle);
    vi.stubEnv("PATH", commands.folder);
    vi.stubEnv("PULUMI_HOME", commands.makeFolder("pulumi"));
    vi.stubEnv("DOCKER_CONFIG", commands.makeFolder("docker"));
    vi.stubEnv("RENDER_HOST", render.url);
    freeOnDisk(40 * gibibyte);
    stack();
    docker();
    commands.install("tailscale", { "status --json": tailnet() });
    commands.install("node", { "--version": "v22.18.0\n" });
});

afterEach(async () => {
    vi.mocked(runCommand).mockReset();
    vi.unstubAllEnvs();
    await accounts.close();
    await render.close();
    commands.remove();
});

/** Runs the command; no secret is ever part of what it prints. */
function output(json: boolean) {
    vi.stubEnv("MODAL_SERVER_URL", accounts.modalUrl);
    const secrets = ["registryToken", "registryPullToken", "renderApiKey", "openrouterApiKey", "modalTokenId", "modalTokenSecret", "tailscaleAuthKey"];
    return printedBy(() => preflight({ json }), [botToken, exaKey, ...secrets.map((key) => settings[key])]);
}

const run = async () => reportOf(await output(true));

const names = [
    "Node.js",
    "Pulumi CLI",
    "Docker",
    "Image builder",
    "Disk space",
    "Stack",
    "Settings",
    "Render",
    "Payment card",
    "Service names",
    "Registry, push",
    "Registry, pull",
    "OpenRouter",
    "Spending limit",
    "Credit",
    "Model",
    "Voice",
    "Modal",
    "Sandbox price",
    "Tailnet name",
    "Tailnet HTTPS",
    "Tailscale auth key",
    "Machine name",
    "Backups",
];
/** What no service tells beforehand. */
const unknowable = ["Payment card", "Tailscale auth key"];

test("with everything in order each check has one line, and all that can be known is fine", async () => {
    const { code, lines } = await run();
    expect(lines.map(({ check, status }) => `${check}: ${status}`)).toEqual(
        names.map((name) => `${name}: ${unknowable.includes(name) ? "unchecked" : name === "Backups" ? "warning" : "ok"}`),
    );
    expect(code).toBe(0);
});

test("without a voice no model for it is looked for", async () => {
    withoutProcesses();
    settings.voiceModel = "none";
    world.openRouter.voices = [];
    stack();
    const { lines } = await run();
    expect(lines.map(({ check }) => check)).toEqual(names.filter((name) => name !== "Voice"));
});

test("nothing is changed anywhere", async () => {
    withoutProcesses();
    await run();
    expect(render.writes()).toEqual([]);
});

test("the CLI is asked each question once, whatever number of checks needs the answer", async () => {
    const taken = { DNSName: "open-webui.tail1234.ts.net.", Online: true };
    commands.install("tailscale", { "status --json": tailnet({ Peer: { a: taken } }) });
    stack({ state: [{ type: "render:index/privateService:PrivateService", id: "srv-1" }] });
    const { line } = await run();
    expect(line("Machine name").status).toBe("ok");
    const calls = commands.calls("pulumi");
    expect(calls).toEqual([...new Set(calls)]);
});

test("for people it prints a line for each, with a mark and the way out", async () => {
    withoutProcesses();
    world.openRouter.keys[settings.openrouterApiKey].limit = null;
    world.modal = {};
    world.failing["api.github.com"] = 0;
    const { code, printed } = await output(false);
    const lines = printed.split("\n");
    expect(lines.slice(0, names.length).map((line) => line.slice(0, line.indexOf(":")).slice(2))).toEqual(names);
    expect(lines).toContainEqual(expect.stringMatching(/^✓ Model: openai\/gpt-5\.5\.$/));
    expect(lines).toContainEqual(expect.stringMatching(/^! Spending limit: .*openrouter\.ai\/settings\/keys\.$/));
    expect(lines).toContainEqual(expect.stringMatching(/^! Registry, push: couldn't be checked, api\.github\.com doesn't answer \(ENOTFOUND\)\.$/));
    expect(lines).toContainEqual(expect.stringMatching(/^✗ Modal: .*modal\.com\/settings\/tokens.*\.$/));
    expect(lines.at(-1)).toBe("17 fine, 2 to think about, 4 not checked, 1 wrong");
    expect(code).toBe(1);
});

describe("this machine", () => {
    beforeEach(withoutProcesses);

    const node = (version: string) => commands.install("node", { "--version": `${version}\n` });
    const dockerHub = (status: number) => (world.failing["registry-1.docker.io"] = status);
    const withBuildKit = { "info --format {{json .}}": dockerInfo(), "image inspect moby/buildkit:buildx-stable-1": "[]" };

    const table: Record<string, Case[]> = {
        "Node.js": [
            ["failure", "an older one for pulumi than for this command", () => node("v22.9.0"), /v22\.9\.0, and from 22\.18.*npx pulumi up/],
            ["failure", "none for pulumi", () => commands.uninstall("node"), /node isn't installed.*nodejs\.org/],
        ],
        "Pulumi CLI": [
            ["failure", "none", () => commands.uninstall("pulumi"), /isn't installed.*npx pulumi version.*pulumi\.com\/docs\/install/],
            ["warning", "too old", () => commands.install("pulumi", { ...pulumiSays({ settings }), version: "v3.99.1\n" }), /3\.99\.1 is older than/],
        ],
        Docker: [
            ["failure", "none", () => commands.uninstall("docker"), /isn't installed.*docs\.docker\.com/],
            ["failure", "no engine", () => docker({ error: "ERROR: Cannot connect to the Docker daemon" }), /no engine answers.*start Docker/],
            ["failure", "errors only", () => docker(dockerInfo({ ServerVersion: "", ServerErrors: ["No connection"] })), /no engine answers \(No connection\)/],
            ["warning", "an ARM laptop", () => docker(dockerInfo({ Architecture: "aarch64" })), /aarch64.*emulation/],
        ],
        "Image builder": [
            ["ok", "one that can't be used", () => rememberBuilder("docker"), /none yet/],
            ["unchecked", "none, and no Docker Hub", () => dockerHub(0), /registry-1\.docker\.io doesn't answer/],
            ["failure", "none, and Docker Hub refuses", () => dockerHub(403), /403.*docker buildx create/],
            ["ok", "none, and its image is here", () => [dockerHub(0), commands.install("docker", withBuildKit)], /which is here/],
            ["ok", "one that can be used", () => [dockerHub(0), rememberBuilder("docker-container")], /mine, driver docker-container/],
            ["unchecked", "none, and no engine", () => docker({ error: "ERROR: no" }), /no Docker engine/],
        ],
        "Disk space": [
            ["failure", "full", () => freeOnDisk(5 * gibibyte), /5 GiB free.*docker system df/],
            ["warning", "nearly full", () => freeOnDisk(9 * gibibyte), /9 GiB free/],
            ["ok", "Docker has its own", () => docker(dockerInfo({ DockerRootDir: "/gone", OperatingSystem: "Desktop" })), /Desktop may get less/],
        ],
    };

    test.for(casesOf(table))("$check: $situation", async ({ check, ends, arrange, says }) => {
        arrange();
        expectLine((await run()).line(check), ends, says);
    });
});

describe("the stack", () => {
    beforeEach(withoutProcesses);

    test.for<[error: string, says: RegExp]>([
        ["error: no stack selected; please use `pulumi stack select` or `pulumi stack init` to choose one", /none is selected.*pulumi stack select/],
        ["error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions", /isn't logged in.*pulumi login/],
        ["error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE environment variables", /PULUMI_CONFIG_PASSPHRASE_FILE/],
        ["error: incorrect passphrase", /PULUMI_CONFIG_PASSPHRASE/],
        ["error: backend vm does not support environments; use `pulumi login` without arguments", /ESC environment.*npm run setup/],
        [
            "warning: something\nerror: [404] Not found: environment 'private-hermes/dev' not found",
            /environment 'private-hermes\/dev' not found.*npm run setup/,
        ],
    ])("can't be read: %s", async ([error, says]) => {
        commands.install("pulumi", { ...pulumiSays({ settings }), "config --json --show-secrets --non-interactive": { error } });
        const { line, lines } = await run();
        expect(line("Stack").status).toBe("failure");
        expect(sentence(line("Stack"))).toMatch(says);
        expect(lines.map(({ check }) => check)).toEqual(names.slice(0, 6));
    });

    test("without the CLI the line about the CLI is the only one that fails", async () => {
        commands.uninstall("pulumi");
        const { lines, line } = await run();
        expect(lines.filter(({ status }) => status === "failure").map(({ check }) => check)).toEqual(["Pulumi CLI"]);
        expect(line("Stack").status).toBe("unchecked");
    });

    test("a stack from before settings were renamed is told what each is called now, and shows no secret", async () => {
        const { registryUser: ghcrUser, registryToken: ghcrToken } = settings;
        stack({ settings: { ...settings, registryUser: undefined, registryToken: undefined, ghcrUser, ghcrToken }, plainText: [] });
        const { lines, line } = await run();
        expect(lines.filter(({ check }) => check === "Settings").map((each) => `${each.status} ${sentence(each)}`)).toEqual([
            expect.stringMatching(/^failure ghcrUser is called registryUser now: run `pulumi config get ghcrUser \| pulumi config set registryUser`/),
            expect.stringMatching(/^failure ghcrToken is called registryToken now: run .* set --secret registryToken`, then `pulumi config rm ghcrToken`/),
        ]);
        expect(line("Registry, push")).toMatchObject({ status: "unchecked", message: "registryUser and registryToken have to be put right first" });
        expect(JSON.stringify(lines)).not.toContain(ghcrToken);
    });

    test("each wrong setting has a line of its own, and only what hangs on it is left undone", async () => {
        settings.renderApiKey = settings.modalTokenId;
        settings.tailscaleAuthKey = `tskey-api-${"a1".repeat(20)}`;
        stack({ settings: { ...settings, tailnetDnsName: undefined } });
        const { lines } = await run();
        const found = lines.filter(({ check }) => check === "Settings");
        expect(found.map((each) => `${each.status} ${sentence(each)}`)).toEqual([
            expect.stringMatching(/^failure renderApiKey is a Modal token id: .*dashboard/),
            expect.stringMatching(/^failure tailscaleAuthKey is a Tailscale API access token: generate/),
            expect.stringMatching(/^failure tailnetDnsName is not set: .*admin\/dns/),
        ]);
        expect(lines.filter(({ status }) => status === "unchecked").map(({ check }) => check)).toEqual([
            "Render",
            "Payment card",
            "Service names",
            "Tailnet name",
            "Tailnet HTTPS",
            "Tailscale auth key",
            "Machine name",
        ]);
    });

    test("a secret in plain text isn't printed either", async () => {
        const plainText = ["registryToken", "modalTokenSecret"];
        commands.install("pulumi", {
            ...pulumiSays({ settings, plainText }),
            "stack export --non-interactive": { error: `error: bad token ${settings.registryToken} or ${settings.modalTokenSecret}` },
        });
        const { lines, line } = await run();
        expect(line("Service names").message).toMatch(/bad token \[secret\] or \[secret\]/);
        expect(lines.filter(({ check, status }) => check === "Settings" && status === "failure")).toHaveLength(2);
    });

    test("what a command or a service says is printed without secrets", async () => {
        commands.install("pulumi", { ...pulumiSays({ settings }), "stack export --non-interactive": { error: `error: bad token ${settings.renderApiKey}` } });
        expect((await run()).line("Service names").message).toMatch(/bad token \[secret\]/);
    });
});

/** Makes a service at Render, as another stack or somebody in the dashboard would. */
const service = (name: string) =>
    render.workspace.createService({
        name,
        ownerId: settings.renderOwnerId,
        image: { imagePath: "ghcr.io/octo-cat/x" },
        serviceDetails: { plan: "starter", region: "oregon" },
    });

describe("credentials", () => {
    beforeEach(withoutProcesses);

    /** Puts values in the place of those of settings, for the program and for this test. */
    const set = (values: Record<string, string>) => {
        Object.assign(settings, values);
        return stack();
    };
    const owns = (id: string) => stack({ state: [{ type: "pulumi:pulumi:Stack" }, { type: "render:index/privateService:PrivateService", id }] });
    /** A stack of this name, beside a service hermes-dev. */
    const beside = async (name: string) => {
        await service("hermes-dev");
        stack({ name });
    };

    type Token = "registryToken" | "registryPullToken";
    const [push, pull] = ["registryToken", "registryPullToken"] as const;
    const github = (token: Token, changes: Partial<World["github"][string]>) => Object.assign(world.github[settings[token]], changes);
    const registry = (imageRegistry: string, changes: Partial<World["registry"]> = {}) => [set({ imageRegistry }), Object.assign(world.registry, changes)];
    const [dockerHub, gitlab, google] = ["docker.io", "registry.gitlab.com/family/agent", "europe-docker.pkg.dev/project/images"];
    /** What a registry lets a token do. */
    const may = (token: Token, ...actions: string[]) => (world.registry.tokens[settings[token]] = actions);

    const openRouter = (changes: object) => Object.assign(world.openRouter.keys[settings.openrouterApiKey], changes);
    const inDays = (days: number) => new Date(Date.now() + days * day).toISOString();
    const credit = (total_usage: number) => (world.openRouter.credits = { total_credits: 10, total_usage });
    const exa = (status: number) => [set({ exaApiKey: exaKey }), (world.exa.keys[exaKey] = status)];
    const bot = (telegramAllowedUsers = "1001") => set({ telegramBotToken: botToken, telegramAllowedUsers });
    const fails = (host: string, status: number) => (world.failing[host] = status);

    const onTailnet = (changes: object) => commands.install("tailscale", { "status --json": tailnet(changes) });
    /** The tailnet signs people in, and this device is of one of two. */
    const ofPerson = (Self: { UserID: 7 | 8; Tags?: string[] }) => [
        onTailnet({ Self, User: { 7: { LoginName: "Alice@GitHub" }, 8: { LoginName: "ben@example.com" } } }),
        set({ signIn: "tailscale", webuiAdminEmail: "alice@github" }),
    ];
    const machine = (name: string) => onTailnet({ Peer: { key: { DNSName: `${name}.tail1234.ts.net.` } } });

    const table: Record<string, Case[]> = {
        Render: [
            ["failure", "a key that isn't one", () => set({ renderApiKey: `rnd_${"9".repeat(20)}` }), /doesn't take renderApiKey.*API Keys/],
            ["failure", "another workspace", () => set({ renderOwnerId: `tea-${"0".repeat(20)}` }), /doesn't belong to the workspace tea-0+.*renderOwnerId/],
            ["unchecked", "a bad moment", () => render.fail({ status: 503, times: 1, path: /owners/ }), /answers 503, try again later/],
            ["failure", "a workspace that it doesn't show", () => render.fail({ status: 403, times: 1, path: /owners/ }), /doesn't belong/],
        ],
        "Payment card": [
            ["unchecked", "none, as far as anybody can tell", () => undefined, /402.*Billing/],
            ["ok", "one", () => owns("srv-own"), /has one/],
        ],
        "Service names": [
            ["failure", "a service of the same name", () => service("hermes-dev"), /hermes-dev \(srv-\w+\) exists.*An up that was cut off/],
            ["failure", "the other service's name", () => service("open-webui-dev"), /open-webui-dev/],
            ["ok", "a service of another name", () => service("hermes-prod"), /./],
            ["ok", "one of this stack", async () => owns((await service("hermes-dev")).service.id), /./],
            ["failure", "a public one", () => render.workspace.others.push({ id: "srv-other", name: "hermes-dev", type: "web_service" }), /srv-other/],
            ["failure", "a stack with capitals", () => beside("Dev"), /hermes-dev/],
            ["ok", "a service of a stack of another name", () => beside("prod"), /hermes-prod/],
        ],
        "Registry, push": [
            ["failure", "GitHub doesn't know the token", () => (world.github = {}), /ghcr\.io doesn't take registryToken.*write:packages/],
            ["failure", "it may only read", () => github(push, { scopes: "read:packages, repo" }), /may not push.*write:packages/],
            ["warning", "it is somebody else's", () => github(push, { login: "hubot" }), /belongs to hubot.*organization/],
            ["warning", "it may do more", () => github(push, { scopes: "write:packages, repo, gist" }), /more than push \(repo, gist\).*write:packages/],
            ["ok", "it may read, too", () => github(push, { scopes: "write:packages, read:packages" }), /nothing more/],
            ["unchecked", "GitHub has an outage", () => fails("api.github.com", 500), /answers 500, try again later/],
            ["unchecked", "GitHub sends us elsewhere", () => fails("api.github.com", 302), /api\.github\.com answers 302/],
            ["ok", "Docker Hub", () => registry(dockerHub), /docker\.io\/octo-cat/],
            ["warning", "Docker Hub grants everything", () => [registry(dockerHub, { star: true }), may(push, "*")], /more than push \(\*\)/],
            ["failure", "Docker Hub doesn't know it", () => registry(dockerHub, { tokens: {} }), /docker\.io doesn't take registryToken/],
            ["failure", "Docker Hub lets it pull alone", () => [registry(dockerHub), may(push, "pull")], /may not push.*docker\.io/],
            ["failure", "GitLab refuses the whole question", () => [registry(gitlab, { whole: true }), may(push, "pull")], /may not push/],
            ["failure", "so does one with opaque tokens", () => [registry(gitlab, { whole: true, opaque: true }), may(push, "pull")], /may not push/],
            ["unchecked", "opaque tokens", () => registry(gitlab, { opaque: true }), /doesn't say/],
            ["unchecked", "a registry without tokens", () => registry(google), /takes registryToken but doesn't say/],
            ["failure", "a registry without tokens, and a wrong password", () => [registry(google), (world.basic = [])], /doesn't take registryToken/],
        ],
        "Registry, pull": [
            ["warning", "no token", () => stack({ settings: { ...settings, registryPullToken: undefined } }), /isn't set.*read:packages/],
            ["failure", "GitHub doesn't know it", () => (world.github[settings.registryPullToken] = undefined as never), /doesn't take registryPullToken/],
            ["failure", "it may not pull", () => github(pull, { scopes: "repo" }), /may not pull.*read:packages/],
            ["warning", "it may push", () => github(pull, { scopes: "write:packages" }), /more than pull \(write:packages\)/],
            ["warning", "it may delete, too", () => github(pull, { scopes: "read:packages, delete:packages" }), /delete:packages/],
            ["ok", "Docker Hub", () => registry(dockerHub), /nothing more/],
            ["warning", "Docker Hub lets it push", () => [registry(dockerHub), may(pull, "pull", "push")], /more than pull \(push\)/],
            ["failure", "Docker Hub gives it no rights", () => [registry(dockerHub), may(pull)], /may not pull/],
            ["ok", "GitLab refuses the whole question", () => registry(gitlab, { whole: true }), /nothing more/],
            ["failure", "GitLab refuses all", () => [registry(gitlab, { whole: true }), may(pull)], /doesn't take registryPullToken/],
        ],
        OpenRouter: [
            ["failure", "a key that isn't one", () => (world.openRouter.keys = {}), /doesn't take openrouterApiKey.*openrouter\.ai\/settings\/keys/],
            ["failure", "a management key", () => openRouter({ is_management_key: true }), /management key/],
            ["failure", "a provisioning key", () => openRouter({ is_provisioning_key: true }), /management key/],
            ["failure", "a key that has expired", () => openRouter({ expires_at: "2020-01-02T00:00:00Z" }), /has expired on 2020-01-02.*settings\/keys/],
            ["warning", "a key that expires soon", () => openRouter({ expires_at: inDays(10) }), /expires on 20\d\d-.*settings\/keys/],
            ["ok", "a key that expires in a year", () => openRouter({ expires_at: inDays(365) }), /expires on/],
        ],
        "Spending limit": [
            ["unchecked", "of a key that isn't one", () => (world.openRouter.keys = {}), /put right first/],
            ["warning", "none", () => openRouter({ limit: null }), /no spending limit.*openrouter\.ai\/settings\/keys/],
            ["failure", "one that is used up", () => openRouter({ limit_remaining: 0 }), /\$50 is used up/],
            ["ok", "one", () => undefined, /^\$50 monthly, \$20 of it left/],
        ],
        Credit: [
            ["failure", "none ever", () => openRouter({ is_free_tier: true }), /never bought credit.*credits/],
            ["ok", "none ever, for a free model", () => [openRouter({ is_free_tier: true }), set({ modelDefault: "openai/gpt-5.5:free" })], /free model/],
            ["failure", "used up", () => credit(10), /used up/],
            ["ok", "some", () => credit(2.5), /\$7\.50 left/],
        ],
        Model: [
            ["failure", "one that isn't there", () => set({ modelDefault: "openai/gpt-0" }), /no model openai\/gpt-0.*openrouter\.ai\/models/],
            ["ok", "a variant of one", () => set({ modelDefault: "openai/gpt-5.5:nitro" }), /nitro/],
            ["failure", "one without tools", () => set({ modelDefault: "openai/no-tools" }), /can't call tools/],
        ],
        Voice: [
            ["failure", "a model that writes", () => set({ voiceModel: "openai/gpt-5.5" }), /that turns speech into text.*=transcription.*voiceModel.*none/],
            ["failure", "a model that speaks", () => set({ voiceModel: "openai/tts" }), /no model openai\/tts/],
        ],
        Modal: [
            ["failure", "not a pair", () => (world.modal[settings.modalTokenId] = "as-another"), /doesn't take modalTokenId with modalTokenSecret.*modal\.com/],
            ["failure", "a pair without permission", () => (world.modalSays = grpc.PERMISSION_DENIED), /doesn't take modalTokenId/],
            ["failure", "a client that is too old", () => (world.modalSays = grpc.FAILED_PRECONDITION), /version of its client.*requirements\.in/],
            ["unchecked", "out of reach", () => fails("api.modal.com", 0), /doesn't answer/],
            ["unchecked", "a bad moment", () => fails("api.modal.com", 500), /INTERNAL/],
        ],
        "Sandbox price": [["ok", "what one costs", () => undefined, /\$0\.048 an hour, at most \$0\.381 .* \$0\.0036,/]],
        Exa: [
            ["ok", "a key", () => exa(200), /exaApiKey is valid.*\$0\.001/],
            ["failure", "a key that it doesn't know", () => [exa(200), (world.exa.keys = {})], /doesn't take exaApiKey.*dashboard\.exa\.ai\/api-keys/],
            ["failure", "no credit", () => exa(402), /used up, or the budget of exaApiKey.*dashboard\.exa\.ai/],
            ["failure", "a key that may not read pages", () => exa(403), /may not read pages.*plan/],
            ["unchecked", "too much to do", () => exa(429), /api\.exa\.ai answers 429, try again later/],
            ["unchecked", "out of reach", () => [exa(200), fails("api.exa.ai", 0)], /api\.exa\.ai doesn't answer/],
        ],
        Telegram: [
            ["ok", "a bot", () => bot(), /@my_hermes_bot/],
            ["failure", "a token that isn't one", () => [bot(), (world.telegram.bots = {})], /doesn't take telegramBotToken.*@BotFather/],
        ],
        "Telegram users": [
            ["ok", "two", () => bot("1001,1002"), /may write to each/],
            ["warning", "one who never pressed Start", () => bot("1001,1003"), /may not write to 1003 yet.*t\.me\/my_hermes_bot/],
            ["unchecked", "of a token that isn't one", () => [bot(), (world.telegram.bots = {})], /put right first/],
            ["unchecked", "out of reach", () => [bot(), fails("api.telegram.org", 0)], /api\.telegram\.org doesn't answer/],
        ],
        Settings: [["failure", "a bot without users", () => set({ telegramBotToken: botToken }), /telegramAllowedUsers is not set/]],
        "Admin's login": [
            ["ok", "the owner's device", () => ofPerson({ UserID: 7 }), /this device is alice@github's, the admin's/],
            ["warning", "somebody else's device", () => ofPerson({ UserID: 8 }), /alice@github, .* is ben@example\.com's: set webuiAdminEmail to ben@/],
            ["unchecked", "a tagged device", () => ofPerson({ UserID: 8, Tags: ["tag:server"] }), /this device is tagged, and so is nobody's/],
        ],
        "Tailnet name": [
            ["warning", "another tailnet", () => onTailnet({ CurrentTailnet: { MagicDNSSuffix: "tail9.ts.net" } }), /is tail1234\.ts\.net.* on tail9\.ts\.net/],
            ["ok", "no Tailscale here", () => commands.uninstall("tailscale"), /looks right/],
            ["ok", "Tailscale is stopped", () => onTailnet({ BackendState: "Stopped" }), /looks right/],
        ],
        "Tailnet HTTPS": [
            ["unchecked", "no Tailscale here", () => commands.uninstall("tailscale"), /isn't on tail1234/],
            ["failure", "off", () => onTailnet({ CertDomains: null }), /Enable HTTPS at login\.tailscale\.com\/admin\/dns/],
        ],
        "Tailscale auth key": [["unchecked", "of which nothing can be known", () => undefined, /by its form.*when it is first used/]],
        "Machine name": [
            ["failure", "a machine of this name", () => machine("open-webui"), /is in the tailnet already.*npm run tidy.*admin\/machines/],
            ["ok", "a machine of another name", () => machine("open-webui-1"), /sees no machine/],
            ["ok", "this stack's own machine", () => [machine("open-webui"), owns("srv-own")], /so are this stack's services/],
        ],
    };

    test.for(casesOf(table))("$check: $situation", async ({ check, ends, arrange, says }) => {
        await arrange();
        expectLine((await run()).line(check), ends, says);
    });
});

describe("which CLI", () => {
    const {
        devDependencies: { pulumi: pinned },
    } = JSON.parse(readFileSync("package.json", "utf8")) as { devDependencies: { pulumi: string } };
    /** As npm puts the packages' commands in front of the user's own. */
    function packages() {
        const folder = mkdtempSync(join(tmpdir(), "private-hermes-packages-"));
        onTestFinished(() => {
            rmSync(folder, { recursive: true });
        });
        const bin = join(folder, "node_modules", ".bin");
        mkdirSync(bin, { recursive: true });
        for (const name of ["pulumi", "node"]) writeFileSync(join(bin, name), "#!/bin/sh\necho the network is tried >&2; exit 1\n", { mode: 0o755 });
        vi.stubEnv("PATH", [bin, commands.folder].join(delimiter));
    }
    /** As `npx pulumi` leaves the CLI after its first use. */
    function fetched() {
        const bin = join(commands.folder, "pulumi.d", "versions", pinned, "bin");
        mkdirSync(bin, { recursive: true });
        writeFileSync(join(bin, "pulumi"), `#!/bin/sh\n[ "$1" = version ] && echo v${pinned}\n`, { mode: 0o755 });
    }

    test.for<[what: string, arrange: () => void, status: Line["status"], says: string]>([
        [
            "the user's own, whatever npm puts in front of it",
            () => {
                packages();
                fetched();
            },
            "ok",
            "3.259.0",
        ],
        [
            "without one that which npx has fetched",
            () => {
                packages();
                fetched();
                commands.uninstall("pulumi");
            },
            "ok",
            pinned,
        ],
        [
            "with neither none, and nothing is fetched",
            () => {
                packages();
                commands.uninstall("pulumi");
            },
            "failure",
            "pulumi isn't installed",
        ],
    ])("%s", async ([, arrange, status, says]) => {
        arrange();
        const { line } = await run();
        expect(line("Pulumi CLI")).toMatchObject({ status, message: says });
        expect(line("Node.js")).toMatchObject({ status: "ok", message: "v22.18.0" });
    });
});

test("a secret that contains another one is hidden whole", async () => {
    withoutProcesses();
    settings.renderApiKey = `rnd_${settings.registryToken}`;
    commands.install("pulumi", { ...pulumiSays({ settings }), "stack export --non-interactive": { error: `error: bad token ${settings.renderApiKey}.` } });
    expect((await run()).line("Service names").message).toMatch(/bad token \[secret\]$/);
});

test("Modal is asked with the version of its client that the Hermes image has", async () => {
    withoutProcesses();
    await run();
    expect(readFileSync("hermes/requirements.txt", "utf8")).toContain(`\nmodal==${world.modalClients?.[0]} `);
});

test("without a network it says what it couldn't check, and that is no failure", async () => {
    withoutProcesses();
    for (const host of ["api.github.com", "registry-1.docker.io", "openrouter.ai", "api.modal.com"]) world.failing[host] = 0;
    vi.stubEnv("RENDER_HOST", "http://127.0.0.1:1/v1");
    const { code, lines } = await run();
    const left = lines.filter(({ status }) => status === "unchecked");
    expect(left.map(({ check }) => check)).toEqual([
        "Image builder",
        "Render",
        "Payment card",
        "Service names",
        "Registry, push",
        "Registry, pull",
        "OpenRouter",
        "Spending limit",
        "Credit",
        "Model",
        "Voice",
        "Modal",
        "Tailscale auth key",
    ]);
    for (const { message } of left.filter(({ check }) => !unknowable.includes(check))) expect(message).toMatch(/doesn't answer/);
    expect(code).toBe(0);
});

describe("as a command", { timeout: 30_000 }, () => {
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };

    /** What `npm run preflight` runs, with Node.js as the only other command: nothing may leave this machine. */
    function command(...flags: string[]) {
        commands.uninstall("node");
        symlinkSync(process.execPath, join(commands.folder, "node"));
        return spawnSync("/bin/sh", ["-c", `${scripts.preflight} "$@"`, "preflight", ...flags], {
            encoding: "utf8",
            env: { ...process.env, PATH: commands.folder },
        });
    }

    test("it prints the report and ends with 1 when something is wrong", () => {
        commands.install("pulumi", { version: { error: "error: broken" } });
        commands.uninstall("docker");
        const { stdout, status } = command();
        expect(stdout).toMatch(/^✓ Node\.js: v\d.*\n✗ Pulumi CLI: broken: .*\n✗ Docker: docker isn't installed/);
        expect(status).toBe(1);
    });

    test("an option that it doesn't know ends it with one sentence", () => {
        const { stderr, status } = command("--jsn");
        expect(stderr.trim().split("\n")).toEqual([expect.stringMatching(/--jsn isn't known.*--json/)]);
        expect(status).toBe(2);
    });

    test("a Node.js that is too old is told so in one sentence", () => {
        const old = commands.makeFolder("old");
        writeFileSync(join(old, "old.mjs"), 'Object.defineProperty(process.versions, "node", { value: "22.17.9" });');
        const { stdout, stderr, status } = spawnSync(process.execPath, ["--import", join(old, "old.mjs"), "--import", "./ops/node.mjs", "ops/preflight.ts"], {
            encoding: "utf8",
        });
        expect(stderr).toMatch(/^✗ Node\.js: .*>=22\.18.*nodejs\.org\.\n$/);
        expect(stdout).toBe("");
        expect(status).toBe(1);
    });
});
