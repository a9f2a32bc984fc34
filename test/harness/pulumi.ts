/**
 * The Pulumi CLI on a copy of the project, with a stack whose state lies in a temporary folder: nothing of it reaches the
 * user's own stacks, and the plugins are the user's own.
 */
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { ownPath } from "../../ops/cli.ts";
import { reasonOf } from "../../http.ts";
import { contexts, isDue, repository, runId, takeImitatedDigests } from "./docker.ts";

/** Name of the stack. */
export const stackName = "rehearsal";

const execute = promisify(execFile);
const prefix = "private-hermes-";

/** Left out of the copy: what a checkout has beside the project, what the CLI generates, and the settings of the user's own stacks. */
const isLeft = (path: string) => [".git", "node_modules", "sdks", "test"].includes(path) || /^Pulumi\..+\.yaml$/.test(path);

/** Version of the user's Pulumi CLI, or of that which `npx pulumi` has fetched; undefined when there is neither. */
export async function cliVersion(): Promise<string | undefined> {
    const found = await execute("pulumi", ["version"], { env: quiet() }).catch(() => undefined);
    return found?.stdout.trim();
}

/** Makes the npm package `pulumi` fetch its CLI where there is none; says in one line when it can't. */
export async function fetchCli(): Promise<void> {
    if (await cliVersion()) return;
    const host = "get.pulumi.com";
    try {
        // Asked first: the package's own attempt takes long to fail.
        await fetch(`https://${host}/`, { method: "HEAD", signal: AbortSignal.timeout(5000) });
        console.log("Fetching the Pulumi CLI, once, as `npx pulumi` does.");
        await execute(process.execPath, [join(repository, "node_modules/pulumi/run.js"), "version"], { timeout: 600_000 });
    } catch (error) {
        console.log(`There is no Pulumi CLI here, and none can be fetched from ${host} (${reasonOf(error)}): what needs one is left out.`);
    }
}

/** This process's environment without what would lead the CLI to another stack or account. */
function quiet(): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(([name]) => !/^(PULUMI_(STACK|ACCESS_TOKEN|BACKEND_URL|CONFIG.*)|RENDER_.*)$/.test(name));
    // This Node.js, too: the engine runs the program, and npm, on the first one that it finds.
    const path = [dirname(process.execPath), ownPath()].join(delimiter);
    return { ...Object.fromEntries(own), PATH: path, PULUMI_SKIP_UPDATE_CHECK: "true" };
}

/** How a command of the CLI ended. */
export interface Ended {
    /** Null when it was killed. */
    code: number | null;
    /** Everything that it has printed. */
    output: string;
}

interface RunOptions {
    /** What it reads as its standard input. */
    input?: string;
    environment?: Record<string, string>;
    /** Once this has resolved the CLI is killed, without a chance to write down what it was about. */
    killWhen?: Promise<unknown>;
}

/** An update of the stack as its history has it. */
interface Update {
    /** Number of resources by what was done to them; a resource that was left alone is `same`. */
    resourceChanges: Record<string, number>;
}

/** Processes that the CLI has started for this folder and left behind: plugins outlive it at times (`install` always leaves one). */
async function endStrays(folder: string): Promise<void> {
    if (process.platform === "win32") return; // nothing there tells a process' environment
    const { stdout } = await execute("ps", ["axeww", "-o", "pid=,command="], { maxBuffer: 64 * 1024 * 1024 });
    for (const line of stdout.split("\n").filter((text) => text.includes(`PULUMI_BACKEND_URL=file://${folder}`))) {
        try {
            process.kill(parseInt(line), "SIGKILL");
        } catch {
            // It has ended meanwhile.
        }
    }
}

/** Removes the folders of this run, and of runs whose process is gone, and ends what the CLI has left running there. */
export async function removeProjects(): Promise<void> {
    for (const name of await readdir(tmpdir())) {
        const [, owner] = new RegExp(`^${prefix}(\\d+)-`).exec(name) ?? [];
        if (owner && isDue(owner)) await remove(join(tmpdir(), name));
    }
}

async function remove(folder: string): Promise<void> {
    await endStrays(folder);
    await rm(folder, { recursive: true, force: true });
}

export class Pulumi {
    private readonly root: string;
    private readonly environment: Record<string, string>;

    private constructor(root: string) {
        this.root = root;
        this.environment = {
            PULUMI_BACKEND_URL: `file://${root}/state`,
            PULUMI_CONFIG_PASSPHRASE: randomBytes(20).toString("hex"),
            PULUMI_STACK: stackName,
        };
    }

    /** Copies the project, generates its SDK and installs its dependencies. */
    static async create(): Promise<Pulumi> {
        const pulumi = new Pulumi(await mkdtemp(join(tmpdir(), `${prefix}${runId}-`)));
        await mkdir(pulumi.folder("state"));
        await cp(repository, pulumi.folder("project"), { recursive: true, filter: (path) => !isLeft(relative(repository, path)) });
        for (const folder of [contexts.hermes, contexts.openWebUi]) await takeImitatedDigests(pulumi.file(folder));
        await pulumi.must("install");
        await pulumi.must("stack", "init", stackName, "--no-select");
        return pulumi;
    }

    /** A folder beside the copy of the project. */
    folder(name: string): string {
        return join(this.root, name);
    }

    /** A file of the copy. */
    file(name: string): string {
        return join(this.folder("project"), name);
    }

    /** Changes a file of the copy; gives what takes the change back. */
    async edit(name: string, change: (text: string) => string): Promise<() => Promise<void>> {
        const before = await readFile(this.file(name), "utf8");
        await writeFile(this.file(name), change(before));
        return () => writeFile(this.file(name), before);
    }

    /** The environment in which the CLI finds the stack, also for what runs it. */
    get variables(): NodeJS.ProcessEnv {
        return { ...quiet(), ...this.environment };
    }

    /** Adds to the environment of all commands from now on. */
    use(environment: Record<string, string>): void {
        Object.assign(this.environment, environment);
    }

    /** Runs the CLI as a script would, without questions; resolves however it ends. */
    async run(args: string[], { input = "", environment = {}, killWhen }: RunOptions = {}): Promise<Ended> {
        const child = spawn("pulumi", [...args, "--non-interactive", "--color=never"], {
            cwd: this.folder("project"),
            env: { ...this.variables, ...environment },
        });
        let printed = "";
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (printed += String(text)));
        child.stdin.end(input);
        void killWhen?.then(() => child.kill("SIGKILL"));
        const closed = once(child, "close");
        const [code] = (await once(child, "exit")) as [number | null];
        await endStrays(this.root);
        await closed; // what was left behind would hold the pipes open
        return { code, output: printed };
    }

    /** As `run`, but rejects with what was printed when the command fails. */
    async must(...args: string[]): Promise<string> {
        const { code, output } = await this.run(args);
        if (code !== 0) throw new Error(`pulumi ${args.join(" ")} ended with ${code}:\n${output}`);
        return output;
    }

    /** Stores settings, each typed in by the CLI's own way for secrets. */
    async set(settings: Record<string, string>, secret: string[]): Promise<void> {
        for (const [key, value] of Object.entries(settings)) {
            const { code, output } = await this.run(["config", "set", ...(secret.includes(key) ? ["--secret"] : []), key], { input: value });
            if (code !== 0) throw new Error(`${key} can't be set:\n${output}`);
        }
    }

    /** An empty program with a stack of its own, on the same dependencies and plugins. */
    async emptyProject(): Promise<Pulumi> {
        const empty = new Pulumi(join(this.root, "empty"));
        await mkdir(empty.folder("state"), { recursive: true });
        await mkdir(empty.folder("project"));
        await symlink(this.file("node_modules"), empty.file("node_modules"));
        for (const name of ["package.json", "tsconfig.json"]) await copyFile(this.file(name), empty.file(name));
        await writeFile(empty.file("Pulumi.yaml"), "name: empty\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n");
        await writeFile(empty.file("index.ts"), "export {};\n");
        await empty.must("stack", "init", stackName, "--no-select");
        return empty;
    }

    /** The newest update in the stack's history. */
    async lastUpdate(): Promise<Update> {
        const [update] = JSON.parse(await this.must("stack", "history", "--json", "--page-size=1")) as Update[];
        return update;
    }

    /** Removes the stack with its secrets, and the copy. */
    async remove(): Promise<void> {
        await remove(this.root);
    }
}
