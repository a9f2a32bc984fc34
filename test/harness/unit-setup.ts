/** Before the unit tests: the commands that they run. */
import { ensureCommands } from "./host.ts";

export default async function setup() {
    const missing = await ensureCommands("jq", "shellcheck", "python3");
    // What needs it elsewhere isn't run there: shellcheck says so itself, the entrypoints are for Linux.
    if (process.platform === "linux" && missing.includes("jq"))
        throw new Error("jq isn't installed, which the images' entrypoints need: install it, then run this again.");
}
