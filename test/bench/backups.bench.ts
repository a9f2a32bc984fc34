/** What backups cost: memory beside 40 chats, and the time, bytes, requests and money of a year's use. `npm run bench -- backups` runs this file alone. */
import { setTimeout as sleep } from "node:timers/promises";
import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Bucket, resticEnvironment } from "../harness/bucket.ts";
import { asUser, logOf, output, start } from "../harness/docker.ts";
import { printFigures, record } from "../harness/figures.ts";
import type { Laptop } from "../harness/laptop.ts";
import { median } from "../harness/median.ts";
import { peaks, startOnPlans } from "../harness/memory.ts";
import { backupSettings, serviceNames, type ServiceName } from "../harness/settings.ts";
import { type Asked, Testbed, words } from "../harness/testbed.ts";

let testbed: Testbed;
let bucket: Bucket;
let both: StartedTestContainer[];
let laptop: Laptop;
let token: string;
beforeAll(async () => {
    testbed = await Testbed.create();
    const settings = backupSettings();
    await testbed.configure(settings);
    bucket = await Bucket.open(testbed, settings);
    const [hermes, openWebUi, device] = await startOnPlans(testbed);
    [both, laptop] = [[hermes, openWebUi], device];
    ({ token } = await testbed.signIn());
});
afterAll(async () => {
    printFigures();
    await testbed.remove();
});

/** Makes a backup of each service; gives the seconds that both took. */
async function backUp(): Promise<number> {
    const began = performance.now();
    for (const said of await Promise.all(both.map((container) => output(container, "sh", "-c", "backup now 2>&1")))) expect(said).toMatch(/A backup was made/);
    return (performance.now() - began) / 1000;
}

/** In MB, what the bucket holds. */
const stored = async () => Number((await bucket.inside("du -sb . | cut -f1")).trim()) / 1e6;

/** What was asked of the bucket, as providers price it: what writes or lists, what reads, and what is free. */
async function asked(work: () => Promise<unknown>): Promise<{ writes: number; lists: number; reads: number }> {
    await bucket.forgetRequests();
    await work();
    const requests = await bucket.requests();
    const count = (pattern: RegExp) => requests.filter((line) => pattern.test(line)).length;
    const lists = count(/^GET \S*(\?|&)(list-type|location|delimiter|prefix)/);
    return { writes: count(/^(PUT|POST) /), lists, reads: count(/^(GET|HEAD) /) - lists };
}

test("memory beside 40 chats, without a backup and with one", async () => {
    const tokens = await testbed.addAccounts(token, 40);
    await backUp();
    for (const running of [false, true]) {
        const beside = running ? " and a backup" : "";
        const load = laptop.chats({ url: testbed.url, tokens, model: testbed.environment("open-webui").DEFAULT_MODELS, chats: 40, words: 200, pace: "FAST" });
        let goesOn = true;
        const ended = load.finally(() => (goesOn = false));
        const backups = async () => {
            await sleep(3000);
            while (goesOn) record("a backup of both beside 40 chats", await backUp(), 120, "s");
        };
        const [needed, held] = await Promise.all([peaks(both, ended), ended, running ? backups() : undefined]);
        for (const [index, name] of serviceNames.entries()) record(`${name}, 40 chats${beside}`, needed[index], running ? 384 : 341, "MB");
        record(`first word, median, 40 chats${beside}`, median(held.map(({ first }) => first)), running ? 10 : 5, "s");
        record(`first word, the last one, 40 chats${beside}`, Math.max(...held.map(({ first }) => first)), running ? 16 : 8, "s");
        expect(held.filter(({ complete }) => !complete)).toEqual([]);
    }
});

/** As large as a year of it: 10,000 messages with what surrounds them, 60 MB, and in the page 500 files of 200 kB. */
const aYear: Record<ServiceName, [uid: number, script: string]> = {
    hermes: [10000, "'/opt/data/state.db'"],
    "open-webui": [10001, "'/app/backend/data/webui.db', '/app/backend/data/uploads'"],
};
const fill = `
import os, sqlite3
def fill(database, folder=None):
    db = sqlite3.connect(database, timeout=60)
    db.execute("CREATE TABLE a_year (number INTEGER PRIMARY KEY, text)")
    db.executemany("INSERT INTO a_year VALUES (?, ?)", ((number, os.urandom(2900).hex()) for number in range(10_000)))
    db.commit()
    for number in range(500 if folder else 0):
        with open(f"{folder}/year-{number}", "wb") as file: file.write(os.urandom(200_000))
`;

/** An hour's use: 20 messages in 3 chats, one of them new, and a file of 200 kB. */
async function anHour(chats: Asked[]): Promise<void> {
    for (let message = 0; message < 20; message++) {
        const asks = await testbed.askFromPage(token, words("What is new with the cat"), {
            after: message < 7 ? chats[0] : message < 14 ? chats[1] : undefined,
        });
        await testbed.answered(token, asks);
        if (message < 14) chats[message < 7 ? 0 : 1] = asks;
    }
    const content = Buffer.from(Array.from({ length: 200_000 }, () => Math.floor(Math.random() * 256))).toString("base64");
    await testbed.webui("POST", "/api/v1/files/?process=false", { bearer: token, form: { file: { name: "cats.bin", content } } });
}

/** As the peer does it (digitalocean-labs/openclaw-appplatform): the files as they are, the databases among them, every 30 seconds. */
const peer = async (command: string) => {
    for (const [index, disk] of ["/opt/data", "/app/backend/data"].entries())
        await output(
            both[index],
            "sh",
            "-c",
            `${resticEnvironment.replace("$BACKUP_REPOSITORY", `s3:https://bucket.example.com/backups/peer-${index}`)} restic ${command.replace("DISK", disk)}`,
        );
};

/** Dollars for a million requests that write or list, and that read, and for a GB and month (their price lists, 2026); B2 takes nothing for what writes. */
const providers = {
    "Amazon S3": ({ writes, lists, reads }: Awaited<ReturnType<typeof asked>>) => ((writes + lists) * 5 + reads * 0.4) / 1e6,
    "Backblaze B2": ({ lists, reads }: Awaited<ReturnType<typeof asked>>) => (Math.max(0, lists - 75_000) * 4 + Math.max(0, reads - 75_000) * 0.4) / 1e6,
};

test("a year's use: the first backup, one more hour, a month, a restore; and the peer's way beside it", async () => {
    for (const [index, name] of serviceNames.entries()) {
        const [uid, where] = aYear[name];
        await output(both[index], ...asUser(uid), "python3", "-c", `${fill}\nfill(${where})`);
    }
    const chats = [await testbed.askFromPage(token, words("Is the cat well")), await testbed.askFromPage(token, words("Is the dog well"))];
    for (const chat of chats) await testbed.answered(token, chat);
    const filled = await peaks(both, sleep(5000));
    for (const [index, name] of serviceNames.entries()) record(`${name} with a year, before its first backup`, filled[index], 341, "MB");
    let [before, seconds] = [await stored(), 0];
    const needed = await peaks(
        both,
        backUp().then((took) => (seconds = took)),
    );
    for (const [index, name] of serviceNames.entries()) record(`${name}, in the first backup of a year`, needed[index], 384, "MB");
    record("the first backup of a year, both services", seconds, 120, "s");
    record("what goes up in it", (await stored()) - before, 250, "MB");
    await peer("init");
    await peer("backup --quiet DISK");

    await anHour(chats);
    before = await stored();
    record("one more backup, after an hour's use", await backUp(), 30, "s");
    record("what goes up in it", (await stored()) - before, 4.8, "MB");
    before = await stored();
    const ofPeer = await asked(() => peer("backup --quiet DISK"));
    record("the peer's way: what goes up after the same hour", (await stored()) - before, 30, "MB");
    before = await stored();
    const requests = await asked(backUp);
    record("what goes up with nothing new", (await stored()) - before, 0.5, "MB");
    for (const [kind, count] of Object.entries(requests)) record(`requests of a backup of both: ${kind}`, count, 30, "");
    for (const [provider, price] of Object.entries(providers)) {
        const month = (runs: number, each: typeof requests) => ({ writes: each.writes * runs, lists: each.lists * runs, reads: each.reads * runs });
        record(`requests of a month, every 15 minutes, at ${provider}`, price(month(4 * 24 * 30, requests)), 1, "$");
        record(`the peer's way: the same, every 30 seconds, at ${provider}`, price(month(120 * 24 * 30, ofPeer)), 40, "$");
    }
    record("the bucket after it, without the peer's", Number((await bucket.inside("du -sb private-hermes-test | cut -f1")).trim()) / 1e6, 10_000, "MB");

    for (const name of serviceNames) {
        await testbed.addVolume(`restored-${name}`, "true");
        const spec = { ...testbed.spec(name, {}, testbed.volume(`restored-${name}`)), cpus: 0.5, aliases: undefined, ready: /The disk is as it was/ };
        const log = await logOf(await start(spec));
        record(`restore of ${name} on half a CPU`, Number(/that took (\d+) s/.exec(log)?.[1]), 60, "s");
    }
});
