/**
 * HTTP requests from inside a private network, which this machine doesn't reach. One process in a container there sends them all
 * (test/stand-ins/internet/client.py): to start one for each takes longer than most requests.
 */
import { interact, type Container } from "./docker.ts";

export interface RequestOptions {
    /** A Unix socket of the container that it goes to, whatever host the URL names. */
    socket?: string;
    bearer?: string;
    headers?: Record<string, string>;
    /** Sent as JSON. */
    body?: unknown;
    /** Sent as a form: texts, and files with their content in base64. */
    form?: Record<string, string | { name: string; content: string }>;
}

export interface Answer {
    status: number;
    headers: Record<string, string>;
    /** Parsed where it is JSON. */
    body: unknown;
}

/** What client.py says of a request. */
type Said = { id: number } & ({ error: string } | { status: number; headers: Record<string, string>; body: string });

/** The process in a container, and who waits for it. */
class Client {
    /** By the container's id. */
    private static readonly all = new Map<string, Promise<Client>>();
    private readonly waiting = new Map<number, { resolve: (said: Said) => void; reject: (error: Error) => void }>();
    private tell!: (line: string) => void;
    private requests = 0;

    /** The one in this container, which is started unless it runs. */
    static in(container: Container): Promise<Client> {
        const id = container.getId();
        const client = Client.all.get(id) ?? new Client().start(container);
        Client.all.set(id, client);
        client.catch(() => Client.all.delete(id));
        return client;
    }

    private async start(container: Container): Promise<this> {
        const hear = (line: string) => {
            const said = JSON.parse(line) as Said;
            this.waiting.get(said.id)?.resolve(said);
            this.waiting.delete(said.id);
        };
        this.tell = await interact(container, ["python3", "/client.py"], hear, (why) => {
            Client.all.delete(container.getId());
            const error = new Error(`the client has ended: ${why}`);
            for (const { reject } of this.waiting.values()) reject(error);
            this.tell = () => {
                throw error;
            };
        });
        return this;
    }

    send(call: object): Promise<Said> {
        const id = ++this.requests;
        return new Promise((resolve, reject) => {
            this.waiting.set(id, { resolve, reject });
            this.tell(JSON.stringify({ id, ...call }));
        });
    }
}

/** Sends a request from a container of the stand-ins. Rejects when there is no answer. */
export async function requestFrom(container: Container, method: string, url: string, options: RequestOptions = {}): Promise<Answer> {
    const { bearer, headers, ...rest } = options;
    const client = await Client.in(container);
    const said = await client.send({ method, url, headers: { ...headers, ...(bearer && { Authorization: `Bearer ${bearer}` }) }, ...rest });
    if ("error" in said) throw new Error(`${method} ${url}: ${said.error}`);
    return { status: said.status, headers: said.headers, body: parsed(said.body) };
}

function parsed(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return text;
    }
}
