/** What the stand-ins of this folder share: an answer in JSON, and two servers, one as the world sees it and one for `docker exec`. */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { buffer } from "node:stream/consumers";

/** A request, and the way to answer it. */
export class Exchange {
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
    /** As the caller wrote it, without what leads it here. */
    readonly url: URL;

    constructor(request: IncomingMessage, response: ServerResponse, url: URL) {
        this.request = request;
        this.response = response;
        this.url = url;
    }

    /** Method and path, such as `GET /calls`. */
    get asked(): string {
        return `${this.request.method ?? ""} ${this.url.pathname}`;
    }

    get bearer(): string | undefined {
        return /^Bearer (.+)$/.exec(this.request.headers.authorization ?? "")?.[1];
    }

    body(): Promise<Buffer> {
        return buffer(this.request);
    }

    async json<Body>(): Promise<Body> {
        return JSON.parse((await this.body()).toString()) as Body;
    }

    send(status: number, body: unknown): void {
        const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
        this.response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length });
        this.response.end(bytes);
    }
}

/** A host, as the world sees it; and `inside`, what a test tells or asks it. */
export interface Host {
    answer(exchange: Exchange): Promise<void> | void;
    inside(exchange: Exchange): Promise<void> | void;
}

type Answer = Host["answer"];

/** Answers a request; one that goes wrong is dropped, and its error printed. */
export async function attempt(answer: Answer, exchange: Exchange): Promise<void> {
    try {
        await answer(exchange);
    } catch (error) {
        console.error(error);
        exchange.response.destroy();
    }
}

const listener = (answer: Answer) => (request: IncomingMessage, response: ServerResponse) => {
    void attempt(answer, new Exchange(request, response, new URL(request.url ?? "/", "http://here")));
};

// A connection stays open until its client closes it: a client that sends just when it is closed for being idle takes that for a failure.
const options = { keepAliveTimeout: 0 };

/** Answers without TLS. */
export function listen(port: number, address: string, answer: Answer): void {
    createServer(options, listener(answer)).listen(port, address);
}

/** Plays a host with its certificate of /ca on port 443, and has its `inside` answer on port 8000 of the loopback. */
export function serve(name: string, host: Host): void {
    listen(8000, "127.0.0.1", (exchange) => host.inside(exchange));
    const [cert, key] = ["crt", "key"].map((end) => readFileSync(`/ca/${name}.${end}`));
    createTlsServer(
        { ...options, cert, key },
        listener((exchange) => host.answer(exchange)),
    ).listen(443, "0.0.0.0", () => {
        console.log(`${name} stand-in ready`);
    });
}
