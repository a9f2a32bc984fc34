/** Somebody who talks with Hermes as Open WebUI has it: by the headers that name the account and the chat. */
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { outputOf } from "./docker.ts";
import type { Sandbox } from "./modal.ts";
import { type Testbed, words } from "./testbed.ts";

interface Result {
    output?: string;
    exit_code?: number;
    error?: string | null;
    content?: string;
    [more: string]: unknown;
}

/** Somebody with an account in Open WebUI, in a chat of theirs. */
export class Person {
    private readonly testbed: Testbed;
    readonly id: string;
    readonly chat: string;

    constructor(testbed: Testbed, id: string = randomUUID(), chat: string = randomUUID()) {
        this.testbed = testbed;
        this.id = id;
        this.chat = chat;
    }

    /** The same person in another chat. */
    elsewhere(): Person {
        return new Person(this.testbed, this.id);
    }

    private get headers() {
        return { "X-OpenWebUI-User-Id": this.id, "X-OpenWebUI-Chat-Id": this.chat };
    }

    private request(content: string) {
        return this.testbed.chatRequest([{ role: "user", content }], this.headers);
    }

    /** What the agent answers. */
    ask(content: string): Promise<string> {
        return this.testbed.chat([{ role: "user", content }], this.headers);
    }

    /** The id of the session that Hermes has for the chat. */
    async session(content: string): Promise<string | undefined> {
        const { headers } = await this.testbed.hermes("POST", "/v1/chat/completions", this.request(content));
        return Object.entries(headers).find(([name]) => /x-hermes-session-id/i.test(name))?.[1];
    }

    /** What a tool gives; Hermes puts what comes from the web between tags. */
    async use(tool: string, parameters: object): Promise<Result> {
        const said = (await this.ask(`CALL ${tool} ${JSON.stringify(parameters)}`)).replace("Tool said: ", "");
        return JSON.parse(said.replace(/^<untrusted_tool_result[^]*?\n\n|\n<\/untrusted_tool_result>$/g, "")) as Result;
    }

    run(command: string, more: object = {}): Promise<Result> {
        return this.use("terminal", { command, ...more });
    }

    /** Sends a message and hangs up after so many seconds, as Stop in the page does. */
    async stopAfter(seconds: number, content: string): Promise<void> {
        const { bearer, headers, body } = this.request(content);
        const call = {
            method: "POST",
            url: `http://${this.testbed.address("hermes")}/v1/chat/completions`,
            body: { ...body, stream: true },
            headers: { ...headers, Authorization: `Bearer ${bearer}` },
        };
        await outputOf(this.testbed.openRouter, ["sh", "-c", `timeout ${seconds} python3 /client.py >/dev/null || true`], JSON.stringify(call));
    }

    /** The sandboxes that were made for this person, by a file that only theirs has. */
    async sandboxes(): Promise<Sandbox[]> {
        const mark = words("mark");
        expect((await this.run(`: ${mark}`)).exit_code).toBe(0);
        return (await this.testbed.modal.sandboxes()).filter(({ commands }) => commands.some((command) => command.includes(mark)));
    }
}
