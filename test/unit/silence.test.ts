/** A command or a service that gives no answer. */
import type { execFile } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { promisify } from "node:util";
import { expect, onTestFinished, test, vi } from "vitest";
import { runCommand } from "../../ops/command.ts";
import { ask } from "../../http.ts";

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

test("a service that takes the connection and says nothing is given up in time, in words", async () => {
    const silent = createServer();
    await once(silent.listen(0, "127.0.0.1"), "listening");
    const original = AbortSignal.timeout.bind(AbortSignal);
    const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => original(50));
    onTestFinished(() => {
        timeout.mockRestore();
        silent.close();
    });
    await expect(ask(`http://127.0.0.1:${(silent.address() as AddressInfo).port}/`)).rejects.toThrow(/doesn't answer \(no answer in time\)$/);
    expect(timeout).toHaveBeenCalledExactlyOnceWith(20_000);
});
