import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

// The entrypoints are for Debian: GNU tools and bash 5. In their images they run everywhere, in the containers project.
const entrypoints = process.platform === "linux" ? [] : ["test/unit/*-entrypoint.test.ts"];
if (entrypoints.length > 0) console.warn(`Skipped on ${process.platform}: ${entrypoints.join()}, which need Linux.`);

// One Docker engine, and in the rehearsal and the bench memory that is measured: there no file runs beside another.
const containers = {
    maxWorkers: 1,
    globalSetup: "test/harness/containers-setup.ts",
    hookTimeout: 30 * 60_000,
    testTimeout: 10 * 60_000,
};

/** In the order of their names, for the report of the rehearsal is read from the top; unit tests the longest first, so that each processor is busy to the end. */
class Order extends BaseSequencer {
    sort(files: TestSpecification[]): Promise<TestSpecification[]> {
        if (files.every(({ project }) => project.name === "unit")) return super.sort(files);
        return Promise.resolve(files.toSorted((a, b) => a.moduleId.localeCompare(b.moduleId)));
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
                    maxConcurrency: 10,
                    // For a machine with other work; no test is about time.
                    testTimeout: 60_000,
                    hookTimeout: 60_000,
                },
            },
            { test: { name: "containers", include: ["test/containers/**/*.test.ts"], ...containers, maxWorkers: 2 } },
            { test: { name: "rehearsal", include: ["test/rehearsal/**/*.test.ts"], ...containers } },
            { test: { name: "bench", include: ["test/bench/**/*.bench.ts"], ...containers } },
        ],
    },
});
