/** What may happen to the bucket, and in the middle of what is done there. Its server is a real one; backup.test.ts has what happens to a disk. */
import { setTimeout as sleep } from "node:timers/promises";
import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bucket, resticEnvironment } from "../harness/bucket.ts";
import { ending, logOf, output, start } from "../harness/docker.ts";
import { backupSettings } from "../harness/settings.ts";
import { Testbed } from "../harness/testbed.ts";

const settings = backupSettings();

let testbed: Testbed;
let bucket: Bucket;
let hermes: StartedTestContainer;
beforeAll(async () => {
    testbed = await Testbed.create();
    // After the first one, which comes by itself two minutes after the start, these tests alone make backups.
    await testbed.configure({ ...settings, backupEveryMinutes: "1440" });
    bucket = await Bucket.open(testbed, settings);
    hermes = await testbed.start("hermes");
    while (!/A backup was made/.test(await logOf(hermes))) await sleep(1000);
});
afterAll(() => testbed.remove());

/** Runs restic in the service. */
const restic = (...args: string[]) => output(hermes, "sh", "-c", `${resticEnvironment} restic --no-cache ${args.join(" ")}`);

const folder = "private-hermes-test/hermes";

describe("where backups are expected, and there are others, or none", () => {
    let expected: Record<string, string>;
    beforeAll(async () => {
        expected = { BACKUP_EXPECTS: (JSON.parse(await restic("cat", "config", "--no-lock")) as { id: string }).id };
        await testbed.addVolume("empty", "true");
    });
    const wayOut = /nothing is begun .* Correct backupRepository, or, .*`pulumi config rm backupRepositoryIds`/;

    test.for<[what: string, prepare: string, changes: Record<string, string>, says: RegExp]>([
        ["there are none", `mv ${folder} aside`, {}, /no backups/],
        ["they are another repository's", "true", { BACKUP_EXPECTS: "0a".repeat(32) }, /other backups than before/],
    ])("a start on an empty disk ends with one sentence, and writes nothing, as %s", async ([, prepare, changes, says]) => {
        await bucket.inside(prepare);
        const before = await bucket.inside("find . -type f | sort");
        const { code, log } = await ending(await start(testbed.spec("hermes", { ...expected, ...changes }, testbed.volume("empty"))));
        const after = await bucket.inside("find . -type f | sort");
        await bucket.inside(`if [ -d aside ]; then mv aside ${folder}; fi`);
        expect(code).toBe(1);
        expect(log.trim().split("\n")).toEqual([expect.stringMatching(says)]);
        expect(log).toMatch(wayOut);
        expect(after).toBe(before);
        await testbed.onDisk("empty", '[ -z "$(ls -A /disk)" ]');
    });

    test("and where they are there, they come back", async () => {
        await testbed.addVolume("found", "true");
        const container = await start({ ...testbed.spec("hermes", expected, testbed.volume("found")), ready: /backup: The disk is as it was/ });
        await container.stop({ remove: true, removeVolumes: false });
    });
});
