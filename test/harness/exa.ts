/** Exa and the web that it knows, in a testbed's private network. See test/stand-ins/internet/exa.ts. */
import { PlayedHost } from "./internet.ts";
import type { Testbed } from "./testbed.ts";

/** What there is on the web: a page, or an address that can't be read, with Exa's tag for the reason. */
export type Page = { url: string; title: string; text: string } | { url: string; tag: string };

/** A request as Exa got it. */
interface Call {
    path: string;
    body: Record<string, unknown>;
}

const host = "api.exa.ai";

export class Exa extends PlayedHost {
    /** Starts it with one key. */
    static async open(testbed: Testbed, key: string): Promise<Exa> {
        return new Exa(await this.play(testbed, host, { EXA_API_KEY: key }), host);
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
}
