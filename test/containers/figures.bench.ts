/** Prints the figures of docs/figures.md beside what was expected of them. It measures and judges nothing: `npm run bench`. */
import { spawnSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, test } from "vitest";
import { imageSize, repository } from "./docker";
import { Laptop } from "./laptop";
import { peaks } from "./memory";
import { serviceNames } from "../program";
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

let stack: Stack;

beforeAll(async () => {
    stack = await Stack.create();
});
afterAll(async () => {
    console.log(`Measured on ${cpus().length} CPUs and ${Math.round(totalmem() / MB / 1024)} GB.`);
    console.table(rows);
    await stack.remove();
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

test("a message in the UI", async () => {
    await Promise.all([stack.start("hermes"), stack.redeploy("open-webui")]);
    const { token } = await stack.signIn();
    await stack.forgetCalls();
    await stack.sendFromPage(token, "How many calls is this?");
    await sleep(3000);
    record("model calls for a message in the UI", (await stack.calls()).length, 1, "calls");
});

test("memory under chats over the tailnet, each service on its plan", async () => {
    for (const name of serviceNames) await stack.services[name]?.stop({ timeout: 60_000 });
    const [hermes, openWebUi, laptop] = await Promise.all([
        stack.startAndWait("hermes", stack.onPlan("hermes")),
        stack.startAndWait("open-webui", stack.onPlan("open-webui")),
        Laptop.join(stack),
    ]);
    const { token } = await stack.signIn();
    for (const chats of [8, 40]) {
        const load = laptop.chats({ url: stack.url, tokens: [token], model: stack.environment("open-webui").DEFAULT_MODELS, chats, seconds: 20 });
        const needed = await peaks([hermes, openWebUi], load);
        for (const [index, name] of serviceNames.entries()) {
            const { memoryMb = NaN } = stack.onPlan(name);
            record(`${name} on ${stack.plan(name)}, ${chats} chats at once`, needed[index], Math.floor((memoryMb * 2) / 3), "MB");
        }
    }
});

test("npm test", () => {
    const start = performance.now();
    const { status } = spawnSync("npm", ["test"], { cwd: repository });
    if (status !== 0) throw new Error("npm test fails: run it by itself to see why");
    record("npm test", (performance.now() - start) / 1000, 30, "s");
});
