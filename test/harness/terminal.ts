/** A command in a pseudo-terminal, typed at as a user would. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { stripVTControlCharacters } from "node:util";

/** Relays a terminal of 120 by 50 characters to its own standard input and output, and ends as the command does. */
const relay = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(["sh", "-c", "stty rows 50 cols 120; exec \\"$@\\"", "sh", *sys.argv[1:]])))';

export const enter = "\r";
export const ctrlC = "\x03";

export class Terminal {
    private readonly child: ChildProcessWithoutNullStreams;
    private readonly exit: Promise<unknown[]>;
    /** Everything that the command has written, without colours and movements of the cursor. */
    shown = "";
    private read = 0;

    constructor(command: string[], options: { cwd: string; env: NodeJS.ProcessEnv }) {
        this.child = spawn("python3", ["-c", relay, ...command], options);
        this.child.stdout.setEncoding("utf8").on("data", (text: string) => {
            this.shown += stripVTControlCharacters(text);
        });
        this.child.stderr.on("data", (text) => {
            this.shown += String(text);
        });
        this.exit = once(this.child, "close");
    }

    /** Waits until the command has written a text that comes after the one waited for before. */
    async sees(text: string): Promise<void> {
        for (const end = Date.now() + 30_000; !this.shown.includes(text, this.read);) {
            if (Date.now() > end || this.child.exitCode !== null) throw new Error(`“${text}” doesn't come after:\n${this.shown}`);
            await new Promise((resolve) => setTimeout(resolve, 10));
        }
        this.read = this.shown.indexOf(text, this.read) + text.length;
    }

    type(keys: string): void {
        this.child.stdin.write(keys);
    }

    /** Waits for a question, and answers it. */
    async answer(question: string, keys: string): Promise<void> {
        await this.sees(question);
        this.type(`${keys}${enter}`);
    }

    /** Its exit code, once it has ended. */
    async ended(): Promise<number> {
        return ((await this.exit) as [number])[0];
    }

    kill(): void {
        this.child.kill();
    }
}
