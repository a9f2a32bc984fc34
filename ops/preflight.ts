/**
 * Checks before the first `pulumi up` what would otherwise fail in the middle of it: this machine, the stack's settings,
 * and each credential at its service, by questions that change nothing.
 *
 *   npm run preflight
 *   npm run --silent preflight -- --json    one JSON document: {"ok", "unchecked", "checks": [{"check", "status", "message", "fix"}]}
 *
 * Ends with 1 when a check has failed, with 0 when none has, whatever couldn't be checked.
 */
import { credentialChecks } from "./credentials.ts";
import * as thisMachine from "./machine.ts";
import { options } from "./options.ts";
import { type Check, report } from "./report.ts";
import { readStack, settingsChecks, type Stack, unreadable } from "./stack.ts";

/** Reads the selected stack and checks all there is. Gives the exit code. */
export async function preflight({ json }: { json: boolean }): Promise<number> {
    const machine = thisMachine.beforeUp();
    let stack: Stack;
    try {
        stack = await readStack();
    } catch (error) {
        const unread: Check = { name: "Stack", run: () => unreadable(error) };
        return report([[...machine, unread]], { json, secrets: [] });
    }
    const checks = [...machine, ...settingsChecks(stack), ...credentialChecks(stack)];
    return report([checks], { json, secrets: stack.secrets });
}

if (import.meta.main) process.exitCode = await preflight(options("json"));
