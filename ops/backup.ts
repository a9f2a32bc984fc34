/**
 * Makes a backup of both services now, and waits for it.
 *
 *   npm run backup
 *
 * Each service makes it itself, as it does every `backupEveryMinutes`; this asks for it in its shell at Render, over the user's own SSH. Ends
 * with 0 when both have one, with 1 otherwise.
 */
import { type Check, failure, type Finding, format, ok, runAll, warning } from "./report.ts";
import { backupCommand, inShell, type Running, runningServices, ShellFailed } from "./shell.ts";
import { type Outputs, readOutputs, readStack, type Stack, withoutStack } from "./stack.ts";

/** A failure of a shell is a finding like any other. */
export async function orFailure(work: () => Promise<Finding>): Promise<Finding> {
    try {
        return await work();
    } catch (error) {
        if (error instanceof ShellFailed) return failure(error.message, error.fix);
        throw error;
    }
}

/** Has one service make a backup; says what it saved, and what it says besides. Rejects with `ShellFailed`. */
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
    try {
        return { stack, services: await runningServices(stack, outputs) };
    } catch (error) {
        if (error instanceof ShellFailed) return failure(error.message, error.fix);
        throw error;
    }
}

/** Makes a backup of each service of the selected stack. Gives the exit code. */
export async function backup(): Promise<number> {
    const print = async (checks: Check[], secrets: string[] = []) => {
        const lines = await runAll(checks, secrets, (line) => {
            console.log(format(line));
        });
        return lines.some(({ status }) => status === "failure" || status === "unchecked") ? 1 : 0;
    };
    const found = await bothServices();
    if (!("services" in found)) return print([{ name: "Stack", run: () => found }]);
    const { stack, services } = found;
    if (!stack.settings.hasBackups) {
        return print([{ name: "Backups", run: () => failure("there is no bucket to put them into", "npm run setup, backupRepository (docs/backups.md)") }]);
    }
    return print(
        services.map((service) => ({ name: `${service.title}, backup`, run: () => orFailure(() => makeBackup(service)) })),
        stack.secrets,
    );
}

if (import.meta.main) process.exitCode = await backup();
