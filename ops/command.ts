/** Commands on the user's machine. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ownPath } from "./cli.ts";

/** A command that isn't installed, or that failed: then its first line about an error is the message. */
export class CommandFailed extends Error {
    readonly missing: boolean;

    constructor(command: string, { code, stderr, message, killed }: NodeJS.ErrnoException & { stderr?: string; killed?: boolean }) {
        const lines = (stderr ?? "")
            .split("\n")
            .map((line) => line.trim())
            .filter((line) => line !== "" && !line.startsWith("warning:"));
        const missing = code === "ENOENT";
        const said = lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? message;
        super(missing ? `${command} isn't installed` : killed ? `${command} doesn't answer` : said.replace(/^error: /i, ""));
        this.missing = missing;
    }
}

const execute = promisify(execFile);

/**
 * Runs a command of the user's to its end, without asking anything, and gives what it printed; `input` is all that it reads
 * as its standard input. Rejects with `CommandFailed`.
 */
export async function runCommand(command: string, args: string[], input = ""): Promise<string> {
    try {
        const env = { ...process.env, PATH: ownPath(), PULUMI_SKIP_UPDATE_CHECK: "true" };
        const running = execute(command, args, { env, timeout: 60_000, maxBuffer: 64 * 1024 * 1024 });
        // A command may end without having read it.
        running.child.stdin?.on("error", () => undefined).end(input);
        return (await running).stdout;
    } catch (error) {
        throw new CommandFailed(command, error as NodeJS.ErrnoException);
    }
}
