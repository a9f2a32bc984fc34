/** The data of the previous versions under the pinned ones; and the way back, which is the snapshots of the disks, or backups. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { backupSettings, serviceNames } from "../harness/settings.ts";
import { pinned, previous as versionsBefore, type Versions } from "../harness/versions.ts";
import { logOf, output, repository } from "../harness/docker.ts";
import { Bucket } from "../harness/bucket.ts";
import { buildPrevious } from "../harness/previous.ts";
import { Testbed, words, type Session } from "../harness/testbed.ts";

let testbed: Testbed;
let bucket: Bucket;
let previous: Awaited<ReturnType<typeof buildPrevious>>;
/** What was there before the upgrade. */
let before: {
    session: Session;
    machines: Awaited<ReturnType<Testbed["machines"]>>;
    migrations: string;
    job: string;
    restore: (() => Promise<void>)[];
    backups: string[];
};

const [fact, skill, job, session, chat] = ["The cat is called", "Greet the cat as", "Feed the cat", "Where is the cat", "Is the cat well"].map(words);
const [laterFact, laterChat] = ["The dog is called", "Is the dog well"].map(words);

beforeAll(async () => {
    testbed = await Testbed.create();
    const settings = backupSettings();
    await testbed.configure(settings);
    bucket = await Bucket.open(testbed, settings);
    previous = await buildPrevious();
    await startBoth(previous);
    expect(await versions()).toEqual(versionsBefore);
    const admin = await testbed.signIn();
    await testbed.sendFromPage(admin.token, chat);
    await testbed.ask(session);
    await use("memory", { action: "add", target: "user", content: fact });
    await use("skill_manage", { action: "create", name: "greet-cat", content: `---\nname: greet-cat\ndescription: Greets the cat\n---\n\n${skill}\n` });
    const { body } = await jobs("POST", "", { name: "cat", schedule: "60m", prompt: job, deliver: "local" });
    before = {
        session: admin,
        machines: await testbed.machines(),
        migrations: await migrations(),
        job: (body as { job: { id: string } }).job.id,
        restore: [],
        backups: [],
    };
    await stopBoth();
    for (const name of serviceNames) before.restore.push(await testbed.snapshot(name));
    before.backups = await backups();
    await startBoth();
});
afterAll(() => testbed.remove());

/** Starts both services, on these images or on the pinned ones. */
async function startBoth(images?: typeof previous): Promise<void> {
    for (const name of serviceNames) {
        testbed.useImage(name, images?.[name]);
        await testbed.start(name);
    }
}

async function stopBoth(): Promise<void> {
    for (const name of serviceNames) await testbed.stop(name);
}

/** The files of all backups, in the bucket. */
const backups = async () => (await bucket.inside("ls -d private-hermes-test/*/snapshots/*")).trim().split("\n");

/** The versions that run. */
async function versions(): Promise<Versions> {
    const [hermes, openWebUi] = serviceNames.map((name) => testbed.running(name));
    const metadata = "from importlib.metadata import version; print(version('hermes-agent'))";
    const { body } = await testbed.webui("GET", "/api/version");
    return {
        "hermes-agent": (await output(hermes, "/opt/hermes/bin/python", "-c", metadata)).trim(),
        "open-webui": (body as { version: string }).version,
        tailscale: (await output(openWebUi, "tailscale", "version")).split("\n")[0],
    };
}

/** What Open WebUI does to a database that it finds. */
const migrations = () => output(testbed.running("open-webui"), "ls", "/app/backend/open_webui/migrations/versions");

/** Makes the agent call a tool that must succeed; gives what it returned. */
async function use(tool: string, parameters: object): Promise<string> {
    const said = await testbed.useTool(tool, parameters);
    expect(said).toContain('"success": true');
    return said;
}

const jobs = (method: string, path: string, body?: unknown) =>
    testbed.hermes(method, `/api/jobs${path}`, { bearer: testbed.environment("hermes").API_SERVER_KEY, body });

/** Titles of the admin's chats. */
async function chats(): Promise<string[]> {
    const { token } = await testbed.signIn();
    return (await testbed.chats(token)).map(({ title }) => title);
}

async function expectAllOfBefore(): Promise<void> {
    expect(await chats()).toContain(chat);
    expect(await testbed.remembered()).toContain(fact);
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
        expect((await testbed.webui("GET", "/api/v1/auths/", { bearer: before.session.token })).status).toBe(200);
    });

    test("the machine on the tailnet is the same, and there is no second one", async () => {
        expect((await testbed.machines()).map(({ ID, Name }) => ({ ID, Name }))).toEqual(before.machines.map(({ ID, Name }) => ({ ID, Name })));
    });

    test("a job of before runs", async () => {
        await testbed.forgetCalls();
        expect((await jobs("POST", `/${before.job}/run`)).status).toBe(200);
        await expect.poll(() => testbed.asked(job), { timeout: 100_000, interval: 1000 }).not.toEqual([]);
    });

    test("new chats and memories are kept, also over a restart, which looks for no migration of the database any more", async () => {
        const migration = /alembic\.runtime\.migration/;
        expect(await logOf(testbed.running("open-webui"))).toMatch(migration);
        await testbed.sendFromPage((await testbed.signIn()).token, laterChat);
        await use("memory", { action: "add", target: "user", content: laterFact });
        for (const name of serviceNames) await testbed.redeploy(name);
        expect(await logOf(testbed.running("open-webui"))).not.toMatch(migration);
        expect(await chats()).toEqual(expect.arrayContaining([chat, laterChat]));
        expect(await testbed.remembered()).toContain(laterFact);
    });
});

describe("back to the previous versions", () => {
    test("Open WebUI refuses the newer database, with the words that docs/recover.md has", async ({ skip }) => {
        skip((await migrations()) === before.migrations, "these two versions of it have the same database");
        const [, refusal] = /\| Log: `(Can't locate revision)`/.exec(readFileSync(`${repository}docs/recover.md`, "utf8")) ?? [];
        expect(refusal).toBeDefined();
        await stopBoth();
        testbed.useImage("open-webui", previous["open-webui"]);
        await expect(testbed.start("open-webui")).rejects.toThrow(refusal);
    });

    const expectBefore = async () => {
        expect(await versions()).toEqual(versionsBefore);
        await expectAllOfBefore();
        expect(await chats()).not.toContain(laterChat);
        expect(await testbed.remembered()).not.toContain(laterFact);
        expect(await testbed.machines()).toHaveLength(1);
    };

    test("with both snapshots they start, with all that was there and nothing that came later", async () => {
        await stopBoth();
        for (const restore of before.restore) await restore();
        await startBoth(previous);
        await expectBefore();
    });

    test("with the backups of before they start so, too, on empty disks", async () => {
        await stopBoth();
        const later = (await backups()).filter((name) => !before.backups.includes(name));
        expect(later.length).toBeGreaterThan(0);
        await bucket.inside(`rm ${later.join(" ")}`);
        for (const name of serviceNames) await testbed.loseDisk(name);
        await startBoth(previous);
        await expectBefore();
    });
});
