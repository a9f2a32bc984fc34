/** Commands of the user's machine that print what a test has them print, and do nothing, or run elsewhere. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandFailed } from "../../ops/command.ts";

/** What a command prints for a command line; a string is its standard output, an object what it fails with. */
export type Says = string | { error: string };

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

export class Commands {
    /** A folder for the PATH; where it is the only one there, what isn't in it isn't installed. */
    readonly folder = mkdtempSync(join(tmpdir(), "private-hermes-commands-"));
    private readonly installed = new Map<string, Record<string, Says>>();

    /** Installs a command, or puts another in its place. A command line that isn't listed fails. */
    install(name: string, says: Record<string, Says>): this {
        this.installed.set(name, says);
        const cases = Object.entries(says).map(([line, answer]) => {
            const action = typeof answer === "string" ? `printf '%s' ${quoted(answer)}` : `printf '%s\\n' ${quoted(answer.error)} >&2; exit 1`;
            return `${quoted(line)}) ${action} ;;`;
        });
        const note = `printf '%s\\n' "$*" >>${quoted(join(this.folder, `${name}.calls`))}`;
        this.write(name, [note, 'case "$*" in', ...cases, `*) echo "${name} $*: a test didn't expect this" >&2; exit 1 ;;`, "esac"]);
        return this;
    }

    /** In the place of `runCommand`: what an installed command says, without a process. For tables of what the commands make of it. */
    readonly run = (name: string, args: string[]): Promise<string> => {
        const says = this.installed.get(name);
        if (!says) return Promise.reject(new CommandFailed(name, Object.assign(new Error(), { code: "ENOENT" })));
        const answer = (says as Partial<typeof says>)[args.join(" ")] ?? { error: `${name} ${args.join(" ")}: a test didn't expect this` };
        return typeof answer === "string"
            ? Promise.resolve(answer)
            : Promise.reject(new CommandFailed(name, Object.assign(new Error(), { stderr: answer.error })));
    };

    /** Installs a command that another one carries out. */
    forward(name: string, to: string[]): void {
        this.write(name, [`exec ${to.map(quoted).join(" ")} "$@"`]);
    }

    private write(name: string, lines: string[]): void {
        const path = join(this.folder, name);
        writeFileSync(path, ["#!/bin/sh", ...lines, ""].join("\n"));
        chmodSync(path, 0o755);
    }

    /** The command lines with which an installed command was called, in order. */
    calls(name: string): string[] {
        return readFileSync(join(this.folder, `${name}.calls`), "utf8")
            .trimEnd()
            .split("\n");
    }

    uninstall(name: string): this {
        this.installed.delete(name);
        rmSync(join(this.folder, name));
        return this;
    }

    /** A folder of its own for files that commands keep. */
    makeFolder(name: string): string {
        const path = join(this.folder, `${name}.d`);
        mkdirSync(path, { recursive: true });
        return path;
    }

    remove(): void {
        rmSync(this.folder, { recursive: true });
    }
}
