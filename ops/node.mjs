/**
 * Loaded before a command of this project: ends it with one sentence where Node.js is too old to run TypeScript by itself
 * (without a flag since 22.18, nodejs.org/api/typescript.html). In plain JavaScript, for such a Node.js has to read it.
 */
import { readFileSync } from "node:fs";

const { engines } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const least = engines.node.replace(">=", "").split(".").map(Number);
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < least[0] || (major === least[0] && minor < least[1])) {
    console.error(
        `✗ Node.js: this is ${process.version}, and this project needs ${engines.node}: run \`npm ci\`, which brings one, or install it from nodejs.org.`,
    );
    process.exit(1);
}
