import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

// The entrypoints are for Debian: GNU tools and bash 5. In their images they run everywhere, in the containers project.
const entrypoints = process.platform === "linux" ? [] : ["test/unit/*-entrypoint.test.ts"];
if (entrypoints.length > 0) console.warn(`Skipped on ${process.platform}: ${entrypoints.join()}, which need Linux.`);

// In the rehearsal and the bench memory is measured: there no file runs beside another.
const containers = {
    maxWorkers: 1,
    globalSetup: "test/harness/containers-setup.ts",
    hookTimeout: 30 * 60_000,
    testTimeout: 10 * 60_000,
    // Most ask a container something, which takes longer than the default of 50 ms.
    expect: { poll: { interval: 300 } },
};

/** What takes longest though its file is short: it waits for others, for restarts or for schedules. */
const longest = [
    "unit/lint",
    "unit/setup-command",
    "containers/backup",
    "containers/backup-commands",
    "containers/upgrade",
    "containers/bucket",
    "containers/sandbox",
    "containers/page",
    "containers/telegram",
    "containers/both-services",
    "containers/rehearse",
];

/** The longest first, so that no worker is left with one at the end; the rehearsal in the order of its names, for its report is read from the top. */
class Order extends BaseSequencer {
    async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
        if (files.some(({ project }) => ["rehearsal", "bench"].includes(project.name))) return files.toSorted((a, b) => a.moduleId.localeCompare(b.moduleId));
        const waits = ({ moduleId }: TestSpecification) => longest.toReversed().findIndex((end) => moduleId.endsWith(`/test/${end}.test.ts`));
        return (await super.sort(files)).toSorted((a, b) => waits(b) - waits(a));
    }
}

export default defineConfig({
    test: {
        sequence: { sequencer: Order },
        // The gate reads its counts from the report.
        reporters: process.env.CI ? ["default", "json"] : ["default"],
        projects: [
            {
                test: {
                    name: "unit",
                    include: ["test/unit/**/*.test.ts"],
                    exclude: entrypoints,
                    globalSetup: "test/harness/unit-setup.ts",
                    setupFiles: "test/harness/unit-worker.ts",
                    maxConcurrency: 10,
                    // For a machine with other work; no test is about time.
                    testTimeout: 60_000,
                    hookTimeout: 60_000,
                },
            },
            // They measure no memory, and wait more than they work.
            { test: { name: "containers", include: ["test/containers/**/*.test.ts"], ...containers, maxWorkers: 3 } },
            { test: { name: "rehearsal", include: ["test/rehearsal/**/*.test.ts"], ...containers } },
            { test: { name: "bench", include: ["test/bench/**/*.bench.ts"], ...containers } },
        ],
    },
});
