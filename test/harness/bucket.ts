/** The bucket for backups, in a testbed's private network. See test/stand-ins/internet/bucket.ts. */
import { buildImage, output } from "./docker.ts";
import { PlayedHost } from "./internet.ts";
import type { Testbed } from "./testbed.ts";

/** How the bucket fails. */
export type Fault = "" | "denied" | "full" | "keep" | "skew" | "key" | "bucket" | "busy" | "drop" | "hang";

const host = "bucket.example.com";

export class Bucket extends PlayedHost {
    /** Starts it with the key that the testbed's settings have. */
    static async open(testbed: Testbed, { backupKeyId, backupKey }: Record<string, string>): Promise<Bucket> {
        await buildImage("bucket");
        return new Bucket(await this.play(testbed, host, { BUCKET_KEY_ID: backupKeyId, BUCKET_KEY: backupKey }, "bucket"), host);
    }

    async fail(fault: Fault): Promise<void> {
        await this.ask("PUT", "/fault", { fault });
    }

    /** The requests since the last `forgetRequests`, as method and address. */
    async requests(): Promise<string[]> {
        return (await this.ask("GET", "/requests")) as string[];
    }

    async forgetRequests(): Promise<void> {
        await this.ask("DELETE", "/requests");
    }

    /** Runs a shell command in the folder that holds the bucket's objects. */
    inside(command: string): Promise<string> {
        return output(this.container, "sh", "-c", `cd /bucket/root/backups && ${command}`);
    }
}
