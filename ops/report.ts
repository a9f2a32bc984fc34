/** What the checks found, a line for each, and the exit code. */
import { styleText } from "node:util";
import type { SettingName } from "../config.ts";

/** `unchecked` is what couldn't be found out, by no fault that is known. */
export type Status = "ok" | "warning" | "unchecked" | "failure";

export interface Finding {
    status: Status;
    /** One line. */
    message: string;
    /** What the user does about it. */
    fix?: string;
}

/** A finding with the name of its check; as JSON, what `--json` prints. */
export type Line = Finding & { check: string };

export interface Check {
    name: string;
    /** The settings whose values it judges; none for what isn't a matter of one. `npm run setup` runs it when these are given. */
    about?: SettingName[];
    /** May reject, which leaves the check undone; an `Unchecked` says why. */
    run: () => Finding | Promise<Finding>;
}

export const ok = (message: string): Finding => ({ status: "ok", message });
export const warning = (message: string, fix: string): Finding => ({ status: "warning", message, fix });
export const unchecked = (message: string, fix?: string): Finding => ({ status: "unchecked", message, fix });
export const failure = (message: string, fix: string): Finding => ({ status: "failure", message, fix });

/** A size in bytes, for people. */
export const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

const marks = { ok: ["✓", "green"], warning: ["!", "yellow"], unchecked: ["!", "yellow"], failure: ["✗", "red"] } as const;

/** A line for people; colours only where the terminal takes them. */
export function format({ check, status, message, fix }: Line): string {
    const [mark, color] = marks[status];
    const sentence = `${check}: ${status === "unchecked" ? "couldn't be checked, " : ""}${message}${fix ? `: ${fix}` : ""}.`;
    return `${styleText(color, mark, { stream: process.stdout })} ${sentence}`;
}

export interface ReportOptions {
    /** One JSON document at the end in the place of lines. */
    json: boolean;
    /** Values that are never printed, whatever a service or a command says. */
    secrets: string[];
}

/** Runs checks at once and gives their findings in order; `each` gets them in that order, too, as early as it can. */
export async function runAll(checks: Check[], secrets: string[], each: (line: Line) => void): Promise<Line[]> {
    // The longest first: one may contain another.
    const hidden = secrets.filter((secret) => secret.length > 3).toSorted((a, b) => b.length - a.length);
    const clean = (text: string) =>
        hidden
            .reduce((shown, secret) => shown.replaceAll(secret, "[secret]"), text)
            .replace(/\s+/g, " ")
            .replace(/\.$/, "");
    const findings = checks.map(async ({ name, run }): Promise<Line> => {
        const finding = await Promise.resolve()
            .then(run)
            .catch((error: unknown) => unchecked(error instanceof Error ? error.message : String(error)));
        const { status, message, fix } = finding;
        return { check: name, status, message: clean(message), ...(fix !== undefined && { fix: clean(fix) }) };
    });
    const lines: Line[] = [];
    for (const finding of findings) {
        lines.push(await finding);
        each(lines[lines.length - 1]);
    }
    return lines;
}

/**
 * Runs all checks of a stage at once, stage by stage, and prints what they found; gives the exit code, 1 when one has
 * failed.
 */
export async function report(stages: Check[][], { json, secrets }: ReportOptions): Promise<number> {
    const lines: Line[] = [];
    for (const checks of stages) {
        const found = await runAll(checks, secrets, (line) => {
            if (!json) console.log(format(line));
        });
        lines.push(...found);
    }
    const count = (...statuses: Status[]) => lines.filter(({ status }) => statuses.includes(status)).length;
    if (json) console.log(JSON.stringify({ ok: count("failure") === 0, unchecked: count("unchecked"), checks: lines }, undefined, 2));
    else console.log(`\n${count("ok")} fine, ${count("warning")} to think about, ${count("unchecked")} not checked, ${count("failure")} wrong`);
    return count("failure") > 0 ? 1 : 0;
}
