/**
 * Makes a backup of both services now, and waits for it.
 *
 *   npm run backup
 *   npm run backup -- --to FOLDER            without a bucket: where it lies on this machine; ~/private-hermes-backups/… by default
 *   npm run backup -- --open [--to FOLDER]   a folder in open formats: chats, uploads, memories, skills, jobs
 *
 * With a bucket each service makes it itself, as it does every `backupEveryMinutes`; this asks for it in its shell at Render, over the user's own
 * SSH. Without one both disks are pulled through these shells into a restic repository on this machine, both or none. Ends with 0 when both have
 * one, with 1 otherwise.
 *
 * Environment
 *   BACKUP_PASSWORD   of that repository, where backupPassword isn't set; without it the password is asked for
 */
import { resolve } from "node:path";
import { isCancel, password } from "@clack/prompts";
import { pullBoth, pullFolder, pullOpen } from "../pull.ts";
import { optionsOf } from "./options.ts";
import { type Check, failure, type Finding, format, megabytes, ok, runAll, warning } from "./report.ts";
import { backupCommand, inShell, type Running, runningService, ShellFailed } from "../shell.ts";
import { type Outputs, project, readOutputs, readStack, type Stack, withoutStack } from "./stack.ts";

/** A failure of a shell is a finding like any other. */
export async function orFailure<Value>(work: () => Promise<Value>): Promise<Value | Finding> {
    try {
        return await work();
    } catch (error) {
        if (error instanceof ShellFailed) return failure(error.message, error.fix);
        throw error;
    }
}

/** Tells one service to make a backup; gives what it saved, and what it says besides. Rejects with `ShellFailed`. */
export async function makeBackup(service: Running): Promise<Finding> {
    const { errors } = await inShell(service, `${backupCommand} now`);
    const said = errors.filter((line) => line.startsWith("backup: ")).map((line) => line.replace(/^backup: /, ""));
    const made = said.map((line) => /^A backup was made: (.*)\.$/.exec(line)?.[1]).find((line) => line !== undefined);
    if (made === undefined) return failure("it doesn't say that a backup was made", "look at its log at Render");
    const also = said.filter((line) => !line.startsWith("A backup was made"));
    return also.length > 0 ? warning(`made just now, ${made}, but: ${also.join(" ")}`, "docs/backups.md, “What is kept”") : ok(`made just now, ${made}`);
}

/** Both services of the selected stack, or a finding that says why there are none. */
export async function bothServices(): Promise<{ stack: Stack; services: Running[] } | Finding> {
    let stack: Stack;
    let outputs: Outputs;
    try {
        [stack, outputs] = await Promise.all([readStack(), readOutputs()]);
    } catch (error) {
        return withoutStack(error);
    }
    const { hermesServiceId: hermes, openWebUiServiceId: openWebUi } = outputs;
    if (!hermes || !openWebUi) return failure(`${stack.name} isn't deployed, or its last up didn't end`, "pulumi up");
    const services = Object.entries({ Hermes: hermes, "Open WebUI": openWebUi });
    return orFailure(async () => ({
        stack,
        services: await Promise.all(services.map(([title, id]) => runningService(stack.settings.renderApiKey, title, id))),
    }));
}

export interface Options {
    open?: boolean;
    to?: string;
    /** Asks for a password. */
    ask?: () => Promise<string | undefined>;
}

/** The password of the backups on this machine. Rejects with `ShellFailed`. */
export async function passwordOf({ settings }: Stack, ask: Options["ask"]): Promise<string> {
    const password = settings.backupPassword || process.env.BACKUP_PASSWORD || (await ask?.());
    if (!password) throw new ShellFailed("there is no password for the backups on this machine", "pulumi config set --secret backupPassword");
    return password;
}

async function pull(stack: Stack, services: Running[], { open, to, ask }: Options): Promise<Finding> {
    const folder = resolve(to ?? pullFolder(project.name, stack.name));
    if (open) return ok(`chats, uploads, memories, skills and jobs lie in ${await pullOpen(services, folder)}, for everybody to read who reads this machine`);
    const { bytes, added } = await pullBoth(services, folder, await passwordOf(stack, ask));
    return ok(`both disks lie encrypted in ${folder}, ${megabytes(bytes)}, of them ${megabytes(added)} new`);
}

/** Makes a backup of both services of the selected stack. Gives the exit code. */
export async function backup(options: Options = {}): Promise<number> {
    const print = async (checks: Check[], secrets: string[] = []) => {
        const lines = await runAll(checks, secrets, (line) => {
            console.log(format(line));
        });
        return lines.some(({ status }) => status === "failure" || status === "unchecked") ? 1 : 0;
    };
    const found = await bothServices();
    if (!("services" in found)) return print([{ name: "Stack", run: () => found }]);
    const { stack, services } = found;
    if (options.open || !stack.settings.hasBackups)
        return print([{ name: "Backup", run: () => orFailure(() => pull(stack, services, options)) }], stack.secrets);
    return print(
        services.map((service) => ({ name: `${service.title}, backup`, run: () => orFailure(() => makeBackup(service)) })),
        stack.secrets,
    );
}

/** Asks for the password of the backups on this machine. */
export async function askPassword(): Promise<string | undefined> {
    if (!process.stdin.isTTY) return undefined;
    const typed = await password({ message: "Password of the backups on this machine (a new one, if there are none; keep it, without it they can't be read)" });
    return isCancel(typed) ? undefined : typed;
}

if (import.meta.main) {
    const { open, to } = optionsOf({ open: "boolean", to: "string" });
    process.exitCode = await backup({ open, to, ask: askPassword });
}
