/**
 * The shells of the services at Render, by the user's own ssh: srv-…@ssh.<region>.render.com, with a key that their account at Render
 * has (render.com/docs/ssh). A command there is root's, has the service's environment, and its output comes as it is (Render's
 * tutorial of `render ssh`; people pull tar archives so). No account was there to try it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Readable } from "node:stream";
import { ownPath } from "./cli.ts";
import { askRender } from "./render.ts";
import type { Outputs, Stack } from "./stack.ts";

/** A shell that can't be had, or in which a command failed: what is wrong, and the way out. */
export class ShellFailed extends Error {
    readonly fix: string;

    constructor(message: string, fix: string) {
        super(message);
        this.fix = fix;
    }
}

/** A service that runs at Render. */
export interface Running {
    /** What people call it. */
    title: string;
    id: string;
    region: string;
}

const titles = { hermesServiceId: "Hermes", openWebUiServiceId: "Open WebUI" } as const;

/** Both services of a stack. Rejects with `ShellFailed` and `Unchecked`. */
export async function runningServices({ name, settings }: Stack, outputs: Outputs): Promise<Running[]> {
    return Promise.all(
        (["hermesServiceId", "openWebUiServiceId"] as const).map(async (output) => {
            const id = outputs[output];
            if (!id) throw new ShellFailed(`${name} isn't deployed, or its last up didn't end`, "pulumi up");
            const { status, body } = await askRender(settings.renderApiKey, `/services/${id}`);
            if (status === 401) throw new ShellFailed("Render doesn't take renderApiKey", "npm run preflight says more");
            if (status !== 200) throw new ShellFailed(`Render answers ${status} for ${titles[output]}`, "npm run verify says more");
            const { region } = (body as { serviceDetails: { region: string } }).serviceDetails;
            return { title: titles[output], id, region };
        }),
    );
}

/** Render's keys, as its documentation has them, and those that the user has accepted: never one that nobody knows. */
const knownHosts = `"${fileURLToPath(new URL("render_known_hosts", import.meta.url))}" ~/.ssh/known_hosts`;

const options = [
    // Two of them may run at once, and could not both ask for a passphrase.
    ...["-T", "-o", "BatchMode=yes"],
    ...["-o", `UserKnownHostsFile=${knownHosts}`, "-o", "StrictHostKeyChecking=yes"],
    // A connection that is gone is noticed after a minute.
    ...["-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"],
];

/** Text of a service's, without what a terminal would obey. */
export const printable = (text: string) => text.replace(/[^\P{C}\n]/gu, "?");

/** What ssh says when it fails itself (255), and what that means. */
const reasons: [pattern: RegExp, message: string, fix: string][] = [
    [
        /permission denied/i,
        "Render doesn't know your SSH key",
        "add its public half at dashboard.render.com/settings#ssh-public-keys, and load the key with ssh-add if it has a passphrase",
    ],
    [
        /host key verification failed|identification has changed|no .* host key is known/i,
        "what answers hasn't Render's key",
        "if render.com/docs/ssh shows another one now, put that into ~/.ssh/known_hosts; if not, don't go on in this network",
    ],
    [
        /could not resolve|connection refused|timed out|unreachable|no route/i,
        "its shell can't be reached",
        "look whether it runs at dashboard.render.com, and whether this network lets SSH out (port 22)",
    ],
];

function failed(code: number | null, errors: string, command: string): ShellFailed {
    if (code === 255 || code === null) {
        const [, message, fix] = reasons.find(([pattern]) => pattern.test(errors)) ?? [undefined, "the connection was lost", "run it again"];
        return new ShellFailed(message, fix);
    }
    if (code === 127) return new ShellFailed(`its image has no ${command.split(" ")[0]}`, "pulumi up, which gives it the one of this release");
    // The command's own sentence, as in the service's log.
    const said = errors
        .match(/^backup: .*/gm)
        ?.at(-1)
        ?.replace("backup: ", "");
    return new ShellFailed(said ?? `it ended with ${code}`, "look at its log at Render, and at docs/backups.md");
}

/**
 * Runs a command in a service's shell to its end; gives what it printed, its errors among them as lines. `take` gets its output where that is more than
 * a few lines, and has to read it all. Rejects with `ShellFailed`.
 */
export async function inShell(
    { id, region }: Running,
    command: string,
    { take, within = 45 * 60_000 }: { take?: (output: Readable) => Promise<void>; within?: number } = {},
): Promise<{ out: string; errors: string[] }> {
    const child = spawn("ssh", [...options, `${id}@ssh.${region}.render.com`, command], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, PATH: ownPath() },
        timeout: within,
    });
    let [out, errors] = ["", ""];
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors = (errors + text).slice(-20_000)));
    const taken = take
        ? take(child.stdout).catch((error: unknown) => {
              child.kill();
              throw error;
          })
        : Promise.resolve(void child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text)));
    taken.catch(() => undefined); // awaited below
    const [code] = (await once(child, "close").catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") throw new ShellFailed("ssh isn't installed", "install OpenSSH's client");
        throw error;
    })) as [number | null];
    await taken;
    errors = printable(errors);
    if (code !== 0) throw failed(code, errors, command);
    return { out, errors: errors.split("\n").filter((line) => line !== "") };
}

/** The path that the command `backup` has in both images: a shell over SSH may have another PATH. */
export const backupCommand = "/usr/local/bin/backup";
