/** Prints the figures of the README beside what was expected of them. It measures and judges nothing: `npm run bench`. */
import { spawnSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, test } from "vitest";
import { engine, imageSize, repository, sweep } from "./docker";
import { Stack } from "./stack";

const MB = 1024 * 1024;
const rows: { figure: string; measured: string; expected: string; ratio: string }[] = [];

function record(figure: string, measured: number, expected: number, unit: string) {
    rows.push({
        figure,
        measured: `${measured.toFixed(measured < 100 ? 1 : 0)} ${unit}`,
        expected: `<= ${expected} ${unit}`,
        ratio: (measured / expected).toFixed(2),
    });
}

interface MemoryStats {
    /** `rss` under cgroup v1, `anon` under v2: what is resident and not a file's page. */
    stats: { rss?: number; anon?: number };
}

/** Resident memory of a whole container, in MB. */
async function resident(container: StartedTestContainer): Promise<number> {
    const docker = await engine();
    const { memory_stats } = (await docker.getContainer(container.getId()).stats({ stream: false, "one-shot": true })) as unknown as {
        memory_stats: MemoryStats;
    };
    return (memory_stats.stats.rss ?? memory_stats.stats.anon ?? NaN) / MB;
}

/** The highest resident memory, in MB, seen twice a second while `work` goes on. */
async function peak(container: StartedTestContainer, work: Promise<unknown>): Promise<number> {
    const samples: Promise<number>[] = [];
    const sampling = setInterval(() => samples.push(resident(container)), 500);
    await work.finally(() => {
        clearInterval(sampling);
    });
    return Math.max(...(await Promise.all(samples)));
}

let stack: Stack;

beforeAll(async () => {
    stack = await Stack.create();
});
afterAll(async () => {
    console.log(`Measured on ${cpus().length} CPUs and ${Math.round(totalmem() / MB / 1024)} GB.`);
    console.table(rows);
    await sweep();
});

test("images", async () => {
    record("Hermes image", (await imageSize("hermes")) / 1e6, 450, "MB");
});

test("what Open WebUI adds to a message", async () => {
    await stack.start("open-webui", { OPENAI_API_BASE_URL: "http://openrouter.ai:8642/v1" });
    const { token } = await stack.signIn();
    const message = "How much of this is overhead?";
    await stack.sendFromPage(token, message);
    await sleep(3000);
    const calls = await stack.calls();
    record("bytes around a message in the UI", calls.reduce((sum, { bytes }) => sum + bytes, 0) - message.length, 1024, "bytes");
});

/** So many chats at once, each answered in full within at least `seconds`. */
async function chats(count: number, seconds: number, send: (message: string) => Promise<string>) {
    const words = Array.from({ length: seconds }, (_, n) => n + 1).join(" ");
    const answers = await Promise.all(Array.from({ length: count }, (_, n) => send(`SLOW ${seconds}, says number ${n}`)));
    const lost = answers.filter((answer) => answer.trim() !== words);
    if (lost.length > 0) throw new Error(`${lost.length} of ${count} chats went wrong, one with: ${lost[0]}`);
}

test("Hermes under 8 chats", async () => {
    const hermes = await stack.start("hermes");
    await stack.ask("Warm up, please.");
    const highest = await peak(hermes, chats(8, 10, (message) => stack.ask(message)));
    record("Hermes resident, 8 concurrent chats", highest, 256, "MB");
});

test("the whole stack under 40 chats", async () => {
    const openWebUi = await stack.redeploy("open-webui");
    const { token } = await stack.signIn();
    await stack.forgetCalls();
    await stack.sendFromPage(token, "Warm up, please.");
    await sleep(3000);
    record("model calls for a message in the UI", (await stack.calls()).length, 1, "calls");
    const highest = await peak(openWebUi, chats(40, 20, (message) => stack.sendFromPage(token, message)));
    record("Open WebUI with tailscaled resident, 40 concurrent chats", highest, 512, "MB");
});

test("npm test", () => {
    const start = performance.now();
    const { status } = spawnSync("npm", ["test"], { cwd: repository });
    if (status !== 0) throw new Error("npm test fails: run it by itself to see why");
    record("npm test", (performance.now() - start) / 1000, 30, "s");
});
