/** How much memory a container needs, as the kernel counts it against its limit. */
import type { StartedTestContainer } from "testcontainers";
import { handleOf, output } from "./docker.ts";
import { Laptop } from "./laptop.ts";
import { serviceNames } from "./settings.ts";
import type { Testbed } from "./testbed.ts";

const MB = 1024 * 1024;

interface MemoryStats {
    usage: number;
    /** Pages of files, which the kernel gives up before it kills: `cache` under cgroup v1, `file` under v2. */
    stats: { cache?: number; file?: number };
}

/** Memory of a whole container that can't be reclaimed, in MB. */
async function needed(container: StartedTestContainer): Promise<number> {
    const { memory_stats } = (await (await handleOf(container)).stats({ stream: false, "one-shot": true })) as unknown as {
        memory_stats: MemoryStats;
    };
    return (memory_stats.usage - (memory_stats.stats.cache ?? memory_stats.stats.file ?? NaN)) / MB;
}

/** The most that each of several containers needed, in MB, seen twice a second while `work` goes on. */
export async function peaks(containers: StartedTestContainer[], work: Promise<unknown>): Promise<number[]> {
    const samples: Promise<number[]>[] = [];
    const sampling = setInterval(() => samples.push(Promise.all(containers.map(needed))), 500);
    await work.finally(() => {
        clearInterval(sampling);
    });
    const seen = await Promise.all(samples);
    return containers.map((_, index) => Math.max(...seen.map((sample) => sample[index])));
}

/** How many processes of a container the kernel has killed for want of memory. */
export async function kills(container: StartedTestContainer): Promise<number> {
    const counts = await output(container, "sh", "-c", "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null || true");
    const [, count] = /^oom_kill (\d+)$/m.exec(counts) ?? [];
    if (!count) throw new Error("the kernel doesn't tell how many processes it has killed");
    return Number(count);
}

/** Starts both services with the memory and CPU of their plans, and a laptop that joins them. */
export const startOnPlans = (testbed: Testbed) =>
    Promise.all([
        testbed.startAndWait("hermes", testbed.onPlan("hermes")),
        testbed.startAndWait("open-webui", testbed.onPlan("open-webui")),
        Laptop.join(testbed),
    ]);

/** What a service needed, in MB, and what its plan has. */
export interface Need {
    name: string;
    megabytes: number;
    limit: number;
}

/** What both services, in the order of `serviceNames`, needed while `work` went on; rejects when the kernel has killed anything. */
export async function needs(testbed: Testbed, containers: StartedTestContainer[], work: Promise<unknown>): Promise<Need[]> {
    const megabytes = await peaks(containers, work);
    for (const [index, name] of serviceNames.entries()) {
        const count = await kills(containers[index]);
        if (count > 0) throw new Error(`the kernel has killed ${count} processes of ${name} for want of memory`);
    }
    return serviceNames.map((name, index) => {
        const { memoryMb: limit = NaN } = testbed.spec(name);
        return { name: `${name} on ${testbed.plan(name)}`, megabytes: Math.round(megabytes[index]), limit };
    });
}

export const told = (found: Need[]) => found.map(({ name, megabytes, limit }) => `${name}: ${megabytes} of ${limit} MB`).join("; ");
