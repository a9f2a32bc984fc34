/** What `npm run preflight` and `npm run verify` make of the backups in the bucket. The bucket is played; how restic fills one is tested with restic. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { folderOf, type Service, serviceNames } from "../../bucket.ts";
import { afterUp, beforeUp } from "../../ops/backups.ts";
import { CommandFailed, runCommand } from "../../ops/command.ts";
import { type Check, runAll } from "../../ops/report.ts";
import { type Stack, stackOf } from "../../ops/stack.ts";
import { repositoryWith } from "../harness/repository.ts";
import { backupSettings, project, requiredSettings, secretSettings } from "../harness/settings.ts";

vi.mock(import("../../ops/command.ts"), async (original) => ({ ...(await original()), runCommand: vi.fn() }));

const given: Record<string, string> = { ...requiredSettings(), ...backupSettings() };
const [first, second] = ["0a".repeat(32), "1b".repeat(32)];
/** The id of the repository that each service has backups in. */
let kept: Partial<Record<Service, string>>;
/** What the bucket answers when it is asked whether it keeps old versions. */
let versioning: string;
/** What the Pulumi CLI answers, by its command line. */
let says: Record<string, unknown>;
/** What is stored by it: command line and value. */
let stored: [line: string, value: string][];

beforeEach(() => {
    kept = { hermes: first, "open-webui": second };
    stored = [];
    says = { "whoami --json": { user: "me", url: "file://~" } };
    vi.mocked(runCommand)
        .mockReset()
        .mockImplementation((_, args, input) => {
            const line = args.filter((arg) => arg !== "--non-interactive").join(" ");
            if (input !== undefined) stored.push([line, input]);
            return Promise.resolve(typeof says[line] === "string" ? says[line] : JSON.stringify(says[line]));
        });
    const made = new Map<string, ReturnType<typeof repositoryWith>>();
    vi.spyOn(globalThis, "fetch").mockImplementation((input) => {
        const url = new URL(input instanceof Request ? input.url : input.toString());
        const service = serviceNames.find((name) =>
            `${url.pathname}${url.searchParams.get("prefix") ?? ""}/`.includes(`${folderOf(project.name, "dev", name)}/`),
        );
        const id = service && kept[service];
        const repository = made.get(id ?? "") ?? repositoryWith(given.backupPassword, id ?? "");
        made.set(id ?? "", repository);
        if (url.searchParams.has("versioning")) return Promise.resolve(new Response(versioning));
        if (url.pathname.endsWith("/keys/1")) return Promise.resolve(new Response(repository.key));
        if (url.pathname.endsWith("/config")) return Promise.resolve(new Response(new Uint8Array(repository.config)));
        const object = (name: string) =>
            `<Contents><Key>${url.searchParams.get("prefix") ?? ""}${name}</Key><LastModified>${new Date().toISOString()}</LastModified><Size>1</Size></Contents>`;
        return Promise.resolve(new Response(`<List>${id ? ["config", "keys/1", "snapshots/1"].map(object).join("") : ""}</List>`));
    });
});
afterEach(() => {
    vi.restoreAllMocks();
});

const fullKey = (key: string) => `${project.name}:${key}`;
const fullKeys = (values: Record<string, string>) => Object.fromEntries(Object.entries(values).map(([key, value]) => [fullKey(key), value]));

/** What a check finds, for a stack with these settings besides. */
async function found(checks: typeof afterUp, name: string, backupRepositoryIds?: string): Promise<string> {
    const values = { ...given, ...(backupRepositoryIds !== undefined && { backupRepositoryIds }) };
    const stack = stackOf({ name: "dev", values: fullKeys(values), secretKeys: secretSettings.map(fullKey) });
    const check: Check[] = checks(stack).filter((each) => each.name === name);
    const [{ status, message, fix }] = await runAll(check, stack.secrets, () => undefined);
    return `${status}: ${message}: ${fix ?? ""}`;
}
const both = `hermes=${first},open-webui=${second}`;

test("verify stores which repositories have backups, in plain text, and once", async () => {
    expect(await found(afterUp, "Backups, expected")).toMatch(/^ok: stored in backupRepositoryIds/);
    expect(stored).toEqual([["config set backupRepositoryIds", both]]);
    expect(await found(afterUp, "Backups, expected", both)).toMatch(/^ok: each start/);
    expect(stored).toHaveLength(1);
});

test("it stands in the stack's ESC environment, where it has one: a deployment from GitHub knows no other place", async () => {
    says = {
        "whoami --json": { user: "me", url: "https://app.pulumi.com/me" },
        "config env ls --json": ["private-hermes/dev"],
        "stack ls --json": [{ name: "dev", current: true, url: "https://app.pulumi.com/me/private-hermes/dev" }],
        "env ls": "private-hermes/dev",
    };
    await found(afterUp, "Backups, expected");
    expect(stored).toEqual([["env set me/private-hermes/dev pulumiConfig.backupRepositoryIds --string --file -", both]]);
    says["config env ls --json"] = [];
    await found(afterUp, "Backups, expected");
    expect(stored.at(-1)).toEqual(["config set backupRepositoryIds", both]);
});

test("of a service without backups it stores nothing, and what comes later is stored then", async () => {
    kept = {};
    expect(await found(afterUp, "Backups, expected")).toMatch(/^ok: there are none yet/);
    expect(stored).toEqual([]);
    kept = { hermes: first };
    await found(afterUp, "Backups, expected");
    expect(stored.at(-1)?.[1]).toBe(`hermes=${first}`);
    kept = { hermes: first, "open-webui": second };
    await found(afterUp, "Backups, expected", `hermes=${first}`);
    expect(stored.at(-1)?.[1]).toBe(both);
});

test.for<[what: string, checks: typeof afterUp, name: string]>([
    ["preflight", beforeUp, "Backups"],
    ["verify", afterUp, "Backups, expected"],
])("backups that are gone, or others in their place, are a failure of %s, and what is expected stays", async ([, checks, name]) => {
    kept = { hermes: first };
    expect(await found(checks, name, both)).toMatch(/^failure: .*no backups of Open WebUI.*correct backupRepository.*pulumi config rm backupRepositoryIds/);
    kept = { hermes: second, "open-webui": second };
    expect(await found(checks, name, both)).toMatch(/^failure: .*other backups than before of Hermes/);
    expect(stored).toEqual([]);
});

test("what isn't a list of repositories is to be put right first", async () => {
    expect(await found(beforeUp, "Backups", "hermes")).toMatch(/^unchecked: backupRepositoryIds has to be put right first/);
});

test.for<[answer: string, says: RegExp]>([
    ["<Status>Enabled</Status>", /^ok/],
    ["<Status>Suspended</Status>", /^warning: .*could destroy/],
    ["<Error><Code>AccessDenied</Code></Error>", /^unchecked: .*may not ask/],
])("whether the bucket keeps old versions, as it says %s", async ([answer, says]) => {
    versioning = answer;
    expect(await found(beforeUp, "Backups, old versions")).toMatch(says);
});

test("a restore is tested only when that is asked for, and what stops it is said", async () => {
    const restores = (stack: Stack) => afterUp(stack, true);
    const names = (checks: typeof afterUp) =>
        checks(stackOf({ name: "dev", values: fullKeys(given), secretKeys: secretSettings.map(fullKey) })).map(({ name }) => name);
    expect(names(restores).filter((name) => !names(afterUp).includes(name))).toEqual(["Hermes, restore", "Open WebUI, restore"]);
    vi.mocked(runCommand).mockRejectedValue(new CommandFailed("docker", Object.assign(new Error(), { code: "ENOENT" })));
    expect(await found(restores, "Hermes, restore")).toMatch(/^unchecked: Docker isn't installed/);
    kept = {};
    expect(await found(restores, "Hermes, restore")).toMatch(/^unchecked: there is no backup of it yet/);
});
