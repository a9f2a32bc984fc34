/**
 * Plays a provider of buckets: passes each request on to versitygw, a real S3 server, which checks signatures and keeps versions, unless a
 * test has it fail. Environment: BUCKET_KEY_ID and BUCKET_KEY, the credentials that it takes. The bucket is called backups.
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { request } from "node:http";
import type { Exchange, Host } from "./serving.ts";

const port = 7070;
const folders = ["/bucket/root/backups", "/bucket/versions"];

/** What an S3 server answers when it refuses, with the code that clients look at. */
const refusal = (code: string) => Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);

/** How it fails: every request, or those of some methods, get this answer; `hang` gets none, and `drop` loses its connection. */
const faults: Record<string, { status: number; code: string; methods?: string[] }> = {
    denied: { status: 403, code: "AccessDenied" },
    full: { status: 403, code: "QuotaExceeded", methods: ["PUT", "POST"] },
    keep: { status: 403, code: "AccessDenied", methods: ["DELETE"] },
    skew: { status: 403, code: "RequestTimeTooSkewed" },
    key: { status: 403, code: "InvalidAccessKeyId" },
    bucket: { status: 404, code: "NoSuchBucket" },
    busy: { status: 503, code: "SlowDown" },
};

export class Bucket implements Host {
    private fault = "";
    private asked: string[] = [];

    constructor(keyId: string, key: string) {
        for (const folder of folders) mkdirSync(folder, { recursive: true });
        const server = spawn("versitygw", ["--port", `127.0.0.1:${port}`, "--quiet", "posix", "--versioning-dir", folders[1], "/bucket/root"], {
            env: { PATH: process.env.PATH, ROOT_ACCESS_KEY: keyId, ROOT_SECRET_KEY: key },
            stdio: "inherit",
        });
        server.on("exit", (code) => {
            console.error(`versitygw ended with ${code}`);
            process.exit(1);
        });
    }

    async answer({ request: { method = "", headers, url }, request: from, response }: Exchange): Promise<void> {
        this.asked.push(`${method} ${url ?? ""}`);
        if (this.fault === "drop") {
            from.socket.destroy();
            return;
        }
        if (this.fault === "hang") return;
        const fault = faults[this.fault] as (typeof faults)[string] | undefined;
        if (fault && (fault.methods ?? [method]).includes(method)) {
            from.resume();
            response.writeHead(fault.status, { "content-type": "application/xml" });
            response.end(method === "HEAD" ? undefined : refusal(fault.code));
            return;
        }
        await new Promise<void>((resolve, reject) => {
            // The signature is of the headers, the host's name among them.
            const onward = request({ host: "127.0.0.1", port, method, path: url, headers }, (answer) => {
                response.writeHead(answer.statusCode ?? 500, answer.headers);
                answer.pipe(response).on("finish", resolve).on("error", reject);
            });
            onward.on("error", reject);
            from.pipe(onward);
        });
    }

    async inside(exchange: Exchange): Promise<void> {
        switch (exchange.asked) {
            case "PUT /fault":
                this.fault = (await exchange.json<{ fault: string }>()).fault;
                exchange.send(200, {});
                return;
            case "GET /requests":
                exchange.send(200, this.asked);
                return;
            case "DELETE /requests":
                this.asked = [];
                exchange.send(200, {});
                return;
            default:
                exchange.send(404, {});
        }
    }
}
