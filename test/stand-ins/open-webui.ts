/**
 * Plays Open WebUI behind `tailscale serve` for the unit tests of `npm run verify`: as much of its API as that asks, over
 * HTTPS, reached through a SOCKS proxy as through a Tailscale in userspace mode. What it does not imitate: all else; the
 * containers tests run the command against the real ones.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { createServer as createHttps, type Server as HttpsServer } from "node:https";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface PageState {
    password: string;
    /** Status of the answer to a wrong password (400). */
    refusal?: number;
    /** Whether whoever asks is signed in, without a password (false). */
    byTailnet?: boolean;
    /** Of who signs in (admin). */
    role?: string;
    /** Status of /health. */
    health: number;
    /** Ports besides 443 that answer, on whatever host (none). */
    open?: number[];
    models: string[];
    /** Status and body of the answer to a message. */
    answer: (content: string) => { status: number; body: unknown };
}

export const completion = (content: string, finish_reason = "stop") => ({ status: 200, body: { choices: [{ finish_reason, message: { content } }] } });

const port = (server: Server | HttpsServer) => (server.address() as AddressInfo).port;

/** A certificate that is its own authority, and its key, both as PEM. */
export function makeCertificate(host: string, days: number): { cert: string; key: string } {
    const folder = mkdtempSync(join(tmpdir(), "private-hermes-certificate-"));
    const [keyFile, certFile] = [join(folder, "key"), join(folder, "cert")];
    const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const subject = ["-subj", "/O=Rehearsal/CN=Authority", "-addext", `subjectAltName=DNS:${host}`];
    execFileSync("openssl", ["req", "-x509", ...kind, ...subject, "-days", String(days), "-keyout", keyFile, "-out", certFile], { stdio: "ignore" });
    const pair = { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
    rmSync(folder, { recursive: true });
    return pair;
}

/** The least of SOCKS 5 (RFC 1928): no authentication, one CONNECT, whose destination's port is exchanged for one of this machine. */
function proxyTo(destination: (port: number) => number): Server {
    return createServer((client: Socket) => {
        client.on("error", () => client.destroy());
        client.once("data", () => {
            client.write(Buffer.from([5, 0]));
            client.once("data", (wish: Buffer) => {
                const page = connect(destination(wish.readUInt16BE(wish.length - 2)), "127.0.0.1");
                page.on("error", () => client.destroy());
                page.on("close", () => client.destroy());
                page.once("connect", () => {
                    client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
                    client.pipe(page).pipe(client);
                });
            });
        });
    });
}

export class OpenWebUi {
    private readonly https: HttpsServer;
    private readonly stub = createHttp((_, response) => response.writeHead(403).end());
    private readonly proxy: Server;
    private reachable = true;
    /** Tokens of the sessions that it has opened. */
    private readonly tokens: string[] = [];

    readonly state: PageState;

    private constructor(state: PageState, certificate: { cert: string; key: string }) {
        this.state = state;
        this.https = createHttps(certificate, (request, response) => {
            const chunks: Buffer[] = [];
            request.on("data", (chunk: Buffer) => chunks.push(chunk));
            request.on("end", () => {
                const { status, body } = this.reply(
                    `${request.method ?? ""} ${request.url ?? ""}`,
                    request.headers.authorization ?? "",
                    Buffer.concat(chunks).toString(),
                );
                response.writeHead(status, { "content-type": "application/json" });
                response.end(JSON.stringify(body));
            });
        });
        this.proxy = proxyTo((wanted) => {
            if (!this.reachable) return 1;
            if (wanted === 443) return port(this.https);
            return this.state.open?.includes(wanted) ? port(this.stub) : 1;
        });
    }

    static async start(state: PageState, certificate: { cert: string; key: string }): Promise<OpenWebUi> {
        const page = new OpenWebUi(state, certificate);
        for (const server of [page.https, page.stub, page.proxy]) await once(server.listen(0, "127.0.0.1"), "listening");
        return page;
    }

    private reply(call: string, authorization: string, text: string): { status: number; body: unknown } {
        if (call === "GET /health") return { status: this.state.health, body: { status: this.state.health === 200 } };
        if (call === "POST /api/v1/auths/signin") {
            const { email, password } = JSON.parse(text) as { email: string; password: string };
            const known = this.state.byTailnet || (email === "admin@example.com" && password === this.state.password);
            if (!known) return { status: this.state.refusal ?? 400, body: { detail: "incorrect" } };
            const token = `token-${this.tokens.length}`;
            this.tokens.push(token);
            return { status: 200, body: { token, role: this.state.role ?? "admin" } };
        }
        if (!this.tokens.includes(authorization.replace(/^Bearer /, ""))) return { status: 401, body: { detail: "Not authenticated" } };
        if (call === "GET /api/models") return { status: 200, body: { data: this.state.models.map((id) => ({ id })) } };
        if (call !== "POST /api/chat/completions") return { status: 404, body: {} };
        const { model, messages } = JSON.parse(text) as { model: string; messages: { content: string }[] };
        return this.state.models.includes(model) ? this.state.answer(messages[0].content) : { status: 400, body: { detail: "Model not found" } };
    }

    /** For ALL_PROXY. */
    get proxyUrl(): string {
        return `socks5h://127.0.0.1:${port(this.proxy)}`;
    }

    /** From now on nothing answers behind the proxy. */
    unplug(): this {
        this.reachable = false;
        return this;
    }

    async close(): Promise<void> {
        const closed = [this.https, this.stub, this.proxy].map((server) => once(server.close(), "close"));
        this.https.closeAllConnections();
        await Promise.all(closed);
    }
}
