/**
 * The gate, once the packages are installed: `npm test`, while the base images are made sure of; then the container tests and the
 * parts of the rehearsal side by side; then alone those parts that measure memory or time. Each runs whatever comes of the others, and
 * has a bound in minutes.
 *
 * The Docker engine and the base images are made sure of here, once: two runs that start an engine would stop it for each
 * other. Of two builds of one image the engine does the work once.
 *
 * Each line of what they print has the name of its run before it. The last line counts the tests of all runs: `N passed, N
 * failed, N skipped`; above it stand the names of those that failed. Ends with 0 when tests ran and none failed, with 143
 * when it was stopped, otherwise with 1.
 *
 * Up to three files of container tests or of the rehearsal in which something failed run a second time, alone. What then passes counts as
 * passed and is named with what was wrong the first time: there is a race in the test or in the product, to be found before the next
 * release. A machine with two processors runs what one with eight never meets.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { relative } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { repository } from "../test/harness/docker.ts";
import { ensureCommands, ensureEngine } from "../test/harness/host.ts";

/** What is used of vitest's report. */
interface Report {
    success: boolean;
    numPassedTests: number;
    numPendingTests: number;
    numTodoTests: number;
    testResults: { name: string; status: string; message: string; assertionResults: Assertion[] }[];
}

interface Assertion {
    status: string;
    ancestorTitles: string[];
    title: string;
    failureMessages: string[];
}

const total = { passed: 0, skipped: 0 };
const failures: string[] = [];
/** What passed only the second time. */
const races: string[] = [];
const reports = `${repository}test/.reports/`;

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
        stop.abort();
    });
}

/** Runs a command, for so many minutes at most; gives what is wrong with how it ended. */
async function run(name: string, minutes: number, command: string, ...args: string[]): Promise<string[]> {
    if (stop.signal.aborted) return [`${name} didn't begin`];
    const begin = performance.now();
    console.log(`gate: ${name} begins: ${[command, ...args].join(" ")}`);
    // Each is a run of its own, or the first to end would remove the containers of the other.
    const env = { ...process.env, PRIVATE_HERMES_RUN: undefined };
    // In a process group of its own, so that all that it starts can be ended with it.
    const child = spawn(command, args, { cwd: repository, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
        createInterface(stream).on("line", (line) => {
            console.log(`${name} | ${line}`);
        });
    }
    const kill = (signal: NodeJS.Signals) => {
        if (child.pid && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, signal);
    };
    const limit = AbortSignal.timeout(minutes * 60_000);
    AbortSignal.any([stop.signal, limit]).addEventListener("abort", () => {
        kill("SIGTERM");
        setTimeout(kill, 60_000, "SIGKILL").unref();
    });
    const printed = once(child, "close");
    const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
    await Promise.race([printed, sleep(5000)]); // what it leaves running may hold its output open
    const how = limit.aborted ? `was cut off after ${minutes} minutes` : `ended with ${code ?? signal}`;
    console.log(`gate: ${name} ${how}, after ${Math.round((performance.now() - begin) / 1000)} s`);
    return code === 0 && !limit.aborted ? [] : [`${name} ${how}`];
}

/** What failed: a test, or what stands outside of one, as a stack that doesn't start. */
interface Failure {
    file: string;
    /** From the outside in; none outside of a test. */
    titles: string[];
    message: string;
}

const nameOf = ({ file, titles }: Failure) => [file, ...titles].join(" > ");
/** A failure with the beginning of what was said, as it stands in the list at the end. */
const withReason = (failure: Failure) => {
    const said = failure.message.split("\n").filter((line) => !/^ +at .*(node_modules|new Promise)/.test(line));
    return [nameOf(failure), ...said.slice(0, 12)].join("\n    ");
};

/** Reads the report of a run; throws where there is none. */
function read(report: string): Report & { failed: Failure[]; passed: string[] } {
    const read = JSON.parse(readFileSync(`${reports}${report}.json`, "utf8")) as Report;
    const files = read.testResults.map(({ name, status, message }) => ({ status, file: relative(repository, name), titles: [], message }));
    const tests = read.testResults.flatMap(({ name, assertionResults }) =>
        assertionResults.map(({ status, ancestorTitles, title, failureMessages }) => ({
            status,
            file: relative(repository, name),
            titles: [...ancestorTitles, title],
            message: failureMessages.join("\n"),
        })),
    );
    const failed = tests.filter(({ status }) => status === "failed");
    const outside = files.filter(({ status, file }) => status === "failed" && !failed.some((test) => test.file === file));
    const passed = [...files, ...tests].filter(({ status }) => status === "passed");
    return { ...read, failed: [...failed, ...outside], passed: passed.map(nameOf) };
}

/** Runs tests, and counts those of their report; gives those that failed. A run that fails without a failed test is one failure: by lint, or cut off. */
async function test(name: string, minutes: number, report: string, ...npm: string[]): Promise<Failure[]> {
    rmSync(`${reports}${report}.json`, { force: true });
    const wrong = await run(name, minutes, "npm", ...npm);
    try {
        const { success, numPassedTests, numPendingTests, numTodoTests, failed } = read(report);
        total.passed += numPassedTests;
        total.skipped += numPendingTests + numTodoTests;
        if (failed.length > 0) {
            failures.push(...failed.map(withReason));
            return failed;
        }
        if (wrong.length === 0 && (!success || numPassedTests === 0)) wrong.push(`${name} proved nothing`);
    } catch (error) {
        if (wrong.length === 0) wrong.push(`${name} left no report: ${(error as Error).message}`);
    }
    failures.push(...wrong);
    return [];
}

/** Runs the files of what failed a second time, alone, and counts and names what passes. */
async function again(name: string, report: string, failed: Failure[], script: string): Promise<void> {
    const files = [...new Set(failed.map(({ file }) => file))];
    if (files.length === 0 || files.length > 3) return;
    rmSync(`${reports}${report}.json`, { force: true });
    await run(`${name}, again`, 20, "npm", "run", script, "--", ...files);
    try {
        const { passed } = read(report);
        const mended = failed.filter((failure) => passed.includes(nameOf(failure))).map(withReason);
        failures.splice(0, failures.length, ...failures.filter((failure) => !mended.includes(failure)));
        total.passed += mended.length;
        races.push(...mended);
    } catch (error) {
        console.log(`gate: ${name}, again left no report: ${(error as Error).message}`);
    }
}

const parts = readdirSync(`${repository}test/rehearsal`).map((file) => `rehearsal/${file}`);
/** Of the rehearsal, what measures memory or time. */
const alone = parts.filter((file) => /memory|engine/.test(file));
const beside = parts.filter((file) => !alone.includes(file));

const endEngine = await ensureEngine().catch((error: unknown) => {
    failures.push(error instanceof Error ? error.message : String(error));
});
// What builds base images, before the unit tests install what they need: apt-get does one thing at a time. build.sh says why it fails.
await ensureCommands("mmdebstrap").catch(() => undefined);
const unit = test("unit", 10, "unit", "test");
if (endEngine) failures.push(...(await run("bases", 20, ".ci/bases/build.sh")));
await unit;
if (endEngine) {
    const containers = test("containers", 50, "containers", "run", "test:containers");
    const lines = await test("rehearsal", 50, "rehearsal", "run", "rehearse", "--", ...beside);
    const failed = await containers;
    lines.push(...(await test("rehearsal, alone", 45, "rehearsal", "run", "rehearse", "--", ...alone)));
    await again("containers", "containers", failed, "test:containers");
    await again("rehearsal", "rehearsal", lines, "rehearse");
    await endEngine();
}

if (races.length > 0) console.log(["Passed only the second time, alone:", ...races].join("\n  "));
if (failures.length > 0) console.log(["Failed:", ...failures].join("\n  "));
console.log(`${total.passed} passed, ${failures.length} failed, ${total.skipped} skipped`);
process.exit(stop.signal.aborted ? 143 : failures.length > 0 ? 1 : 0);
