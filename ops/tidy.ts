/**
 * Removes the machine that a destroyed stack has left in the tailnet, so that the next one can have its name.
 *
 *   npm run tidy
 *
 * Only one machine can go: that of the selected stack, by its full name, with the deployment's tag, and offline. It is shown, and stays without
 * a yes. Ends with 0 when it is gone, with 1 when it isn't.
 *
 * Environment
 *   TAILSCALE_API_KEY   an access token of the tailnet's (tskey-api-…), for this command alone: it may do far more than this
 */
import { confirm } from "@clack/prompts";
import { tailnetTag } from "../config.ts";
import { ask, unexpected } from "../http.ts";
import { failure, type Finding, format, ok, runAll } from "./report.ts";
import { readStack, type Stack, withoutStack } from "./stack.ts";
import { machines } from "./tailscale.ts";

/** Tailscale's API (tailscale.com/api). */
const api = "https://api.tailscale.com/api/v2";
const keys = "login.tailscale.com/admin/settings/keys";

interface Machine {
    nodeId: string;
    /** Full, without a dot at its end. */
    name: string;
    addresses: string[];
    tags?: string[];
    lastSeen?: string;
    connectedToControl?: boolean;
}

/** Looks for the machine and removes it, once `sure` says so. */
async function remove(stack: Stack, key: string, sure: (question: string) => Promise<boolean>): Promise<Finding> {
    const wrong = stack.complaints.find(({ key: setting }) => ["tailnetDnsName", "webuiHostname"].includes(setting));
    if (wrong) return failure(`${wrong.key} has to be put right first`, "npm run setup");
    const host = `${stack.settings.webuiHostname}.${stack.settings.tailnetDnsName}`;
    const byHand = `look at it, and remove it, at ${machines}`;
    if ((await stack.serviceIds()).length > 0) return failure(`${stack.name} is deployed, so ${host} may be its machine`, `${byHand}, if it isn't`);
    const url = `${api}/tailnet/-/devices`;
    const answer = await ask(url, { bearer: key });
    if (answer.status === 401 || answer.status === 403) return failure("Tailscale doesn't take TAILSCALE_API_KEY", `make another access token at ${keys}`);
    if (answer.status !== 200) throw unexpected(url, answer);
    const found = (answer.body as { devices: Machine[] }).devices.find(({ name }) => name === host);
    if (!found) return ok(`there is no machine ${host}`);
    if (!found.tags?.includes(tailnetTag)) return failure(`${host} has no ${tailnetTag}, so it is no stack's`, byHand);
    if (found.connectedToControl !== false) return failure(`${host} isn't offline, so something uses it`, byHand);
    const what = `${host}, ${found.addresses.join(" and ")}, ${found.tags.join(" and ")}, last seen ${found.lastSeen ?? "never"}`;
    if (!(await sure(`Remove this machine from the tailnet? ${what}`))) return failure(`${host} stays`, "run it again if it should go");
    const gone = await ask(`${api}/device/${found.nodeId}`, { bearer: key }, {}, undefined, "DELETE");
    if (gone.status !== 200 && gone.status !== 404) throw unexpected(url, gone);
    return ok(`${host} is removed`);
}

/** Reads the selected stack and removes its machine. Gives the exit code. */
export async function tidy(sure: (question: string) => Promise<boolean>): Promise<number> {
    const { TAILSCALE_API_KEY: key = "" } = process.env;
    const run = async (): Promise<Finding> => {
        if (!key.startsWith("tskey-api-")) {
            return failure("TAILSCALE_API_KEY isn't an access token", `make one at ${keys}, and set it for this command alone; it begins with tskey-api-`);
        }
        let stack: Stack;
        try {
            stack = await readStack();
        } catch (error) {
            return withoutStack(error);
        }
        return remove(stack, key, sure);
    };
    const [{ status }] = await runAll([{ name: "Machine on the tailnet", run }], [key], (line) => {
        console.log(format(line));
    });
    return status === "ok" ? 0 : 1;
}

if (import.meta.main) {
    process.exitCode = await tidy(async (message) => process.stdin.isTTY && (await confirm({ message, initialValue: false })) === true);
}
