/**
 * Prints what each single thing that was done for half a CPU saves: the services as they are, and without that one thing (before/undo.py), in
 * turn. `npm run bench -- each`, on a machine without other work, some twenty-five minutes; figures.md has what came of it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, test } from "vitest";
import { median } from "../harness/median.ts";
import { serviceNames, type ServiceName } from "../harness/settings.ts";
import { Stack, sum, type Undone, using } from "./stack.ts";

/** How often each is measured, with it and without it. */
const ROUNDS = 3;
/** Seconds for which both are left alone. */
const IDLE = 90;

interface Change {
    what: string;
    service: ServiceName;
    undone: Undone;
    /** Where it saves: at a message, at forty in the same second, at a start, a first load of the page, or while nobody is there. */
    saves: "message" | "forty" | "start" | "load" | "idle";
}

const changes: Change[] = [
    { what: "Pieces of an answer are joined", service: "hermes", undone: { names: ["pieces"] }, saves: "message" },
    { what: "What the model says is read ten times a second", service: "hermes", undone: { names: ["looks"] }, saves: "message" },
    { what: "One certificate authority", service: "hermes", undone: { names: ["authorities"], settings: { HERMES_SKIP_SSL_GUARD: "" } }, saves: "message" },
    { what: "No object of pydantic's for a text", service: "hermes", undone: { names: ["chunks"] }, saves: "message" },
    { what: "YAML is parsed in C", service: "hermes", undone: { names: ["yaml"] }, saves: "message" },
    { what: "Few chats begin at a time", service: "open-webui", undone: { names: ["turns"] }, saves: "forty" },
    { what: "No look-up for Ollama", service: "open-webui", undone: { settings: { OLLAMA_BASE_URL: "/ollama" } }, saves: "start" },
    { what: "No collector while modules are imported, Hermes", service: "hermes", undone: { names: ["collector"] }, saves: "start" },
    { what: "The same, Open WebUI", service: "open-webui", undone: { names: ["collector"] }, saves: "start" },
    { what: "Plugins that nothing uses are off", service: "hermes", undone: { names: ["plugins"] }, saves: "start" },
    { what: "No migrations where there are none", service: "open-webui", undone: { names: ["migrations"] }, saves: "start" },
    { what: "Routes are looked into at their first request", service: "open-webui", undone: { names: ["routes"] }, saves: "start" },
    { what: "Models that nothing uses aren't built", service: "open-webui", undone: { names: ["unused"] }, saves: "start" },
    { what: "Files are compressed at build", service: "open-webui", undone: { names: ["assets"] }, saves: "load" },
    { what: "No list of ports", service: "open-webui", undone: { names: ["portlist"] }, saves: "idle" },
    { what: "Uvicorn's loop, and the login", service: "open-webui", undone: { names: ["ticks", "login"] }, saves: "idle" },
];

/** By what a change saves: figures of a stack, by name. */
const measures: Record<Change["saves"], (stack: Stack, service: ServiceName) => Promise<Record<string, number>>> = {
    async message(stack) {
        const [[{ first }], one] = await stack.chats(1);
        const [, each] = await stack.chats(8);
        return { "1 chat, CPU s a message": one, "8 chats, CPU s a message": each, "1 chat, first word, s": first };
    },
    async forty(stack) {
        const [held] = await stack.chats(40);
        const first = held.map((chat) => chat.first);
        return { "40 chats, median first word, s": median(first), "40 chats, last first word, s": Math.max(...first) };
    },
    async start(stack, service) {
        const [seconds, cpu] = await stack.start(service);
        return { "start, s": seconds, "start, CPU s": cpu };
    },
    async load(stack) {
        const { cpu, bytes } = await stack.firstLoad();
        return { "first load, CPU s": cpu, "first load, MB": bytes / 1e6 };
    },
    async idle(stack) {
        const [cpu] = await using(stack.both, () => sleep(IDLE * 1000));
        return { "idle, CPU s an hour": (sum(cpu) * 3600) / IDLE };
    },
};

const rows: string[] = [];
let stack: Stack;

beforeAll(async () => {
    stack = await Stack.create();
    for (const name of serviceNames) await stack.start(name);
    await stack.join();
});
afterAll(async () => {
    console.log(["| What | Figure | Without | With | Ratio |", "| --- | --- | --- | --- | --- |", ...rows].join("\n"));
    await stack.testbed.remove();
});

test.each(changes)("$what", { timeout: 30 * 60_000 }, async ({ what, service, undone, saves }) => {
    const found = { without: {} as Record<string, number[]>, with: {} as Record<string, number[]> };
    for (let round = 0; round < (saves === "idle" ? 1 : ROUNDS); round++) {
        for (const side of ["without", "with"] as const) {
            await stack.undo(service, side === "without" ? undone : undefined);
            await stack.start(service);
            // The first message after a start takes more.
            if (saves === "message" || saves === "forty") await stack.chats(1);
            for (const [figure, value] of Object.entries(await measures[saves](stack, service))) (found[side][figure] ??= []).push(value);
        }
    }
    for (const [figure, values] of Object.entries(found.with)) {
        const [now, before] = [median(values), median(found.without[figure])];
        rows.push(`| ${what} | ${figure} | ${before.toFixed(2)} | ${now.toFixed(2)} | ${(now / before).toFixed(2)} |`);
    }
});
