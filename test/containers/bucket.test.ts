/** What may happen to the bucket, and in the middle of what is done there. Its server is a real one; backup.test.ts has what happens to a disk. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Credentials, type Restored, restoreLast } from "../../ops/restored.ts";
import { Bucket, killBackup, resticEnvironment } from "../harness/bucket.ts";
import { asUser, ending, logOf, output, repository, start } from "../harness/docker.ts";
import { backupSettings } from "../harness/settings.ts";
import { Testbed, words } from "../harness/testbed.ts";

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
    // It goes on after that sentence, and this one waits for it.
    expect(await backUp()).toMatch(/A backup was made/);
});
afterAll(() => testbed.remove());

/** Makes a backup, as somebody in the service's shell does. */
const backUp = () => output(hermes, "sh", "-c", "backup now 2>&1 || true");

/** Runs restic in the service. */
const restic = (...args: string[]) => output(hermes, "sh", "-c", `${resticEnvironment} restic --no-cache ${args.join(" ")}`);

/** Waits for a process that has these words in its command line, and does something to it; ends in any case. */
const watch = (words: string[], then: string) => `
import os, random, signal, sys, time
end = time.time() + 120
while time.time() < end:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file: line = file.read().decode(errors="replace").split("\\0")
        except OSError: continue
        if int(pid) != os.getpid() and all(word in line for word in ${JSON.stringify(words)}) and line[0] != "timeout":
            ${then}
            sys.exit()
    time.sleep(0.005)`;
const python = (script: string) => output(hermes, "python3", "-c", script);
const runs = readFileSync(new URL("../harness/backup_runs.py", import.meta.url), "utf8");

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

    test("a service that runs begins no new ones, says so in one sentence, and runs on", async () => {
        await testbed.addVolume("lived", "mkdir /disk/skills; chown -R 10000:10000 /disk");
        const other = { ...expected, BACKUP_REPOSITORY: "s3:https://bucket.example.com/backups/elsewhere" };
        const container = await start(testbed.spec("hermes", other, testbed.volume("lived")));
        await expect.poll(() => output(container, "ls", "-A", "/opt/data"), { timeout: 120_000 }).toContain(".disk-id");
        const said = await output(container, "sh", "-c", "backup now 2>&1 || true");
        expect(said.trim().split("\n")).toEqual([expect.stringMatching(wayOut)]);
        expect(await bucket.inside("ls")).not.toContain("elsewhere");
        expect(await logOf(container)).not.toMatch(/stopping/);
        await container.stop({ remove: true, removeVolumes: false });
    });

    test("and where they are there, they come back", async () => {
        await testbed.addVolume("found", "true");
        const container = await start({ ...testbed.spec("hermes", expected, testbed.volume("found")), ready: /backup: The disk is as it was/ });
        await container.stop({ remove: true, removeVolumes: false });
    });
});

/** Restores the newest backup on this machine, as `npm run verify -- --restore-test` does. */
async function restored(credentials: Credentials = settings): Promise<Restored> {
    const options = ["--network", testbed.network, "--volume", `${testbed.volume("ca")}:/ca`, "--env", "SSL_CERT_FILE=/ca/bundle.pem"];
    return restoreLast(credentials, folder, { image: "restic/restic:0.19.1", options });
}

/** The same; gives how many messages it has. */
const messagesRestored = async (credentials?: Credentials) =>
    (await restored(credentials)).databases.find(({ name }) => name === "state.db")?.rows.messages ?? 0;

/** Changes what the disk says of its backups. */
const note = (fields: string) =>
    python(`import json; disk = json.load(open("/opt/data/.disk-id")); disk.update(${fields}); json.dump(disk, open("/opt/data/.disk-id", "w"))`);

/** Has the next run prune, and gives it something to: a backup that is gone, with files that only it had. */
async function makeGarbage(fields = "pruned=1, count=0"): Promise<void> {
    const files = "cd /opt/data/skills && for number in 1 2 3 4 5 6 7 8; do head -c 1000000 /dev/urandom >large-$number; done; chown 10000:10000 large-*";
    await output(hermes, "sh", "-c", files);
    expect(await backUp()).toMatch(/A backup was made/);
    await output(hermes, "sh", "-c", "cd /opt/data/skills && rm large-[2-8]");
    await restic("forget", "latest");
    await note(fields);
}

describe("old backups are removed never", () => {
    /** What a run removes of backups, with their data. */
    const removed = async () => (await bucket.requests()).filter((line) => /^DELETE .*(snapshots|data|index)/.test(line));

    test("when there are fewer than before: a listing that isn't whole would otherwise have them wiped", async () => {
        await makeGarbage("pruned=1");
        await bucket.forgetRequests();
        expect(await backUp()).toMatch(/fewer backups than before, so none is removed/);
        expect(await removed()).toEqual([]);
    });

    test("for a day after a restore, which may have been of the wrong one", async () => {
        await makeGarbage('pruned=1, count=0, restored=__import__("time").time()');
        await bucket.forgetRequests();
        expect(await backUp()).toMatch(/A backup was made/);
        expect(await removed()).toEqual([]);
        await note("count=0, restored=None");
        await backUp();
        expect(await removed()).not.toEqual([]);
    });
});

test.for<[what: string, databases: string, says: RegExp]>([
    ["isn't there", "nowhere.db", /No backup was made, for nowhere\.db can't be copied: it isn't there/],
    ["isn't one", "SOUL.md", /No backup was made, for SOUL\.md can't be copied: .*not a database/],
])("no backup is made, and none is called complete, when the main database %s", async ([, databases, says]) => {
    await bucket.forgetRequests();
    expect(await output(hermes, "sh", "-c", `BACKUP_DATABASES=${databases} backup now 2>&1 || true`)).toMatch(says);
    expect((await bucket.requests()).filter((line) => /^PUT .*snapshots/.test(line))).toEqual([]);
});

test("with another password a service that runs says so in one sentence, and the next backup is made", async () => {
    const said = await output(hermes, "sh", "-c", "BACKUP_PASSWORD=another-password-of-mine backup now 2>&1 || true");
    expect(said.trim().split("\n")).toEqual([expect.stringMatching(/backupPassword isn't the password of these backups/)]);
    expect(await backUp()).toMatch(/A backup was made/);
});

test("what makes a backup is the first to be killed when memory runs out, nicer than the app, and root neither copies nor sends", async () => {
    const user = `next(line.split()[1] for line in open(f"/proc/{pid}/status") if line.startswith("Uid:"))`;
    const seen = python(
        watch(["restic", "backup"], `print(open(f"/proc/{pid}/oom_score_adj").read().strip(), os.getpriority(os.PRIO_PROCESS, int(pid)), ${user})`),
    );
    await backUp();
    expect((await seen).trim()).toBe("1000 10 10009");
    expect(await output(hermes, "stat", "-c", "%u", "/var/lib/backup/blocks/state.db/sum")).toBe("10000\n");
});

test.for<[what: string, run: string, says: RegExp[]]>([
    ["when a file can't be read, that is said, and all else", "unreadable", [/^Some files could not be read, .*: \/proc\/1\/mem\.$/, /^A backup was made/]],
    ["when the disk takes nothing any more, that is said, and all of it", "full", [/^A backup was made/, /No space left.* make room there, or grow it/]],
])("%s is in the backup", async ([, run, says]) => {
    const said = await output(hermes, "python3", "-c", runs, run);
    expect(said.trim().split("\n")).toEqual(says.map((line) => expect.stringMatching(line) as string));
});

test("a bucket that refuses each request once, as one with too much to do, holds a backup up and no more", async () => {
    await bucket.forgetRequests();
    await bucket.fail("once");
    const said = await backUp();
    await bucket.fail("");
    const requests = await bucket.requests();
    expect(requests.filter((line, index) => line.startsWith("PUT ") && requests.indexOf(line) < index)).not.toEqual([]);
    expect(said.trim().split("\n")).toEqual([expect.stringMatching(/A backup was made/)]);
});

test("a bucket that is full can be read: what there is, and all of the last backup", async () => {
    await bucket.fail("full");
    const read = Promise.all([output(hermes, "backup", "list"), restored()]);
    await read.catch(() => undefined);
    await bucket.fail("");
    const [list, { databases }] = await read;
    expect((JSON.parse(list) as { backups: unknown[] }).backups).not.toEqual([]);
    expect(databases.map(({ name }) => name)).toContain("state.db");
});

test("when the backups are gone from under a service that has made some, it begins no new ones, and goes on once they are back", async () => {
    await bucket.inside(`mv ${folder} aside`);
    const said = await backUp();
    const there = await bucket.inside("find private-hermes-test -type f");
    await bucket.inside(`rm -rf ${folder}; mv aside ${folder}`);
    expect(said.trim().split("\n")).toEqual([expect.stringMatching(/The backups are gone from backupRepository.*name another folder/)]);
    expect(there).toBe("");
    expect(await backUp()).toMatch(/A backup was made/);
});

test("a backup begins once the app leaves it a quarter of the memory; at a stop at once, and after ten minutes in any case", async () => {
    const said = await output(hermes, "python3", "-c", runs, "waiting");
    // One line before it waits, and one after, however often it looks.
    const [before, begins] = [expect.stringMatching(/waits.* 10 minutes/) as string, expect.arrayContaining(["snapshots", "unlock", "backup"]) as string[]];
    const after = (how: RegExp) => expect.stringMatching(how) as string;
    const { v1, v2, ...others } = JSON.parse(said) as Record<string, { did: string[]; waited: number }>;
    for (const { did, waited } of [v1, v2]) {
        expect([did.slice(0, 5), waited]).toEqual([[before, "waits", "waits", after(/after 10 s\.$/), "snapshots"], 10]);
        expect(did.slice(4)).toEqual(begins);
        expect(did.slice(5).filter((line) => /waits|begins/.test(line))).toEqual([]);
    }
    expect(others).toEqual({
        "at a stop": { did: expect.not.arrayContaining(["waits"]) as string[], waited: 0 },
        "for ever": { did: [before, ...Array.from({ length: 120 }, () => "waits"), after(/after 600 s, though/)], waited: 600 },
    });
});

test("all backups of a day stay, a day's last for two weeks and a month's last for half a year; those of another disk don't count", async () => {
    // As if it were noon of 20 June 2026: restic reckons from the newest backup.
    const evenings = Array.from({ length: 12 }, (_, before) => `2026-06-${String(18 - before).padStart(2, "0")} 20:00:00`);
    const ofTheDay = ["06-20 12:00", "06-20 11:45", "06-20 00:30", "06-19 13:00", "06-19 12:30"].map((time) => `2026-${time}:00`);
    const months = ["05-31", "04-30", "03-31", "02-28", "01-31"].map((day) => `2026-${day} 20:00:00`);
    const goes = ["06-19 11:00", "06-18 10:00", "06-07 10:00", "06-06 20:00", "06-05 20:00", "05-30 20:00", "02-27 20:00"].map((time) => `2026-${time}:00`);
    const ofOther = "2024-02-29 08:00:00";
    const make = (time: string) => `restic backup -q --host service --tag disk-${time === ofOther ? "other" : "one"} --time '${time}' /etc/hostname`;
    const listed = await output(
        hermes,
        "sh",
        "-euc",
        `mkdir /tmp/one; export BACKUP_REPOSITORY=/tmp/aged BACKUP_DISK=/tmp/one; export ${resticEnvironment}; restic init -q
        ${[ofOther, "2025-12-31 20:00:00", ...months, ...evenings, ...ofTheDay, ...goes].map(make).join("\n")}
        python3 -c 'import runpy; runpy.run_path("/usr/local/bin/backup")["thin"]({})'
        restic snapshots --json`,
    );
    const stays = (JSON.parse(listed) as { time: string }[]).map(({ time }) => time.slice(0, 19).replace("T", " "));
    expect(stays.toSorted()).toEqual([ofOther, ...months, ...evenings, ...ofTheDay].toSorted());
});

test("a database that has become smaller comes back as it is, without an end of before", async () => {
    const asApp = (script: string) =>
        output(
            hermes,
            ...asUser(10000),
            "python3",
            "-c",
            `import os, sqlite3; db = sqlite3.connect('/opt/data/kanban.db', isolation_level=None); ${script}; print(os.stat('/opt/data/kanban.db').st_size)`,
        );
    const large = Number(
        await asApp(
            "db.execute('CREATE TABLE large (text)'); db.executemany('INSERT INTO large VALUES (?)', ((os.urandom(500_000).hex(),) for _ in range(8)))",
        ),
    );
    expect(await backUp()).toMatch(/A backup was made/);
    const small = Number(await asApp("db.execute('DROP TABLE large'); db.execute('VACUUM'); db.execute('PRAGMA wal_checkpoint(TRUNCATE)')"));
    expect(small).toBeLessThan(large / 4);
    expect(await backUp()).toMatch(/A backup was made/);
    expect((await restored()).databases.find(({ name }) => name === "kanban.db")?.bytes).toBe(small);
});

describe("who takes a service over, with the key and the password of its backups,", () => {
    /** The commands of docs/backups.md, for folders of these tests. */
    const commands = (from: string, to: string) => {
        const [, block] = /### After somebody has destroyed them\n.*?```bash\n(.*?)```/s.exec(readFileSync(`${repository}docs/backups.md`, "utf8")) ?? [];
        return block.replaceAll("old:<bucket>/private-hermes-<stack>", `old:${from}`).replaceAll("new:<bucket>/private-hermes-<stack>", `new:${to}`);
    };
    const attacker = { id: settings.backupKeyId, key: settings.backupKey };
    const destroy = (place: string) =>
        bucket.rclone(
            { thief: attacker, owner: bucket.owner },
            `rclone delete thief:${place}; echo broken | rclone rcat thief:${place}/hermes/config; rclone lsf -R --files-only owner:${place}`,
        );

    test("deletes and overwrites all of them, and all come back, on a bucket that is set up as docs/backups.md says", async () => {
        const kept = await messagesRestored();
        await bucket.rclone({ thief: attacker }, "rclone copy thief:backups/private-hermes-test thief:backups/victim");
        expect(await destroy("backups/victim")).toBe("hermes/config\n");
        // Nor may it delete what was before, or have the bucket do so.
        const refused = (method: string, query: string) => bucket.status(attacker, method, `/backups/victim/hermes/config${query}`);
        const versions = await bucket.rclone({ owner: bucket.owner }, "rclone lsf -R --s3-versions --files-only owner:backups/victim");
        expect(versions).toMatch(/config-v/);
        const suspend = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
        expect(await bucket.status(attacker, "PUT", "/backups?versioning=", suspend)).toBe(403);
        expect(await bucket.status(attacker, "PUT", "/backups?policy=", "{}")).toBe(403);
        expect(await refused("DELETE", `?versionId=${await bucket.versionOf("backups", "victim/hermes/config")}`)).toBe(403);
        await bucket.rclone(
            { old: bucket.owner, new: bucket.owner },
            `cd $(mktemp -d); mkdir -p /bucket/root/found; ${commands("backups/victim", "found/private-hermes-test")}`,
        );
        const owner = {
            backupRepository: "s3:https://bucket.example.com/found",
            backupKeyId: bucket.owner.id,
            backupKey: bucket.owner.key,
            backupPassword: settings.backupPassword,
        };
        expect(await messagesRestored(owner)).toBe(kept);
    });

    test("has destroyed all of them on one without versions, and nothing brings them back", async () => {
        await bucket.inside("mkdir -p /bucket/root/plain");
        const [Action, Resource] = ["s3:*", ["arn:aws:s3:::plain", "arn:aws:s3:::plain/*"]];
        const policy = JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Principal: attacker.id, Action, Resource }] });
        expect(await bucket.status(bucket.owner, "PUT", "/plain?policy=", policy)).toBeLessThan(300);
        await bucket.rclone({ thief: attacker }, "rclone copy thief:backups/private-hermes-test thief:plain/victim");
        expect(await destroy("plain/victim")).toBe("hermes/config\n");
        expect(
            await bucket.rclone({ owner: bucket.owner }, "rclone lsf -R --s3-versions --files-only owner:plain; rclone cat owner:plain/victim/hermes/config"),
        ).toBe("victim/hermes/config\nbroken\n");
    });
});

describe("killed in the middle", () => {
    /** Kills of each kind; the bench of a quiet machine may ask for more. */
    const kills = Number(process.env.BACKUP_KILLS ?? 2);

    const messages = async () =>
        Number(
            await output(
                hermes,
                ...asUser(10000),
                "python3",
                "-c",
                "import sqlite3; print(sqlite3.connect('file:/opt/data/state.db?mode=ro', uri=True).execute('SELECT COUNT(*) FROM messages').fetchone()[0])",
            ),
        );

    /** Kills a prune between two requests. */
    async function inPrune(round: number): Promise<void> {
        await makeGarbage();
        const watching = python(watch(["restic", "prune"], "os.kill(int(pid), signal.SIGSTOP); print(pid)"));
        const made = output(hermes, "backup", "now").catch(() => undefined);
        const pid = (await watching).trim();
        expect(pid).not.toBe("");
        await bucket.hold(Math.floor(Math.random() * 8 * (round + 1)));
        await output(hermes, "sh", "-c", `kill -CONT ${pid}`);
        const ended = made.then(() => true);
        while (!(await Promise.race([ended, bucket.held().then((held) => held > 0)])));
        await output(hermes, "sh", "-c", killBackup);
        await made;
        await bucket.letGo();
    }

    /** Kills the copying of databases, at any moment. */
    async function inStage(): Promise<void> {
        const watching = python(watch(["--as-app", "stage"], "time.sleep(random.random() / 3)"));
        const made = output(hermes, "backup", "now").catch(() => undefined);
        await watching;
        await output(hermes, "sh", "-c", killBackup);
        await made;
    }

    test.for<[what: string, kill: (round: number) => Promise<void>]>([
        ["prune", inPrune],
        ["stage", inStage],
    ])("a %s leaves a whole repository, and all chats of before the last backup; the next run heals it", async ([, killIt]) => {
        let kept = 0;
        for (let round = 0; round < kills; round++) {
            const before = await messages();
            expect(await backUp()).toMatch(/A backup was made/);
            kept = before;
            await testbed.ask(words("Is the cat well"));
            await killIt(round);
            await restic("check", "--no-lock");
            expect(await messagesRestored()).toBeGreaterThanOrEqual(kept);
        }
        const before = await messages();
        expect(before).toBeGreaterThan(kept);
        const said = await backUp();
        expect(said).toMatch(/A backup was made/);
        expect(said).not.toMatch(/can't be/);
        expect(await messagesRestored()).toBeGreaterThanOrEqual(before);
        await restic("check", "--no-lock", "--read-data");
    });
});
