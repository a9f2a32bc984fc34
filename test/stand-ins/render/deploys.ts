/**
 * Runs the deploys of each service one after the other, and after them what follows a deletion. Render, as its workspace
 * is set, ends the running deploy for a newer one or skips those that wait; here each has its turn.
 */
import { type Deploy, type DeployStatus, newId, now, type Service } from "./model.ts";
import type { Release, Runtime } from "./runtime.ts";

/** What there is to do for one service. */
interface Line {
    /** Resolves when all that has been asked for so far is done. */
    work: Promise<void>;
    deletion: AbortController;
}

export class Deploys {
    private readonly runtime: Runtime;
    private readonly lines = new Map<string, Line>();
    private readonly failures: unknown[] = [];

    constructor(runtime: Runtime) {
        this.runtime = runtime;
    }

    /** Whether a deploy of this service waits or runs. */
    busy({ deploys }: Service): boolean {
        return deploys.some(({ finishedAt }) => finishedAt === undefined);
    }

    /** Queues a deploy of this release. */
    add(service: Service, release: Release): Deploy {
        const at = now();
        const deploy: Deploy = { id: newId("dep"), status: "queued", reference: release.image.reference, createdAt: at, updatedAt: at };
        service.deploys.unshift(deploy);
        this.enqueue(service.id, (signal) => this.run(service, deploy, release, signal));
        return deploy;
    }

    /** After the deletion of a service: ends its deploys, and removes it with its disk. */
    remove(service: Service): void {
        this.line(service.id).deletion.abort();
        this.enqueue(service.id, async () => {
            await this.runtime.remove(service.id);
            if (service.disk) await this.runtime.removeDisk(service.disk.id);
        });
    }

    /** Resolves when all that has been asked for so far is done; rejects when something couldn't be removed. */
    async settled(): Promise<void> {
        await Promise.all([...this.lines.values()].map(({ work }) => work));
        if (this.failures.length > 0) throw new AggregateError(this.failures.splice(0), "the runtime couldn't remove everything");
    }

    private line(serviceId: string): Line {
        const line = this.lines.get(serviceId) ?? { work: Promise.resolve(), deletion: new AbortController() };
        this.lines.set(serviceId, line);
        return line;
    }

    private enqueue(serviceId: string, step: (signal: AbortSignal) => Promise<void>): void {
        const line = this.line(serviceId);
        line.work = line.work.then(() => step(line.deletion.signal)).catch((error: unknown) => void this.failures.push(error));
    }

    private async run({ deploys }: Service, deploy: Deploy, release: Release, signal: AbortSignal): Promise<void> {
        const become = (status: DeployStatus) => Object.assign(deploy, { status, updatedAt: now() });
        const finish = (status: DeployStatus) => Object.assign(become(status), { finishedAt: now() });
        try {
            signal.throwIfAborted();
            become("build_in_progress");
            await this.runtime.pull(release.image);
            signal.throwIfAborted();
            become("update_in_progress");
            await this.runtime.start(release, signal);
            signal.throwIfAborted();
        } catch (error) {
            const failed = deploy.status === "build_in_progress" ? "build_failed" : "update_failed";
            Object.assign(finish(signal.aborted ? "canceled" : failed), { failure: error });
            return;
        }
        for (const other of deploys) {
            if (other.status === "live") Object.assign(other, { status: "deactivated", updatedAt: now() });
        }
        finish("live");
    }
}
