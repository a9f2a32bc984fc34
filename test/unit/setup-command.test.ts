import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Commands } from "../harness/commands.ts";
import { idle } from "../harness/render-services.ts";
import { Accounts, type World, worldWith } from "../stand-ins/accounts.ts";
import { OpenRouter } from "../stand-ins/internet/openrouter.ts";
import { ctrlC, enter, Terminal } from "../harness/terminal.ts";
import { requiredSettings, secretSettings } from "../harness/settings.ts";
import { RenderApi } from "../stand-ins/render/api.ts";

/** What the CLI's stand-in keeps, see test/stand-ins/pulumi.mjs. */
interface State {
    user: string;
    cloud: boolean;
    stacks: string[];
    current?: string;
    passphrase?: string;
    environments: Record<string, Record<string, { value: string; secret: boolean }>>;
    config: Record<string, { value: string; secret: boolean }>;
    /** Whether the stack's file can't be written. */
    full?: boolean;
    calls: { line: string; input: string }[];
}

const nothing: State = { user: "octo", cloud: true, stacks: [], environments: {}, config: {}, calls: [] };
const stored = (values: Record<string, string>) =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [`private-hermes:${key}`, { value, secret: secretSettings.includes(key) }]));

let settings: Record<string, string>;
let commands: Commands;
let world: World;
let accounts: Accounts;
let render: RenderApi;
/** A folder in which npm finds the project, and in which the stack's file lies. */
let folder: string;
let terminal: Terminal | undefined;
/** Every secret that is typed in. */
let secrets: string[];

const path = (name: string) => join(folder, name);
const state = () => JSON.parse(readFileSync(path("state.json"), "utf8")) as State;
const keep = (changes: Partial<State>) => {
    writeFileSync(path("state.json"), JSON.stringify({ ...nothing, ...changes }));
};

const environment = (): NodeJS.ProcessEnv => ({
    ...process.env,
    PATH: [commands.folder, process.env.PATH].join(delimiter),
    NODE_OPTIONS: `--import=${new URL("../harness/loopback-only.mjs", import.meta.url).href}`,
    SERVICES_URL: accounts.url,
    MODAL_SERVER_URL: accounts.modalUrl,
    RENDER_HOST: render.url,
});

const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<"setup", string> };
const npm = "npm run --silent setup";

/** A command in a terminal of its own: what `npm run setup` runs, or npm itself, which takes its time. */
function start(command = scripts.setup): Terminal {
    terminal = new Terminal(["sh", "-c", command], { cwd: folder, env: environment() });
    return terminal;
}

beforeEach(async () => {
    settings = requiredSettings();
    secrets = secretSettings.flatMap((key) => settings[key] || []);
    world = worldWith({
        github: { [settings.registryToken]: { login: "octo-cat", scopes: "write:packages" } },
        openRouter: new OpenRouter({
            keys: { [settings.openrouterApiKey]: { limit: 50, limit_remaining: 20, is_free_tier: false } },
            models: [{ id: "openai/gpt-5.5" }],
        }),
        modal: { [settings.modalTokenId]: settings.modalTokenSecret },
    });
    accounts = await Accounts.start(world);
    render = await RenderApi.start(settings.renderApiKey, settings.renderOwnerId, idle);
    commands = new Commands();
    folder = mkdtempSync(join(tmpdir(), "private-hermes-setup-"));
    for (const name of ["package.json", "Pulumi.yaml", "node_modules", "ops"]) symlinkSync(resolve(name), path(name));
    commands.forward("pulumi", [process.execPath, resolve("test/stand-ins/pulumi.mjs"), path("state.json")]);
    commands.install("tailscale", {});
});

afterEach(async () => {
    vi.unstubAllEnvs();
    terminal?.kill();
    terminal = undefined;
    await accounts.close();
    await render.close();
    commands.remove();
    rmSync(folder, { recursive: true });
});

/** No secret that was typed in shows on the screen or on a command line of the CLI. */
function expectSecrecy(): void {
    const lines = state()
        .calls.map(({ line }) => line)
        .join("\n");
    for (const secret of secrets) {
        expect(terminal?.shown).not.toContain(secret);
        expect(lines).not.toContain(secret);
    }
}

describe.skipIf(process.platform === "win32")("in a terminal", () => {
    test(
        "at Pulumi Cloud, from nothing: it makes stack and environment, tells what is wrong at once, and goes on after a stop",
        { timeout: 120_000 },
        async () => {
            keep({});
            copyFileSync("Pulumi.dev.yaml", path("Pulumi.dev.yaml"));
            const refused = `ghp_${"Zy9x".repeat(9)}`;
            secrets.push(refused);
            const first = start(npm);
            await first.answer("Name of the new stack", "");
            await first.answer("imageRegistry (Enter keeps ghcr.io)", "");
            await first.answer("registryUser", "octo cat");
            await first.sees("registryUser has white space in it");
            first.type("\x7f".repeat(8) + settings.registryUser + enter);
            await first.sees("write:packages"); // where to make it, and with which scope
            await first.answer("◆  registryToken", ""); // what is typed before the question is lost
            await first.sees("registryToken is not set");
            first.type(`github_pat_${"1A".repeat(20)}${enter}`);
            await first.sees("registryToken is a fine-grained GitHub token");
            first.type(refused + enter);
            await first.sees("✗ Registry, push: ghcr.io doesn't take registryToken");
            // Asked again at once, and only for what was refused; nothing of it is stored yet.
            expect(state().environments).toEqual({ "octo/private-hermes/dev": {} });
            await first.answer("◆  registryToken (Enter keeps the present one)", settings.registryToken);
            await first.sees("✓ Registry, push: registryToken may push");
            await first.sees("Stored registryUser and registryToken.");
            await first.answer("renderApiKey", settings.renderApiKey);
            await first.sees("◆  renderOwnerId");
            first.type(ctrlC);
            expect(await first.ended()).toBe(130);
            expect(first.shown).toContain("What was stored is kept");
            expectSecrecy();
            expect(Object.keys(state().environments["octo/private-hermes/dev"])).toEqual(["private-hermes:registryUser", "private-hermes:registryToken"]);
            expect(readFileSync(path("Pulumi.dev.yaml"), "utf8")).toBe(readFileSync("Pulumi.dev.yaml", "utf8"));

            const second = start(npm);
            await second.sees("There already: registryUser, registryToken.");
            // What is right is left alone: the next question is the one that was open.
            await second.answer("renderApiKey", settings.renderApiKey);
            await second.answer("renderOwnerId", settings.renderOwnerId);
            await second.sees("✓ Render: the key opens the workspace");
            for (const key of ["openrouterApiKey", "modalTokenId", "modalTokenSecret", "tailscaleAuthKey", "tailnetDnsName"])
                await second.answer(`◆  ${key}`, settings[key]);
            await second.sees("every chat, account and memory goes with the disks");
            await second.answer("◆  backupRepository (none goes on without backups)", "");
            await second.sees("Give the bucket's address, or write none");
            second.type(`none${enter}`);
            await second.answer("Change or add anything else?", "");
            expect(await second.ended()).toBe(0);
            expect(second.shown.slice(0, second.shown.indexOf("renderApiKey"))).not.toContain("◆  ghcr");
            expectSecrecy();
            expect(state().environments["octo/private-hermes/dev"]).toEqual(stored(settings));
            // Not even a line break that the shell would take away.
            expect(
                state()
                    .calls.filter(({ line }) => line.startsWith("env set"))
                    .map(({ input }) => input)
                    .sort(),
            ).toEqual(Object.values(settings).sort());
        },
    );

    test("at Pulumi Cloud, a stack of another name gets a file that names an environment of its own", { timeout: 60_000 }, async () => {
        keep({});
        copyFileSync("Pulumi.dev.yaml", path("Pulumi.dev.yaml"));
        const session = start();
        await session.answer("Name of the new stack", "\x7f\x7f\x7ffamily");
        await session.sees("◆  imageRegistry");
        session.type(ctrlC);
        expect(await session.ended()).toBe(130);
        expect(Object.keys(state().environments)).toEqual(["octo/private-hermes/family"]);
        expect(readFileSync(path("Pulumi.family.yaml"), "utf8")).toBe("environment:\n  - private-hermes/family\n");
    });

    test("with another backend, a new stack's passphrase is typed twice the same", { timeout: 60_000 }, async () => {
        keep({ cloud: false });
        secrets.push("correct horse", "mistyped horse");
        const session = start();
        await session.answer("Name of the new stack", "");
        await session.answer("A passphrase for the stack", "correct horse");
        await session.answer("The same once more", "mistyped horse");
        await session.sees("That is another one.");
        session.type(`correct horse${enter}`);
        await session.sees("◆  imageRegistry");
        session.type(ctrlC);
        expect(await session.ended()).toBe(130);
        expect(state()).toMatchObject({ stacks: ["dev"], passphrase: "correct horse" });
        expectSecrecy();
    });

    test(
        "with another backend: it asks for the passphrase, takes ESC out of the stack's file, and asks only for what is missing",
        { timeout: 60_000 },
        async () => {
            const { modalTokenSecret, ...others } = settings;
            const before: Partial<State> = { cloud: false, stacks: ["dev"], current: "dev", passphrase: "correct horse", config: stored(others) };
            keep({ ...before, full: true });
            writeFileSync(path("Pulumi.dev.yaml"), "# Mine.\nencryptionsalt: v1:abc\nenvironment:\n  - private-hermes/dev\n");
            secrets.push("correct horse", "mistyped horse");
            const session = start();
            await session.sees("Pulumi.dev.yaml no longer names an ESC environment");
            await session.answer("The stack's passphrase", "mistyped horse");
            await session.sees("The passphrase is wrong");
            await session.answer("The stack's passphrase", "correct horse");
            await session.answer("◆  modalTokenSecret", modalTokenSecret);
            // The CLI has the secret in its sentence, and it isn't in what the CLI has stored.
            await session.sees("writing [secret]: no space left on device");
            expect(await session.ended()).toBe(1);
            expectSecrecy();
            keep(before);
            vi.stubEnv("PULUMI_CONFIG_PASSPHRASE", "correct horse");
            const again = start();
            await again.answer("◆  modalTokenSecret", modalTokenSecret);
            await again.sees("✓ Modal: modalTokenId and modalTokenSecret are a valid pair");
            await again.answer("◆  backupRepository (none goes on without backups)", "none");
            await again.answer("Change or add anything else?", "");
            expect(await again.ended()).toBe(0);
            expectSecrecy();
            expect(state().config).toEqual(stored(settings));
            expect(state().calls.filter(({ line }) => / set /.test(line))).toEqual([
                { line: "config set --secret modalTokenSecret --non-interactive", input: modalTokenSecret },
            ]);
            expect(readFileSync(path("Pulumi.dev.yaml"), "utf8")).toBe("# Mine.\nencryptionsalt: v1:abc\n");
        },
    );
});

test("without a terminal it says so in one sentence, and does nothing", { timeout: 30_000 }, () => {
    keep({});
    const { status, stdout, stderr } = spawnSync(scripts.setup, { cwd: folder, env: environment(), encoding: "utf8", input: "", shell: true });
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^✗ Setup: .*needs a terminal.*\n$/);
    expect(status).toBe(1);
    expect(state().calls).toEqual([]);
});
