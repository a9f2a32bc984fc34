/**
 * The versions that an upgrade goes from and to.
 *
 * Environment
 *   UPGRADE_FROM   a commit or a tag whose pinned versions it goes from (those of previous.json)
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export type Versions = Record<"hermes-agent" | "open-webui" | "tailscale", string>;

const repository = new URL("../../", import.meta.url);
const here = (path: string) => readFileSync(new URL(path, repository), "utf8");
const at = (commit: string) => (path: string) => execFileSync("git", ["show", `${commit}:${path}`], { cwd: fileURLToPath(repository), encoding: "utf8" });

/** The versions that these files pin. Throws when one pins none. */
function pins(read: (path: string) => string): Versions {
    const pin = (path: string, pattern: RegExp) => {
        const [, version] = pattern.exec(read(path)) ?? [];
        if (!version) throw new Error(`${path} pins nothing that matches ${pattern}`);
        return version;
    };
    return {
        "hermes-agent": pin("hermes/requirements.in", /^hermes-agent\S*==(\S+)$/m),
        "open-webui": pin("openwebui/Dockerfile", /open-webui:v([\d.]+)-slim/),
        tailscale: pin("openwebui/Dockerfile", /tailscale:v([\d.]+)/),
    };
}

/** Those that the repository pins. */
export const pinned = pins(here);

const { UPGRADE_FROM: from } = process.env;

/** Those before; on the disks that exist there is data of these. */
export const previous = from ? pins(at(from)) : (JSON.parse(here("test/harness/previous.json")) as Versions);
