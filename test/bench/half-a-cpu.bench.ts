/**
 * Prints the table "Half a CPU" of docs/figures.md, as text to be copied there: each figure on the plans that the program declares, beside the
 * same with the settings of before (before/undo.py) and a floor (floor.py), all in one run. It judges nothing: `npm run bench -- half-a-cpu`,
 * on a machine without other work, some ten minutes.
 */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, test } from "vitest";
import { output, repository, start } from "../harness/docker.ts";
import type { Held } from "../harness/laptop.ts";
import { median } from "../harness/median.ts";
import { peaks } from "../harness/memory.ts";
import { serviceNames, type ServiceName } from "../harness/settings.ts";
import type { Testbed } from "../harness/testbed.ts";
import { Stack, sum, using } from "./stack.ts";

/** Seconds for which both are left alone. */
const IDLE = 180;
/** Settings of before that were an image's. */
const settingsBefore: Record<ServiceName, Record<string, string>> = {
    hermes: { HERMES_SKIP_SSL_GUARD: "" },
    "open-webui": { OLLAMA_BASE_URL: "/ollama", TIMER_POLL_INTERVAL: "1", SCHEDULER_POLL_INTERVAL: "10" },
};
type State = "before" | "now";
type Values = Partial<Record<State | "floor", number>>;

const rows = new Map<string, Values & { aim: string }>();

function record(figure: string, aim: string, state: State | "floor", value: number) {
    rows.set(figure, { ...(rows.get(figure) ?? { aim }), [state]: value });
}

/** What is measured of one stack. */
class Measured {
    readonly state: State;
    readonly stack: Stack;

    private constructor(state: State, stack: Stack) {
        this.state = state;
        this.stack = stack;
    }

    static async create(state: State): Promise<Measured> {
        const stack = await Stack.create();
        if (state === "before") for (const name of serviceNames) await stack.undo(name, { names: [], settings: settingsBefore[name] });
        return new Measured(state, stack);
    }

    record(figure: string, aim: string, value: number) {
        record(figure, aim, this.state, value);
    }

    async starts() {
        const aims = { hermes: "<= 3.5", "open-webui": "<= 9" };
        // On a disk that has lived, as at each start but one.
        for (const name of serviceNames) await this.stack.start(name);
        for (const name of serviceNames) {
            const [seconds, cpu] = await this.stack.start(name);
            this.record(`${name} from start to its answer, s`, aims[name], seconds);
            this.record(`${name}, the same, CPU s`, "", cpu);
        }
        await this.stack.join();
    }

    async load() {
        // The first message after a start takes more.
        await this.stack.chats(1);
        for (const count of [1, 8, 40]) {
            const rounds = count === 1 ? 3 : 1;
            const needed: number[][] = [];
            const held: Held[] = [];
            const cpu: number[] = [];
            for (let round = 0; round < rounds; round++) {
                const work = this.stack.chats(count);
                needed.push(await peaks(this.stack.both, work));
                const [some, seconds] = await work;
                held.push(...some);
                cpu.push(seconds);
            }
            const many = `${count} chat${count > 1 ? "s at once" : ""}`;
            const first = held.map((chat) => chat.first);
            const aims: Record<number, string[]> = { 1: ["<= 0.25", "", ""], 8: ["", "<= 0.7", "<= 1"], 40: ["", "<= 5", "<= 8"] };
            this.record(`${many}: CPU s for a message of 200 words, both services`, aims[count][0], median(cpu));
            this.record(`${many}: first word, median, s`, aims[count][1], median(first));
            this.record(`${many}: first word, most, s`, aims[count][2], Math.max(...first));
            this.record(`${many}: updates a second, median`, ">= 4", median(held.map((chat) => chat.updates / (chat.total - chat.first))));
            this.record(`${many}: last answer whole, s`, "", Math.max(...held.map((chat) => chat.total)));
            for (const [index, name] of serviceNames.entries())
                this.record(`${many}: memory of ${name}, MB`, "<= 341", Math.max(...needed.map((sample) => sample[index])));
        }
    }

    /** An account in several pages, each of which gets all that happens to it. */
    async tabs() {
        const [alone] = this.stack.tokens;
        const [held, cpu] = await this.stack.chats(1, { tabs: 3, tokens: [alone] });
        this.record("1 chat, 3 tabs of the account: CPU s for a message", "", cpu);
        this.record("1 chat, 3 tabs of the account: first word, s", "", held[0].first);
        // With the settings of before they don't end.
        if (this.state === "now") {
            const [many] = await this.stack.chats(40, { tokens: [alone] });
            this.record("40 chats of one account: last answer whole, s", "twice that of 40", Math.max(...many.map((chat) => chat.total)));
        }
    }

    /** What people wait for at the page, in Chromium. */
    async page() {
        for (const phone of [false, true]) {
            const where = phone ? ", on a phone as far as it can be played, s" : ", s";
            const { cpu, bytes, seconds } = await this.stack.firstLoad(phone);
            if (!phone) {
                this.record("first load of the page in a new browser, CPU s", "<= 0.6", cpu);
                this.record("first load of the page in a new browser, MB", "<= 1.5", bytes / 1e6);
            }
            this.record(`first load of the page, up to the sign-in${where}`, "", seconds);
            const { opened, word } = await this.stack.day<{ opened: number; word: number }>("comes_back", { message: "FAST 20", phone });
            this.record(`from a tap on the icon to a page that takes a message${where}`, "", opened);
            this.record(`from Enter to the first word on the page${where}`, "", word);
        }
    }

    /** Both are deployed anew at the same time, and somebody asks at once. */
    async redeploy() {
        const began = performance.now();
        await Promise.all(serviceNames.map((name) => this.stack.start(name)));
        const started = performance.now();
        const [[{ first }]] = await this.stack.chats(1);
        this.record("from a redeploy of both to the next answer's first word, s", "", (started - began) / 1000 + first);
    }

    async idle() {
        const [cpu] = await using(this.stack.both, () => sleep(IDLE * 1000));
        for (const [index, name] of serviceNames.entries()) this.record(`idle, ${name}, CPU s an hour`, "", (cpu[index] * 3600) / IDLE);
        this.record("idle, both services, CPU s an hour", "<= 15", (sum(cpu) * 3600) / IDLE);
    }
}

/** Two bare servers, one behind the other as the two services are. */
async function floor(testbed: Testbed) {
    const python = "/opt/hermes/bin/python";
    const code = readFileSync(`${repository}test/bench/floor.py`, "utf8");
    const serve = (name: string, url: string) =>
        start({
            image: "modal", // which has aiohttp

            network: testbed.network,
            aliases: [name],
            command: [python, "-u", "-c", code, "serve", url],
            ready: /ready/,
            memoryMb: 512,
            cpus: 0.5,
        });
    const servers = [await serve("floor-behind", "http://openrouter.ai:8642/v1/chat/completions"), await serve("floor", "http://floor-behind:8000/")];
    for (const count of [1, 1, 8, 40]) {
        const ask = () => output(testbed.modal.container, python, "-c", code, "ask", "http://floor:8000/", `${count}`, "200");
        const [cpu, said] = await using(servers, ask);
        const first = JSON.parse(said) as number[];
        const many = `${count} chat${count > 1 ? "s at once" : ""}`;
        record(`${many}: CPU s for a message of 200 words, both services`, "", "floor", sum(cpu) / count);
        record(`${many}: first word, median, s`, "", "floor", median(first));
        record(`${many}: first word, most, s`, "", "floor", Math.max(...first));
    }
    for (const server of servers) await server.stop();
}

let measured: Measured[];

beforeAll(async () => {
    measured = [await Measured.create("before"), await Measured.create("now")];
});
afterAll(async () => {
    const shown = (value?: number) => (value === undefined ? "" : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0));
    const ratio = (value?: number, to?: number) => shown(value !== undefined && to ? value / to : undefined);
    console.log(
        `Measured on ${cpus().length} CPUs.\n\n| Figure | Before | Now | Ratio | Floor | Times the floor | Aim |\n| --- | --- | --- | --- | --- | --- | --- |`,
    );
    for (const [figure, { before, now, floor: least, aim }] of rows)
        console.log(`| ${figure} | ${shown(before)} | ${shown(now)} | ${ratio(now, before)} | ${shown(least)} | ${ratio(now, least)} | ${aim} |`);
    for (const { stack } of measured) await stack.testbed.remove();
});

test("half a CPU", { timeout: 30 * 60_000 }, async () => {
    for (const each of measured) {
        await each.starts();
        await each.load();
        await each.tabs();
        await each.page();
        await each.redeploy();
    }
    await floor(measured[1].stack.testbed);
    // Side by side, for neither has anything to do.
    await Promise.all(measured.map((each) => each.idle()));
});
