/**
 * The deployment on this machine, without an account: brings it up, proves it line by line, removes every trace.
 *
 *   npm run rehearse                 its story: the way in, a chat in a browser, code in the sandbox; 0 when every line holds
 *   npm run rehearse -- --keep       the same, and stays up until Ctrl-C, and tells how to open the page
 *   npm run rehearse -- join         only the files whose names contain that (test/rehearsal/)
 *   npm run rehearse -- all          all of them
 *   npm run rehearse -- -t browser   only the lines that match that, heading and name
 *
 * Needs Docker, which it brings along as root on Debian or Ubuntu (host.ts). With a Pulumi CLI, the user's own or one that
 * can be fetched, the services come from a `pulumi up` at a stand-in of Render, without one from an evaluation of the
 * program. With OPENROUTER_API_KEY, MODAL_TOKEN_ID and MODAL_TOKEN_SECRET in the environment the lines about the way in use
 * these accounts, which costs one short answer; all others keep to the stand-ins.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { clearUp, repository } from "./docker.ts";
import { fetchCli, removeProjects } from "./pulumi.ts";
import { ensureEngine } from "./host.ts";

const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { keep: { type: "boolean", default: false }, testNamePattern: { type: "string", short: "t" } },
});
const filters = positionals.includes("all") ? [] : positionals.length > 0 ? positionals : ["way-in"];

/** The test runner, in a process group of its own: Ctrl-C ends it when this process says so, and before what it has made is removed. */
function startRunner(): ChildProcess {
    const report = process.env.CI ? ["--reporter=json", "--outputFile.json=test/.reports/rehearsal.json"] : [];
    const only = values.testNamePattern ? [`--testNamePattern=${values.testNamePattern}`] : [];
    return spawn(
        process.execPath,
        ["node_modules/vitest/vitest.mjs", "run", "--project=rehearsal", "--reporter=./test/harness/reporter.ts", ...report, ...only, ...filters],
        { cwd: repository, stdio: ["ignore", "inherit", "inherit"], detached: true, env: { ...process.env, REHEARSAL_KEEP: String(values.keep) } },
    );
}

/** Ends a process and all that it has started. */
async function kill({ pid, exitCode }: ChildProcess, ended: Promise<unknown>) {
    if (pid && exitCode === null) {
        if (process.platform === "win32") spawnSync("taskkill", ["/pid", `${pid}`, "/t", "/f"]);
        else process.kill(-pid, "SIGKILL");
    }
    await ended;
}

/** Resolves at the first of these signals with the exit code that stands for it. */
const interrupted = new Promise<number>((resolve) => {
    process.on("SIGINT", () => {
        resolve(130);
    });
    process.on("SIGTERM", () => {
        resolve(143);
    });
});

async function rehearse(): Promise<number> {
    const endEngine = await ensureEngine();
    await fetchCli();
    const runner = startRunner();
    const ended = once(runner, "exit").then(([code]) => (code as number | null) ?? 1);
    let code = await Promise.race([ended, interrupted]);
    if (code === 0 && values.keep) {
        console.log("\nCtrl-C ends and removes it.");
        setInterval(() => undefined, 60_000); // waiting for a promise keeps no process alive
        code = await interrupted;
    }
    await kill(runner, ended);
    console.log("\nRemoving containers, networks, volumes and images.");
    await removeProjects();
    await clearUp();
    if (code === 130 || code === 143) {
        // The engine may still end a build that was nearly done.
        await sleep(3000);
        await clearUp();
    }
    await endEngine();
    return code;
}

process.exit(
    await rehearse().catch((error: unknown) => {
        console.error(error instanceof Error ? error.message : error);
        return 1;
    }),
);
