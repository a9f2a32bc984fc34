/**
 * Plays a provider of buckets: passes each request on to versitygw, a real S3 server, which checks signatures and rights and keeps versions,
 * unless a test has it fail. The bucket is called backups, and is set up as docs/backups.md says: it keeps versions, and the services' key may
 * not delete them.
 *
 * Environment
 *   BUCKET_KEY_ID, BUCKET_KEY     the key of the services
 *   BUCKET_OWNER, BUCKET_OWNER_KEY   the key of who owns all buckets
 */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { request } from "node:http";
import { promisify } from "node:util";
import type { Exchange, Host } from "./serving.ts";

const port = 7070;
const folders = ["/bucket/root", "/bucket/versions", "/bucket/iam", "/bucket/root/backups"];

/** What an S3 server answers when it refuses, with the code that clients look at. */
const refusal = (code: string) => Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);

/** How it fails: every request, or those of some methods, get this answer; `once` each the first time; `hang` gets none, and `drop` loses its connection. */
const faults: Record<string, { status: number; code: string; methods?: string[] }> = {
    denied: { status: 403, code: "AccessDenied" },
    full: { status: 403, code: "QuotaExceeded", methods: ["PUT", "POST"] },
    keep: { status: 403, code: "AccessDenied", methods: ["DELETE"] },
    skew: { status: 403, code: "RequestTimeTooSkewed" },
    key: { status: 403, code: "InvalidAccessKeyId" },
    bucket: { status: 404, code: "NoSuchBucket" },
    // Of a bucket that isn't there, by a server whose region restic knows by its name: it asks by HEAD alone then, and a HEAD has no code.
    head: { status: 404, code: "NoSuchBucket", methods: ["HEAD"] },
    busy: { status: 503, code: "SlowDown" },
    once: { status: 503, code: "SlowDown" },
};

export class Bucket implements Host {
    private fault = "";
    private asked: string[] = [];
    /** How many requests are let through before all others wait, and what lets those go on. */
    private left = Infinity;
    private waiting: (() => void)[] = [];

    private constructor(owner: string, ownerKey: string) {
        for (const folder of folders) mkdirSync(folder, { recursive: true });
        const [root, versions, iam] = folders;
        const server = spawn("versitygw", ["--port", `127.0.0.1:${port}`, "--quiet", "--iam-dir", iam, "posix", "--versioning-dir", versions, root], {
            env: { PATH: process.env.PATH, ROOT_ACCESS_KEY: owner, ROOT_SECRET_KEY: ownerKey },
            stdio: "inherit",
        });
        server.on("exit", (code) => {
            console.error(`versitygw ended with ${code}`);
            process.exit(1);
        });
    }

    /** Starts it, with the bucket of the services. */
    static async open(environment: Record<string, string | undefined>): Promise<Bucket> {
        const { BUCKET_KEY_ID: keyId = "", BUCKET_KEY: key = "", BUCKET_OWNER: owner = "", BUCKET_OWNER_KEY: ownerKey = "" } = environment;
        const bucket = new Bucket(owner, ownerKey);
        const run = promisify(execFile);
        const url = `http://127.0.0.1:${port}`;
        // Signed as S3 wants it. The first one waits for the server.
        const put = (query: string, body: string) => {
            const sum = createHash("sha256").update(body).digest("hex");
            const waiting = ["--silent", "--show-error", "--fail-with-body", "--retry", "60", "--retry-delay", "1", "--retry-connrefused"];
            const signed = ["--user", `${owner}:${ownerKey}`, "--aws-sigv4", "aws:amz:us-east-1:s3", "--header", `x-amz-content-sha256: ${sum}`];
            return run("curl", [...waiting, ...signed, "--request", "PUT", "--data-binary", body, `${url}/backups?${query}`]);
        };
        await put("versioning=", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>");
        const admin = ["admin", "--access", owner, "--secret", ownerKey, "--endpoint-url", url];
        await run("versitygw", [...admin, "create-user", "--access", keyId, "--secret", key, "--role", "user"]);
        const Action = ["s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"];
        const Resource = ["arn:aws:s3:::backups", "arn:aws:s3:::backups/*"];
        await put("policy=", JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Principal: keyId, Action, Resource }] }));
        return bucket;
    }

    async answer({ request: { method = "", headers, url }, request: from, response }: Exchange): Promise<void> {
        const line = `${method} ${url ?? ""}`;
        const again = this.asked.includes(line);
        this.asked.push(line);
        if (--this.left < 0) await new Promise<void>((goOn) => this.waiting.push(goOn));
        // Who sent it was killed meanwhile.
        if (response.destroyed) return;
        if (this.fault === "drop") {
            from.socket.destroy();
            return;
        }
        if (this.fault === "hang") return;
        const fault = faults[this.fault] as (typeof faults)[string] | undefined;
        if (fault && !(this.fault === "once" && again) && (fault.methods ?? [method]).includes(method)) {
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
            case "PUT /hold":
                this.left = (await exchange.json<{ after: number }>()).after;
                exchange.send(200, {});
                return;
            case "GET /hold":
                exchange.send(200, this.waiting.length);
                return;
            case "DELETE /hold":
                this.left = Infinity;
                for (const goOn of this.waiting.splice(0)) goOn();
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
