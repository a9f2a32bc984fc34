/** Both services on the memory and CPU of the plans that the program declares, with no swap to help. */
import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Laptop } from "../harness/laptop.ts";
import { needs as needsOf, startOnPlans, told } from "../harness/memory.ts";
import { Person } from "../harness/person.ts";
import { Testbed } from "../harness/testbed.ts";
import { median } from "../harness/median.ts";

let testbed: Testbed;
let laptop: Laptop;
let hermes: StartedTestContainer;
let openWebUi: StartedTestContainer;
let token: string;
/** Of accounts, one for each chat: Open WebUI sends all that happens to an account to each of its pages. */
let tokens: string[];

beforeAll(async () => {
    testbed = await Testbed.create();
    console.log("Starting Hermes and Open WebUI with the memory and CPU of their plans");
    [hermes, openWebUi, laptop] = await startOnPlans(testbed);
    ({ token } = await testbed.signIn());
    tokens = await testbed.addAccounts(token, 40);
    await testbed.ask("Are you awake?"); // the first chat after a start takes some seconds more
});
afterAll(() => testbed.remove());

const needs = (work: Promise<unknown>) => needsOf(testbed, [hermes, openWebUi], work);

describe("Memory, under load over the tailnet", () => {
    test.for([8, 40])("%i chats at once leave a third of the memory to spare", async (chats, { annotate }) => {
        const load = laptop.chats({ url: testbed.url, tokens, model: testbed.environment("open-webui").DEFAULT_MODELS, chats, words: 200, pace: "FAST" });
        const found = await needs(load);
        await annotate(told(found));
        for (const { name, megabytes, limit } of found) expect(megabytes, name).toBeLessThanOrEqual((limit * 2) / 3);
        const results = await load;
        expect(results.filter(({ complete }) => !complete)).toEqual([]);
        await annotate(`all answered in full; first word after ${median(results.map(({ first }) => first)).toFixed(1)} s (median)`);
    });

    test("eight people, each with a command that runs and then prints 20 MB, leave a third of Hermes' memory to spare", async ({ annotate }) => {
        const people = Array.from({ length: 8 }, () => new Person(testbed));
        const commands = Promise.all(people.map((person) => person.run("sleep 10; head -c 20000000 /dev/zero | tr '\\0' a")));
        const [found] = await needs(commands);
        await annotate(told([found]));
        expect(found.megabytes).toBeLessThanOrEqual((found.limit * 2) / 3);
        expect((await commands).map(({ exit_code }) => exit_code)).toEqual(Array(8).fill(0));
    });

    test("eight answers at once, each with a file as large as is allowed, leave a third of the memory to spare", async ({ annotate }) => {
        const megabytes = Number(testbed.environment("hermes").FILE_LIMIT_MB);
        // A file each, for they share a sandbox and are written at the same time.
        const code = (file: string) => `print('MEDIA:${file}'); open('${file}', 'wb').write(bytes(${megabytes << 20}))`;
        const answers = Promise.all(
            Array.from({ length: 8 }, (_, index) => testbed.sendFromPage(token, `Give it in your sandbox: ${code(`/root/file${index}`)}`)),
        );
        const found = await needs(answers);
        await annotate(told(found));
        for (const { name, megabytes: needed, limit } of found) expect(needed, name).toBeLessThanOrEqual((limit * 2) / 3);
        expect(await answers).toEqual(Array(8).fill(expect.stringContaining("](/api/v1/files/")));
    });

    test("three files of 20 MB at once are refused, and nothing is killed", async ({ annotate }) => {
        const load = laptop.uploads({ url: testbed.url, tokens: [token], uploads: 3, megabytes: 20 });
        await annotate(told(await needs(load)));
        expect((await load).map(({ status }) => status)).toEqual([413, 413, 413]);
    });

    test("three files as large as is allowed, five times over: nothing is killed", async ({ annotate }) => {
        const megabytes = Number(testbed.environment("open-webui").RAG_FILE_MAX_SIZE);
        const statuses: number[] = [];
        const load = async () => {
            for (let round = 0; round < 5; round++) {
                statuses.push(...(await laptop.uploads({ url: testbed.url, tokens: [token], uploads: 3, megabytes })).map(({ status }) => status));
            }
        };
        await annotate(told(await needs(load())));
        expect(statuses).toEqual(Array(15).fill(200));
    });
});
