import { defineConfig } from "vitest/config";

// The containers project is one long story told in order, on one Docker engine: no file of it runs beside another.
export default defineConfig({
    test: {
        projects: [
            { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
            {
                test: {
                    name: "containers",
                    include: ["test/containers/**/*.test.ts"],
                    fileParallelism: false,
                    globalSetup: "test/containers/setup.ts",
                    hookTimeout: 30 * 60_000,
                    testTimeout: 5 * 60_000,
                },
            },
        ],
    },
});
