/** What a command of ops/ reports when it runs in this process, and tables of what its checks say in which situation. */
import { expect, vi } from "vitest";
import type { Line } from "../../ops/report.ts";

interface Printed {
    code: number;
    printed: string;
}

/** Runs a command; gives its exit code and what it printed, in which no secret may stand. */
export async function printedBy(command: () => Promise<number>, secrets: string[]): Promise<Printed> {
    const log = vi.spyOn(console, "log").mockReturnValue();
    const code = await command();
    const printed = log.mock.calls.map(([line]) => line as string).join("\n");
    log.mockRestore();
    for (const secret of secrets.filter((value) => value !== "")) expect(printed).not.toContain(secret);
    return { code, printed };
}

/** The lines of a report in JSON; several of one name are in the order in which they came. */
export function reportOf({ code, printed }: Printed): { code: number; lines: Line[]; line: (check: string) => Line } {
    const { ok, checks } = JSON.parse(printed) as { ok: boolean; checks: Line[] };
    expect(ok).toBe(code === 0);
    expect(code).toBe(checks.some(({ status }) => status === "failure") ? 1 : 0);
    return { code, lines: checks, line: (name) => checks.find(({ check }) => check === name) ?? expect.unreachable(`no line about ${name}`) };
}

/** How a check ends in a situation, which `arrange` makes, and what it says then. */
export type Case = [ends: Line["status"], situation: string, arrange: () => unknown, says: RegExp];

/** The cases of each check, for `test.for`. */
export const casesOf = (table: Record<string, Case[]>) =>
    Object.entries(table).flatMap(([check, cases]) => cases.map(([ends, situation, arrange, says]) => ({ check, ends, situation, arrange, says })));

/** A line's message with its way out. */
export const sentence = ({ message, fix = "" }: Line) => `${message}: ${fix}`;

export function expectLine(line: Line, status: Line["status"], says: RegExp): void {
    expect(line).toMatchObject({ status });
    expect(sentence(line)).toMatch(says);
}
