import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

// Here rather than before the tests: they run beside it, and whatever comes of it.
test("`npm run lint` has nothing to say of types, rules and layout", { timeout: 300_000 }, () => {
    const { status, stdout, stderr } = spawnSync("npm", ["run", "--silent", "lint"], { encoding: "utf8", shell: process.platform === "win32" });
    expect(status, stdout + stderr).toBe(0);
});
