import type { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test, vi } from "vitest";
import { runCommand } from "../../ops/command.ts";

/** Limits in milliseconds that commands were started with; each of them has a short one here. */
const limits = vi.hoisted(() => [] as (number | undefined)[]);

vi.mock(import("node:child_process"), async (original) => {
    const actual = await original();
    type Start = (command: string, args: string[], options: { timeout?: number }) => unknown;
    const start = (actual.execFile as unknown as Record<symbol, Start>)[promisify.custom];
    const short = (command: string, args: string[], options: { timeout?: number }) => {
        limits.push(options.timeout);
        return start(command, args, { ...options, timeout: 200 });
    };
    return { ...actual, execFile: Object.assign(actual.execFile.bind(undefined), { [promisify.custom]: short }) as unknown as typeof execFile };
});

test("a command that hangs is given up after a minute, in words", async () => {
    await expect(runCommand(process.execPath, ["-e", "setTimeout(() => undefined, 1e9)"])).rejects.toThrow(/doesn't answer$/);
    expect(limits).toEqual([60_000]);
});
