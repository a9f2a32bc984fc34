import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { projectFiles } from "../harness/files.ts";

// Here rather than before the tests: they run beside it, and whatever comes of it.
test("`npm run lint` has nothing to say of types, rules and layout", { timeout: 300_000 }, () => {
    const { status, stdout, stderr } = spawnSync("npm", ["run", "--silent", "lint"], { encoding: "utf8", shell: process.platform === "win32" });
    expect(status, stdout + stderr).toBe(0);
});

const scripts = projectFiles("**/*.sh", ".ci/run");

test("shellcheck has nothing to say", ({ skip }) => {
    const { error, stdout, status } = spawnSync("shellcheck", scripts, { encoding: "utf8" });
    if (error && !process.env.CI) {
        const reason = "shellcheck isn't installed (apt-get install shellcheck, brew install shellcheck)";
        console.warn(`Skipped: ${reason}`);
        skip(reason);
    }
    expect(scripts.length).toBeGreaterThan(5);
    expect(error).toBeUndefined();
    expect(stdout).toBe("");
    expect(status).toBe(0);
});
