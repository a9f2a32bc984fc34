/** The data of the previous versions under the pinned ones; and the way back, which is the snapshots of the disks. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serviceNames } from "../program";
import { pinned, previous as versionsBefore, type Versions } from "../upgrade/versions";
import { output, repository } from "./docker";
import { buildPrevious } from "./previous";
import { Stack, type Session } from "./stack";

let stack: Stack;
let previous: Awaited<ReturnType<typeof buildPrevious>>;
/** What was there before the upgrade. */
let before: { session: Session; machines: Awaited<ReturnType<Stack["machines"]>>; migrations: string; job: string; restore: (() => Promise<void>)[] };

/** Something that nobody has said before. */
const words = (what: string) => `${what} ${randomUUID().slice(0, 8)}`;
const [fact, skill, job, session, chat] = ["The cat is called", "Greet the cat as", "Feed the cat", "Where is the cat", "Is the cat well"].map(words);
const [laterFact, laterChat] = ["The dog is called", "Is the dog well"].map(words);

beforeAll(async () => {
    stack = await Stack.create();
    previous = await buildPrevious();
    await startBoth(previous);
    expect(await versions()).toEqual(versionsBefore);
    const admin = await stack.signIn();
    await stack.sendFromPage(admin.token, chat);
    await stack.ask(session);
    await use("memory", { action: "add", target: "user", content: fact });
    await use("skill_manage", { action: "create", name: "greet-cat", content: `---\nname: greet-cat\ndescription: Greets the cat\n---\n\n${skill}\n` });
    const { body } = await jobs("POST", "", { name: "cat", schedule: "60m", prompt: job, deliver: "local" });
    before = { session: admin, machines: await stack.machines(), migrations: await migrations(), job: (body as { job: { id: string } }).job.id, restore: [] };
    await stopBoth();
    for (const name of serviceNames) before.restore.push(await stack.snapshot(name));
    await startBoth();
});
afterAll(() => stack.remove());

/** Starts both services, on these images or on the pinned ones. */
async function startBoth(images?: typeof previous): Promise<void> {
    for (const name of serviceNames) {
        stack.useImage(name, images?.[name]);
        await stack.start(name);
    }
}

async function stopBoth(): Promise<void> {
    for (const name of serviceNames) await stack.stop(name);
}

/** The versions that run. */
async function versions(): Promise<Versions> {
    const [hermes, openWebUi] = serviceNames.map((name) => stack.running(name));
    const metadata = "from importlib.metadata import version; print(version('hermes-agent'))";
    const { body } = await stack.webui("GET", "/api/version");
    return {
        "hermes-agent": (await output(hermes, "/opt/hermes/bin/python", "-c", metadata)).trim(),
        "open-webui": (body as { version: string }).version,
        tailscale: (await output(openWebUi, "tailscale", "version")).split("\n")[0],
    };
}

/** What Open WebUI does to a database that it finds. */
const migrations = () => output(stack.running("open-webui"), "ls", "/app/backend/open_webui/migrations/versions");

/** Has the agent call a tool that must succeed; gives what it returned. */
async function use(tool: string, parameters: object): Promise<string> {
    const said = await stack.ask(`CALL ${tool} ${JSON.stringify(parameters)}`);
    expect(said).toContain('"success": true');
    return said;
}

const jobs = (method: string, path: string, body?: unknown) =>
    stack.hermes(method, `/api/jobs${path}`, { bearer: stack.environment("hermes").API_SERVER_KEY, body });

/** Whether a text comes with a message to the model, as what the agent remembers does. */
async function remembers(text: string): Promise<boolean> {
    await stack.forgetCalls();
    await stack.ask("What do you know about me?");
    return JSON.stringify((await stack.calls())[0].messages).includes(text);
}

/** Titles of the admin's chats, which are their first messages. */
async function chats({ token }: Session): Promise<string[]> {
    const { body } = await stack.webui("GET", "/api/v1/chats/", { bearer: token });
    return (body as { title: string }[]).map(({ title }) => title);
}

async function expectAllOfBefore(): Promise<void> {
    expect(await chats(await stack.signIn())).toContain(chat);
    expect(await remembers(fact)).toBe(true);
    expect(await use("session_search", { query: session.split(" ").at(-1) })).toContain(session);
    expect(await use("skill_view", { name: "greet-cat" })).toContain(skill);
    expect(JSON.stringify((await jobs("GET", `/${before.job}`)).body)).toContain(job);
}

describe("under the pinned versions", () => {
    test("these are what runs", async () => {
        expect(await versions()).toEqual(pinned);
    });

    test("accounts, chats, memory, sessions, skills and scheduled jobs are there", expectAllOfBefore);

    test("who was signed in still is", async () => {
        expect((await stack.webui("GET", "/api/v1/auths/", { bearer: before.session.token })).status).toBe(200);
    });

    test("the machine on the tailnet is the same, and there is no second one", async () => {
        expect((await stack.machines()).map(({ ID, Name }) => ({ ID, Name }))).toEqual(before.machines.map(({ ID, Name }) => ({ ID, Name })));
    });

    test("a job of before runs", async () => {
        await stack.forgetCalls();
        expect((await jobs("POST", `/${before.job}/run`)).status).toBe(200);
        const asked = async () => (await stack.calls()).some(({ messages }) => JSON.stringify(messages.at(-1)).includes(job));
        await expect.poll(asked, { timeout: 100_000, interval: 1000 }).toBe(true);
    });

    test("new chats and memories are kept, also over a restart", async () => {
        await stack.sendFromPage((await stack.signIn()).token, laterChat);
        await use("memory", { action: "add", target: "user", content: laterFact });
        for (const name of serviceNames) await stack.redeploy(name);
        expect(await chats(await stack.signIn())).toEqual(expect.arrayContaining([chat, laterChat]));
        expect(await remembers(laterFact)).toBe(true);
    });
});

describe("back to the previous versions", () => {
    test("Open WebUI refuses the newer database, with the words that the README has", async ({ skip }) => {
        skip((await migrations()) === before.migrations, "these two versions of it have the same database");
        const [, words] = /\| Log: `(Can't locate revision)`/.exec(readFileSync(`${repository}README.md`, "utf8")) ?? [];
        expect(words).toBeDefined();
        await stopBoth();
        stack.useImage("open-webui", previous["open-webui"]);
        await expect(stack.start("open-webui")).rejects.toThrow(words);
    });

    test("with both snapshots they start, with all that was there and nothing that came later", async () => {
        await stopBoth();
        for (const restore of before.restore) await restore();
        await startBoth(previous);
        expect(await versions()).toEqual(versionsBefore);
        await expectAllOfBefore();
        expect(await chats(await stack.signIn())).not.toContain(laterChat);
        expect(await remembers(laterFact)).toBe(false);
        expect(await stack.machines()).toHaveLength(1);
    });
});
