/**
 * The shells of the services at Render, by the user's own ssh: srv-…@ssh.<region>.render.com, with a key that their account at Render
 * has (render.com/docs/ssh). A command there is root's, has the service's environment, and its output comes as it is (Render's
 * tutorial of `render ssh`; people pull tar archives so). No account was there to try it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Readable, Writable } from "node:stream";
import { ask, renderApi } from "./http.ts";

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

/** The service of an id, as Render knows it. Rejects with `ShellFailed` and `Unchecked`. */
export async function runningService(bearer: string, title: string, id: string): Promise<Running> {
    const { status, body } = await ask(`${renderApi()}/services/${id}`, { bearer });
    if (status === 401) throw new ShellFailed("Render doesn't take renderApiKey", "npm run preflight says more");
    if (status !== 200) throw new ShellFailed(`Render answers ${status} for ${title}`, "npm run verify says more");
    return { title, id, region: (body as { serviceDetails: { region: string } }).serviceDetails.region };
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

/** Why a shell can't be had, or what the command says of its failure; undefined where neither is known. */
function known(code: number | null, errors: string, command: string): ShellFailed | undefined {
    if (code === 255) {
        const [, message, fix] = reasons.find(([pattern]) => pattern.test(errors)) ?? [];
        return message && fix ? new ShellFailed(message, fix) : undefined;
    }
    if (code === 127) return new ShellFailed(`its image has no ${command.split(" ")[0]}`, "pulumi up, which gives it the one of this release");
    // The command's own sentence, as in the service's log.
    const said = errors
        .match(/^backup: .*/gm)
        ?.at(-1)
        ?.replace("backup: ", "");
    return code && said ? new ShellFailed(said.replace(/\.$/, ""), "look at its log at Render, and at docs/backups.md") : undefined;
}

/**
 * Runs a command in a service's shell to its end; gives what it printed, its errors among them as lines. `take` gets its output where that is more than a
 * few lines, and has to read it all; `give` gets its input. Rejects with `ShellFailed`.
 */
export async function inShell(
    { id, region }: Running,
    command: string,
    { take, give, within = 45 * 60_000 }: { take?: (output: Readable) => Promise<void>; give?: (input: Writable) => void; within?: number } = {},
): Promise<{ out: string; errors: string[] }> {
    const child = spawn("ssh", [...options, `${id}@ssh.${region}.render.com`, command], {
        stdio: ["pipe", "pipe", "pipe"],
        timeout: within,
    });
    child.stdin.on("error", () => undefined); // it may end without having read all
    if (give) give(child.stdin);
    else child.stdin.end();
    let [out, errors] = ["", ""];
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors = (errors + text).slice(-20_000)));
    const taken = take
        ? take(child.stdout).catch((error: unknown) => {
              // It ends by itself when nobody reads, and may say why; unless it is waiting.
              const waits = setTimeout(() => child.kill(), 5000);
              child.once("close", () => {
                  clearTimeout(waits);
              });
              throw error;
          })
        : Promise.resolve(void child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text)));
    taken.catch(() => undefined); // awaited below
    const [code] = (await once(child, "close").catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") throw new ShellFailed("ssh isn't installed", "install OpenSSH's client");
        throw error;
    })) as [number | null];
    errors = printable(errors);
    const reason = known(code, errors, command);
    if (reason) throw reason;
    await taken;
    if (code === 255 || code === null) throw new ShellFailed("the connection was lost", "run it again");
    if (code !== 0) throw new ShellFailed(`it ended with ${code}`, "look at its log at Render, and at docs/backups.md");
    return { out, errors: errors.split("\n").filter((line) => line !== "") };
}

/** The path that the command `backup` has in both images: a shell over SSH may have another PATH. */
export const backupCommand = "/usr/local/bin/backup";
