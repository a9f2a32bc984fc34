import { cliVersion } from "./pulumi.ts";
import type { Reporter, TestCase, TestModule, TestSuite } from "vitest/node";

const indented = (text: string, by: string) => text.replace(/^/gm, by);

/** Prints a rehearsal for the person who started it: a line for each proof, with what it saw below. */
export default class RehearsalReporter implements Reporter {
    private passed = 0;
    private failed = 0;
    private skipped = 0;
    /** Why the last skipped line was: said once where it goes for several. */
    private note = "";
    /** How to open the page, where it stays up. */
    private open = "";
    private readonly begin = performance.now();

    onUserConsoleLog({ content }: { content: string }) {
        process.stdout.write(indented(content.trimEnd(), "… ") + "\n");
    }

    onTestSuiteReady(suite: TestSuite) {
        console.log(`\n${suite.name}`);
    }

    onTestCaseResult(test: TestCase) {
        const result = test.result();
        if (result.state === "passed") this.passed++;
        if (result.state === "failed") this.failed++;
        if (result.state === "skipped") this.skipped++;
        const mark = { passed: "✓", failed: "✗", skipped: "–", pending: "?" }[result.state];
        const note = result.state === "skipped" && result.note ? `: ${result.note}` : "";
        console.log(`  ${mark} ${test.name}${note === this.note ? "" : note}`);
        if (note) this.note = note;
        for (const { message, type } of test.annotations()) {
            if (type === "open") this.open = message;
            else console.log(indented(message, "      "));
        }
        for (const { message, diff } of result.errors ?? []) console.log(indented(diff ? `${message}\n${diff}` : message, "      "));
    }

    async onTestRunEnd(modules: readonly TestModule[]) {
        // What failed outside of a test: a stack that didn't start, a file that doesn't load.
        for (const { message } of modules.flatMap((module) => [...module.errors(), ...[...module.children.suites()].flatMap((suite) => suite.errors())])) {
            this.failed++;
            console.log(`\n✗ ${message}`);
        }
        const seconds = Math.round((performance.now() - this.begin) / 1000);
        const skipped = this.skipped > 0 ? `, ${this.skipped} weren't tried` : "";
        console.log(`\n${this.passed} lines hold, ${this.failed} don't${skipped}, after ${Math.floor(seconds / 60)} min ${seconds % 60} s.`);
        if (this.passed === 0) process.exitCode = 1;
        if (!(await cliVersion())) console.log(withoutEngine);
        console.log(unproven);
        if (this.open) console.log(`\n${this.open}`);
    }
}

const withoutEngine = `There is no Pulumi CLI here, so the program was only evaluated. That leaves unproven what the engine and the
providers make of it: up, refresh and destroy, images that are pushed and pulled by digest, the encryption of the state,
what protectData holds back, and every recovery from a failed or interrupted up.`;

const unproven = `Not part of it: Render itself, Tailscale's own control plane, Let's Encrypt, and the accounts whose place a stand-in
took. What each stand-in leaves out stands at its head, in test/stand-ins/, and that of a base image in .ci/bases/build.sh.`;
