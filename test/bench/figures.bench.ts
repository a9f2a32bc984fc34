/** Prints the figures of docs/figures.md beside what was expected of them. It measures and judges nothing: `npm run bench`. */
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, test } from "vitest";
import { imageSize, output, repository } from "../harness/docker.ts";
import { printFigures, record } from "../harness/figures.ts";
import { peaks, startOnPlans } from "../harness/memory.ts";
import { sizeOfJpeg } from "../harness/picture.ts";
import { Person } from "../harness/person.ts";
import { serviceNames } from "../harness/settings.ts";
import { type Asked, type Message, Testbed } from "../harness/testbed.ts";
import { Uploads } from "../harness/uploads.ts";
import { say } from "../harness/voice.ts";

const MB = 1024 * 1024;
let testbed: Testbed;

beforeAll(async () => {
    testbed = await Testbed.create();
});
afterAll(async () => {
    printFigures();
    await testbed.remove();
});

test("images", async () => {
    record("Hermes image", (await imageSize("hermes")) / 1e6, 450, "MB");
});

test("what Open WebUI adds to a message", async () => {
    await testbed.start("open-webui", { OPENAI_API_BASE_URL: "http://openrouter.ai:8642/v1" });
    const { token } = await testbed.signIn();
    const message = "How much of this is overhead?";
    await testbed.sendFromPage(token, message);
    await sleep(3000);
    const calls = await testbed.calls();
    record("bytes around a message in the UI", calls.reduce((sum, { bytes }) => sum + bytes, 0) - message.length, 1024, "bytes");
});

test("a message in the UI", async () => {
    await Promise.all([testbed.start("hermes"), testbed.redeploy("open-webui")]);
    const { token } = await testbed.signIn();
    await testbed.forgetCalls();
    await testbed.sendFromPage(token, "How many calls is this?");
    await sleep(3000);
    record("model calls for a message in the UI", (await testbed.calls()).length, 1, "calls");
});

/** Runs commands in a process of its own in the gateway's container; prints seconds and the peak of its memory in MB, as JSON. */
const commands = (environment: string) => `
import json, os, resource, time
import private_hermes.sandbox.environment, tools.environments.modal
def execute(command):
    return environment.execute(command, timeout=60, bounded_capture=True)
began = time.monotonic()
${environment}
execute("true")
first = time.monotonic() - began
execute("true")
further = time.monotonic() - began - first
if "OUTPUT" in os.environ:
    execute("head -c 200000000 /dev/zero | tr '\\0' a")
print(json.dumps({"first": first, "further": further, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
os._exit(0)
`;
const environments = [
    { name: "this project's sandbox", code: "environment = private_hermes.sandbox.environment.ChatEnvironment('person-bench/chat')" },
    { name: "Hermes' own environment", code: "environment = tools.environments.modal.ModalEnvironment('python:3.13-slim', timeout=120)" },
];

test("a command in the sandbox", async () => {
    if (!testbed.services.hermes) await testbed.start("hermes");
    const run = async (code: string, variables = "") => {
        const setting = `HERMES_HOME=/tmp/bench-$$ TERMINAL_ENV=modal TERMINAL_MODAL_IMAGE=python:3.13-slim ${variables}`;
        const said = await output(testbed.running("hermes"), "sh", "-c", `mkdir /tmp/bench-$$ && ${setting} /opt/hermes/bin/python -c "$0"`, commands(code));
        return JSON.parse(said.trim().split("\n").at(-1) ?? "") as { first: number; further: number; peak: number };
    };
    for (const latency of [0, 0.1]) {
        await testbed.modal.play({ latency });
        for (const { name, code } of environments) {
            const { first, further } = await run(code);
            record(`${name}: first command at ${latency * 1000} ms a call`, first, latency ? 2.1 : 0.7, "s");
            record(`${name}: a further one at ${latency * 1000} ms a call`, further, latency ? 0.5 : 0.1, "s");
        }
    }
    await testbed.modal.play({});
    // Hermes' own gives up before it has all of them here.
    record("peak of a process with 200 MB of output", (await run(environments[0].code, "OUTPUT=1")).peak, 170, "MB");
    const someone = new Person(testbed);
    await testbed.modal.forgetCalls();
    await someone.run("true");
    const count = async () => Object.values(await testbed.modal.calls()).reduce((sum, times) => sum + times, 0);
    const first = await count();
    record("calls to Modal for a chat's first command", first, 14, "calls");
    await someone.run("true");
    record("calls to Modal for a further one", (await count()) - first, 2, "calls");
    record("sandboxes of ten first chats without code", await sandboxesOfTenChats(), 0.5, "sandboxes");
});

async function sandboxesOfTenChats(): Promise<number> {
    const before = (await testbed.modal.sandboxes()).length;
    await Promise.all(Array.from({ length: 10 }, () => new Person(testbed).ask("Good morning!")));
    return (await testbed.modal.sandboxes()).length - before;
}

test("memory under chats over the tailnet, each service on its plan", async () => {
    for (const name of serviceNames) await testbed.services[name]?.stop({ timeout: 60_000 });
    const [hermes, openWebUi, laptop] = await startOnPlans(testbed);
    const { token } = await testbed.signIn();
    const tokens = await testbed.addAccounts(token, 40);
    const working = peaks([hermes], Promise.all(Array.from({ length: 8 }, () => new Person(testbed).run("sleep 15; head -c 3000000 /dev/zero | tr '\\0' a"))));
    record(`hermes on ${testbed.plan("hermes")}, 8 people each with a running command`, (await working)[0], 341, "MB");
    for (const chats of [8, 40]) {
        const load = laptop.chats({ url: testbed.url, tokens, model: testbed.environment("open-webui").DEFAULT_MODELS, chats, words: 200, pace: "FAST" });
        const needed = await peaks([hermes, openWebUi], load);
        for (const [index, name] of serviceNames.entries()) {
            const { memoryMb = NaN } = testbed.onPlan(name);
            record(`${name} on ${testbed.plan(name)}, ${chats} chats at once`, needed[index], Math.floor((memoryMb * 2) / 3), "MB");
        }
    }
    const content = await say(testbed, "wav", "So it went on and on.", 90);
    const speak = () => testbed.webui("POST", "/api/v1/audio/transcriptions", { bearer: token, form: { file: { name: "recording.wav", content } } });
    const hearing = await peaks([hermes, openWebUi], Promise.all(Array.from({ length: 8 }, speak)));
    for (const [index, name] of serviceNames.entries()) record(`${name}, then 8 recordings of 9 MB at once`, hearing[index], 341, "MB");
});

test("the disks after a year of 10,000 messages of 1 KB and 500 documents with 500 KB of text each", async () => {
    for (const name of serviceNames) await testbed.redeploy(name);
    const { token } = await testbed.signIn();
    const folders = { hermes: "/opt/data", "open-webui": "/app/backend/data" };
    const used = () => Promise.all(serviceNames.map(async (name) => parseInt(await output(testbed.running(name), "du", "-sk", folders[name])) / 1024));
    const growth = async (work: () => Promise<unknown>) => {
        const before = await used();
        await work();
        return (await used()).map((after, index) => after - before[index]);
    };
    const together = (count: number, work: () => Promise<unknown>) => Promise.all(Array.from({ length: count }, work));
    const ofMessages = await growth(async () => {
        for (let round = 0; round < 10; round++) await together(10, () => testbed.sendFromPage(token, "Some words. ".repeat(85)));
    });
    const uploads = await Uploads.create(testbed, token);
    const ofDocuments = await growth(async () => {
        for (let round = 0; round < 10; round++) {
            const { id } = await uploads.upload("half.txt");
            // A short answer: others would have the document in them.
            await testbed.sendFromPage(token, "SLOW 1 What is in it?", { files: [id] });
        }
    });
    for (const [index, name] of serviceNames.entries()) record(`disk of ${name} after a year`, ofMessages[index] * 100 + ofDocuments[index] * 50, 5120, "MB");
});

/** US dollars for a million tokens that go to openai/gpt-5.5, the default model, and of those that it was sent just before (OpenAI's price list, 2026). */
const prices = { input: 5, cached: 0.5 };
/** What it counts for a picture: a token for each 32 by 32 pixels (developers.openai.com/api/docs/guides/images-vision, which names no factor for this model). */
const tokensOfPicture = (url: string) => {
    const [width, height] = sizeOfJpeg(Buffer.from(url.split(";base64,")[1], "base64"));
    return Math.ceil(width / 32) * Math.ceil(height / 32);
};
const picturesOf = (messages: Message[]) => [...JSON.stringify(messages).matchAll(/"(data:image\/[^"]*)"/g)].map(([, url]) => url);
/** Four characters are reckoned as a token. */
const tokensOf = (messages: Message[]) => {
    const pictures = picturesOf(messages);
    const characters = JSON.stringify(messages).length - pictures.join("").length;
    return characters / 4 + pictures.reduce((sum, url) => sum + tokensOfPicture(url), 0);
};

test("the bill of a chat with a photo in each message", async () => {
    await Promise.all(serviceNames.map((name) => testbed.redeploy(name)));
    const { token } = await testbed.signIn();
    const uploads = await Uploads.create(testbed, token);
    // As large as the page makes a photo.
    const draw = "Image.effect_noise((1568, 1176), 60).convert('RGB').filter(ImageFilter.GaussianBlur(1)).save('/tmp/documents/photo.jpg', quality=90)";
    await output(testbed.running("open-webui"), "python3", "-c", `from PIL import Image, ImageFilter; ${draw}`);
    const bill: Record<string, number>[] = [];
    let [asked, before]: [Asked | undefined, Message[]] = [undefined, []];
    for (let turn = 1; turn <= 12; turn++) {
        const { id } = await uploads.upload("photo.jpg");
        await testbed.forgetCalls();
        asked = await testbed.askFromPage(token, `What is on photo ${turn}?`, { pictures: [id], after: asked });
        await testbed.answered(token, asked);
        const [{ messages, bytes }] = await testbed.calls();
        // The tools come first, and with them what stands before the first message that is another one.
        const tools = (bytes - JSON.stringify(messages).length) / 4;
        const changed = messages.findIndex((message, at) => JSON.stringify(message) !== JSON.stringify(before[at]));
        const [tokens, known] = [tools + tokensOf(messages), before.length && tools + tokensOf(messages.slice(0, changed))];
        bill.push({
            pictures: picturesOf(messages).length,
            "request in MB": bytes / MB,
            tokens,
            "tokens of pictures": picturesOf(messages).reduce((sum, url) => sum + tokensOfPicture(url), 0),
            "sent just before": known,
            "$ at most": (tokens * prices.input) / 1e6,
            "$ with the cache": ((tokens - known) * prices.input + known * prices.cached) / 1e6,
        });
        before = messages;
    }
    const rounded = (value: number) => Number(value.toFixed(value < 10 ? 3 : 0));
    const total = Object.fromEntries(Object.keys(bill[0]).map((name) => [name, bill.reduce((sum, row) => sum + row[name], 0)]));
    console.table(
        Object.fromEntries(
            [...bill, total].map((row, at) => [
                bill[at] ? at + 1 : "all",
                Object.fromEntries(Object.entries(row).map(([name, value]) => [name, rounded(value)])),
            ]),
        ),
    );
    record("pictures in a request", Math.max(...bill.map(({ pictures }) => pictures)), 8, "pictures");
});

test("npm test", () => {
    const start = performance.now();
    const { status } = spawnSync("npm", ["test"], { cwd: repository });
    if (status !== 0) throw new Error("npm test fails: run it by itself to see why");
    record("npm test", (performance.now() - start) / 1000, 30, "s");
});
