/** Before the unit tests: the commands that they run. */
import { fileURLToPath } from "node:url";
import { ensureCommands } from "./host.ts";

export default async function setup() {
    // Node.js keeps what it has compiled, here and in the commands that are started: half of what an import of Pulumi takes.
    process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL("../../node_modules/.cache/node", import.meta.url));
    const missing = await ensureCommands("jq", "shellcheck", "python3");
    // What needs it elsewhere isn't run there: shellcheck says so itself, the entrypoints are for Linux.
    if (process.platform === "linux" && missing.includes("jq"))
        throw new Error("jq isn't installed, which the images' entrypoints need: install it, then run this again.");
}
