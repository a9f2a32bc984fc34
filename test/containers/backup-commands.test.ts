/** What a person does with backups from a laptop: the services are real, Render and its shells are played. */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { backup } from "../../ops/backup.ts";
import { momentsOf, type Questions, restore } from "../../ops/restore.ts";
import { Bucket } from "../harness/bucket.ts";
import { Commands } from "../harness/commands.ts";
import { logOf, output } from "../harness/docker.ts";
import { pulumiSays } from "../harness/pulumi-says.ts";
import { deployServices, idle } from "../harness/render-services.ts";
import { backupSettings, type ServiceName, serviceNames } from "../harness/settings.ts";
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

/** Has both shells lead to what runs now. */
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
    const outputs = { hermesServiceId: ids.hermes, openWebUiServiceId: ids["open-webui"] };
    commands.install("pulumi", pulumiSays({ settings: { ...testbed.settings, ...settings }, outputs }));
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

    test("a disk without room for both is said, and nothing is fetched", async () => {
        const { backups } = await list("hermes");
        // Docker's /dev/shm has 64 MB.
        const said = await output(testbed.running("hermes"), "sh", "-c", `BACKUP_DISK=/dev/shm backup fetch ${backups[0].id} 1-1 2>&1; ls -A /dev/shm`);
        expect(said.trim()).toMatch(/^backup: The disk has \d+ MB free, and \d+ are needed, .*grow the disk\.$/);
    });

    test("a start that is killed at any moment of it is ended by the next one, and nothing is missing", async () => {
        const proofs = await readFile(new URL("../harness/going_back.py", import.meta.url), "utf8");
        expect(await output(testbed.running("hermes"), "python3", "-c", proofs)).toMatch(/^\d+ moments, 0 bad\n$/);
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
