/** The stand-in of Modal, test/stand-ins/modal/server.py, as the tests drive it. */
import type { StartedTestContainer } from "testcontainers";
import { createVolume, start } from "./docker.ts";
import { requestFrom } from "./client.ts";

/** A sandbox that was asked for; times in seconds since 1970, memory in MiB. */
export interface Sandbox {
    id: string;
    image: string;
    started: number;
    ended: number | null;
    why: string | null;
    /** Requested, and at most. */
    cpu: [number, number];
    memory: [number, number];
    timeout: number;
    idleTimeout: number;
    network: "OPEN" | "BLOCKED" | "ALLOWLIST";
    cidrs: string[];
    mounts: number;
    secrets: number;
    commands: string[];
}

/** What it plays from now on; without an entry all is well. */
interface Faults {
    /** Seconds that each call takes longer. */
    latency?: number;
    /** Seconds for which a token of the command router is taken. */
    token?: number;
    /** Seconds that a call takes longer, by its name. */
    slow?: Record<string, number>;
    /** Seconds that a snapshot needs: it fails at once where the client allows less, and is there at once otherwise. */
    snapshot?: number;
    /** gRPC status and message by the name of a call, or * for each. */
    calls?: Record<string, [status: string, message: string]>;
    /** What the build of an image on another one fails with. */
    build?: string;
}

export const hosts = ["api.modal.com", "command-router.modal.com"];

export class Modal {
    readonly container: StartedTestContainer;

    private constructor(container: StartedTestContainer) {
        this.container = container;
    }

    /** Starts it in a network; `ca` is the volume with the certificates, `disks` the name of a volume for those of the sandboxes. */
    static async start(network: string, ca: string, disks: string, aliases = hosts): Promise<Modal> {
        await createVolume(disks);
        const volumes = { [ca]: "/ca", [disks]: "/sandboxes" };
        return new Modal(await start({ image: "modal", network, aliases, volumes, nesting: true, networking: true, ready: /Modal stand-in ready/ }));
    }

    async sandboxes(): Promise<Sandbox[]> {
        return (await this.ask("GET", "/sandboxes")) as Sandbox[];
    }

    async running(): Promise<Sandbox[]> {
        return (await this.sandboxes()).filter(({ ended }) => ended === null);
    }

    /** The saved disks that there are, by their ids. */
    async saved(): Promise<string[]> {
        return (await this.ask("GET", "/images")) as string[];
    }

    /** The commands of each image that was asked for. */
    async builds(): Promise<string[][]> {
        return (await this.ask("GET", "/builds")) as string[][];
    }

    /** How often each call was made since the last `forgetCalls`. */
    async calls(): Promise<Record<string, number>> {
        return (await this.ask("GET", "/calls")) as Record<string, number>;
    }

    async forgetCalls(): Promise<void> {
        await this.ask("DELETE", "/calls");
    }

    async play(faults: Faults): Promise<void> {
        await this.ask("PUT", "/faults", faults);
    }

    /** Ends a sandbox, as the provider does. */
    async end(id: string, why = "killed"): Promise<void> {
        await this.ask("POST", `/sandboxes/${id}/end`, { why });
    }

    /** Stops the app, as its owner can at modal.com. */
    async stopApp(): Promise<void> {
        await this.ask("POST", "/apps/stop", {});
    }

    private async ask(method: string, path: string, body?: unknown): Promise<unknown> {
        return (await requestFrom(this.container, method, `http://127.0.0.1:8000${path}`, { body })).body;
    }
}
