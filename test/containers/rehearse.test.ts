/** The command of the rehearsal: that it stays up when told to, opens nothing but the loopback, and leaves nothing behind. */
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { cliVersion } from "../harness/pulumi.ts";
import { engine, repository } from "../harness/docker.ts";

interface Rehearsal {
    process: ChildProcessWithoutNullStreams;
    /** Resolves when that has been printed; rejects when the process has ended before. */
    says: (pattern: RegExp) => Promise<RegExpExecArray>;
    ends: Promise<unknown[]>;
    /** What it has printed so far. */
    printed: () => string;
}

function rehearse(...options: string[]): Rehearsal {
    const offline = `--import=${new URL("../harness/loopback-only.mjs", import.meta.url).href}`; // it fetches no CLI
    const env = { ...process.env, PRIVATE_HERMES_RUN: undefined, CI: undefined, NODE_OPTIONS: offline };
    // With a process group of its own, as a terminal would give it.
    const child = spawn("node", ["test/harness/rehearse.ts", ...options], { cwd: repository, env, detached: true });
    onTestFinished(() => void child.kill("SIGKILL"));
    let printed = "";
    child.stderr.on("data", (text) => (printed += String(text)));
    const ends = once(child, "exit");
    const says = (pattern: RegExp) =>
        new Promise<RegExpExecArray>((resolve, reject) => {
            const look = () => {
                const found = pattern.exec(printed);
                if (found) resolve(found);
            };
            child.stdout.on("data", (text) => {
                printed += String(text);
                look();
            });
            void ends.then(() => {
                reject(new Error(`ended without saying ${pattern.source}:\n${printed}`));
            });
            look();
        });
    return { process: child, says, ends, printed: () => printed };
}

/** Names of all that a run has left in the engine, and of its temporary folders. */
async function traces(run: number): Promise<string[]> {
    const docker = await engine();
    const filters = { label: [`private-hermes.run=${run}`] };
    return [
        ...(await docker.listContainers({ all: true, filters })).flatMap(({ Names }) => Names),
        ...(await docker.listNetworks({ filters })).map(({ Name }) => Name),
        ...(await docker.listVolumes({ filters })).Volumes.map(({ Name }) => Name),
        ...(await docker.listImages({ filters: { reference: [`private-hermes/*:${run}`] } })).flatMap(({ RepoTags }) => RepoTags ?? []),
        ...(await readdir(tmpdir())).filter((name) => name.startsWith(`private-hermes-${run}-`)),
    ];
}

/** The first bytes of what a SOCKS 5 server answers to a client that offers no password. */
const greeting = (port: number) =>
    new Promise<Buffer>((resolve, reject) => {
        const socket = connect(port, "127.0.0.1", () => socket.write(Buffer.from([5, 1, 0])));
        socket.once("data", (answer) => {
            socket.destroy();
            resolve(answer);
        });
        socket.once("error", reject);
    });

test("--keep opens the laptop's proxy on the loopback alone; Ctrl-C removes everything", async () => {
    const {
        process: { pid = 0 },
        says,
        ends,
    } = rehearse("--keep", "way-in", "-t", "It stays up"); // the other lines are the rehearsal's own business
    const [, port] = await says(/--proxy-server=socks5:\/\/127\.0\.0\.1:(\d+)/);
    await says(/Ctrl-C ends and removes it/);
    expect([...(await greeting(Number(port)))]).toEqual([5, 0]);
    const containers = await (await engine()).listContainers({ filters: { label: [`private-hermes.run=${pid}`] } });
    const published = containers.flatMap(({ Ports }) => Ports).filter(({ PublicPort }) => PublicPort);
    expect(published).toMatchObject([{ IP: "127.0.0.1", PrivatePort: 1055, PublicPort: Number(port) }]);
    process.kill(-pid, "SIGINT");
    expect(await ends).toEqual([130, null]);
    expect(await traces(pid)).toEqual([]);
});

test.for<[when: string, said: RegExp, signal: NodeJS.Signals, code: number]>([
    ["while images are built", /Building images:\s+from/, "SIGINT", 130],
    ["while services start", /Starting Hermes, Open WebUI and the laptop/, "SIGINT", 130],
    ["in the middle of a proof", /In a browser/, "SIGTERM", 143],
])("stopped %s it leaves nothing behind", async ([, said, signal, code]) => {
    const { process: child, says, ends, printed } = rehearse("way-in");
    const pid = child.pid ?? 0;
    await says(said);
    expect(await traces(pid)).not.toEqual([]);
    if (signal === "SIGINT") process.kill(-pid, signal);
    else child.kill(signal);
    expect(await ends, printed()).toEqual([code, null]);
    expect(await traces(pid)).toEqual([]);
});

test("stopped while pulumi builds it leaves nothing behind, no process either", async ({ skip }) => {
    skip(!(await cliVersion()), "needs a Pulumi CLI");
    const {
        process: { pid = 0 },
        says,
        ends,
    } = rehearse("way-in");
    await says(/images that pulumi/);
    const processes = () => spawnSync("ps", ["axeww"], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 }).stdout.split("\n");
    const ours = () => processes().filter((line) => line.includes(`PULUMI_BACKEND_URL=file://${tmpdir()}/private-hermes-${pid}-`));
    while (!ours().some((line) => line.includes("pulumi up"))) await sleep(200);
    process.kill(-pid, "SIGINT");
    expect(await ends).toEqual([130, null]);
    expect(await traces(pid)).toEqual([]);
    expect(ours()).toEqual([]);
});

test("nothing proven is an error", async () => {
    const { ends } = rehearse("no-part-of-this-name");
    expect(await ends).toEqual([1, null]);
});
