/**
 * Plays the services that `npm run preflight` and `npm run verify` ask, Render apart (test/stand-ins/render/api.ts): GitHub, registries
 * that hand out tokens as Docker Hub and GitLab do, a kind that doesn't, OpenRouter, Exa, Telegram, a public DNS resolver, and Modal;
 * and Tailscale's API as `npm run tidy` asks it.
 * While it runs, `fetch` reaches these hosts here; every other host of the internet is unknown.
 *
 * Failures that they play: a credential that isn't known, has too few scopes or the wrong ones, a limit that is reached, a bot
 * that nobody has started, a name that can be found in public, any status from any host, and a host that can't be reached.
 *
 * Each checks the credential that it is given. The shapes of answers are those of the services' API references. What it
 * does not imitate: anything that these two commands don't ask, rate limits, expiry, the wording of refusals; of Modal it
 * plays the one call that begins a session, over plaintext HTTP/2, and of TLS nothing at all.
 *
 * OpenRouter, Exa and Telegram are those of the container tests (internet/). Here they are asked what a key is worth.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { Exa } from "./internet/exa.ts";
import { OpenRouter } from "./internet/openrouter.ts";
import { attempt, Exchange, type Host } from "./internet/serving.ts";
import { Telegram } from "./internet/telegram.ts";

/** What the services know. Tests change it. */
export interface World {
    /** Scopes and owner of a token. */
    github: Record<string, { login: string; scopes: string }>;
    /** Actions that a token is granted on every repository; `opaque` gives tokens that say nothing, `whole` refuses a question that it can't grant whole, `star` grants what wasn't asked for. */
    registry: { tokens: Record<string, string[]>; opaque: boolean; whole: boolean; star?: boolean };
    /** Tokens that are taken by HTTP Basic authentication. */
    basic: string[];
    openRouter: OpenRouter;
    exa: Exa;
    telegram: Telegram;
    /** Token secret by token id. */
    modal: Record<string, string>;
    /** gRPC status that Modal answers with, whoever asks. */
    modalSays?: number;
    /** Versions of its client that Modal has been asked with. */
    modalClients?: string[];
    /** The token of Tailscale's API, and the machines of its tailnet; a removed one goes. */
    tailscale?: { key: string; devices: Record<string, unknown>[] };
    /** Public addresses by host name. */
    dns: Record<string, string[]>;
    /** Status with which a host answers, whatever it is asked; 0 for one that can't be reached. */
    failing: Record<string, number>;
}

/** A world without any account, but for what is given. */
export const worldWith = (given: Partial<World> = {}): World => ({
    github: {},
    registry: { tokens: {}, opaque: false, whole: false },
    basic: [],
    openRouter: new OpenRouter(),
    modal: {},
    exa: new Exa({}),
    telegram: new Telegram({}),
    dns: {},
    failing: {},
    ...given,
});

interface Reply {
    status: number;
    headers?: Record<string, string>;
    body?: unknown;
}

const json = (body: unknown): Reply => ({ status: 200, body });
const refused: Reply = { status: 401, body: { message: "Bad credentials" } };

const bearer = ({ headers }: IncomingMessage) => headers.authorization?.replace(/^Bearer /, "") ?? "";
const basic = ({ headers }: IncomingMessage) => Buffer.from(headers.authorization?.replace(/^Basic /, "") ?? "", "base64").toString();
const passwordOf = (request: IncomingMessage) => basic(request).slice(basic(request).indexOf(":") + 1);

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** The hosts, and what each answers. */
const hosts: Record<string, (world: World, request: IncomingMessage, url: URL) => Reply | undefined> = {
    "api.github.com": ({ github }, request, { pathname }) => {
        const token = (github as Partial<World["github"]>)[bearer(request)];
        if (pathname !== "/user") return undefined;
        return token ? { status: 200, headers: { "x-oauth-scopes": token.scopes }, body: { login: token.login } } : refused;
    },
    "registry-1.docker.io": (world, request, { pathname }) =>
        pathname === "/v2/"
            ? { status: 401, headers: { "www-authenticate": 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"' } }
            : undefined,
    "auth.docker.io": (world, request, url) => grant(world, request, url),
    "registry.gitlab.com": (world, request, { pathname }) =>
        pathname === "/v2/"
            ? { status: 401, headers: { "www-authenticate": 'Bearer realm="https://gitlab.com/jwt/auth",service="container_registry"' } }
            : undefined,
    "gitlab.com": (world, request, url) => grant(world, request, url),
    "europe-docker.pkg.dev": (world, request, { pathname }) => {
        if (pathname !== "/v2/") return undefined;
        return world.basic.includes(passwordOf(request))
            ? json({})
            : { status: 401, headers: { "www-authenticate": 'Basic realm="https://europe-docker.pkg.dev"' } };
    },
    "api.tailscale.com": ({ tailscale }, request, { pathname }) => {
        if (!tailscale || bearer(request) !== tailscale.key) return refused;
        if (request.method === "GET" && pathname === "/api/v2/tailnet/-/devices") return json({ devices: tailscale.devices });
        const at = tailscale.devices.findIndex(({ nodeId }) => pathname === `/api/v2/device/${String(nodeId)}`);
        if (request.method !== "DELETE" || at < 0) return undefined;
        tailscale.devices.splice(at, 1);
        return json(null);
    },
    "cloudflare-dns.com": ({ dns }, request, { pathname, searchParams }) => {
        const [name, type] = [searchParams.get("name") ?? "", searchParams.get("type")];
        if (pathname !== "/dns-query" || request.headers.accept !== "application/dns-json") return undefined;
        const known = (dns as Partial<World["dns"]>)[name];
        if (!known) return json({ Status: 3 });
        // A name with an alias gives the alias, too.
        const records = known.filter((address) => address.includes(":") === (type === "AAAA"));
        return json({ Status: 0, Answer: [{ name, type: 5, data: "alias." }, ...records.map((data) => ({ name, type: type === "AAAA" ? 28 : 1, data }))] });
    },
};

/** Those that have a stand-in of their own. */
const played: Record<string, (world: World) => Host> = {
    "openrouter.ai": ({ openRouter }) => openRouter,
    "api.exa.ai": ({ exa }) => exa,
    "api.telegram.org": ({ telegram }) => telegram,
};

/** What a token may do besides. */
const elsewhere = { type: "repository", name: "somebody/else", actions: ["pull", "push", "delete"] };

/** A token of the registry protocol. */
function grant({ registry: { tokens, opaque, whole, star } }: World, request: IncomingMessage, { searchParams }: URL): Reply {
    const actions = (tokens as Partial<Record<string, string[]>>)[passwordOf(request)];
    if (!actions) return refused;
    const [, name, wanted] = (searchParams.get("scope") ?? "").split(":");
    const granted = star ? actions : wanted.split(",").filter((action) => actions.includes(action));
    if (whole && granted.length < wanted.split(",").length) return { status: 403, body: {} };
    return json({
        token: opaque
            ? "opaque"
            : `${part({})}.${part({ access: [elsewhere, ...(granted.length > 0 ? [{ type: "repository", name, actions: granted }] : [])] })}.signature`,
    });
}

/** Refuses as a resolver does that doesn't know a name. */
const unknownHost = (host: string) =>
    Promise.reject(new TypeError("fetch failed", { cause: Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND" }) }));

/** A connection to nothing: the port is free on every machine. */
const nothing = "http://127.0.0.1:1";

export class Accounts {
    private readonly http: HttpServer;
    private readonly grpc = new Server();
    private readonly fetch = globalThis.fetch;
    private modalPort = 0;

    readonly world: World;

    private constructor(world: World) {
        this.world = world;
        this.http = createServer((request, response) => {
            const [, host, ...path] = (request.url ?? "").split("/");
            const url = new URL(`https://${host}/${path.join("/")}`);
            const failing = world.failing[host] as number | undefined;
            const methods: Record<string, string[]> = { "api.exa.ai": ["POST"], "api.tailscale.com": ["GET", "DELETE"] };
            const allowed = (methods[host] ?? ["GET"]).includes(request.method ?? "");
            if (host in played && allowed && !failing) {
                void attempt((exchange) => played[host](world).answer(exchange), new Exchange(request, response, url));
                return;
            }
            const reply = failing ? { status: failing, headers: { location: "https://elsewhere.example/" } } : hosts[host](world, request, url);
            const { status: code, headers, body }: Reply = reply ?? { status: 404 };
            response.writeHead(allowed ? code : 405, { "content-type": "application/json", ...headers });
            response.end(JSON.stringify(body ?? {}));
        });
        const raw = (bytes: Buffer) => bytes;
        const path = "/modal.client.ModalClient/ClientHello";
        const hello = {
            path,
            requestStream: false,
            responseStream: false,
            requestSerialize: raw,
            requestDeserialize: raw,
            responseSerialize: raw,
            responseDeserialize: raw,
        };
        this.grpc.addService(
            { ClientHello: hello },
            {
                ClientHello: ({ metadata }: { metadata: Metadata }, answer: (error: object | null, body?: Buffer) => void) => {
                    const sent = (name: string) => String(metadata.get(`x-modal-${name}`)[0] ?? "");
                    (world.modalClients ??= []).push(sent("client-version"));
                    // Modal turns away who doesn't say what client it is.
                    if (!sent("client-version") || sent("client-type") !== "1") answer({ code: status.FAILED_PRECONDITION });
                    else if (world.modalSays) answer({ code: world.modalSays });
                    else if (world.failing["api.modal.com"]) answer({ code: status.INTERNAL });
                    else if (world.modal[sent("token-id")] !== sent("token-secret")) answer({ code: status.UNAUTHENTICATED });
                    else answer(null, Buffer.alloc(0));
                },
            },
        );
    }

    /** Starts them, and lets `fetch` find them. */
    static async start(world: World): Promise<Accounts> {
        const accounts = new Accounts(world);
        await once(accounts.http.listen(0, "127.0.0.1"), "listening");
        accounts.modalPort = await new Promise<number>((resolve, reject) => {
            accounts.grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
                if (error) reject(error);
                else resolve(port);
            });
        });
        globalThis.fetch = (input, init) => accounts.answer(input as string, init);
        return accounts;
    }

    /** For SERVICES_URL of loopback-only.mjs: where each host is found in a folder of its name. */
    get url(): string {
        return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
    }

    /** For MODAL_SERVER_URL. */
    get modalUrl(): string {
        return this.world.failing["api.modal.com"] === 0 ? nothing : `http://127.0.0.1:${this.modalPort}`;
    }

    private answer(url: string, init?: RequestInit): Promise<Response> {
        const { protocol, host, pathname, search } = new URL(url);
        if (protocol === "http:") return this.fetch(url, init); // a stand-in of its own
        if (!(host in hosts || host in played) || this.world.failing[host] === 0) return unknownHost(host);
        return this.fetch(`${this.url}/${host}${pathname}${search}`, init);
    }

    async close(): Promise<void> {
        globalThis.fetch = this.fetch;
        this.grpc.forceShutdown();
        const closed = once(this.http.close(), "close");
        this.http.closeAllConnections();
        await closed;
    }
}
