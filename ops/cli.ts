/**
 * Which commands the user's own shell finds. npm puts `node_modules/.bin` in front for its scripts, and there the npm
 * packages of Node.js and of the Pulumi CLI would hide the user's own.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

const { devDependencies } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { devDependencies: { pulumi: string } };

/** Version of the Pulumi CLI that `npx pulumi` runs. */
const pinnedCli = devDependencies.pulumi;

/** Where the npm package `pulumi` puts the CLI of its version at its first use (lib/cache.js of it). */
const fetchedCli = () => join(process.env.PULUMI_HOME ?? join(homedir(), ".pulumi"), "versions", pinnedCli, "bin");

/** The way out where there is none. */
export const getCli = `npx pulumi version, which fetches ${pinnedCli}, or install one from pulumi.com/docs/install`;

/** The PATH without npm's folders; where no other CLI is on it, the fetched one is found. Fetches nothing. */
export const ownPath = () =>
    [...(process.env.PATH ?? "").split(delimiter).filter((folder) => !/[\\/]node_modules[\\/]\.bin$/.test(folder)), fetchedCli()].join(delimiter);
