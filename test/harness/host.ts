/**
 * What the tests need of this machine. As root on Debian or Ubuntu they install it, and start a Docker daemon where none
 * answers; elsewhere they say in one sentence what is missing, and where to get it.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Whether there is a command of this name. */
const has = (command: string) => (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, command)));

/** Whether packages can be installed here without asking anybody. */
const isDebianRoot = () => process.getuid?.() === 0 && has("apt-get");

async function apt(...args: string[]): Promise<void> {
    await execute("apt-get", args, { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, maxBuffer: 64 * 1024 * 1024 });
}

async function install(...packages: string[]): Promise<void> {
    console.log(`Installing ${packages.join(" and ")} of this distribution, with apt-get.`);
    try {
        await apt("update");
        await apt("install", "--yes", "--no-install-recommends", ...packages);
    } catch (error) {
        const { stderr = "" } = error as { stderr?: string };
        throw new Error(`apt-get can't install ${packages.join(" and ")}: ${stderr.trim()}`, { cause: error });
    }
}

/** Names of the packages that aren't called as their command is. */
const packageOf: Partial<Record<string, string>> = { dockerd: "docker.io", docker: "docker-cli", ps: "procps" };

/**
 * Installs the commands that are missing. Gives those that still are, which are all of them where this isn't root on
 * Debian or Ubuntu.
 */
export async function ensureCommands(...commands: string[]): Promise<string[]> {
    const missing = commands.filter((command) => !has(command));
    if (missing.length === 0 || !isDebianRoot()) return missing;
    await install(...missing.map((command) => packageOf[command] ?? command));
    return [];
}

/** Where Docker is to be had, by the system's name in Node.js. */
const pages: Partial<Record<NodeJS.Platform, string>> = {
    darwin: "start Docker Desktop, or install it (docs.docker.com/desktop/setup/install/mac-install)",
    win32: "start Docker Desktop, or install it (docs.docker.com/desktop/setup/install/windows-install)",
};

/** Why no engine answers, and the way out. */
function noEngine(): string {
    const { DOCKER_HOST } = process.env;
    if (DOCKER_HOST) return `No Docker engine answers at DOCKER_HOST, ${DOCKER_HOST}: start it there, or unset DOCKER_HOST.`;
    const wayOut = pages[process.platform] ?? "start it, install it (docs.docker.com/engine/install), or run this as root on Debian or Ubuntu, which does both";
    return `No Docker engine answers: ${wayOut}.`;
}

/** Whether an engine answers. Its client is loaded here, for that takes half a second, and the unit tests ask for none. */
const answers = async () =>
    (await import("./docker.ts")).engine().then(
        () => true,
        () => false,
    );

/** Waits for the engine as long as the condition holds, a minute at most. */
async function comesUp(whileTrue: () => boolean): Promise<boolean> {
    for (let tries = 0; tries < 300 && whileTrue(); tries++) {
        if (await answers()) return true;
        await sleep(200);
    }
    return false;
}

/** Starts a daemon that ends with this process, however that ends, but not at its Ctrl-C: containers are cleared up first. */
async function startDaemon(): Promise<() => Promise<void>> {
    const folder = await mkdtemp(join(tmpdir(), "dockerd-"));
    const log = join(folder, "log");
    const output = openSync(log, "w");
    const daemon: ChildProcess = spawn("setpriv", ["--pdeathsig", "TERM", "dockerd"], { detached: true, stdio: ["ignore", output, output] });
    const ended = once(daemon, "exit");
    const runs = () => daemon.exitCode === null && daemon.signalCode === null;
    const stop = async () => {
        daemon.kill();
        await ended;
        await rm(folder, { recursive: true });
    };
    if (await comesUp(runs)) return stop;
    const lines = readFileSync(log, "utf8").trim().split("\n").slice(-20).join("\n");
    await stop();
    throw new Error(`${lines}\nThe Docker daemon doesn't start: the end of its log stands above.`);
}

/** Starts the service of a machine that systemd runs. */
async function startService(): Promise<() => Promise<void>> {
    await execute("systemctl", ["start", "docker.service"]);
    if (!(await comesUp(() => true))) throw new Error("The Docker daemon doesn't start: `journalctl -u docker` shows why.");
    return async () => {
        await execute("systemctl", ["stop", "docker.socket", "docker.service"]);
    };
}

/**
 * Makes sure that a Docker engine answers. Gives what ends it again, if it was started here; what was installed stays.
 * Rejects with one sentence where there is none, and none can be had without asking.
 */
export async function ensureEngine(): Promise<() => Promise<void>> {
    await ensureCommands("ps"); // tells what the Pulumi CLI has left behind
    if (await answers()) return () => Promise.resolve();
    if (process.env.DOCKER_HOST || !isDebianRoot()) throw new Error(noEngine());
    await ensureCommands("dockerd");
    await ensureCommands("docker"); // newer distributions have it in a package of its own
    console.log("Starting a Docker daemon, which ends with this command. Images and the build cache stay in /var/lib/docker.");
    return has("systemctl") && existsSync("/run/systemd/system") ? startService() : startDaemon();
}
