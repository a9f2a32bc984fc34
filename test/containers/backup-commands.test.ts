/** What a person does with backups from a laptop: the services are real, Render and its shells are played. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { backup } from "../../ops/backup.ts";
import { Bucket } from "../harness/bucket.ts";
import { Commands } from "../harness/commands.ts";
import { output } from "../harness/docker.ts";
import { pulumiSays } from "../harness/pulumi-says.ts";
import { deployServices, idle } from "../harness/render-services.ts";
import { backupSettings, type ServiceName, serviceNames } from "../harness/settings.ts";
import { Shell } from "../harness/shell.ts";
import { Testbed } from "../harness/testbed.ts";
import { RenderApi } from "../stand-ins/render/api.ts";

const settings = backupSettings();
const region = "oregon";

let testbed: Testbed;
let bucket: Bucket;
let render: RenderApi;
let ids: Record<ServiceName, string>;
const shell = new Shell();
const commands = new Commands();

/** Has both shells lead to what runs now. */
const lead = () => {
    for (const name of serviceNames) shell.lead(ids[name], region, testbed.running(name));
};

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.configure(settings);
    bucket = await Bucket.open(testbed, settings);
    render = await RenderApi.start(testbed.settings.renderApiKey, testbed.settings.renderOwnerId, idle);
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
