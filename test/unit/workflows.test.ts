import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { Commands } from "../harness/commands.ts";

type Permissions = Record<string, "read" | "write" | "none"> | "read-all" | "write-all";

interface Step {
    id?: string;
    uses?: string;
    run?: string;
    with?: Record<string, unknown>;
    env?: Record<string, string>;
}

interface Job {
    needs?: string;
    if?: string;
    environment?: string;
    permissions?: Permissions;
    outputs?: Record<string, string>;
    env?: Record<string, string>;
    "timeout-minutes"?: number;
    steps: Step[];
}

interface Workflow {
    on: Record<string, unknown>;
    permissions?: Permissions;
    concurrency: { group: string; "cancel-in-progress": boolean };
    defaults: { run: { shell: string } };
    env: Record<string, string>;
    jobs: Record<string, Job>;
}

const folder = ".github/workflows";
const files = readdirSync(folder);
const texts = Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
const workflows = Object.fromEntries(files.map((file) => [file, parse(texts[file]) as Workflow]));
const jobs = Object.values(workflows).flatMap((workflow) => Object.values(workflow.jobs));
const steps = jobs.flatMap((job) => job.steps);
const stepsWith = (action: string) => steps.filter(({ uses }) => uses?.startsWith(`${action}@`));

const { engines } = JSON.parse(readFileSync("package.json", "utf8")) as { engines: { node: string } };

describe("all workflows", () => {
    test("every action is pinned to a commit, with its version beside it", () => {
        const lines = Object.values(texts)
            .flatMap((text) => text.split("\n"))
            .filter((line) => /\buses:/.test(line));
        expect(lines.length).toBeGreaterThan(5);
        expect(lines.filter((line) => !/ uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual([]);
    });

    test("an action is of one version everywhere", () => {
        const pins = new Set(steps.flatMap(({ uses }) => uses ?? []));
        expect(new Set([...pins].map((pin) => pin.split("@")[0])).size).toBe(pins.size);
    });

    test("none has a stored secret, and none runs with the rights of this repository for the code of another", () => {
        expect(files.filter((file) => /\bsecrets\b/.test(texts[file]))).toEqual([]);
        const events = Object.values(workflows).flatMap((workflow) => Object.keys(workflow.on));
        expect(events.sort()).toEqual(["pull_request", "push", "schedule", "workflow_dispatch"]);
    });

    test("none may write, but for the deployment's own token", () => {
        const granted = Object.entries(workflows).flatMap(([file, { permissions, jobs: of }]) =>
            [["", permissions ?? "write-all"] as const, ...Object.entries(of).map(([name, job]) => [name, job.permissions] as const)]
                .filter(([, given]) => given !== undefined && JSON.stringify(given).includes("write"))
                .map(([name, given]) => `${file} ${name}: ${JSON.stringify(given)}`),
        );
        const token = JSON.stringify({ contents: "read", "id-token": "write" });
        expect(granted).toEqual([`deploy.yml preview: ${token}`, `deploy.yml up: ${token}`]);
    });

    test("no script is put together from what somebody has typed", () => {
        expect(steps.filter(({ run }) => run?.includes("${{"))).toEqual([]);
    });

    test("no checkout leaves GitHub's token behind, or is of another commit than the run's", () => {
        expect(stepsWith("actions/checkout").map((step) => step.with)).toEqual(jobs.map(() => ({ "persist-credentials": false })));
    });

    test("Node.js is of the oldest major that package.json takes, but for Renovate's own command", () => {
        const wanted = engines.node.replace(">=", "^");
        const ours = jobs.map((job) => job.steps).filter((all) => !all.some(({ run }) => run?.includes("renovate-config-validator")));
        const versions = ours.map((all) => all.find(({ uses }) => uses?.startsWith("actions/setup-node@"))?.with?.["node-version"]);
        expect(ours).toHaveLength(jobs.length - 1);
        expect(versions).toEqual(ours.map(() => wanted));
    });

    test("every job ends by itself", () => {
        expect(jobs.filter((job) => !(Number(job["timeout-minutes"]) <= 60))).toEqual([]);
    });
});

describe("the deployment", () => {
    const {
        on,
        concurrency,
        defaults,
        env,
        jobs: { preview, up, ...others },
    } = workflows["deploy.yml"];
    const scripts = ({ steps: of }: Job) => of.flatMap(({ run }) => run ?? []);
    const indexOf = (job: Job, command: string) => scripts(job).findIndex((script) => script.includes(command));

    test("somebody starts it, and somebody may have to approve it after the preview", () => {
        expect(Object.keys(on)).toEqual(["workflow_dispatch"]);
        expect(others).toEqual({});
        expect(up).toMatchObject({ needs: "preview", if: "inputs.up", environment: "production" });
        expect(preview.environment).toBeUndefined();
    });

    test("what is previewed is what is deployed: the same stack, and nothing without a preview right before it", () => {
        for (const job of [preview, up]) {
            expect(scripts(job).filter((script) => /pulumi stack select/.test(script))).toEqual(['pulumi stack select "$STACK"']);
            expect(indexOf(job, "pulumi stack select")).toBeLessThan(indexOf(job, "pulumi preview"));
            expect([job.env, ...job.steps.map((step) => step.env)].filter((own) => own && ("STACK" in own || "CHANGES" in own))).toEqual([]);
            expect(scripts(job).filter((script) => /--stack|\s-s\b|--cwd|\s-C\b|--config/.test(script))).toEqual([]);
        }
        expect(env.STACK).toBe("${{ vars.PULUMI_ORGANIZATION }}/${{ inputs.stack }}");
        expect(indexOf(preview, "npm run preflight")).toBeLessThan(indexOf(preview, "pulumi preview"));
        expect(scripts(preview).filter((script) => /pulumi (up|refresh|destroy|import|cancel)/.test(script))).toEqual([]);
        expect(indexOf(up, "pulumi up")).toBe(indexOf(up, "pulumi preview") + 1);
    });

    test("settings are those of the stack's ESC environment, and a stack file that is committed stays as it is", () => {
        const folder = mkdtempSync(join(tmpdir(), "deploy-"));
        onTestFinished(() => {
            rmSync(folder, { recursive: true });
        });
        const file = join(folder, "Pulumi.dev.yaml");
        for (const job of [preview, up]) {
            expect(indexOf(job, "environment:")).toBe(indexOf(job, "pulumi stack select") + 1);
            const script = scripts(job)[indexOf(job, "environment:")];
            const write = () =>
                spawnSync("bash", ["-eo", "pipefail", "-c", script], { cwd: folder, env: { PATH: process.env.PATH, STACK: "octo-cat/dev" } }).status;
            expect(write()).toBe(0);
            expect(parse(readFileSync(file, "utf8"))).toEqual({ environment: ["private-hermes/dev"] });
            writeFileSync(file, "config: {}\n");
            expect(write()).toBe(0);
            expect(readFileSync(file, "utf8")).toBe("config: {}\n");
            rmSync(file);
        }
    });

    test("an `up` is never cut off by the next, and two never run at once", () => {
        expect(concurrency).toEqual({ group: "deploy-${{ inputs.stack }}", "cancel-in-progress": false });
    });

    test("the token is there when Pulumi needs it, and not when packages are installed", () => {
        for (const { steps: of } of [preview, up]) {
            const login = of.findIndex(({ uses }) => uses?.startsWith("pulumi/auth-actions@"));
            expect(login).toBeGreaterThan(of.findIndex(({ run }) => run === "npm ci"));
            expect(login).toBeLessThan(of.findIndex(({ run }) => run?.includes("pulumi")));
        }
    });

    test("the Pulumi CLI is the one that this project has been tried with", () => {
        const [, tested] = /testedCli = "(.+)"/.exec(readFileSync("ops/machine.ts", "utf8")) ?? [];
        expect(stepsWith("pulumi/actions").map((step) => step.with)).toEqual([preview, up].map(() => ({ "pulumi-version": tested })));
    });

    describe("between the preview and its approval", () => {
        const urn = (name: string) => `urn:pulumi:dev::private-hermes::render:index/privateService:PrivateService::${name}`;
        const change = (op: string, name: string, detailedDiff?: object) => ({
            op,
            urn: urn(name),
            detailedDiff,
            newState: { inputs: { plan: "hidden-value" } },
        });
        let commands: Commands;

        beforeEach(() => {
            commands = new Commands();
        });
        afterEach(() => {
            commands.remove();
        });

        /** Lets the CLI preview these steps. */
        const previews = (found: object[]) => {
            commands.install("pulumi", { "preview --json": JSON.stringify({ steps: found }) });
        };

        /** Runs the script of a step as a runner does (docs.github.com, "Workflow syntax", `defaults.run.shell`). */
        function runStep(job: Job, isIt: (step: Step) => boolean, environment: Record<string, string> = {}) {
            expect(defaults.run.shell).toBe("bash");
            const output = join(commands.folder, "output");
            writeFileSync(output, "");
            const { status, stdout } = spawnSync("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", job.steps.find(isIt)?.run ?? ""], {
                encoding: "utf8",
                env: {
                    PATH: [commands.folder, dirname(process.execPath), "/usr/bin", "/bin"].join(":"),
                    CHANGES: env.CHANGES,
                    GITHUB_OUTPUT: output,
                    ...environment,
                },
            });
            return { status, stdout, output: readFileSync(output, "utf8") };
        }

        /** The job output of the preview, by the way that GitHub takes it. */
        function previewed() {
            expect(preview.outputs).toEqual({ changes: "${{ steps.preview.outputs.changes }}" });
            return runStep(preview, ({ id }) => id === "preview").output;
        }

        function deploy(PREVIEWED: string) {
            const compares = (step: Step) => step.env?.PREVIEWED === "${{ needs.preview.outputs.changes }}";
            return runStep(up, compares, { PREVIEWED: PREVIEWED.replace(/^changes=(.*)\n$/, "$1") });
        }

        test("nothing has changed: it goes on, whatever the order of the steps", () => {
            const [one, other] = [change("update", "hermes", { envVars: {}, plan: {} }), change("create", "open-webui")];
            previews([one, other, change("same", "registry")]);
            const before = previewed();
            expect(before).toBe(`changes=["create ${urn("open-webui")}","update ${urn("hermes")} envVars plan"]\n`);
            previews([change("same", "registry"), other, one]);
            expect(deploy(before)).toMatchObject({ status: 0, stdout: "" });
        });

        test("there is nothing to do: it goes on", () => {
            previews([change("same", "hermes")]);
            expect(deploy(previewed()).status).toBe(0);
        });

        test.each([
            ["an update has become a replacement, and with it goes the disk", [change("replace", "hermes", { plan: {} })]],
            ["something else would change, too", [change("update", "hermes", { plan: {} }), change("delete", "open-webui")]],
            ["it is another setting that changes", [change("update", "hermes", { region: {} })]],
            ["somebody else has deployed", [change("same", "hermes")]],
        ])("%s: it stops and says why", (_, now) => {
            previews([change("update", "hermes", { plan: {} })]);
            const before = previewed();
            previews(now);
            const { status, stdout } = deploy(before);
            expect(status).toBe(1);
            expect(stdout).toContain("::error::");
            expect(stdout).toContain(`previewed: ["update ${urn("hermes")} plan"]`);
            expect(stdout).not.toContain("hidden-value");
        });

        test.each([
            ["a replacement", [change("create-replacement", "hermes"), change("replace", "hermes", { region: {} }), change("delete-replaced", "hermes")], 1],
            ["a deletion", [change("update", "hermes", { plan: {} }), change("delete", "open-webui")], 1],
            [
                "neither",
                [
                    change("update", "hermes", { plan: {} }),
                    change("create", "open-webui"),
                    { op: "replace", urn: urn("shared-key").replace(/render.*Service/, "random:index/randomBytes:RandomBytes") },
                ],
                0,
            ],
        ])("%s of a service, and its disk with it, waits for an input that is off by default", (_, found, ends) => {
            const checks = (step: Step) => step.env?.CHANGES_FOUND === "${{ steps.preview.outputs.changes }}";
            expect(preview.steps.find(checks)).toHaveProperty("if", "${{ !inputs.replace }}");
            expect(on.workflow_dispatch).toMatchObject({ inputs: { replace: { type: "boolean", default: false } } });
            previews(found);
            const { status, stdout } = runStep(preview, checks, { CHANGES_FOUND: previewed().replace(/^changes=(.*)\n$/, "$1") });
            expect([status, stdout.includes("::error::")]).toEqual([ends, ends === 1]);
        });

        test("there is no preview to compare with, or none can be made now: it stops", () => {
            previews([change("same", "hermes")]);
            expect(deploy("").status).toBe(1);
            const before = previewed();
            commands.install("pulumi", { "preview --json": { error: "error: an unhandled error occurred" } });
            expect(deploy(before).status).not.toBe(0);
            expect(runStep(preview, ({ id }) => id === "preview")).toMatchObject({ output: "" });
        });
    });
});
