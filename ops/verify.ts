/**
 * Checks after `pulumi up` what has come of it: waits for Render's deploys, then looks whether the services are private,
 * how the page is published on the tailnet, how full the disks are, and whether the agent answers.
 *
 *   npm run verify
 *   npm run verify -- --modal               also asks the agent to run code at Modal, which costs a little
 *   npm run verify -- --restore-test        also restores the last backup of each service into a container on this machine, and compares
 *   npm run --silent verify -- --json       one JSON document: {"ok", "unchecked", "checks": [{"check", "status", "message", "fix"}]}
 *
 * Run it on a device in the tailnet. Ends with 1 when a check has failed, with 0 when none has, whatever couldn't be
 * checked. What it does anywhere is a chat, which costs a short answer of the model, and a setting of the stack, backupRepositoryIds, once
 * there are backups.
 *
 * Environment
 *   OPENWEBUI_PASSWORD   the admin's password, once it was changed on the page (the generated one)
 *   ALL_PROXY            the SOCKS proxy of a Tailscale in userspace mode, socks5h://HOST:PORT (none)
 *   RENDER_HOST          Render's API, as its Pulumi provider takes it (https://api.render.com/v1)
 */
import * as backups from "./backups.ts";
import { options } from "./options.ts";
import * as page from "./page.ts";
import * as render from "./render.ts";
import { failure, type Finding, report } from "./report.ts";
import { type Outputs, readOutputs, readStack, type Stack, withoutStack } from "./stack.ts";
import * as tailscale from "./tailscale.ts";

interface Options {
    json: boolean;
    modal: boolean;
    "restore-test"?: boolean;
    /** In seconds; Render itself gives a deploy up after 15 minutes. */
    poll?: { every: number; within: number };
}

/** Reads the selected stack and checks its deployment. Gives the exit code. */
export async function verify({ json, modal, "restore-test": restores = false, poll = { every: 10, within: 20 * 60 } }: Options): Promise<number> {
    const only = (finding: () => Finding) => report([[{ name: "Stack", run: finding }]], { json, secrets: [] });
    let stack: Stack;
    let outputs: Outputs;
    try {
        [stack, outputs] = await Promise.all([readStack(), readOutputs()]);
    } catch (error) {
        return only(() => withoutStack(error));
    }
    const { hermesServiceId: hermes, openWebUiServiceId: openWebUi, hermesInternalUrl: hermesUrl, openWebUiTailnetUrl: url } = outputs;
    const { openWebUiAdminEmail: email, openWebUiAdminPassword } = outputs;
    if (!hermes || !openWebUi || !hermesUrl || !url || !email || !openWebUiAdminPassword) {
        return only(() => failure(`${stack.name} isn't deployed, or its last up didn't end`, "pulumi up"));
    }

    const password = process.env.OPENWEBUI_PASSWORD ?? openWebUiAdminPassword;
    const { renderApiKey: apiKey, renderOwnerId: ownerId } = stack.settings;
    const progress = process.stderr.isTTY
        ? (what: string) => {
              console.error(what);
          }
        : undefined;
    const { deploys, others } = render.afterUp({ apiKey, ownerId, services: { Hermes: hermes, "Open WebUI": openWebUi }, poll, progress });
    const { connected, device, checks: machine } = tailscale.afterUp(new URL(url).hostname);
    const byTailnet = stack.settings.signIn === "tailscale";
    const running = [
        ...others,
        ...machine,
        ...page.afterUp({ url, hermesUrl, email, password, connected, device: byTailnet ? device : undefined }, { modal }),
        ...backups.afterUp(stack, restores),
    ];
    return report([deploys, running], { json, secrets: [...stack.secrets, openWebUiAdminPassword, password] });
}

if (import.meta.main) process.exitCode = await verify(options("json", "modal", "restore-test"));
