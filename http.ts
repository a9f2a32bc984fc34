/** Questions over HTTPS. */

/** Why something couldn't be found out: the service can't be reached, or its answer says nothing about the question. */
export class Unchecked extends Error {}

export interface Answer {
    status: number;
    headers: Headers;
    /** Parsed where it is JSON. */
    body: unknown;
    bytes: Buffer;
}

export interface Credentials {
    bearer?: string;
    basic?: { user: string; password: string };
}

/** For a service that answers slowly; one that doesn't answer at all shouldn't hold up the report. */
const timeoutMs = 20_000;

/** The reason in an error of fetch, of a socket or of a command: the code where there is one, and words for a time-out. */
export function reasonOf(error: unknown): string {
    const { code, name, message, cause } = error as NodeJS.ErrnoException;
    if (cause !== undefined) return reasonOf(cause);
    // A DOMException, whose code of 23 tells nobody anything.
    return name === "TimeoutError" ? "no answer in time" : (code ?? message);
}

/** Text as JSON, or as it is. */
export function parsed(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return text;
    }
}

/**
 * Asks a service and changes nothing there, but for a DELETE; a question that has a body goes by POST. Rejects with `Unchecked` when it can't be reached, and for 429 and 5xx, which
 * say nothing about what was asked.
 */
export async function ask(
    url: string,
    { bearer, basic }: Credentials = {},
    headers: Record<string, string> = {},
    body?: object,
    method = body ? "POST" : "GET",
): Promise<Answer> {
    const authorization = basic ? `Basic ${Buffer.from(`${basic.user}:${basic.password}`).toString("base64")}` : bearer && `Bearer ${bearer}`;
    const { host } = new URL(url);
    let response: Response;
    let bytes: Buffer;
    try {
        response = await fetch(url, {
            headers: { accept: "application/json", ...headers, ...(authorization && { authorization }), ...(body && { "content-type": "application/json" }) },
            method,
            ...(body && { body: JSON.stringify(body) }),
            redirect: "manual", // credentials go where they belong and no further
            signal: AbortSignal.timeout(timeoutMs),
        });
        bytes = Buffer.from(await response.arrayBuffer());
    } catch (error) {
        // Refused before anything was sent, for what is asked with: no fault of the service.
        if (error instanceof TypeError && error.cause === undefined) throw new Unchecked(`${host} can't be asked with it`);
        throw new Unchecked(`${host} doesn't answer (${reasonOf(error)})`);
    }
    if (response.status === 429 || response.status >= 500) throw new Unchecked(`${host} answers ${response.status}, try again later`);
    return { status: response.status, headers: response.headers, body: parsed(bytes.toString()), bytes };
}

/** For an answer that no case is known for. */
export const unexpected = (url: string, { status }: Pick<Answer, "status">) => new Unchecked(`${new URL(url).host} answers ${status}`);

/** Render's API, where its Pulumi provider has it, too. */
export const renderApi = () => process.env.RENDER_HOST ?? "https://api.render.com/v1";

/** The API of an image registry; Docker's has another host than its images' names. */
export const registryApi = (host: string) => `https://${host === "docker.io" ? "registry-1.docker.io" : host}/v2/`;

/** The parameters of a WWW-Authenticate header. */
export const challenge = (header: string) => Object.fromEntries([...header.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]));
