/** The data outlives the services: both disks are deleted, and everything comes back from a bucket. What fails on the way, test/containers/backup.test.ts and bucket.test.ts have. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bucket } from "../harness/bucket.ts";
import { ending, start } from "../harness/docker.ts";
import { backupSettings, serviceNames } from "../harness/settings.ts";
import { Testbed, words } from "../harness/testbed.ts";

const settings = backupSettings();

let testbed: Testbed;
let bucket: Bucket;
beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.configure(settings);
    bucket = await Bucket.open(testbed, settings);
    await Promise.all(serviceNames.map((name) => testbed.start(name)));
});
afterAll(() => testbed.remove());

const jobs = (path: string, body?: unknown) => testbed.hermes("POST", `/api/jobs${path}`, { bearer: testbed.environment("hermes").API_SERVER_KEY, body });
const backups = (name: string) => bucket.inside(`ls private-hermes-test/${name}/snapshots 2>/dev/null || true`);

describe("Both disks are deleted", () => {
    const [fact, chat, prompt] = ["The cat is called", "Is the cat well", "Feed the cat"].map(words);
    const ben = { name: "Ben", email: "ben@example.com", password: randomUUID(), role: "user" };
    let job: string;
    let url: string;

    test("when both services are stopped, as by `pulumi destroy`, each makes a last backup", async () => {
        const { token } = await testbed.signIn();
        await testbed.webui("POST", "/api/v1/auths/add", { bearer: token, body: ben });
        await testbed.sendFromPage(token, chat);
        await testbed.useTool("memory", { action: "add", target: "user", content: fact });
        job = ((await jobs("", { name: "cat", schedule: "60m", prompt, deliver: "local" })).body as { job: { id: string } }).job.id;
        url = testbed.url;
        const before = await Promise.all(serviceNames.map(backups));
        for (const name of serviceNames) await testbed.stop(name);
        const after = await Promise.all(serviceNames.map(backups));
        for (const [index, list] of after.entries()) expect(list.split("\n").length).toBeGreaterThan(before[index].split("\n").length);
    });

    test("after `pulumi up` in another region accounts, chats and memories are there, at the same address", async () => {
        await testbed.configure({ ...settings, renderRegion: "frankfurt" });
        for (const name of serviceNames) await testbed.loseDisk(name);
        await Promise.all(serviceNames.map((name) => testbed.start(name)));
        expect(testbed.url).toBe(url);
        expect(await testbed.machines()).toHaveLength(1);
        const { token } = await testbed.signIn();
        expect((await testbed.chats(token)).map(({ title }) => title)).toContain(chat);
        const { email, password } = ben;
        expect((await testbed.webui("POST", "/api/v1/auths/signin", { body: { email, password } })).status).toBe(200);
        expect(await testbed.remembered()).toContain(fact);
    });

    test("a job of before runs, once", async () => {
        await testbed.forgetCalls();
        expect((await jobs(`/${job}/run`)).status).toBe(200);
        await expect.poll(() => testbed.asked(prompt), { timeout: 100_000, interval: 1000 }).not.toEqual([]);
        await sleep(3000);
        expect(await testbed.asked(prompt)).toHaveLength(1);
    });

    test("with another, empty bucket no service starts in the place of what was there, and its log names the setting", async () => {
        await testbed.addVolume("empty", "true");
        const changes = { BACKUP_EXPECTS: "0a".repeat(32), BACKUP_REPOSITORY: `${settings.backupRepository}/elsewhere` };
        const { code, log } = await ending(await start(testbed.spec("hermes", changes, testbed.volume("empty"))));
        expect(code).toBe(1);
        expect(log).toMatch(/backupRepository has no backups/);
    });
});
