/** What a person does with backups from a laptop: the services are real, Render and its shells are played. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Config } from "@pulumi/pulumi/config.js";
import { RunError } from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { pullBeforeDelete } from "../../backups.ts";
import { inspectSettings } from "../../config.ts";
import { backup } from "../../ops/backup.ts";
import { momentsOf, type Questions, restore } from "../../ops/restore.ts";
import { pulledOnes } from "../../pull.ts";
import { Bucket } from "../harness/bucket.ts";
import { Commands } from "../harness/commands.ts";
import { logOf, output } from "../harness/docker.ts";
import { pulumiSays } from "../harness/pulumi-says.ts";
import { deployServices, idle } from "../harness/render-services.ts";
import { backupSettings, project, type ServiceName, serviceNames } from "../harness/settings.ts";
import { Shell } from "../harness/shell.ts";
import { Testbed, words } from "../harness/testbed.ts";
import { RenderApi } from "../stand-ins/render/api.ts";

const settings = backupSettings();
const region = "oregon";

let testbed: Testbed;
let bucket: Bucket;
let render: RenderApi;
let ids = {} as Record<ServiceName, string>;
const shell = new Shell();
const commands = new Commands();

/** Leads both shells to what runs now. */
const lead = () => {
    for (const name of serviceNames) shell.lead(ids[name], region, testbed.running(name));
};
/** As Render does with a deploy: the shell is away until the service runs again. */
async function redeploy(serviceId: string): Promise<void> {
    const name = serviceNames.find((each) => ids[each] === serviceId);
    if (!name) return; // the first deploy, before the test has the ids
    shell.lead(serviceId, region);
    await testbed.redeploy(name);
    lead();
}

/** What the CLI says of the stack. */
const stack = (given: Record<string, string>) => {
    commands.install("pulumi", pulumiSays({ settings: given, outputs: { hermesServiceId: ids.hermes, openWebUiServiceId: ids["open-webui"] } }));
};

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.configure(settings);
    bucket = await Bucket.open(testbed, settings);
    render = await RenderApi.start(testbed.settings.renderApiKey, testbed.settings.renderOwnerId, {
        ...idle,
        start: ({ serviceId }) => redeploy(serviceId),
    });
    ids = await deployServices(render, "dev");
    for (const name of serviceNames) await testbed.start(name);
    lead();
    stack({ ...testbed.settings, ...settings });
    vi.stubEnv("RENDER_HOST", render.url);
    vi.stubEnv("PATH", `${commands.folder}:${shell.folder}:${process.env.PATH ?? ""}`);
});
afterAll(async () => {
    vi.unstubAllEnvs();
    shell.remove();
    commands.remove();
    await render.close();
    await testbed.remove();
});

/** What a command prints and ends with. */
async function run(command: () => Promise<number>): Promise<{ code: number; printed: string }> {
    const log = vi.spyOn(console, "log").mockReturnValue();
    try {
        const code = await command();
        const printed = log.mock.calls.map(([line]) => line as string).join("\n");
        for (const secret of [settings.backupKey, settings.backupPassword, testbed.settings.renderApiKey]) expect(printed).not.toContain(secret);
        return { code, printed };
    } finally {
        log.mockRestore();
    }
}

/** The times of all backups of a service, as restic lists them. */
async function times(name: ServiceName): Promise<string[]> {
    const environment =
        "AWS_ACCESS_KEY_ID=$BACKUP_KEY_ID AWS_SECRET_ACCESS_KEY=$BACKUP_KEY RESTIC_PASSWORD=$BACKUP_PASSWORD RESTIC_REPOSITORY=$BACKUP_REPOSITORY";
    const said = await output(testbed.running(name), "sh", "-c", `${environment} restic snapshots --no-lock --no-cache --json`);
    return (JSON.parse(said) as { time: string }[]).map(({ time }) => time);
}

describe("`npm run backup`", () => {
    test("has both services make one now, and says what each has saved", async () => {
        const { code, printed } = await run(backup);
        expect(printed).toMatch(
            /Hermes, backup: made just now, \d+\.\d MB, of them \d+\.\d MB new, in \d+ s\.\n.*Open WebUI, backup: made just now, \d+\.\d MB/,
        );
        expect(code).toBe(0);
        for (const name of serviceNames) expect(await times(name)).not.toEqual([]);
    });

    test("twice at once, each waits for the other, and both are made", async () => {
        const before = await times("hermes");
        const both = await Promise.all([backup(), backup()]);
        expect(both).toEqual([0, 0]);
        expect((await times("hermes")).length).toBeGreaterThanOrEqual(before.length + 2);
    });

    test("says in one sentence for each service why none was made", async () => {
        await bucket.fail("denied");
        const { code, printed } = await run(backup);
        await bucket.fail("");
        expect(printed.split("\n")).toEqual([
            expect.stringMatching(/Hermes, backup: .*the bucket refuses it: .*: look at its log/),
            expect.stringMatching(/Open WebUI, backup: .*the bucket refuses it/),
        ]);
        expect(code).toBe(1);
    });

    test("says it of one, when the other has made one", async () => {
        shell.lead(ids.hermes, region);
        const { code, printed } = await run(backup);
        lead();
        expect(printed).toMatch(/Hermes, backup: its shell can't be reached: look whether it runs .*\n.*Open WebUI, backup: made just now/);
        expect(code).toBe(1);
    });
});

describe("`npm run restore`", () => {
    const [kept, later, fact, laterFact] = ["Chat of before", "Chat of later", "The dog is called", "The horse is called"].map(words);
    const mounts: Record<ServiceName, string> = { hermes: "/opt/data", "open-webui": "/app/backend/data" };
    /** Seconds since 1970. */
    let before = 0;
    let machines: Awaited<ReturnType<Testbed["machines"]>>;

    const list = async (name: ServiceName) =>
        JSON.parse(await output(testbed.running(name), "backup", "list")) as { backups: { id: string; at: number; bytes: number }[]; back: unknown };
    /** Somebody who chooses the newest moment that isn't younger than this. */
    const person = (at: number, answer = true) => {
        const asked: string[] = [];
        const questions: Questions = {
            choose: async (_, choices) => {
                const moments = momentsOf(await Promise.all(serviceNames.map(list)));
                expect(choices).toHaveLength(moments.length);
                return moments.findIndex((moment) => moment.at <= at);
            },
            sure: (question) => {
                asked.push(question);
                return Promise.resolve(answer);
            },
        };
        return { asked, questions };
    };
    const go = async (questions: Questions) => run(() => restore(questions, { every: 300, within: 300_000 }));
    const chats = async () => (await testbed.chats((await testbed.signIn()).token)).map(({ title }) => title);
    const says = async (chat: string, content: string) => {
        await testbed.sendFromPage((await testbed.signIn()).token, chat);
        await testbed.useTool("memory", { action: "add", target: "user", content });
    };
    const onDisks = async (command: string) =>
        Promise.all(serviceNames.map((name) => output(testbed.running(name), "sh", "-c", `cd ${mounts[name]} && ${command}`)));
    const nothingFetched = async () => {
        for (const name of serviceNames) expect((await list(name)).back).toBeNull();
        expect(await onDisks("ls -d .part 2>/dev/null || true")).toEqual(["", ""]);
    };

    beforeAll(async () => {
        await says(kept, fact);
        expect(await backup()).toBe(0);
        before = Math.max(...(await Promise.all(serviceNames.map(list))).map(({ backups }) => backups.at(-1)?.at ?? 0));
        await says(later, laterFact);
        machines = await testbed.machines();
        await output(testbed.running("open-webui"), "touch", `${mounts["open-webui"]}/tailscale/of-today`);
    });

    test("shows what would change, and without a yes nothing does", async () => {
        const { asked, questions } = person(before, false);
        const { code, printed } = await go(questions);
        expect(printed).toMatch(/Hermes, as it was .* What changes: .*memories \(.*\n.*Open WebUI, as it was .* What changes: .*accounts and chats/);
        expect(asked).toHaveLength(1);
        expect(code).toBe(0);
        expect(await chats()).toEqual(expect.arrayContaining([kept, later]));
        await nothingFetched();
    });

    test("a connection that is lost while it fetches changes nothing, and leaves nothing behind", async () => {
        shell.fail("cut0", "backup fetch");
        const { code, printed } = await go(person(before).questions);
        shell.fail("");
        expect(printed).toMatch(/nothing has changed: the connection was lost: run it again/);
        expect(code).toBe(1);
        await nothingFetched();
        expect(await chats()).toContain(later);
    });

    test("what another one has fetched meanwhile is neither taken back to nor removed", async () => {
        const { backups } = await list("hermes");
        const say = (...command: string[]) => output(testbed.running("hermes"), "sh", "-c", `backup ${command.join(" ")} 2>&1 || true`);
        expect(await say("fetch", backups[0].id, "1-1")).toBe("");
        expect(await say("back", "1-2")).toMatch(/isn't there any more: somebody else goes back, too/);
        expect(await say("drop", "1-2")).toBe("");
        expect((await list("hermes")).back).toMatchObject({ moment: "1-1", step: "wait" });
        expect(await say("drop", "1-1")).toBe("");
        await nothingFetched();
    });

    test("a disk without room for both is said, and nothing is fetched", async () => {
        const { backups } = await list("hermes");
        // Docker's /dev/shm has 64 MB.
        const said = await output(testbed.running("hermes"), "sh", "-c", `BACKUP_DISK=/dev/shm backup fetch ${backups[0].id} 1-1 2>&1; ls -A /dev/shm`);
        expect(said.trim()).toMatch(/^backup: The disk has \d+ MB free, and \d+ are needed, .*grow the disk\.$/);
    });

    test("a start that is killed at any moment of it, or of a restore onto an empty disk, is ended by the next one, and nothing is missing", async () => {
        const proofs = await readFile(new URL("../harness/going_back.py", import.meta.url), "utf8");
        expect(await output(testbed.running("hermes"), "python3", "-c", proofs)).toMatch(/^\d\d moments, 0 bad\n\d\d moments, 0 bad\n$/);
    });

    test("takes both back to one moment, with the machine's login of today, and keeps what was there", async () => {
        const { code, printed } = await go(person(before).questions);
        expect(printed).toMatch(/both are as they were on/);
        expect(code).toBe(0);
        const now = await chats();
        expect(now).toContain(kept);
        expect(now).not.toContain(later);
        const remembered = await testbed.remembered();
        expect(remembered).toContain(fact);
        expect(remembered).not.toContain(laterFact);
        expect((await testbed.machines()).map(({ ID, Name }) => ({ ID, Name }))).toEqual(machines.map(({ ID, Name }) => ({ ID, Name })));
        expect((await onDisks("ls tailscale 2>/dev/null || true"))[1]).toContain("of-today");
        // Root's alone.
        expect(await onDisks("stat -c '%u %a' .before; ls .before | grep -xE 'state.db|webui.db'")).toEqual(["0 700\nstate.db\n", "0 700\nwebui.db\n"]);
        await nothingFetched();
        expect(await backup()).toBe(0);
    });

    test("and forth again, when it is cut off between the two services and in the middle of one's start", async () => {
        const latest = Math.max(...(await list("open-webui")).backups.slice(0, -1).map(({ at }) => at));
        render.fail({ status: 503, times: 1, method: "POST", path: /deploys/ });
        const { code, printed } = await go(person(latest).questions);
        expect(printed).toMatch(/answers 503/);
        expect(code).toBe(1);
        // Hermes restarts by itself, and its start is cut off after the half of its renames.
        await testbed.stop("hermes");
        await testbed.onDisk(
            testbed.diskOf("hermes"),
            'cd /disk && rm -rf .before && mkdir -m 700 .before && mv state.db skills .before/ && sed -i \'s/"step": "go"/"step": "out"/\' .going-back && grep -q out .going-back',
        );
        await testbed.start("hermes");
        lead();
        expect(await logOf(testbed.running("hermes"))).toMatch(/The disk is as it was .* What was there before lies in/);
        expect(await testbed.remembered()).toContain(laterFact);
        expect(await chats()).not.toContain(later);
        const { asked, questions } = person(0);
        expect(await go(questions)).toMatchObject({ code: 0, printed: expect.stringMatching(/both are as they were on/) as string });
        expect(asked).toEqual([expect.stringMatching(/was cut off in the middle\. Go on with it\?/)]);
        expect(await chats()).toEqual(expect.arrayContaining([kept, later]));
        expect(await testbed.remembered()).toContain(laterFact);
        await nothingFetched();
    });
});

describe("without a bucket", () => {
    const [chat, fact, skill, file] = ["Chat of the laptop", "The cow is called", "Greet the cow as", "Cows sleep on"].map(words);
    const to = mkdtempSync(join(tmpdir(), "private-hermes-pulled-"));
    const password = settings.backupPassword;
    const pulled = () => pulledOnes(to, password);
    const count = async () => (await pulled()).length;
    const pull = (options: Parameters<typeof backup>[0] = {}) => run(() => backup({ to, ...options }));
    let exported: unknown[];

    beforeAll(async () => {
        await testbed.configure();
        for (const name of serviceNames) await testbed.redeploy(name);
        lead();
        stack({ ...testbed.settings, backupPassword: password });
        const { token } = await testbed.signIn();
        await testbed.sendFromPage(token, chat);
        await testbed.useTool("memory", { action: "add", target: "user", content: fact });
        await testbed.useTool("skill_manage", {
            action: "create",
            name: "greet-cow",
            content: `---\nname: greet-cow\ndescription: Greets the cow\n---\n\n${skill}\n`,
        });
        const form = { file: { name: "cows: all?.txt", content: Buffer.from(file).toString("base64") } };
        expect((await testbed.webui("POST", "/api/v1/files/", { bearer: token, form })).status).toBe(200);
        const { body } = await testbed.webui("GET", "/api/v1/chats/all", { bearer: token });
        exported = (typeof body === "string" ? body : JSON.stringify(body))
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line) as unknown);
    });
    afterAll(() => {
        rmSync(to, { recursive: true });
    });

    test("`npm run backup` pulls both disks into a repository on this machine, and leaves nothing readable", async () => {
        const { code, printed } = await pull();
        expect(printed).toMatch(/both disks lie encrypted in .*, \d+\.\d MB, of them \d+\.\d MB new/);
        expect(code).toBe(0);
        expect(readdirSync(to)).toEqual(["repository"]);
        expect(await count()).toBe(1);
    });

    test.for<[what: string, fault: () => void, options: Parameters<typeof backup>[0], sentence: RegExp]>([
        [
            "a connection that is lost",
            () => {
                shell.fail("cut20000", "pull");
            },
            {},
            /Hermes: .*: run it again/,
        ],
        [
            "a key that Render doesn't know",
            () => {
                shell.fail("key");
            },
            {},
            /doesn't know your SSH key: add/,
        ],
        [
            "a service that is away",
            () => {
                shell.lead(ids["open-webui"], region);
            },
            {},
            /Open WebUI: its shell can't be reached/,
        ],
        ["a folder that can't be made", () => undefined, { to: "/dev/null/backups" }, /can't be written .*--to/],
    ])("%s leaves no half of a backup, and is one sentence", async ([, fault, options, sentence]) => {
        const before = await count();
        fault();
        const { code, printed } = await pull(options);
        shell.fail("");
        lead();
        expect(printed).toMatch(sentence);
        expect(code).toBe(1);
        expect(readdirSync(to).filter((name) => name !== "repository")).toEqual([]);
        expect(await count()).toBe(before);
    });

    test("twice at once makes both, and neither takes away what the other is at", async () => {
        const before = await count();
        expect(await Promise.all([backup({ to }), backup({ to })])).toEqual([0, 0]);
        expect(await count()).toBe(before + 2);
        expect(readdirSync(to)).toEqual(["repository"]);
    });

    test("another password is said, and nothing is begun anew", async () => {
        await pull();
        const before = await count();
        stack({ ...testbed.settings, backupPassword: "another-password-of-mine" });
        const { code, printed } = await pull();
        stack({ ...testbed.settings, backupPassword: password });
        expect(printed).toMatch(/the password isn't that of the backups on this machine/);
        expect(code).toBe(1);
        expect(await count()).toBe(before);
    });

    test("`--open` makes a folder of files that other programs read, chats as Open WebUI exports them", async () => {
        const { code, printed } = await pull({ open: true });
        expect(code).toBe(0);
        const folder = /lie in (\S+),/.exec(printed)?.[1] ?? "";
        const admin = testbed.environment("open-webui").WEBUI_ADMIN_EMAIL;
        const read = (path: string) => readFileSync(join(folder, path), "utf8");
        expect(JSON.parse(read(`chats/${admin}.json`))).toEqual(exported);
        expect(JSON.stringify(exported)).toContain(chat);
        expect(read(`uploads/${admin}/cows_ all_.txt`)).toBe(file);
        expect(read("memories/USER.md")).toContain(fact);
        expect(read("skills/greet-cow/SKILL.md")).toContain(skill);
        rmSync(folder, { recursive: true });
        expect(readdirSync(to).filter((name) => name !== "repository")).toEqual([]);
    });

    test("Open WebUI takes in again what `--open` makes of its chats", async () => {
        const { printed } = await pull({ open: true });
        const folder = /lie in (\S+),/.exec(printed)?.[1] ?? "";
        const { token } = await testbed.signIn();
        const titles = async () => (await testbed.chats(token)).map(({ title }) => title).filter((title) => title === chat);
        const before = await titles();
        const chats = JSON.parse(readFileSync(join(folder, `chats/${testbed.environment("open-webui").WEBUI_ADMIN_EMAIL}.json`), "utf8")) as unknown;
        rmSync(folder, { recursive: true });
        expect((await testbed.webui("POST", "/api/v1/chats/import", { bearer: token, body: { chats } })).status).toBe(200);
        expect(await titles()).toHaveLength(before.length + 1);
    });

    test("`protectData: backup` pulls both before a disk goes, and lets none go when one can't be pulled", async () => {
        const given = { ...inspectSettings(new Config(project.name)).settings, ...(testbed.settings as object), backupPassword: password };
        const before = await count();
        shell.lead(ids["open-webui"], region);
        const error: unknown = await pullBeforeDelete(given, project.name, "dev", to).catch((thrown: unknown) => thrown);
        lead();
        expect(RunError.isInstance(error)).toBe(true);
        expect(String(error)).toMatch(/No disk is deleted, .*Open WebUI: its shell can't be reached .*protectData false/);
        expect(await count()).toBe(before);
        await pullBeforeDelete(given, project.name, "dev", to);
        expect(await count()).toBe(before + 1);
    });

    test("after both disks are gone, `npm run restore` brings everything back from this machine", async () => {
        await pull();
        const made = await count();
        for (const name of serviceNames) await testbed.stop(name);
        for (const name of serviceNames) await testbed.loseDisk(name);
        // As `npm run tidy` does: the login was on the disk.
        await testbed.tailnet("DELETE", "/machines/open-webui");
        for (const name of serviceNames) await testbed.start(name);
        lead();
        expect(await testbed.remembered()).not.toContain(fact);
        // The newest stands first.
        const questions: Questions = { choose: (_, choices) => Promise.resolve(choices.length - made), sure: () => Promise.resolve(true) };
        const { code, printed } = await run(() => restore(questions, { every: 300, within: 300_000 }, to));
        expect(printed).toMatch(/both are as they were on/);
        expect(code).toBe(0);
        expect((await testbed.chats((await testbed.signIn()).token)).map(({ title }) => title)).toContain(chat);
        expect(await testbed.remembered()).toContain(fact);
        expect(await testbed.useTool("skill_view", { name: "greet-cow" })).toContain(skill);
        expect(readdirSync(to)).toEqual(["repository"]);
    });
});
