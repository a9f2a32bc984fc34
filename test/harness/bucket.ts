/** The bucket for backups, in a testbed's private network. See test/stand-ins/internet/bucket.ts. */
import { createHash, randomUUID } from "node:crypto";
import type { StartedTestContainer } from "testcontainers";
import { buildImage, output } from "./docker.ts";
import { PlayedHost } from "./internet.ts";
import type { Testbed } from "./testbed.ts";

/** How the bucket fails. */
export type Fault = "" | "denied" | "full" | "keep" | "skew" | "key" | "bucket" | "head" | "busy" | "once" | "drop" | "hang";

const host = "bucket.example.com";

/** For a service's shell: what restic is told there. */
export const resticEnvironment =
    "AWS_ACCESS_KEY_ID=$BACKUP_KEY_ID AWS_SECRET_ACCESS_KEY=$BACKUP_KEY RESTIC_PASSWORD=$BACKUP_PASSWORD RESTIC_REPOSITORY=$BACKUP_REPOSITORY";

/** For the same: ends all that belongs to a backup, as a crash does. */
export const killBackup = `for pid in $(grep -laE 'restic|/usr/local/bin/backup' /proc/[0-9]*/cmdline | cut -d/ -f3); do [ $pid = 1 ] || [ $pid = $$ ] || kill -9 $pid; done 2>/dev/null; true`;

export class Bucket extends PlayedHost {
    /** The key of its owner, who may do all there. */
    readonly owner: { id: string; key: string };

    /** Starts it with the key that the testbed's settings have. */
    static async open(testbed: Testbed, { backupKeyId, backupKey }: Record<string, string>): Promise<Bucket> {
        await buildImage("bucket");
        const owner = { id: `owner${randomUUID()}`, key: randomUUID() };
        const environment = { BUCKET_KEY_ID: backupKeyId, BUCKET_KEY: backupKey, BUCKET_OWNER: owner.id, BUCKET_OWNER_KEY: owner.key };
        return new Bucket(await this.play(testbed, host, environment, "bucket"), owner);
    }

    private constructor(container: StartedTestContainer, owner: Bucket["owner"]) {
        super(container, host);
        this.owner = owner;
    }

    async fail(fault: Fault): Promise<void> {
        await this.ask("PUT", "/fault", { fault });
    }

    /** Has all requests wait from now on, but for the first ones. */
    async hold(after: number): Promise<void> {
        await this.ask("PUT", "/hold", { after });
    }

    /** How many wait. */
    async held(): Promise<number> {
        return (await this.ask("GET", "/hold")) as number;
    }

    /** Lets all go on whose sender is still there. */
    async letGo(): Promise<void> {
        await this.ask("DELETE", "/hold");
    }

    /** The requests since the last `forgetRequests`, as method and address. */
    async requests(): Promise<string[]> {
        return (await this.ask("GET", "/requests")) as string[];
    }

    async forgetRequests(): Promise<void> {
        await this.ask("DELETE", "/requests");
    }

    /** What the server answers to a request that is signed with a key. */
    async status({ id, key }: Bucket["owner"], method: string, path: string, body = ""): Promise<number> {
        const sends = ["--data-binary", body, "--header", "Content-Type:"];
        return Number(await this.curl({ id, key }, body, "--output", "/dev/null", "--write-out", "%{http_code}", "--request", method, ...sends, path));
    }

    /** A version of an object. */
    async versionOf(bucket: string, object: string): Promise<string> {
        const versions = await this.curl(this.owner, "", `/${bucket}?prefix=${object.replaceAll("/", "%2F")}&versions=`);
        return /<Version>.*?<VersionId>([^<]+)</s.exec(versions)?.[1] ?? "";
    }

    /** Signed as S3 wants it; the last argument is the path. */
    private curl({ id, key }: Bucket["owner"], body: string, ...args: string[]): Promise<string> {
        const path = args.pop() ?? "";
        const sum = createHash("sha256").update(body).digest("hex");
        const signed = ["--silent", "--user", `${id}:${key}`, "--aws-sigv4", "aws:amz:us-east-1:s3", "--header", `x-amz-content-sha256: ${sum}`];
        return output(this.container, "curl", ...signed, ...args, `http://127.0.0.1:7070${path}`);
    }

    /** Runs a shell script beside it, with rclone's remotes by these names, each with a key. */
    rclone(remotes: Record<string, Bucket["owner"]>, script: string): Promise<string> {
        const variables = Object.entries(remotes).flatMap(([name, { id, key }]) => {
            const remote = { type: "s3", provider: "Other", endpoint: "http://127.0.0.1:7070", access_key_id: id, secret_access_key: key };
            return Object.entries(remote).map(([option, value]) => `RCLONE_CONFIG_${name}_${option}`.toUpperCase() + `=${value}`);
        });
        // The server's own way to copy fails on the file system of a container, and rclone would try for minutes.
        const options = ["RCLONE_CONFIG=/dev/null", "RCLONE_S3_NO_CHECK_BUCKET=true", "RCLONE_DISABLE=copy", "RCLONE_RETRIES=1", "RCLONE_LOW_LEVEL_RETRIES=2"];
        return output(this.container, "env", ...options, ...variables, "sh", "-euc", script);
    }

    /** Runs a shell command in the folder that holds the bucket's objects. */
    inside(command: string): Promise<string> {
        return output(this.container, "sh", "-c", `cd /bucket/root/backups && ${command}`);
    }
}
