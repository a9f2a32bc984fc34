import { execFileSync, spawnSync } from "node:child_process";
import { expect, test } from "vitest";

const scripts = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.sh", ".ci/run"], { encoding: "utf8" })
    .split("\n")
    .filter((path) => path !== "");

test("shellcheck has nothing to say", ({ skip }) => {
    const { error, stdout, status } = spawnSync("shellcheck", scripts, { encoding: "utf8" });
    if (error && !process.env.CI) {
        const reason = "shellcheck isn't installed (apt-get install shellcheck, brew install shellcheck)";
        console.warn(`Skipped: ${reason}`);
        skip(reason);
    }
    expect(error).toBeUndefined();
    expect(stdout).toBe("");
    expect(status).toBe(0);
});
