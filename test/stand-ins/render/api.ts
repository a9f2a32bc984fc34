/**
 * Plays api.render.com for the rehearsal: one workspace, and as much of the REST API as Render's own provider asks for
 * when it creates, reads, updates and deletes registry credentials and private services from images, and as much as
 * `npm run preflight` and `npm run verify` ask for besides. All of them come here by RENDER_HOST. What a service does when
 * it runs is the runtime's business, see runtime.ts.
 *
 * Failures that it plays: a bearer that it doesn't know (401), whatever is to be made in a workspace without a payment card
 * (402), a foreign owner, a second service of the same name, a disk that shrinks, a registry credential that doesn't exist,
 * an image that the registry doesn't give out with it; deploys that fail or are canceled; and, when a test says so
 * (`Failure`), 403, 429, 500 and 503, before a request takes effect or after. A slug always differs from the name, and
 * environment variables are read in pages of 20.
 *
 * The shapes of answers and their status codes are those of the recordings in the provider's tests, and of its types
 * where nothing is recorded: registry credentials, lists of deploys, refusals; those of owners, logs, metrics and custom
 * domains are from Render's API reference. Which status a refusal has is a guess but for 404 and 402, its wording
 * is too but for 402, and nothing may rely on either.
 *
 * What it does not imitate: any other type of service, builds, several workspaces, projects, secret files, log streams,
 * mails, scaling, previews, jobs, snapshots, suspension, rate limits of its own. Deploys wait for each
 * other whatever the workspace's policy, and a failed one leaves running what the runtime leaves running. The names of
 * plans are not checked and come back as they were sent, whereas Render may answer with a new name for an old one, and
 * `url` has the port that PORT names, whatever the service listens on. What is asked for beyond all this is answered
 * with 501.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { credentialJson, deployJson, diskJson, type Service, serviceJson } from "./model.ts";
import { notFound, notImplemented, Refusal } from "./refusal.ts";
import type { Runtime } from "./runtime.ts";
import { type CredentialInput, type DiskInput, type EnvVarInput, type ServiceInput, Workspace } from "./workspace.ts";

const pageSize = 20;
const parameters = ["cursor", "direction", "limit", "name", "ownerId", "resource", "startTime", "text", "type"];
/** Seconds since a service has said what stands in its log, so that it isn't found by who asks for the last hour alone, as Render does unasked. */
const logAge = 7200;

/** A request, without what it carries: bodies are full of credentials, and failed tests print what they compare. */
export interface Call {
    method: string;
    /** Path and query, without /v1. */
    path: string;
    /** Name of the service that it is about, if it is about one. */
    service?: string;
    /** Of the answer; nothing when the client hung up before it was due. */
    status?: number;
}

/** Requests that are to fail: the next `times` of those that match. */
export interface Failure {
    status: 403 | 429 | 500 | 503;
    times: number;
    method?: string;
    /** Of path and query, without /v1. */
    path?: RegExp;
    /** Whether the request takes effect all the same, and only the answer is lost. */
    afterEffect?: boolean;
}

interface Reply {
    status: number;
    body?: unknown;
}

interface Question {
    /** What the path has for `:id`. */
    id: string;
    query: URLSearchParams;
    body: unknown;
}

/** Gives nothing for an empty answer. */
type Handler = (question: Question) => Reply | undefined | Promise<Reply>;

const ok = (body: unknown): Reply => ({ status: 200, body });
const created = (body: unknown): Reply => ({ status: 201, body });

/** The items of a list, each with the cursor that leads to those after it. */
const withCursors = (items: object[]) => items.map((item, index) => ({ ...item, cursor: String(index + 1) }));

function cursorPage(items: object[], query: URLSearchParams): object[] {
    const start = Number(query.get("cursor") ?? 0);
    return withCursors(items).slice(start, start + Number(query.get("limit") ?? pageSize));
}

const envVars = ({ environment }: Service) => Object.entries(environment).map(([key, value]) => ({ envVar: { key, value } }));

/** Refuses a body with anything in it. */
function mustBeEmpty(body: unknown, what: string): void {
    if (Object.keys(body ?? {}).length > 0) throw notImplemented(what);
}

/** Reads the body of a write: a list or null for PUT, else an object. What is something else, or nothing, is refused. */
async function bodyOf(request: IncomingMessage): Promise<unknown> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.method === "GET" || request.method === "DELETE") return undefined;
    try {
        const body: unknown = JSON.parse(Buffer.concat(chunks).toString());
        const isList = body === null || Array.isArray(body);
        if (typeof body === "object" && isList === (request.method === "PUT")) return body;
    } catch {
        // is refused as well
    }
    throw new Refusal(400, "invalid JSON");
}

/** The server and what it serves. Tests look into the workspace, and change by hand what somebody could in the dashboard. */
export class RenderApi {
    readonly workspace: Workspace;
    /** Every request so far. */
    readonly calls: Call[] = [];
    private readonly apiKey: string;
    private readonly server: Server;
    private readonly failures: Failure[] = [];

    private constructor(apiKey: string, ownerId: string, runtime: Runtime) {
        this.apiKey = apiKey;
        this.workspace = new Workspace(ownerId, runtime);
        this.server = createServer((request, response) => void this.handle(request, response));
    }

    /** Listens on a free port of the loopback. */
    static async start(apiKey: string, ownerId: string, runtime: Runtime): Promise<RenderApi> {
        const api = new RenderApi(apiKey, ownerId, runtime);
        await once(api.server.listen(0, "127.0.0.1"), "listening");
        return api;
    }

    /** For RENDER_HOST. */
    get url(): string {
        return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
    }

    /** The requests that were to change something; with a mark, a former length of `calls`, those since then. */
    writes(mark = 0): Call[] {
        return this.calls.slice(mark).filter(({ method }) => method !== "GET");
    }

    /** Makes requests fail that have yet to come. */
    fail(failure: Failure): void {
        this.failures.push({ ...failure });
    }

    /** Ends the server; services and disks stay. */
    async close(): Promise<void> {
        const closed = once(this.server.close(), "close");
        this.server.closeAllConnections();
        await closed;
    }

    private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
        const { method = "", url = "" } = request;
        const call: Call = { method, path: url.replace(/^\/v1/, "") };
        this.calls.push(call);
        const { status, body } = await this.answer(request, call).catch((error: unknown): Reply => {
            const refusal = error instanceof Refusal ? error : new Refusal(500, String(error));
            return { status: refusal.status, body: { message: refusal.message } };
        });
        if (response.destroyed) return; // nobody is left to be answered
        call.status = status;
        response.writeHead(status, { "content-type": "application/json" });
        response.end(body === undefined ? undefined : JSON.stringify(body));
    }

    private async answer(request: IncomingMessage, call: Call): Promise<Reply> {
        if (request.headers.authorization !== `Bearer ${this.apiKey}`) throw new Refusal(401, "Unauthorized");
        const { pathname, searchParams: query } = new URL(call.path, "http://render");
        const [handler, id] = this.route(call.method, pathname);
        for (const key of query.keys()) {
            if (!parameters.includes(key)) throw notImplemented(`parameter ${key}`);
        }
        const body = await bodyOf(request);
        call.service = this.serviceOf(pathname, id, body);
        const failure = this.nextFailure(call);
        const failed = failure && new Refusal(failure.status, "a test has this request fail");
        if (failed && !failure.afterEffect) throw failed;
        const answer = await handler({ id, query, body });
        if (failed) throw failed;
        return answer ?? { status: 204 };
    }

    private route(method: string, pathname: string): [handler: Handler, id: string] {
        for (const [route, handler] of Object.entries(this.handlers)) {
            const match = new RegExp(`^${route.replace(":id", "([^/]*)")}$`).exec(`${method} ${pathname}`);
            if (match) return [handler, match.at(1) ?? ""];
        }
        throw notImplemented(`${method} ${pathname}`);
    }

    /** Name of the service that a request is about, by the service's id or its disk's, or as a new service is to have it. */
    private serviceOf(pathname: string, id: string, body: unknown): string | undefined {
        const known = [...this.workspace.services.values()].find((service) => [service.id, service.disk?.id].includes(id));
        return known?.name ?? (pathname === "/services" ? (body as { name?: string } | undefined)?.name : undefined);
    }

    private nextFailure({ method, path }: Call): Failure | undefined {
        const failure = this.failures.find((each) => each.times > 0 && (each.method ?? method) === method && (each.path?.test(path) ?? true));
        if (failure) failure.times--;
        return failure;
    }

    private json(service: Service) {
        return serviceJson(service, this.workspace.credentials.get(service.credentialId ?? ""));
    }

    private secretFiles({ id, body }: Question): Reply {
        this.workspace.service(id);
        mustBeEmpty(body, "secret files");
        return ok([]);
    }

    private notifications({ id, body }: Question): Reply {
        this.workspace.service(id);
        const { notificationsToSend: wanted, ...more } = (body ?? {}) as { notificationsToSend?: string };
        mustBeEmpty(more, "notifications about previews");
        if (wanted) this.workspace.notifications.set(id, wanted);
        const notificationsToSend = this.workspace.notifications.get(id) ?? "default";
        return ok({ notificationsToSend, previewNotificationsEnabled: "default", serviceId: id });
    }

    /** A series of bytes, the older value first; an empty list for a service that has no figures. */
    private diskMetric(query: URLSearchParams, value: (size: number, share: number) => number): object[] {
        const id = query.get("resource") ?? "";
        const share = this.workspace.diskUse.get(id);
        if (share === undefined) return [];
        const size = (this.workspace.service(id).disk?.sizeGB ?? 0) * 1e9;
        const values = [0, value(size, share)].map((each, index) => ({ timestamp: new Date(index * 1000).toISOString(), value: each }));
        return [{ labels: [{ field: "resource", value: id }], unit: "bytes", values }];
    }

    private readonly handlers: Record<string, Handler> = {
        "POST /registrycredentials": ({ body }) => ok(credentialJson(this.workspace.createCredential(body as CredentialInput))),
        "GET /registrycredentials/:id": ({ id }) => ok(credentialJson(this.workspace.credential(id))),
        "PATCH /registrycredentials/:id": ({ id, body }) => ok(credentialJson(this.workspace.updateCredential(id, body as CredentialInput))),
        "DELETE /registrycredentials/:id": ({ id }) => {
            this.workspace.deleteCredential(id);
        },

        "POST /services": async ({ body }) => {
            const { service, deploy } = await this.workspace.createService(body as ServiceInput);
            return created({ deployId: deploy.id, service: this.json(service) });
        },
        "GET /services": ({ query }) => {
            const wanted = (key: string, value: string) => !query.has(key) || query.getAll(key).includes(value);
            const services = [...this.workspace.services.values()].map((service) => this.json(service));
            const found = [...services, ...this.workspace.others].filter(
                ({ name, type }) => wanted("name", name) && wanted("ownerId", this.workspace.ownerId) && wanted("type", type),
            );
            return ok(
                cursorPage(
                    found.map((service) => ({ service })),
                    query,
                ),
            );
        },
        "GET /services/:id": ({ id }) => ok(this.json(this.workspace.service(id))),
        "PATCH /services/:id": async ({ id, body }) => ok(this.json(await this.workspace.updateService(id, body as ServiceInput))),
        "DELETE /services/:id": ({ id }) => {
            this.workspace.deleteService(id);
        },

        "GET /services/:id/custom-domains": ({ id, query }) => {
            const domains = this.workspace.domains.get(this.workspace.service(id).id) ?? [];
            return ok(
                cursorPage(
                    domains.map((name) => ({ customDomain: { name } })),
                    query,
                ),
            );
        },

        "GET /services/:id/env-vars": ({ id, query }) => ok(cursorPage(envVars(this.workspace.service(id)), query)),
        "PUT /services/:id/env-vars": ({ id, body }) => ok(withCursors(envVars(this.workspace.updateEnvironment(id, body as EnvVarInput)))),
        "GET /services/:id/secret-files": (question) => this.secretFiles(question),
        "PUT /services/:id/secret-files": (question) => this.secretFiles(question),

        "GET /services/:id/deploys": ({ id, query }) =>
            ok(
                cursorPage(
                    this.workspace.service(id).deploys.map((deploy) => ({ deploy: deployJson(deploy) })),
                    query,
                ),
            ),
        "POST /services/:id/deploys": ({ id, body }) => {
            mustBeEmpty(body, "options of deploys");
            const service = this.workspace.service(id);
            const waits = this.workspace.deploys.busy(service);
            const deploy = this.workspace.deploy(service);
            return waits ? { status: 202 } : created(deployJson(deploy));
        },

        "PATCH /disks/:id": ({ id, body }) => ok(diskJson(this.workspace.updateDisk(id, body as DiskInput))),

        "GET /owners/:id": ({ id }) => {
            if (id !== this.workspace.ownerId) throw notFound(id);
            return ok({ id, name: "Octo Cat's workspace", email: "octo@example.com", type: "team" });
        },
        "GET /logs": ({ query }) => {
            const said = this.workspace.logs.get(query.get("resource") ?? "") ?? [];
            const now = Date.now();
            const from = query.get("startTime") ?? new Date(now - 3_600_000).toISOString();
            const logs = said.map((message, index) => ({
                ...{ id: String(index), message, labels: [] },
                timestamp: new Date(now - logAge * 1000 + index * 1000).toISOString(),
            }));
            const found = logs.filter(({ message, timestamp }) => timestamp >= from && message.includes(query.get("text") ?? ""));
            return ok({ hasMore: false, logs: found.toReversed().slice(0, Number(query.get("limit") ?? pageSize)) });
        },
        "GET /metrics/disk-usage": ({ query }) => ok(this.diskMetric(query, (size, share) => size * share)),
        "GET /metrics/disk-capacity": ({ query }) => ok(this.diskMetric(query, (size) => size)),

        "GET /notification-settings/overrides/services/:id": (question) => this.notifications(question),
        "PATCH /notification-settings/overrides/services/:id": (question) => this.notifications(question),
        "GET /logs/streams/resource/:id": ({ id }) => {
            throw notFound(id);
        },
    };
}
