/** Backups into a bucket: what is lost with both disks comes back, whatever fails meanwhile. The bucket's server is a real one. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Config } from "@pulumi/pulumi/config.js";
import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inspectSettings } from "../../config.ts";
import { lastBackup } from "../../bucket.ts";
import { afterUp, beforeUp } from "../../ops/backups.ts";
import { type Check, runAll } from "../../ops/report.ts";
import { restoreTest } from "../../ops/restored.ts";
import type { Stack } from "../../ops/stack.ts";
import { Bucket, type Fault, killBackup, resticEnvironment } from "../harness/bucket.ts";
import { asUser, type Container, ending, kill, logOf, output, outputOf, portOf, start } from "../harness/docker.ts";
import { backupSettings, serviceNames, type ServiceName } from "../harness/settings.ts";
import { Telegram } from "../harness/telegram.ts";
import { Testbed, words } from "../harness/testbed.ts";

const settings = backupSettings();
const [keyId, key, password] = [settings.backupKeyId, settings.backupKey, settings.backupPassword];
const mounts: Record<ServiceName, string> = { hermes: "/opt/data", "open-webui": "/app/backend/data" };

/** Who writes to the bot. */
const person = 1001;
const botToken = `123456789:AA${randomUUID().replaceAll("-", "")}`;

let testbed: Testbed;
let bucket: Bucket;
let telegram: Telegram;
beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.configure({ ...settings, telegramBotToken: botToken, telegramAllowedUsers: String(person) });
    [bucket, telegram] = await Promise.all([Bucket.open(testbed, settings), Telegram.open(testbed, botToken)]);
    for (const name of serviceNames) await testbed.start(name);
});
afterAll(() => testbed.remove());

/** Makes a backup, as somebody in the service's shell does. */
const backUp = (name: ServiceName) => output(testbed.running(name), "sh", "-c", "backup now 2>&1 || true");

const jobs = (method: string, path: string, body?: unknown) =>
    testbed.hermes(method, `/api/jobs${path}`, { bearer: testbed.environment("hermes").API_SERVER_KEY, body });

describe("after both disks are gone, at the next start", () => {
    const [fact, skill, prompt, chat, file] = ["The cat is called", "Greet the cat as", "Feed the cat", "Is the cat well", "Cats sleep on"].map(words);
    let ben: Awaited<ReturnType<Testbed["addAccount"]>>;
    let machines: Awaited<ReturnType<Testbed["machines"]>>;
    let job = "";
    let upload = "";

    beforeAll(async () => {
        const { token } = await testbed.signIn();
        ben = await testbed.addAccount(token, { name: "Ben" });
        await testbed.sendFromPage(token, chat);
        await testbed.useTool("memory", { action: "add", target: "user", content: fact });
        const content = `---\nname: greet-cat\ndescription: Greets the cat\n---\n\n${skill}\n`;
        await testbed.useTool("skill_manage", { action: "create", name: "greet-cat", content });
        const { body } = await jobs("POST", "", { name: "cat", schedule: "60m", prompt, deliver: "local" });
        job = (body as { job: { id: string } }).job.id;
        upload = await put(token, file);
        await output(testbed.running("open-webui"), "touch", `${mounts["open-webui"]}/cache/left`, `${mounts["open-webui"]}/uploads/kept`);
        machines = await testbed.machines();
        for (const name of serviceNames) await testbed.stop(name);
        for (const name of serviceNames) await testbed.loseDisk(name);
        for (const name of serviceNames) await testbed.start(name);
    });

    /** Uploads a text; gives its id. */
    async function put(token: string, text: string): Promise<string> {
        const form = { file: { name: "cats.txt", content: Buffer.from(text).toString("base64") } };
        return ((await testbed.webui("POST", "/api/v1/files/", { bearer: token, form })).body as { id: string }).id;
    }

    test("accounts, with their passwords, and chats are there", async () => {
        const { token } = await testbed.signIn();
        expect((await testbed.chats(token)).map(({ title }) => title)).toContain(chat);
        const { email, password: secret } = ben;
        expect((await testbed.webui("POST", "/api/v1/auths/signin", { body: { email, password: secret } })).status).toBe(200);
    });

    test("so are memories, skills and uploads", async () => {
        expect(await testbed.remembered()).toContain(fact);
        expect(await testbed.useTool("skill_view", { name: "greet-cat" })).toContain(skill);
        const { token } = await testbed.signIn();
        const { body } = await testbed.webui("GET", `/api/v1/files/${upload}/content`, { bearer: token });
        expect(JSON.stringify(body)).toContain(file);
    });

    test("what Open WebUI makes anew isn't there", async () => {
        const files = await output(testbed.running("open-webui"), "find", mounts["open-webui"], "-name", "left", "-o", "-name", "kept");
        expect(files).toBe(`${mounts["open-webui"]}/uploads/kept\n`);
    });

    test("the machine on the tailnet is the same, and there is no second one", async () => {
        expect((await testbed.machines()).map(({ ID, Name }) => ({ ID, Name }))).toEqual(machines.map(({ ID, Name }) => ({ ID, Name })));
    });

    test("a job of before runs, once", async () => {
        await testbed.forgetCalls();
        expect((await jobs("POST", `/${job}/run`)).status).toBe(200);
        await expect.poll(() => testbed.asked(prompt), { timeout: 100_000, interval: 1000 }).not.toEqual([]);
        await sleep(3000);
        expect(await testbed.asked(prompt)).toHaveLength(1);
    });

    test("backups go on", async () => {
        for (const name of serviceNames) expect(await backUp(name)).toMatch(/A backup was made/);
    });
});

describe("time travel: what waited when the backup was made", () => {
    const [question, prompt] = ["Did you see my mail", "Say that the train leaves"].map(words);

    beforeAll(async () => {
        // A message that is being answered, and a job that is due in a minute; the backup sees both waiting.
        await telegram.write(person, `THINK 600 ${question}`);
        while ((await testbed.asked(question)).length === 0) await sleep(300);
        const { body } = await jobs("POST", "", { name: "train", schedule: "1m", prompt, deliver: "telegram" });
        expect(body).toHaveProperty("job.id");
        expect(await backUp("hermes")).toMatch(/A backup was made/);
        await kill(testbed.running("hermes"));
        await testbed.stop("hermes");
        await sleep(61_000);
        await testbed.forgetCalls();
        await testbed.loseDisk("hermes");
        await testbed.start("hermes");
    });

    test("a message that may have had its answer is told, with its words, and not answered again", async () => {
        await expect.poll(() => telegram.texts(person), { timeout: 60_000 }).toContainEqual(expect.stringMatching(/as it was on .*Send it again/s));
        expect((await telegram.texts(person)).filter((text) => text.includes(question))).toHaveLength(1);
        expect(await testbed.asked(question)).toEqual([]);
    });

    test("a job that was to run once is told, and doesn't run", async () => {
        await expect.poll(() => telegram.texts(person), { timeout: 120_000 }).toContainEqual(expect.stringMatching(/was due on .*isn't run again/s));
        expect(await testbed.asked(prompt)).toEqual([]);
    });
});

describe("the credentials of the bucket", () => {
    // Each file of /proc that somebody may read, and all that they may read of the disk and of the backup's folder.
    const look = (disk: string) => `
import os, sys, time
needles, found, end = [line.strip().encode() for line in sys.stdin], set(), time.time() + 15
def read(path):
    try:
        with open(path, "rb") as file: return file.read(100_000_000)
    except OSError: return b""
while time.time() < end:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("environ", "cmdline"):
            for number, needle in enumerate(needles):
                if needle in read(f"/proc/{pid}/{name}"): found.add(f"{name} {number}")
for top in (${JSON.stringify(disk)}, "/var/lib/backup", "/etc", "/tmp"):
    for folder, _, names in os.walk(top):
        for name in names:
            if any(needle in read(f"{folder}/{name}") for needle in needles): found.add(f"{folder}/{name}")
print("\\n".join(sorted(found)))`;
    const secrets = () => `${[keyId, key, password].join("\n")}\n`;

    test.for<[name: ServiceName, uid: number]>([
        ["hermes", 10000],
        ["open-webui", 10001],
    ])("aren't to be seen for what runs as the app of %s, while a backup runs", async ([name, uid]) => {
        const container = testbed.running(name);
        const seen = (user: number) =>
            outputOf(container, ["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", ...asUser(user), "python3", "-c", look(mounts[name])], secrets());
        const [ofApp, ofRoot] = await Promise.all([seen(uid), seen(0), backUp(name)]);
        expect(ofApp.trim()).toBe("");
        // What the test looks for is there to be found.
        expect(ofRoot.trim().split("\n")).toEqual(["environ 0", "environ 1", "environ 2"]);
    });

    test("aren't in a log, and nothing of the disk lies readable in the bucket", async () => {
        for (const name of serviceNames) {
            const log = await logOf(testbed.running(name));
            for (const secret of [keyId, key, password]) expect(log).not.toContain(secret);
        }
        const needle = await output(testbed.running("open-webui"), "sh", "-c", `head -c 15 ${mounts["open-webui"]}/webui.db`);
        expect(needle).toBe("SQLite format 3");
        expect(await bucket.inside(`grep -rlaE '${needle}|admin@example.com' . || true`)).toBe("");
    });
});

describe("what fails is said in one sentence, the service runs on, and the next backup is made", () => {
    test.for<[fault: Fault, sentence: RegExp]>([
        ["denied", /bucket refuses it: backupKeyId must be allowed/],
        ["full", /full, or its limit/],
        ["skew", /clocks .* differ/],
        ["key", /doesn't know backupKeyId, or backupKey isn't its key/],
        ["bucket", /no bucket of the name in backupRepository/],
        ["head", /backups are gone from backupRepository, or its bucket is/],
        ["busy", /too much to do/],
        ["drop", /can't be reached/],
        ["hang", /doesn't answer in time/],
    ])("%s", async ([fault, sentence]) => {
        await bucket.fail(fault);
        const [said, health] = await Promise.all([backUp("hermes"), testbed.hermes("GET", "/health")]);
        await bucket.fail("");
        expect(said.trim().split("\n")).toEqual([expect.stringMatching(sentence)]);
        expect(health.status).toBe(200);
        expect(await backUp("hermes")).toMatch(/A backup was made/);
    });

    test("a key that may delete nothing makes backups, and says that old ones stay", async () => {
        await bucket.fail("keep");
        const said = await backUp("hermes");
        await bucket.fail("");
        expect(said).toMatch(/A backup was made/);
        expect(await backUp("hermes")).toMatch(/A backup was made/);
    });
});

describe("a start on an empty disk that can't be brought back", () => {
    beforeAll(() => testbed.addVolume("empty", "true"));

    const refused = async (changes: Record<string, string>) => {
        const { code, log } = await ending(await start(testbed.spec("hermes", changes, testbed.volume("empty"))));
        return [code, ...log.trim().split("\n")];
    };
    const nothingWritten = () => testbed.onDisk("empty", '[ -z "$(ls -A /disk)" ]');

    test("ends with a sentence that names the setting, and writes nothing", async () => {
        const wrong: [changes: Record<string, string>, sentence: RegExp][] = [
            [{ BACKUP_PASSWORD: "another-password-of-mine" }, /backupPassword isn't the password/],
            [{ BACKUP_KEY: "another-key-of-mine" }, /backupKeyId, or backupKey/],
            [{ BACKUP_REPOSITORY: "s3:https://bucket.example.com/another/hermes" }, /no bucket of the name/],
            [{ BACKUP_REPOSITORY: "s3:https://nowhere.invalid/backups/hermes" }, /can't be reached/],
        ];
        const said = await Promise.all(wrong.map(([changes]) => refused(changes)));
        expect(said).toEqual(wrong.map(([, sentence]) => [1, expect.stringMatching(sentence) as string]));
        await nothingWritten();
    });

    test.for<[fault: Fault, sentence: RegExp]>([
        ["denied", /bucket refuses it/],
        ["hang", /doesn't answer in time/],
    ])("and so it does where the bucket fails: %s", async ([fault, sentence]) => {
        await bucket.fail(fault);
        const said = await refused({});
        await bucket.fail("");
        expect(said).toEqual([1, expect.stringMatching(sentence)]);
        await nothingWritten();
    });
});

/** Starts Hermes on a disk; gives the container once its log has a line. */
const onDisk = (name: string, ready: RegExp) => start({ ...testbed.spec("hermes", {}, testbed.volume(name)), ready });
/** What an empty disk becomes. */
const broughtBack = /backup: The disk is as it was/;
/** The contents of a disk, but for what each start makes anew. */
const contents = (container: Container) =>
    output(container, "sh", "-c", "cd /opt/data && find skills memories cron/jobs.json SOUL.md -type f -print0 | sort -z | xargs -0 sha256sum");

describe("a disk that isn't empty", () => {
    test("is never overwritten, also without its mark, and doesn't write between the backups of another", async () => {
        await testbed.addVolume("own", "mkdir /disk/skills; echo mine >/disk/skills/mine; chown -R 10000:10000 /disk");
        const container = await onDisk("own", /./);
        await expect.poll(() => output(container, "sh", "-c", "stat -c %U /opt/data/config.yaml 2>&1 || true"), { timeout: 60_000 }).toBe("root\n");
        expect(await output(container, "sh", "-c", "cat /opt/data/skills/mine; ls -A /opt/data")).toMatch(/^mine\n(?!.*restored)/s);
        // Once Hermes has made its database.
        await expect.poll(() => output(container, "sh", "-c", "ls /opt/data"), { timeout: 60_000 }).toContain("state.db");
        expect(await output(container, "sh", "-c", "backup now 2>&1 || true")).toMatch(/Backups have stopped: .*`backup adopt`/);
        // Who says that this one is to go on may do so, and the other stops.
        expect(await output(container, "sh", "-c", "backup adopt 2>&1 && backup now 2>&1")).toMatch(/A backup was made/);
        expect(await backUp("hermes")).toMatch(/Backups have stopped/);
        await container.stop({ remove: true, removeVolumes: false });
        await output(testbed.running("hermes"), "backup", "adopt");
        expect(await backUp("hermes")).toMatch(/A backup was made/);
    });

    test("is begun anew where a restore was cut off between two renames, for nothing has run on it", async () => {
        await testbed.addVolume("half", "touch /disk/.restoring; mkdir -p /disk/skills /disk/.part/opt/data; echo half >/disk/skills/half");
        const container = await onDisk("half", broughtBack);
        expect(await contents(container)).toBe(await contents(testbed.running("hermes")));
        await container.stop({ remove: true, removeVolumes: false });
    });

    test("may hold what the agent has put under the names of the marks: they count for nothing", async () => {
        await testbed.addVolume("planted", "echo mine >/disk/mine; touch /disk/.restoring; echo '{}' >/disk/.disk-id; chown -R 10000:10000 /disk");
        const container = await onDisk("planted", /./);
        await expect.poll(() => output(container, "sh", "-c", "stat -c %u /opt/data/.disk-id"), { timeout: 60_000 }).toBe("0\n");
        expect(await output(container, "cat", "/opt/data/mine")).toBe("mine\n");
        await container.stop({ remove: true, removeVolumes: false });
    });
});

describe("what the agent plants", () => {
    const plant = `
import os
os.chdir("/opt/data/skills")
os.symlink("/proc/1/environ", "environ"); os.symlink("/etc", "etc"); os.mkfifo("pipe")
open("two\\nlines [*]?", "w").write("kept")
with open("sparse", "w") as file: file.truncate(3 << 30)
os.mkdir("many [*]\\n")
for number in range(20_001): open(f"many [*]\\n/{number}", "w").close()
open("/opt/data/memory_store.db", "w").write("this is no database")
os.mkdir("/opt/data/kanban.db"); os.mkdir("/opt/data/.disk-id.new")
os.symlink("/etc/passwd", "/opt/data/projects.db")
blocks = "/var/lib/backup/blocks/state.db"
os.rename(blocks, blocks + ".aside"); os.symlink("/etc", blocks)`;

    test("is kept as it lies there, or left out and said; nothing of the container's is read or changed", async () => {
        const container = testbed.running("hermes");
        await output(container, ...asUser(10000), "python3", "-c", plant);
        const said = await backUp("hermes");
        expect(said).toMatch(/A backup was made/);
        for (const sentence of [
            /memory_store\.db can't be copied/,
            /kanban\.db can't be copied/,
            /projects\.db can't be copied/,
            /sparse.* larger than 200 MB/,
            /more than 20000 entries/,
        ])
            expect(said).toMatch(sentence);
        await testbed.addVolume("after", "true");
        const restored = await onDisk("after", broughtBack);
        const list = await output(restored, "sh", "-c", "cd /opt/data/skills && stat -c '%F %N' environ etc pipe two*; ls; ls -l /opt/data/projects.db");
        expect(list).toMatch(/symbolic link 'environ' -> '\/proc\/1\/environ'\nsymbolic link 'etc' -> '\/etc'\nfifo 'pipe'\nregular file/);
        expect(list).not.toMatch(/sparse|many/);
        expect(list).toMatch(/projects\.db -> \/etc\/passwd/);
        const check = "import sqlite3; print(sqlite3.connect('/opt/data/state.db').execute('PRAGMA integrity_check').fetchone()[0])";
        expect(await output(restored, "python3", "-c", check)).toBe("ok\n");
        await restored.stop({ remove: true, removeVolumes: false });
        await output(
            container,
            "sh",
            "-c",
            "cd /opt/data && rm -rf skills/many* skills/sparse skills/environ skills/etc skills/pipe skills/two* memory_store.db kanban.db projects.db",
        );
    });
});

describe("killed at any moment", () => {
    const rounds = 8;
    /** Adds rows to a database as fast as it can, and notes each that is in it. */
    const writer = `
import os, sqlite3, time
db = sqlite3.connect("/opt/data/kanban.db", isolation_level=None, timeout=60)
db.execute("PRAGMA journal_mode=WAL"); db.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text)")
number = 0
while True:
    number += 1
    db.execute("INSERT INTO rows VALUES (?, ?)", (number, os.urandom(500).hex()))
    time.sleep(0.005)
    with open("/tmp/acknowledged.new", "w") as file: file.write(str(number))
    os.replace("/tmp/acknowledged.new", "/tmp/acknowledged")`;
    const count =
        "import sqlite3; db = sqlite3.connect('/opt/data/kanban.db'); print(db.execute('PRAGMA integrity_check').fetchone()[0], db.execute('SELECT MAX(number) FROM rows').fetchone()[0])";

    test("a backup, its repository stays whole, the next one is made, and it has all that was written before it began", async () => {
        const container = testbed.running("hermes");
        const writing = output(container, ...asUser(10000), "python3", "-c", writer).catch(() => undefined);
        let acknowledged = 0;
        for (let round = 0; round < rounds; round++) {
            const made = output(container, "backup", "now").catch(() => undefined);
            await sleep(300 + Math.random() * 4000);
            await output(container, "sh", "-c", killBackup);
            await made;
            await output(container, "sh", "-c", `${resticEnvironment} restic check --no-lock --no-cache ${round === rounds - 1 ? "--read-data" : ""}`);
            acknowledged = Number(await output(container, "cat", "/tmp/acknowledged"));
            expect(await backUp("hermes")).toMatch(/A backup was made/);
        }
        await output(
            container,
            "sh",
            "-c",
            "for pid in $(grep -l acknowledged.new /proc/[0-9]*/cmdline | cut -d/ -f3); do [ $pid = $$ ] || kill $pid; done 2>/dev/null; true",
        );
        await writing;
        await testbed.addVolume("later", "true");
        const restored = await onDisk("later", broughtBack);
        const [ok, rows] = (await output(restored, "python3", "-c", count)).trim().split(" ");
        expect(ok).toBe("ok");
        expect(Number(rows)).toBeGreaterThanOrEqual(acknowledged);
        await restored.stop({ remove: true, removeVolumes: false });
    });

    test("a restore, the next start ends it, and the disk is whole", async () => {
        await testbed.addVolume("cut", "true");
        for (let round = 0; round < rounds; round++) {
            const container = await start(testbed.spec("hermes", {}, testbed.volume("cut")));
            await sleep(200 + Math.random() * 3000);
            const done = broughtBack.test(await logOf(container));
            await kill(container);
            await container.stop({ remove: true, removeVolumes: false });
            // The next is to be cut off, too.
            if (done) await testbed.onDisk("cut", "find /disk -mindepth 1 -delete");
        }
        const container = await onDisk("cut", broughtBack);
        expect(await contents(container)).toBe(await contents(testbed.running("hermes")));
        const [ok] = (await output(container, "python3", "-c", count)).split(" ");
        expect(ok).toBe("ok");
        await container.stop({ remove: true, removeVolumes: false });
    });
});

test("backups come by themselves", async () => {
    const container = await testbed.redeploy("hermes", { BACKUP_MINUTES: "1" });
    await expect.poll(() => logOf(container), { timeout: 120_000 }).toMatch(/A backup was made/);
});

describe("what `npm run preflight` and `npm run verify` see in the bucket, without restic", () => {
    let server: StartedTestContainer;
    let service: StartedTestContainer;
    let stack: Stack;

    beforeAll(async () => {
        // Where this machine reaches it. The service shares its network, and finds nobody else there.
        server = await start({
            image: "bucket",
            network: "bridge",
            command: ["sh", "-c", "mkdir -p /bucket/root/backups; exec versitygw --port 0.0.0.0:7070 posix /bucket/root"],
            environment: { ROOT_ACCESS_KEY: keyId, ROOT_SECRET_KEY: key },
            published: 7070,
        });
        await testbed.addVolume("seen", "true");
        const repository = "s3:http://127.0.0.1:7070/backups/folder/private-hermes-test/hermes";
        const spec = testbed.spec("hermes", { BACKUP_REPOSITORY: repository }, testbed.volume("seen"));
        service = await start({ ...spec, aliases: undefined, hosts: undefined, network: `container:${server.getId()}` });
        while (!(await output(service, "sh", "-c", "ls /opt/data")).includes("state.db")) await sleep(300);
        const port = await portOf(server, 7070);
        const { settings: given } = inspectSettings(new Config("nothing"));
        const changes = { ...settings, backupRepository: `s3:http://127.0.0.1:${port}/backups/folder`, backupEveryMinutes: "15", hasBackups: true };
        stack = { name: "test", settings: { ...given, ...changes }, complaints: [], secrets: [], serviceIds: () => Promise.resolve([]) };
    });
    afterAll(async () => {
        for (const container of [service, server]) await container.stop({ remove: true, removeVolumes: true });
    });

    /** What the checks find, by their names. */
    async function found(check: (stack: Stack) => Check[], changes: Partial<Stack["settings"]> = {}): Promise<Record<string, string>> {
        const lines = await runAll(check({ ...stack, settings: { ...stack.settings, ...changes } }), [], () => undefined);
        return Object.fromEntries(lines.map(({ check: name, status, message, fix }) => [name, `${status}: ${message}: ${fix ?? ""}`]));
    }
    const inBucket = (command: string) => output(server, "sh", "-c", `cd /bucket/root/backups/folder/private-hermes-test/hermes && ${command}`);

    test("before the first backup: that there is none, and a key that isn't taken", async () => {
        expect((await found(beforeUp)).Backups).toMatch(/^ok: .*no backups of this stack/);
        expect((await found(afterUp))["Hermes, backup"]).toMatch(/^warning: there is none yet/);
        expect((await found(beforeUp, { backupKey: "another-key-of-mine" })).Backups).toMatch(/^failure: .*backupKey isn't its key/);
        const repository = stack.settings.backupRepository.replace("/backups/", "/another/");
        expect((await found(beforeUp, { backupRepository: repository })).Backups).toMatch(/^failure: there is no bucket another/);
    });

    test("then what an `up` would bring back, whether the password is right, how old the last is, and that the past could be destroyed", async () => {
        expect(await output(service, "sh", "-c", "backup now 2>&1 || true")).toMatch(/A backup was made/);
        const contents = () => inBucket("find . -printf '%p %s %T@\\n' | sort");
        const before = await contents();
        expect(await found(beforeUp)).toEqual({
            Backups: expect.stringMatching(/^ok: .*comes back: Hermes as it was \d minutes ago/) as string,
            "Backups, old versions": expect.stringMatching(/^warning: .*could destroy/) as string,
        });
        expect((await found(beforeUp, { backupPassword: "another-password-of-mine" })).Backups).toMatch(
            /^failure: backupPassword doesn't open the backups in .*hermes/,
        );
        expect(await contents()).toBe(before);
        const seen = await found(afterUp);
        expect(seen["Hermes, backup"]).toMatch(/^ok: the last was made \d minutes ago; all of them have \d+ MB/);
        expect(seen["Open WebUI, backup"]).toMatch(/^warning: there is none yet/);
        await inBucket("find snapshots -type f -exec touch -d '40 minutes ago' {} +");
        expect((await found(afterUp))["Hermes, backup"]).toMatch(/^warning: the last was made 40 minutes ago/);
        expect((await found(afterUp, { backupEveryMinutes: "20" }))["Hermes, backup"]).toMatch(/^ok/);
        const { id } = JSON.parse(await output(service, "sh", "-c", `${resticEnvironment} restic cat config --no-lock --no-cache`)) as { id: string };
        expect((await lastBackup(stack.settings, "private-hermes-test/hermes"))?.id).toBe(id);
    });

    test("whether it comes back: all of it, with each database as it was; and what doesn't is damaged", async () => {
        const where = { image: "restic/restic:0.19.1", options: ["--network", "host"] };
        expect(await restoreTest(stack, "hermes", where)).toMatchObject({
            status: "ok",
            message: expect.stringMatching(/\d+ files.*state\.db \(.* MB, \d+ sessions, \d+ messages\)/) as string,
        });
        expect(await restoreTest(stack, "open-webui", where)).toMatchObject({
            status: "failure",
            message: expect.stringMatching(/can't be brought back/) as string,
        });
        // One of the largest, so that it isn't a list but what is in the files.
        await inBucket("pack=$(ls -S data/*/* | head -1); printf broken | dd of=$pack bs=1 seek=5000 conv=notrunc");
        expect(await restoreTest(stack, "hermes", where)).toMatchObject({
            status: "failure",
            message: expect.stringMatching(/can't be brought back/) as string,
        });
    });
});
