/** The versions that an upgrade goes from and to. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export type Versions = Record<"hermes-agent" | "open-webui" | "tailscale", string>;

const read = (path: string) => readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8");

/** Those that were pinned before; on the disks that exist there is data of these. */
export const previous = JSON.parse(read("previous.json")) as Versions;

function pin(path: string, pattern: RegExp): string {
    const [, version] = pattern.exec(read(`../../${path}`)) ?? [];
    if (!version) throw new Error(`${path} pins nothing that matches ${pattern}`);
    return version;
}

/** Those that the repository pins. */
export const pinned: Versions = {
    "hermes-agent": pin("hermes/requirements.in", /^hermes-agent\S*==(\S+)$/m),
    "open-webui": pin("openwebui/Dockerfile", /open-webui:v([\d.]+)-slim/),
    tailscale: pin("openwebui/Dockerfile", /tailscale:v([\d.]+)/),
};
