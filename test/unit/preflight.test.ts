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
const stack = (options: Partial<StackOptions> = {}) => {
    commands.install("pulumi", pulumiSays({ settings, ...options }));
};
const docker = (info: string | { error: string } = dockerInfo()) => {
    commands.install("docker", { "info --format {{json .}}": info, "image inspect moby/buildkit:buildx-stable-1": { error: "Error: No such image" } });
};
/** Makes buildx remember a builder. */
function rememberBuilder(driver: string) {
    const folder = commands.makeFolder("docker");
    mkdirSync(join(folder, "buildx", "instances"), { recursive: true });
    writeFileSync(join(folder, "buildx", "instances", "mine"), JSON.stringify({ Name: "mine", Driver: driver }));
    vi.stubEnv("DOCKER_CONFIG", folder);
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

/** Runs the command; gives its exit code and what it printed. No secret is ever part of that. */
async function output(json: boolean): Promise<{ code: number; printed: string }> {
    vi.stubEnv("MODAL_SERVER_URL", accounts.modalUrl);
    const log = vi.spyOn(console, "log").mockReturnValue();
    const code = await preflight({ json });
    const printed = log.mock.calls.map(([line]) => line as string).join("\n");
    log.mockRestore();
    for (const secret of [botToken, exaKey]) expect(printed).not.toContain(secret);
    const secrets = ["registryToken", "registryPullToken", "renderApiKey", "openrouterApiKey", "modalTokenId", "modalTokenSecret", "tailscaleAuthKey"].map(
        (key) => settings[key],
    );
    for (const secret of secrets.filter((value) => value !== "")) expect(printed).not.toContain(secret);
    return { code, printed };
}

/** The report by the name of each check; several lines of one name are in the order in which they came. */
async function run(): Promise<{ code: number; lines: Line[]; line: (check: string) => Line }> {
    const { code, printed } = await output(true);
    const { ok, checks } = JSON.parse(printed) as { ok: boolean; checks: Line[] };
    expect(ok).toBe(code === 0);
    expect(code).toBe(checks.some(({ status }) => status === "failure") ? 1 : 0);
    return { code, lines: checks, line: (name) => checks.find(({ check }) => check === name) ?? expect.unreachable(`no line about ${name}`) };
}

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

    test.for<[what: string, arrange: () => void, check: string, status: Line["status"], says: RegExp]>([
        [
            "an older Node.js for pulumi than for this command",
            () => commands.install("node", { "--version": "v22.9.0\n" }),
            "Node.js",
            "failure",
            /v22\.9\.0, and from 22\.18.*npx pulumi up/,
        ],
        ["no Node.js for pulumi", () => commands.uninstall("node"), "Node.js", "failure", /node isn't installed.*nodejs\.org/],
        ["no CLI", () => commands.uninstall("pulumi"), "Pulumi CLI", "failure", /isn't installed.*npx pulumi version.*pulumi\.com\/docs\/install/],
        [
            "a CLI that is too old",
            () => commands.install("pulumi", { ...pulumiSays({ settings }), version: "v3.99.1\n" }),
            "Pulumi CLI",
            "warning",
            /3\.99\.1 is older than/,
        ],
        ["no Docker", () => commands.uninstall("docker"), "Docker", "failure", /isn't installed.*docs\.docker\.com/],
        ["no engine", () => docker({ error: "ERROR: Cannot connect to the Docker daemon" }), "Docker", "failure", /no engine answers.*start Docker/],
        [
            "an engine that answers with errors only",
            () => docker(dockerInfo({ ServerVersion: "", ServerErrors: ["Cannot connect"] })),
            "Docker",
            "failure",
            /no engine answers \(Cannot connect\)/,
        ],
        ["an ARM laptop", () => docker(dockerInfo({ Architecture: "aarch64" })), "Docker", "warning", /aarch64.*emulation/],
        [
            "a builder that can be used",
            () => {
                rememberBuilder("docker-container");
                world.failing["registry-1.docker.io"] = 0;
            },
            "Image builder",
            "ok",
            /mine, driver docker-container/,
        ],
        ["a builder that can't", () => rememberBuilder("docker"), "Image builder", "ok", /none yet/],
        [
            "no builder and no Docker Hub",
            () => (world.failing["registry-1.docker.io"] = 0),
            "Image builder",
            "unchecked",
            /registry-1\.docker\.io doesn't answer/,
        ],
        ["no builder, and Docker Hub refuses", () => (world.failing["registry-1.docker.io"] = 403), "Image builder", "failure", /403.*docker buildx create/],
        [
            "no builder, and its image is here",
            () => {
                world.failing["registry-1.docker.io"] = 0;
                commands.install("docker", { "info --format {{json .}}": dockerInfo(), "image inspect moby/buildkit:buildx-stable-1": "[]" });
            },
            "Image builder",
            "ok",
            /which is here/,
        ],
        ["no builder, and no engine", () => docker({ error: "ERROR: no" }), "Image builder", "unchecked", /no Docker engine/],
        ["a full disk", () => freeOnDisk(5 * gibibyte), "Disk space", "failure", /5 GiB free.*docker system df/],
        ["a disk that fills", () => freeOnDisk(9 * gibibyte), "Disk space", "warning", /9 GiB free/],
        [
            "Docker in a virtual machine",
            () => docker(dockerInfo({ DockerRootDir: "/not-here", OperatingSystem: "Docker Desktop" })),
            "Disk space",
            "ok",
            /Docker Desktop may get less/,
        ],
    ])("%s", async ([, arrange, check, status, says]) => {
        arrange();
        const { line } = await run();
        expect(line(check)).toMatchObject({ status });
        expect(`${line(check).message}: ${line(check).fix ?? ""}`).toMatch(says);
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
        expect(`${line("Stack").message}: ${line("Stack").fix ?? ""}`).toMatch(says);
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
        expect(lines.filter(({ check }) => check === "Settings").map(({ status, message, fix }) => `${status} ${message}: ${fix ?? ""}`)).toEqual([
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
        expect(found.map(({ status, message, fix }) => `${status} ${message}: ${fix ?? ""}`)).toEqual([
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

    const openRouterKey = () => world.openRouter.keys[settings.openrouterApiKey];
    /** Puts a setting's value in the place of another one, for the program and for this test. */
    const set = (values: Record<string, string>) => {
        Object.assign(settings, values);
        stack();
    };

    test.for<[what: string, arrange: () => unknown, check: string, status: Line["status"], says: RegExp]>([
        ["a Render key that isn't one", () => set({ renderApiKey: `rnd_${"9".repeat(20)}` }), "Render", "failure", /doesn't take renderApiKey.*API Keys/],
        [
            "another workspace",
            () => set({ renderOwnerId: "tea-00000000000000000000" }),
            "Render",
            "failure",
            /renderApiKey doesn't belong to the workspace tea-0+.*renderOwnerId/,
        ],
        ["Render has a bad moment", () => render.fail({ status: 503, times: 1, path: /owners/ }), "Render", "unchecked", /answers 503, try again later/],
        ["Render knows the workspace and doesn't show it", () => render.fail({ status: 403, times: 1, path: /owners/ }), "Render", "failure", /doesn't belong/],
        ["a service of the same name", () => service("hermes-dev"), "Service names", "failure", /hermes-dev \(srv-\w+\) exists.*An up that was cut off/],
        ["the other service's name", () => service("open-webui-dev"), "Service names", "failure", /open-webui-dev/],
        ["a service of another name", () => service("hermes-prod"), "Service names", "ok", /./],
        [
            "one of this stack",
            async () => {
                const { service: own } = await service("hermes-dev");
                stack({ state: [{ type: "pulumi:pulumi:Stack" }, { type: "render:index/privateService:PrivateService", id: own.id }] });
            },
            "Service names",
            "ok",
            /./,
        ],
        [
            "a public service of the same name",
            () => render.workspace.others.push({ id: "srv-other", name: "hermes-dev", type: "web_service" }),
            "Service names",
            "failure",
            /srv-other/,
        ],
        [
            "a stack with capitals",
            async () => {
                await service("hermes-dev");
                stack({ name: "Dev" });
            },
            "Service names",
            "failure",
            /hermes-dev/,
        ],
        [
            "a service of a stack of another name",
            async () => {
                await service("hermes-dev");
                stack({ name: "prod" });
            },
            "Service names",
            "ok",
            /hermes-prod/,
        ],

        [
            "a push token that GitHub doesn't know",
            () => (world.github = {}),
            "Registry, push",
            "failure",
            /ghcr\.io doesn't take registryToken.*write:packages/,
        ],
        [
            "a push token that may only read",
            () => (world.github[settings.registryToken].scopes = "read:packages, repo"),
            "Registry, push",
            "failure",
            /may not push.*write:packages/,
        ],
        [
            "somebody else's push token",
            () => (world.github[settings.registryToken].login = "hubot"),
            "Registry, push",
            "warning",
            /belongs to hubot.*organization/,
        ],
        ["no pull token", () => stack({ settings: { ...settings, registryPullToken: undefined } }), "Registry, pull", "warning", /isn't set.*read:packages/],
        [
            "a pull token that GitHub doesn't know",
            () => (world.github[settings.registryPullToken] = undefined as never),
            "Registry, pull",
            "failure",
            /doesn't take registryPullToken/,
        ],
        [
            "a pull token that may not pull",
            () => (world.github[settings.registryPullToken].scopes = "repo"),
            "Registry, pull",
            "failure",
            /may not pull.*read:packages/,
        ],
        [
            "a pull token that may push",
            () => (world.github[settings.registryPullToken].scopes = "write:packages"),
            "Registry, pull",
            "warning",
            /more than pull \(write:packages\)/,
        ],
        [
            "a pull token that may delete, too",
            () => (world.github[settings.registryPullToken].scopes = "read:packages, delete:packages"),
            "Registry, pull",
            "warning",
            /delete:packages/,
        ],

        [
            "a push token that may do more",
            () => (world.github[settings.registryToken].scopes = "write:packages, read:packages, repo, gist"),
            "Registry, push",
            "warning",
            /more than push \(repo, gist\).*scopes=write:packages/,
        ],
        [
            "a push token that may read, too",
            () => (world.github[settings.registryToken].scopes = "write:packages, read:packages"),
            "Registry, push",
            "ok",
            /nothing more/,
        ],
        [
            "a registry that grants everything",
            () => {
                set({ imageRegistry: "docker.io" });
                world.registry.tokens[settings.registryToken] = ["*"];
                world.registry.star = true;
            },
            "Registry, push",
            "warning",
            /more than push \(\*\)/,
        ],
        ["GitHub has an outage", () => (world.failing["api.github.com"] = 500), "Registry, push", "unchecked", /answers 500, try again later/],
        ["GitHub sends us elsewhere", () => (world.failing["api.github.com"] = 302), "Registry, push", "unchecked", /api\.github\.com answers 302/],

        ["Docker Hub", () => set({ imageRegistry: "docker.io" }), "Registry, push", "ok", /docker\.io\/octo-cat/],
        ["Docker Hub, pull", () => set({ imageRegistry: "docker.io" }), "Registry, pull", "ok", /nothing more/],
        [
            "Docker Hub, a wrong token",
            () => {
                set({ imageRegistry: "docker.io" });
                world.registry.tokens = {};
            },
            "Registry, push",
            "failure",
            /docker\.io doesn't take registryToken/,
        ],
        [
            "Docker Hub, a token that can't push",
            () => {
                set({ imageRegistry: "docker.io" });
                world.registry.tokens[settings.registryToken] = ["pull"];
            },
            "Registry, push",
            "failure",
            /may not push.*docker\.io/,
        ],
        [
            "Docker Hub, a pull token that may push",
            () => {
                set({ imageRegistry: "docker.io" });
                world.registry.tokens[settings.registryPullToken] = ["pull", "push"];
            },
            "Registry, pull",
            "warning",
            /more than pull \(push\)/,
        ],
        [
            "Docker Hub, a pull token without rights",
            () => {
                set({ imageRegistry: "docker.io" });
                world.registry.tokens[settings.registryPullToken] = [];
            },
            "Registry, pull",
            "failure",
            /may not pull/,
        ],
        [
            "GitLab refuses the whole question, push",
            () => {
                set({ imageRegistry: "registry.gitlab.com/family/agent" });
                world.registry.whole = true;
                world.registry.tokens[settings.registryToken] = ["pull"];
            },
            "Registry, push",
            "failure",
            /may not push/,
        ],
        [
            "a registry whose tokens say nothing refuses the whole question, push",
            () => {
                set({ imageRegistry: "registry.gitlab.com/family/agent" });
                Object.assign(world.registry, { whole: true, opaque: true });
                world.registry.tokens[settings.registryToken] = ["pull"];
            },
            "Registry, push",
            "failure",
            /may not push/,
        ],
        [
            "GitLab refuses the whole question, pull",
            () => {
                set({ imageRegistry: "registry.gitlab.com/family/agent" });
                world.registry.whole = true;
            },
            "Registry, pull",
            "ok",
            /nothing more/,
        ],
        [
            "GitLab refuses all, pull",
            () => {
                set({ imageRegistry: "registry.gitlab.com/family/agent" });
                world.registry.whole = true;
                world.registry.tokens[settings.registryPullToken] = [];
            },
            "Registry, pull",
            "failure",
            /doesn't take registryPullToken/,
        ],
        [
            "a registry whose tokens say nothing",
            () => {
                set({ imageRegistry: "registry.gitlab.com/family/agent" });
                world.registry.opaque = true;
            },
            "Registry, push",
            "unchecked",
            /doesn't say/,
        ],
        [
            "a registry without tokens",
            () => set({ imageRegistry: "europe-docker.pkg.dev/project/images" }),
            "Registry, push",
            "unchecked",
            /takes registryToken but doesn't say/,
        ],
        [
            "a registry without tokens, wrong password",
            () => {
                set({ imageRegistry: "europe-docker.pkg.dev/project/images" });
                world.basic = [];
            },
            "Registry, push",
            "failure",
            /doesn't take registryToken/,
        ],

        [
            "an OpenRouter key that isn't one",
            () => (world.openRouter.keys = {}),
            "OpenRouter",
            "failure",
            /doesn't take openrouterApiKey.*openrouter\.ai\/settings\/keys/,
        ],
        ["its limit then", () => (world.openRouter.keys = {}), "Spending limit", "unchecked", /put right first/],
        ["a management key", () => (openRouterKey().is_management_key = true), "OpenRouter", "failure", /management key/],
        ["a provisioning key", () => (openRouterKey().is_provisioning_key = true), "OpenRouter", "failure", /management key/],
        [
            "a key that has expired",
            () => (openRouterKey().expires_at = "2020-01-02T00:00:00Z"),
            "OpenRouter",
            "failure",
            /has expired on 2020-01-02.*settings\/keys/,
        ],
        [
            "a key that expires soon",
            () => (openRouterKey().expires_at = new Date(Date.now() + 10 * day).toISOString()),
            "OpenRouter",
            "warning",
            /expires on 20\d\d-.*settings\/keys/,
        ],
        ["a key that expires in a year", () => (openRouterKey().expires_at = new Date(Date.now() + 365 * day).toISOString()), "OpenRouter", "ok", /expires on/],
        ["no spending limit", () => (openRouterKey().limit = null), "Spending limit", "warning", /no spending limit.*openrouter\.ai\/settings\/keys/],
        ["a limit that is used up", () => (openRouterKey().limit_remaining = 0), "Spending limit", "failure", /\$50 is used up/],
        ["what a sandbox costs", () => undefined, "Sandbox price", "ok", /\$0\.048 an hour, at most \$0\.381 .* \$0\.0036,/],
        ["a limit", () => undefined, "Spending limit", "ok", /^\$50 monthly, \$20 of it left/],
        ["no credit ever", () => (openRouterKey().is_free_tier = true), "Credit", "failure", /never bought credit.*credits/],
        [
            "no credit ever, for a free model",
            () => {
                openRouterKey().is_free_tier = true;
                set({ modelDefault: "openai/gpt-5.5:free" });
            },
            "Credit",
            "ok",
            /free model/,
        ],
        ["credit that is used up", () => (world.openRouter.credits = { total_credits: 10, total_usage: 10 }), "Credit", "failure", /used up/],
        ["credit", () => (world.openRouter.credits = { total_credits: 10, total_usage: 2.5 }), "Credit", "ok", /\$7\.50 left/],
        ["a model that isn't there", () => set({ modelDefault: "openai/gpt-0" }), "Model", "failure", /no model openai\/gpt-0.*openrouter\.ai\/models/],
        ["a variant of a model", () => set({ modelDefault: "openai/gpt-5.5:nitro" }), "Model", "ok", /nitro/],
        [
            "a model for speech that isn't there",
            () => set({ voiceModel: "openai/gpt-5.5" }),
            "Voice",
            "failure",
            /no model openai\/gpt-5\.5 that turns speech into text.*output_modalities=transcription.*voiceModel.*none/,
        ],
        ["a model that speaks", () => set({ voiceModel: "openai/tts" }), "Voice", "failure", /no model openai\/tts/],
        ["a model without tools", () => set({ modelDefault: "openai/no-tools" }), "Model", "failure", /can't call tools/],

        [
            "a Modal pair that doesn't belong together",
            () => (world.modal[settings.modalTokenId] = "as-another"),
            "Modal",
            "failure",
            /doesn't take modalTokenId with modalTokenSecret.*modal\.com/,
        ],
        ["a Modal pair without permission", () => (world.modalSays = grpc.PERMISSION_DENIED), "Modal", "failure", /doesn't take modalTokenId/],
        ["a Modal client that is too old", () => (world.modalSays = grpc.FAILED_PRECONDITION), "Modal", "failure", /version of its client.*requirements\.in/],
        ["Modal out of reach", () => (world.failing["api.modal.com"] = 0), "Modal", "unchecked", /doesn't answer/],
        ["Modal has a bad moment", () => (world.failing["api.modal.com"] = 500), "Modal", "unchecked", /INTERNAL/],

        ["a key of Exa", () => set({ exaApiKey: exaKey }), "Exa", "ok", /exaApiKey is valid.*\$0\.001/],
        [
            "one that Exa doesn't know",
            () => {
                set({ exaApiKey: exaKey });
                world.exa.keys = {};
            },
            "Exa",
            "failure",
            /doesn't take exaApiKey.*dashboard\.exa\.ai\/api-keys/,
        ],
        [
            "one without credit",
            () => {
                set({ exaApiKey: exaKey });
                world.exa.keys[exaKey] = 402;
            },
            "Exa",
            "failure",
            /used up, or the budget of exaApiKey.*dashboard\.exa\.ai/,
        ],
        [
            "one that may not read pages",
            () => {
                set({ exaApiKey: exaKey });
                world.exa.keys[exaKey] = 403;
            },
            "Exa",
            "failure",
            /may not read pages.*plan/,
        ],
        [
            "Exa with too much to do",
            () => {
                set({ exaApiKey: exaKey });
                world.exa.keys[exaKey] = 429;
            },
            "Exa",
            "unchecked",
            /api\.exa\.ai answers 429, try again later/,
        ],
        [
            "Exa out of reach",
            () => {
                set({ exaApiKey: exaKey });
                world.failing["api.exa.ai"] = 0;
            },
            "Exa",
            "unchecked",
            /api\.exa\.ai doesn't answer/,
        ],

        ["a Telegram bot", () => set({ telegramBotToken: botToken, telegramAllowedUsers: "1001" }), "Telegram", "ok", /@my_hermes_bot/],
        ["its users", () => set({ telegramBotToken: botToken, telegramAllowedUsers: "1001,1002" }), "Telegram users", "ok", /may write to each/],
        [
            "a user who never pressed Start",
            () => set({ telegramBotToken: botToken, telegramAllowedUsers: "1001,1003" }),
            "Telegram users",
            "warning",
            /may not write to 1003 yet.*t\.me\/my_hermes_bot/,
        ],
        [
            "a bot's token that isn't one",
            () => {
                set({ telegramBotToken: botToken, telegramAllowedUsers: "1001" });
                world.telegram.bots = {};
            },
            "Telegram",
            "failure",
            /doesn't take telegramBotToken.*@BotFather/,
        ],
        [
            "such a token, and its users",
            () => {
                set({ telegramBotToken: botToken, telegramAllowedUsers: "1001" });
                world.telegram.bots = {};
            },
            "Telegram users",
            "unchecked",
            /put right first/,
        ],
        [
            "Telegram out of reach",
            () => {
                set({ telegramBotToken: botToken, telegramAllowedUsers: "1001" });
                world.failing["api.telegram.org"] = 0;
            },
            "Telegram users",
            "unchecked",
            /api\.telegram\.org doesn't answer/,
        ],
        ["a bot without users", () => set({ telegramBotToken: botToken }), "Settings", "failure", /telegramAllowedUsers is not set/],

        [
            "the owner's device, where the tailnet signs people in",
            () => {
                const User = { 7: { LoginName: "Alice@GitHub" }, 8: { LoginName: "ben@example.com" } };
                commands.install("tailscale", { "status --json": tailnet({ Self: { UserID: 7 }, User }) });
                stack({ settings: { ...settings, signIn: "tailscale", webuiAdminEmail: "alice@github" } });
            },
            "Admin's login",
            "ok",
            /this device is alice@github's, the admin's/,
        ],
        [
            "somebody else's device",
            () => {
                const User = { 7: { LoginName: "Alice@GitHub" }, 8: { LoginName: "ben@example.com" } };
                commands.install("tailscale", { "status --json": tailnet({ Self: { UserID: 8 }, User }) });
                stack({ settings: { ...settings, signIn: "tailscale", webuiAdminEmail: "alice@github" } });
            },
            "Admin's login",
            "warning",
            /the admin is alice@github, and this device is ben@example\.com's: set webuiAdminEmail to ben@example\.com/,
        ],
        [
            "a tagged device",
            () => {
                const User = { 7: { LoginName: "Alice@GitHub" }, 8: { LoginName: "ben@example.com" } };
                commands.install("tailscale", { "status --json": tailnet({ Self: { UserID: 8, Tags: ["tag:server"] }, User }) });
                stack({ settings: { ...settings, signIn: "tailscale", webuiAdminEmail: "alice@github" } });
            },
            "Admin's login",
            "unchecked",
            /this device is tagged, and so is nobody's/,
        ],
        [
            "another tailnet",
            () => commands.install("tailscale", { "status --json": tailnet({ CurrentTailnet: { MagicDNSSuffix: "tail9.ts.net" } }) }),
            "Tailnet name",
            "warning",
            /is tail1234\.ts\.net and this device is on tail9\.ts\.net/,
        ],
        ["an auth key, of which nothing can be known", () => undefined, "Tailscale auth key", "unchecked", /by its form.*when it is first used/],
        [
            "a machine of this name",
            () => commands.install("tailscale", { "status --json": tailnet({ Peer: { key: { DNSName: "open-webui.tail1234.ts.net." } } }) }),
            "Machine name",
            "failure",
            /is in the tailnet already.*npm run tidy.*admin\/machines/,
        ],
        [
            "a machine of another name",
            () => commands.install("tailscale", { "status --json": tailnet({ Peer: { key: { DNSName: "open-webui-1.tail1234.ts.net." } } }) }),
            "Machine name",
            "ok",
            /sees no machine/,
        ],
        [
            "this stack's own machine",
            () => {
                stack({ state: [{ type: "render:index/privateService:PrivateService", id: "srv-own" }] });
                commands.install("tailscale", { "status --json": tailnet({ Peer: { key: { DNSName: "open-webui.tail1234.ts.net." } } }) });
            },
            "Machine name",
            "ok",
            /so are this stack's services/,
        ],
        ["no payment card, as far as anybody can tell", () => undefined, "Payment card", "unchecked", /402.*Billing/],
        ["a payment card", () => stack({ state: [{ type: "render:index/privateService:PrivateService", id: "srv-own" }] }), "Payment card", "ok", /has one/],
        ["no Tailscale here", () => commands.uninstall("tailscale"), "Tailnet name", "ok", /looks right/],
        [
            "Tailscale is stopped",
            () => commands.install("tailscale", { "status --json": tailnet({ BackendState: "Stopped" }) }),
            "Tailnet name",
            "ok",
            /looks right/,
        ],
        ["no Tailscale here, HTTPS", () => commands.uninstall("tailscale"), "Tailnet HTTPS", "unchecked", /isn't on tail1234/],
        [
            "HTTPS is off",
            () => commands.install("tailscale", { "status --json": tailnet({ CertDomains: null }) }),
            "Tailnet HTTPS",
            "failure",
            /Enable HTTPS at login\.tailscale\.com\/admin\/dns/,
        ],
    ])("%s", async ([, arrange, check, status, says]) => {
        await arrange();
        const { line } = await run();
        expect(line(check)).toMatchObject({ status });
        expect(`${line(check).message}: ${line(check).fix ?? ""}`).toMatch(says);
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
