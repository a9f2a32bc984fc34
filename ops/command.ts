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

export interface Limits {
    env?: Record<string, string>;
    /** After which it is ended. */
    seconds?: number;
}

/**
 * Runs a command of the user's to its end, without asking anything, and gives what it printed; `input` is all that it reads
 * as its standard input, and `env` what it has in its environment besides. Rejects with `CommandFailed`.
 */
export async function runCommand(command: string, args: string[], input = "", { env = {}, seconds = 60 }: Limits = {}): Promise<string> {
    try {
        const all = { ...process.env, PATH: ownPath(), PULUMI_SKIP_UPDATE_CHECK: "true", ...env };
        const running = execute(command, args, { env: all, timeout: seconds * 1000, maxBuffer: 64 * 1024 * 1024 });
        // A command may end without having read it.
        running.child.stdin?.on("error", () => undefined).end(input);
        return (await running).stdout;
    } catch (error) {
        throw new CommandFailed(command, error as NodeJS.ErrnoException);
    }
}
