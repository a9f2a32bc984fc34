/** Open WebUI, asked from this device over the tailnet. */
import { request } from "node:https";
import { type PeerCertificate, TLSSocket } from "node:tls";
import { SocksProxyAgent } from "socks-proxy-agent";
import { parsed, reasonOf } from "./http.ts";

export interface PageAnswer {
    status: number;
    /** Parsed where it is JSON. */
    body: unknown;
    certificate: PeerCertificate;
}

/** Why there is no answer: nothing listens or resolves, or what answers has no certificate that verifies. */
export class PageFailed extends Error {
    readonly certificate: boolean;

    constructor(error: unknown) {
        super(reasonOf(error));
        // OpenSSL's names of verification errors, and Node's own for a wrong name.
        this.certificate = /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(this.message);
    }
}

/** Sends a request, as JSON where it has a body. Rejects with `PageFailed`. The agent may take minutes for an answer. */
export async function askPage(url: string, { bearer, body, seconds = 30 }: { bearer?: string; body?: unknown; seconds?: number } = {}): Promise<PageAnswer> {
    const data = body === undefined ? undefined : JSON.stringify(body);
    const headers = { ...(bearer && { authorization: `Bearer ${bearer}` }), ...(data && { "content-type": "application/json" }) };
    // A Tailscale in userspace mode lets programs in by a SOCKS proxy only (tailscale.com/docs, "Userspace networking mode").
    const proxy = process.env.ALL_PROXY ?? process.env.all_proxy;
    const agent = proxy?.startsWith("socks") ? new SocksProxyAgent(proxy) : undefined;
    try {
        return await new Promise((resolve, reject) => {
            const asked = request(url, { method: data === undefined ? "GET" : "POST", headers, agent, signal: AbortSignal.timeout(seconds * 1000) }, (response) => {
                const { socket } = response;
                if (!(socket instanceof TLSSocket)) { reject(new Error("not HTTPS")); return; }
                const certificate = socket.getPeerCertificate();
                const chunks: Buffer[] = [];
                response.on("data", (chunk: Buffer) => chunks.push(chunk));
                response.on("error", reject);
                response.on("end", () => { resolve({ status: response.statusCode ?? 0, body: parsed(Buffer.concat(chunks).toString()), certificate }); });
            });
            asked.on("error", reject);
            asked.end(data);
        });
    } catch (error) {
        throw new PageFailed(error);
    }
}
