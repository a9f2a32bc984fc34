/** Both services on the plans that the program declares, as they are or without what was done for half a CPU (before/undo.py). */
import type { StartedTestContainer } from "testcontainers";
import { buildFrom, handleOf, imageOfRun, repository, type Container } from "../harness/docker.ts";
import { Laptop, type Held } from "../harness/laptop.ts";
import { serviceNames, type ServiceName } from "../harness/settings.ts";
import { Testbed } from "../harness/testbed.ts";

/** What is undone of a service: names of undo.py, and settings as they were. */
export interface Undone {
    names?: string[];
    settings?: Record<string, string>;
}

/** CPU seconds that a container has used, as the kernel counts them against its half. */
export async function used(container: Container): Promise<number> {
    const { cpu_stats } = (await (await handleOf(container)).stats({ stream: false, "one-shot": true })) as unknown as {
        cpu_stats: { cpu_usage: { total_usage: number } };
    };
    return cpu_stats.cpu_usage.total_usage / 1e9;
}

/** CPU seconds that containers use while something goes on, and what that gives. */
export async function using<T>(containers: Container[], work: () => Promise<T>): Promise<[number[], T]> {
    const before = await Promise.all(containers.map(used));
    const result = await work();
    const after = await Promise.all(containers.map(used));
    return [after.map((seconds, index) => seconds - before[index]), result];
}

export const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);

/** Builds the image of a service without what was done for half a CPU, or without what is named of it; gives its reference. */
async function without(name: ServiceName, names: string[]): Promise<string> {
    const reference = imageOfRun(["without", name, ...names].join("-"));
    const image = imageOfRun(name === "hermes" ? "hermes" : "openwebui");
    await buildFrom(`${repository}test/bench/before`, reference, "test/bench/before", { IMAGE: image, UNDO: names.join(" ") });
    return reference;
}

export class Stack {
    readonly testbed: Testbed;
    readonly services = {} as Record<ServiceName, StartedTestContainer>;
    laptop!: Laptop;
    tokens: string[] = [];
    private readonly settings: Partial<Record<ServiceName, Record<string, string>>> = {};

    private constructor(testbed: Testbed) {
        this.testbed = testbed;
    }

    static async create(): Promise<Stack> {
        return new Stack(await Testbed.create());
    }

    /** From its next start on a service is without something; all of undo.py, where `names` has none, and as it is, where nothing is given. */
    async undo(name: ServiceName, undone?: Undone): Promise<void> {
        this.testbed.useImage(name, undone?.names && { reference: await without(name, undone.names) });
        this.settings[name] = undone?.settings;
    }

    get both() {
        return serviceNames.map((name) => this.services[name]);
    }

    /** Starts a service on the disk that it has; gives the seconds until it answers, and those of the CPU. */
    async start(name: ServiceName): Promise<[number, number]> {
        await this.services[name]?.stop({ timeout: 60_000, remove: true, removeVolumes: false });
        const spec = { ...this.testbed.onPlan(name), checked: false };
        spec.environment = { ...spec.environment, ...this.settings[name] };
        const began = performance.now();
        this.services[name] = await this.testbed.startAndWait(name, spec);
        return [(performance.now() - began) / 1000, await used(this.services[name])];
    }

    /** Has a laptop join, with 40 accounts of its owner's. */
    async join(): Promise<void> {
        this.laptop = await Laptop.join(this.testbed);
        const { token } = await this.testbed.signIn();
        this.tokens = await this.testbed.addAccounts(token, 40);
    }

    /** Chats of 200 words, all at once; gives what came of them, and the CPU seconds of each. */
    async chats(chats: number, more: { tabs?: number; tokens?: string[] } = {}): Promise<[Held[], number]> {
        const order = { url: this.testbed.url, tokens: this.tokens, model: this.testbed.environment("open-webui").DEFAULT_MODELS, chats, words: 200, ...more };
        const [cpu, held] = await using(this.both, () => this.laptop.chats({ ...order, pace: "FAST" }));
        const failed = held.filter(({ complete }) => !complete);
        if (failed.length > 0) console.log(`${chats} chats: ${failed.length} aren't whole, the first of them: ${failed[0].error}`);
        return [held, sum(cpu) / chats];
    }

    /** The owner does something at the page: a function of week.py, and what it is given. */
    async day<T>(does: string, more: object = {}): Promise<T> {
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_ADMIN_PASSWORD: password } = this.testbed.environment("open-webui");
        return (await this.laptop.week({ url: this.testbed.url, does, email, password, with: more })) as T;
    }

    /** Opens the page in a new browser, up to the sign-in; gives the CPU seconds of Open WebUI, the bytes, and the seconds. */
    async firstLoad(phone = false): Promise<{ cpu: number; bytes: number; seconds: number }> {
        const load = () => this.day<{ bytes: number; seconds: number }>("first_load", { phone });
        const [[cpu], { bytes, seconds }] = await using([this.services["open-webui"]], load);
        return { cpu, bytes, seconds };
    }
}
