/** A host of the internet that test/stand-ins/internet/play.ts plays in a testbed's private network. */
import type { StartedTestContainer } from "testcontainers";
import { type ImageName, start } from "./docker.ts";
import { requestFrom } from "./client.ts";
import type { Testbed } from "./testbed.ts";

export class PlayedHost {
    readonly container: StartedTestContainer;
    private readonly host: string;

    protected constructor(container: StartedTestContainer, host: string) {
        this.container = container;
        this.host = host;
    }

    protected static play(testbed: Testbed, host: string, environment: Record<string, string>, image: ImageName = "internet"): Promise<StartedTestContainer> {
        return start({
            image,
            network: testbed.network,
            aliases: [host],
            command: ["node", "/play/play.ts", host],
            environment,
            volumes: { [testbed.volume("ca")]: "/ca" },
            ready: /ready/,
        });
    }

    /** Asks the stand-in what it has seen, or tells it what to play. */
    protected async ask(method: string, path: string, body?: unknown): Promise<unknown> {
        const answer = await requestFrom(this.container, method, `http://127.0.0.1:8000${path}`, { body });
        if (answer.status !== 200) throw new Error(`The stand-in of ${this.host} answers ${answer.status} to ${method} ${path}`);
        return answer.body;
    }
}
