/** Exa and the web that it knows, in a testbed's private network. See test/stand-ins/internet/exa.py. */
import type { StartedTestContainer } from "testcontainers";
import { start } from "./docker.ts";
import { requestFrom, type Testbed } from "./testbed.ts";

/** What there is on the web: a page, or an address that can't be read, with Exa's tag for the reason. */
export type Page = { url: string; title: string; text: string } | { url: string; tag: string };

/** A request as Exa got it. */
interface Call {
    path: string;
    body: Record<string, unknown>;
}

export class Exa {
    readonly container: StartedTestContainer;

    private constructor(container: StartedTestContainer) {
        this.container = container;
    }

    /** Starts it with one key. */
    static async open(testbed: Testbed, key: string): Promise<Exa> {
        const container = await start({
            image: "internet",
            network: testbed.network,
            aliases: ["api.exa.ai"],
            command: ["python3", "-u", "/exa.py"],
            environment: { EXA_API_KEY: key },
            volumes: { [testbed.volume("ca")]: "/ca" },
            ready: /ready/,
        });
        return new Exa(container);
    }

    async publish(...pages: Page[]): Promise<void> {
        for (const page of pages) await this.ask("POST", "/pages", page);
    }

    /** How each request fares from now on. */
    async play(fault: { status?: number; seconds?: number; bytes?: number }): Promise<void> {
        await this.ask("POST", "/faults", fault);
    }

    /** The requests since the last `forgetCalls`. */
    async calls(): Promise<Call[]> {
        return (await this.ask("GET", "/calls")) as Call[];
    }

    async forgetCalls(): Promise<void> {
        await this.ask("DELETE", "/calls");
    }

    private async ask(method: string, path: string, body?: unknown): Promise<unknown> {
        const answer = await requestFrom(this.container, method, `http://127.0.0.1:8000${path}`, { body });
        if (answer.status !== 200) throw new Error(`Exa's stand-in answers ${answer.status} to ${method} ${path}`);
        return answer.body;
    }
}
