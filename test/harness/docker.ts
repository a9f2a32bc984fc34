/**
 * Containers, networks, volumes and images of the tests. All of them carry the run that they belong to as a label, by
 * which the end of the run, or a later one, finds them.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer, Wait } from "testcontainers";

/** The process that began this run; those that it starts inherit it. */
export const runId = (process.env.PRIVATE_HERMES_RUN ??= String(process.pid));

/** Whether this process began the run, and so has to clear up after it. */
export const ownsRun = () => runId === String(process.pid);

const label = "private-hermes.run";
/** Label of a stand-in of a base image, and of what is built on one. */
const standIn = "stand-in";
const labels = { [label]: runId };

/** The folder that each image is built from; all of them stand at the start of every run. */
export const contexts = {
    hermes: "hermes",
    openWebUi: "openwebui",
    control: "test/stand-ins/tailscale",
    internet: "test/stand-ins/internet",
    modal: "test/stand-ins/modal",
    laptop: "test/stand-ins/laptop",
};
/** The same, of images that are built when they are needed. */
const laterContexts = {
    bucket: "test/stand-ins/bucket",
    builder: "test/stand-ins/builder",
    forge: "test/stand-ins/forge",
    registry: "test/stand-ins/registry",
    clock: "test/stand-ins/clock",
};
export type ImageName = keyof typeof contexts | keyof typeof laterContexts;

/** What an image takes parts of: other images, by its build arguments. */
const partsOf: Partial<Record<ImageName, Record<string, ImageName>>> = {
    modal: { HERMES: "hermes", INTERNET: "internet" },
    bucket: { INTERNET: "internet" },
    clock: { HERMES: "hermes" },
};

/** The name of an image of this run, by which its end finds it. */
export const imageOfRun = (name: string) => `private-hermes/${name}:${runId}`;
const tagOf = (name: ImageName) => imageOfRun(name.toLowerCase());

/** A name that no other run has. */
export const nameOfRun = (name: string) => `private-hermes-${name}-${runId}`;

export const repository = fileURLToPath(new URL("../../", import.meta.url));

/** The Docker engine; rejects when none answers. */
export async function engine() {
    const client = await getContainerRuntimeClient();
    return client.container.dockerode;
}

/** Makes sure that the base images of these Dockerfiles exist; by default those of .ci/bases/build.sh. */
export async function ensureBases(...dockerfiles: string[]): Promise<void> {
    if (process.platform === "win32") return; // without a Unix shell there are no stand-ins, and builds pull the real ones
    const build = spawn(`${repository}.ci/bases/build.sh`, dockerfiles, { stdio: "inherit" });
    const [code] = (await once(build, "close")) as [number | null];
    if (code !== 0) throw new Error("The base images are missing, see above.");
}

const builds = new Map<ImageName, Promise<void>>();

/**
 * Builds an image, and first what it takes parts of, once in each process; under a tag that only this run has. Under a fixed one,
 * the library would take an older image after a failed build.
 */
export function buildImage(name: ImageName): Promise<void> {
    const build = builds.get(name) ?? buildWithParts(name);
    builds.set(name, build);
    return build;
}

async function buildWithParts(name: ImageName): Promise<void> {
    const folder = { ...contexts, ...laterContexts }[name];
    const parts = Object.entries(partsOf[name] ?? {});
    await Promise.all(parts.map(([, part]) => buildImage(part)));
    await buildFrom(`${repository}${folder}`, tagOf(name), folder, Object.fromEntries(parts.map(([argument, part]) => [argument, tagOf(part)])));
}

/** As `buildImage`, from another folder under another of `imageOfRun`'s names. */
export async function buildFrom(context: string, tag: string, called = context, args: Record<string, string> = {}): Promise<void> {
    const copy = await mkdtemp(join(tmpdir(), "private-hermes-context-"));
    try {
        await cp(context, copy, { recursive: true });
        // As `pulumi new` leaves folders, and a umask of 077 files as well: nobody but their owner gets into them.
        if (process.platform !== "win32") await promisify(execFile)("chmod", ["-R", "go=", copy]);
        await takeImitatedDigests(copy);
        const builder = GenericContainer.fromDockerfile(copy).withPlatform("linux/amd64").withBuildkit().withBuildArgs(args);
        await builder.build(tag, { deleteOnExit: false });
    } catch (cause) {
        throw new Error(`The image can't be built: \`docker build ${called}\` shows why.`, { cause });
    } finally {
        await rm(copy, { recursive: true });
    }
}

/** Takes the digests out of a folder's Dockerfile that `withoutImitatedDigests` takes out. */
export async function takeImitatedDigests(folder: string): Promise<void> {
    const path = join(folder, "Dockerfile");
    await writeFile(path, await withoutImitatedDigests(await readFile(path, "utf8")));
}

/** A Dockerfile without the digest of each image that is here as a stand-in only (.ci/bases/build.sh): no stand-in is found by one. */
export async function withoutImitatedDigests(dockerfile: string): Promise<string> {
    let text = dockerfile;
    for (const [pinned, name] of dockerfile.matchAll(/([^\s=]+:[^\s=]+)@sha256:[0-9a-f]{64}/g)) {
        if (!(await labelsOf(pinned)) && (await labelsOf(name))?.[standIn]) text = text.replaceAll(pinned, name);
    }
    return text;
}

/** What is needed of a container to reach it. */
export type Container = Pick<StartedTestContainer, "getId">;

/** The engine's own view of a container. */
export const handleOf = async (container: Container) => (await engine()).getContainer(container.getId());

/** Ends a container at once, as a crash does. */
export async function kill(container: Container): Promise<void> {
    await (await handleOf(container)).kill();
}

/** Halts a container; gives what lets it go on. */
export async function pause(container: Container): Promise<() => Promise<void>> {
    const handle = await handleOf(container);
    for (let tries = 1; ; tries++) {
        try {
            await handle.pause();
            break;
        } catch (error) {
            // What runc says where a busy kernel of control groups v1 doesn't freeze it in time; it has let it go on then.
            if (tries === 5 || !String(error).includes("unable to freeze")) throw error;
        }
    }
    return () => handle.unpause() as Promise<void>;
}

/** A running container by its name, also one that another process of this run has started. */
export async function find(name: string): Promise<Container | undefined> {
    const filters = { name: [`^/${name}$`], status: ["running"] };
    const [id] = (await (await engine()).listContainers({ filters })).map(({ Id }) => Id);
    return id ? { getId: () => id } : undefined;
}

/** Size of an image in bytes, as the engine counts it: all layers, uncompressed. */
export async function imageSize(name: ImageName): Promise<number> {
    return (await (await engine()).getImage(tagOf(name)).inspect()).Size;
}

/** Whether an image stands on a stand-in of its base rather than on the real one. */
export async function onStandIn(name: ImageName): Promise<boolean> {
    return Boolean((await labelsOf(tagOf(name)))?.[standIn]);
}

/** An image's labels; undefined when the engine doesn't have it. */
async function labelsOf(image: string): Promise<Record<string, string> | undefined> {
    try {
        const { Labels } = (await (await engine()).getImage(image).inspect()).Config as { Labels: Record<string, string> | null };
        return Labels ?? {};
    } catch (error) {
        if ((error as { statusCode?: number }).statusCode === 404) return undefined;
        throw error;
    }
}

/**
 * A private network: its members reach each other, and neither they nor this machine reach across. Without the option
 * a Linux host has an address in each of Docker's networks, the internal ones too, and with it a way to every port.
 */
export async function createNetwork(name: string, subnet?: string): Promise<void> {
    const Options = { "com.docker.network.bridge.inhibit_ipv4": "true" };
    const IPAM = subnet ? { Config: [{ Subnet: subnet }] } : undefined;
    await (await engine()).createNetwork({ Name: name, Internal: true, Options, IPAM, Labels: labels });
}

/** A network that isn't private: its members reach the internet, and this machine reaches them. Never put two into it. */
export async function createOpenNetwork(name: string): Promise<void> {
    await (await engine()).createNetwork({ Name: name, Labels: labels });
}

/** Puts a running container into one more network. */
export async function connect(container: Container, network: string, aliases: string[] = []): Promise<void> {
    await (await engine()).getNetwork(network).connect({ Container: container.getId(), EndpointConfig: { Aliases: aliases } });
}

export async function disconnect(container: Container, network: string): Promise<void> {
    await (await engine()).getNetwork(network).disconnect({ Container: container.getId() });
}

/** A container's address in a network. */
export async function addressOf(container: Container, network: string): Promise<string> {
    return (await (await handleOf(container)).inspect()).NetworkSettings.Networks[network].IPAddress;
}

/** The port of this machine's loopback that a published port has. */
export async function portOf(container: Container, port: number): Promise<number> {
    const { NetworkSettings } = await (await handleOf(container)).inspect();
    return Number(NetworkSettings.Ports[`${port}/tcp`][0].HostPort);
}

/** A volume that is root-owned and empty, as a new disk at Render is. */
export async function createVolume(name: string): Promise<void> {
    await (await engine()).createVolume({ Name: name, Labels: labels });
}

/** Removes a volume with what is in it; no container may use it. */
export async function removeVolume(name: string): Promise<void> {
    await (await engine()).getVolume(name).remove();
}

/** Whether the process that began a run still lives. */
function lives(owner: string): boolean {
    try {
        return process.kill(Number(owner), 0);
    } catch (error) {
        return (error as NodeJS.ErrnoException).code === "EPERM";
    }
}

/** Whether what a run has made is to go: it is this one, or its process is gone. */
export const isDue = (owner: string) => owner === runId || !lives(owner);

/**
 * Removes the containers, networks and volumes of this run, and those that a run has left behind whose process is gone;
 * with a prefix, only what has it in the name of its network or volume.
 */
export async function sweep(prefix = ""): Promise<void> {
    const docker = await engine();
    const filters = { label: [label] };
    const due = (name: string, has: Record<string, string>) => name.startsWith(prefix) && isDue(has[label]);
    for (const { Id, HostConfig, Labels } of await docker.listContainers({ all: true, filters })) {
        if (due(HostConfig.NetworkMode, Labels)) await docker.getContainer(Id).remove({ force: true, v: true });
    }
    for (const { Id, Name, Labels } of await docker.listNetworks({ filters })) {
        if (due(Name, Labels ?? {})) await docker.getNetwork(Id).remove();
    }
    for (const { Name, Labels } of (await docker.listVolumes({ filters })).Volumes) {
        if (due(Name, Labels)) await docker.getVolume(Name).remove();
    }
}

/**
 * Removes all that this run has made, and what runs have left behind whose process is gone. Tries again when something is
 * in the way: what the engine was still making for a process that was killed, or another run that clears up, too.
 */
export async function clearUp(): Promise<void> {
    const registries = await publishedByDue();
    for (let tries = 1; ; tries++) {
        try {
            await sweep();
            await removeImages(registries);
            return;
        } catch (error) {
            if (tries === 5) throw error;
            await sleep(1000);
        }
    }
}

/** Addresses at which this run, and runs whose process is gone, have published a port: one may be a registry's. */
async function publishedByDue(): Promise<string[]> {
    const containers = await (await engine()).listContainers({ filters: { label: [label] } });
    const ports = containers.filter(({ Labels }) => isDue(Labels[label])).flatMap(({ Ports }) => Ports);
    return ports.filter(({ PublicPort }) => PublicPort).map(({ PublicPort }) => `127.0.0.1:${PublicPort}/`);
}

/**
 * Removes the images of this run, and of runs whose process is gone, with the names that they have had at one of these
 * registries. What they were built from stays in the build cache.
 */
async function removeImages(registries: string[]): Promise<void> {
    const docker = await engine();
    const due = (name: string) =>
        (name.startsWith("private-hermes/") && isDue(name.slice(name.lastIndexOf(":") + 1))) || registries.some((registry) => name.startsWith(registry));
    for (const { RepoTags, RepoDigests } of await docker.listImages()) {
        // The last tag at a registry takes the digests there with it: so these come first.
        for (const name of [...(RepoDigests ?? []), ...(RepoTags ?? [])].filter(due)) await docker.getImage(name).remove({ force: true });
    }
}

export interface ContainerSpec {
    /** One of this repository's, or another that the engine has. */
    image: ImageName | { reference: string };
    /** A network's name; `bridge` for Docker's default one, `container:ID` for another container's. */
    network: string;
    name?: string;
    /** Host names under which the others in the network find it. */
    aliases?: string[];
    environment?: Record<string, string>;
    command?: string[];
    /** Mount point by volume name. */
    volumes?: Record<string, string>;
    /** A line of its log that says it is ready; without one the container is not waited for. */
    ready?: RegExp;
    memoryMb?: number;
    /** Share of a CPU, as 0.5. */
    cpus?: number;
    /** Mount options of an in-memory disk by mount point. */
    tmpfs?: Record<string, string>;
    user?: string;
    /** IP address by host name. */
    hosts?: Record<string, string>;
    /** Whether Docker asks the image's health check, as it does by default. Render doesn't. */
    checked?: boolean;
    /** TCP ports that this machine gets on its loopback, under numbers that are free there. */
    published?: number | number[];
    /** Whether it may start containers itself. */
    nesting?: boolean;
    /** Whether it may make networks, and filter them. */
    networking?: boolean;
    /** A container into whose processes it may look, memory included. */
    observes?: Container;
    /** A profile of Docker's for the system calls that it may do, in the place of the default one; or none at all. */
    seccomp?: object | "unconfined";
}

/**
 * A container in one private network and no other. Testcontainers' own aliases would put it on Docker's default
 * bridge as well, and so on the internet.
 */
class Peer extends GenericContainer {
    constructor(spec: ContainerSpec) {
        super(typeof spec.image === "string" ? tagOf(spec.image) : spec.image.reference);
        this.networkMode = spec.network;
        if (spec.aliases) this.createOpts.NetworkingConfig = { EndpointsConfig: { [spec.network]: { Aliases: spec.aliases } } };
        this.withLabels(labels)
            .withEnvironment(spec.environment ?? {})
            .withAutoRemove(false);
        if (spec.command) this.withCommand(spec.command);
        if (spec.checked === false) this.createOpts.Healthcheck = { Test: ["NONE"] };
        if (spec.memoryMb) this.hostConfig.Memory = this.hostConfig.MemorySwap = spec.memoryMb * 1024 * 1024;
        if (spec.cpus) this.hostConfig.NanoCpus = spec.cpus * 1e9;
        // For no strategy at all Testcontainers would wait for the image's health check.
        this.withWaitStrategy(spec.ready ? Wait.forLogMessage(spec.ready) : Wait.forAll([])).withStartupTimeout(180_000);
        // Testcontainers would publish it on every address of this machine.
        const published = [spec.published ?? []].flat().map((port) => `${port}/tcp`);
        this.createOpts.ExposedPorts = Object.fromEntries(published.map((port) => [port, {}]));
        this.hostConfig.PortBindings = Object.fromEntries(published.map((port) => [port, [{ HostIp: "127.0.0.1", HostPort: "" }]]));
        if (spec.name) this.withName(spec.name);
        // Far less than a privileged container may do: no device, no kernel module, no clock.
        if (spec.nesting) this.withAddedCapabilities("SYS_ADMIN").withSecurityOpt("seccomp=unconfined", "apparmor=unconfined", "label=disable");
        if (spec.networking) this.withAddedCapabilities("SYS_ADMIN", "NET_ADMIN");
        if (spec.observes) {
            this.hostConfig.PidMode = `container:${spec.observes.getId()}`;
            this.withAddedCapabilities("SYS_PTRACE");
        }
        if (spec.seccomp) this.withSecurityOpt(`seccomp=${spec.seccomp === "unconfined" ? spec.seccomp : JSON.stringify(spec.seccomp)}`);
        if (spec.tmpfs) this.withTmpFs(spec.tmpfs);
        if (spec.user) this.withUser(spec.user);
        this.withExtraHosts(Object.entries(spec.hosts ?? {}).map(([host, ipAddress]) => ({ host, ipAddress })));
        // Without nocopy Docker fills a new volume with what the image has at its mount point; a disk at Render hides that.
        this.withBindMounts(Object.entries(spec.volumes ?? {}).map(([source, target]) => ({ source, target, mode: "nocopy" as "rw" })));
    }
}

export const start = (spec: ContainerSpec): Promise<StartedTestContainer> => new Peer(spec).start();

export const isRunning = async (container: Container) => (await (await handleOf(container)).inspect()).State.Running;

/** Everything that a container has printed so far. */
export async function logOf(container: Container): Promise<string> {
    const raw = await (await handleOf(container)).logs({ stdout: true, stderr: true });
    // Each frame begins with a header of eight bytes: the stream, three zeros and the length.
    const frames: Buffer[] = [];
    for (let at = 0; at + 8 <= raw.length;) {
        const end = at + 8 + raw.readUInt32BE(at + 4);
        frames.push(raw.subarray(at + 8, end));
        at = end;
    }
    return Buffer.concat(frames).toString();
}

/** Waits until a container ends by itself; gives its exit code and log, and removes it. */
export async function ending(container: Container): Promise<{ code: number; log: string }> {
    const handle = await handleOf(container);
    // Killed after a minute, so that a container which should have ended and didn't is a failure and no hanging test.
    const limit = setTimeout(() => void handle.kill().catch(() => undefined), 60_000);
    const { StatusCode } = (await handle.wait()) as { StatusCode: number };
    clearTimeout(limit);
    const log = await logOf(container);
    await handle.remove({ force: true });
    return { code: StatusCode, log };
}

/** Starts a container that is expected to refuse and end. */
export const runToEnd = async (spec: ContainerSpec) => ending(await start(spec));

/** Runs a command in a container and gives its standard output; rejects when it fails. */
export const output = (container: Container, ...command: string[]) => execute(container, command);

/** What runs the command after it as a user of the container that is in no group but its own. */
export const asUser = (uid: number) => ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];

/**
 * Runs a command in a container with a text as its standard input, where nobody sees it who lists the processes; gives
 * its standard output and rejects when it fails.
 */
export const outputOf = (container: Container, command: string[], input: string) =>
    // Counted, because the engine's connection can't be half closed everywhere.
    execute(container, ["sh", "-c", 'head -c "$0" | "$@"', `${Buffer.byteLength(input)}`, ...command], input);

async function execute(container: Container, command: string[], input?: string): Promise<string> {
    const { exec, stream, stdout, stderr } = await startIn(container, command, input !== undefined);
    const said = Promise.all([text(stdout), text(stderr)]);
    if (input !== undefined) stream.write(input);
    await once(stream, "end");
    const [out, error] = await said;
    const { ExitCode } = await exec.inspect();
    if (ExitCode !== 0) throw new Error(`${command.join(" ")} ended with ${ExitCode}: ${error || out}`);
    return out;
}

/** Starts a command in a container; its output ends with it. */
async function startIn(container: Container, command: string[], stdin: boolean) {
    const docker = await engine();
    const exec = await docker.getContainer(container.getId()).exec({ Cmd: command, AttachStdin: stdin, AttachStdout: true, AttachStderr: true });
    const stream = await exec.start({ hijack: true, stdin: true });
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    docker.modem.demuxStream(stream, stdout, stderr);
    // Also where the engine drops the connection with what it ran.
    stream.once("close", () => {
        stdout.end();
        stderr.end();
    });
    stream.once("end", () => stream.destroy());
    return { exec, stream, stdout, stderr };
}

/**
 * Starts a command in a container that is told lines and says lines, as long as both are there. Gives what tells it one; `hear` gets
 * each that it says, and `ended`, once, what it has printed as errors.
 */
export async function interact(
    container: Container,
    command: string[],
    hear: (line: string) => void,
    ended: (errors: string) => void,
): Promise<(line: string) => void> {
    const { stream, stdout, stderr } = await startIn(container, command, true);
    stream.on("error", () => undefined); // "close" follows
    createInterface(stdout).on("line", hear);
    void text(stderr).then(ended);
    return (line) => void stream.write(`${line}\n`);
}

/** Runs a shell command in a container with the id of the oldest process whose command line matches, as $pid. */
export const withPid = (container: Container, pattern: string, command: string) =>
    output(
        container,
        "bash",
        "-c",
        `for pid in $(ls /proc | grep -E '^[0-9]+$' | sort -n); do
            [[ $pid != $$ && $(tr '\\0' ' ' </proc/$pid/cmdline) =~ ${pattern} ]] && break; pid=
        done; ${command}`,
    );

/** Tells the networks and volumes of one test file from those of another. */
export const unique = () => Math.random().toString(36).slice(2, 8);
