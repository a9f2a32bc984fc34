/** Containers, networks and volumes of the tests. All of them carry one label, by which a later run finds leftovers. */
import { fileURLToPath } from "node:url";
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer, Wait } from "testcontainers";

const label = "private-hermes.test";

export const images = {
    hermes: "private-hermes/hermes:test",
    openWebUi: "private-hermes/open-webui:test",
    control: "private-hermes/test-control:test",
    openRouter: "private-hermes/test-openrouter:test",
} as const;

/** The folder that each image is built from. */
export const contexts: Record<keyof typeof images, string> = {
    hermes: "hermes",
    openWebUi: "openwebui",
    control: "test/control",
    openRouter: "test/openrouter",
};

export const repository = fileURLToPath(new URL("../../", import.meta.url));

/** The Docker engine; rejects with one sentence when there is none. */
export async function engine() {
    try {
        const client = await getContainerRuntimeClient();
        return client.container.dockerode;
    } catch (cause) {
        throw new Error("Docker doesn't answer: start Docker Desktop, or dockerd, and run this again.", { cause });
    }
}

export async function buildImage(name: keyof typeof images): Promise<void> {
    // After a build that failed the library is content with an image of that name from an earlier run.
    await (await engine()).getImage(images[name]).remove({ force: true }).catch(() => undefined);
    try {
        await GenericContainer.fromDockerfile(`${repository}${contexts[name]}`)
            .withPlatform("linux/amd64")
            .withBuildkit()
            .build(images[name], { deleteOnExit: false });
    } catch (cause) {
        throw new Error(`The image can't be built: \`docker build ${contexts[name]}\` shows why.`, { cause });
    }
}

/** Size of an image in bytes, as the engine counts it: all layers, uncompressed. */
export async function imageSize(name: keyof typeof images): Promise<number> {
    return (await (await engine()).getImage(images[name]).inspect()).Size;
}

/** Whether an image stands on a stand-in of its base rather than on the real one. */
export async function onStandIn(name: keyof typeof images): Promise<boolean> {
    const { Config } = await (await engine()).getImage(images[name]).inspect();
    return Boolean(Config.Labels["stand-in"]);
}

/** A private network: nothing in it reaches the outside, nothing outside but this machine reaches in. */
export async function createNetwork(name: string): Promise<void> {
    await (await engine()).createNetwork({ Name: name, Internal: true, Labels: { [label]: "" } });
}

/** A volume that is root-owned and empty, as a new disk at Render is. */
export async function createVolume(name: string): Promise<void> {
    await (await engine()).createVolume({ Name: name, Labels: { [label]: "" } });
}

/** Removes every container, network and volume that carries the label, whoever started it. */
export async function sweep(): Promise<void> {
    const docker = await engine();
    const filters = { label: [label] };
    for (const { Id } of await docker.listContainers({ all: true, filters })) {
        await docker.getContainer(Id).remove({ force: true, v: true });
    }
    for (const { Id } of await docker.listNetworks({ filters })) await docker.getNetwork(Id).remove();
    for (const { Name } of (await docker.listVolumes({ filters })).Volumes) await docker.getVolume(Name).remove();
}

export interface ContainerSpec {
    image: keyof typeof images;
    network: string;
    /** Host names under which the others in the network find it. */
    aliases?: string[];
    environment?: Record<string, string>;
    command?: string[];
    entrypoint?: string[];
    /** Mount point by volume name. */
    volumes?: Record<string, string>;
    /** A line of its log that says it is ready; without one the container is not waited for. */
    ready?: RegExp;
    memoryMb?: number;
    /** Mount options of an in-memory disk by mount point. */
    tmpfs?: Record<string, string>;
    user?: string;
    /** IP address by host name. */
    hosts?: Record<string, string>;
}

/**
 * A container in one private network and no other. Testcontainers' own aliases would put it on Docker's default
 * bridge as well, and so on the internet.
 */
class Peer extends GenericContainer {
    constructor(spec: ContainerSpec) {
        super(images[spec.image]);
        this.networkMode = spec.network;
        this.createOpts.NetworkingConfig = { EndpointsConfig: { [spec.network]: { Aliases: spec.aliases ?? [] } } };
        this.withLabels({ [label]: "" }).withEnvironment(spec.environment ?? {}).withAutoRemove(false);
        if (spec.command) this.withCommand(spec.command);
        if (spec.entrypoint) this.withEntrypoint(spec.entrypoint);
        if (spec.memoryMb) this.withResourcesQuota({ memory: spec.memoryMb / 1024 });
        // For no strategy at all Testcontainers would wait for the image's health check.
        this.withWaitStrategy(spec.ready ? Wait.forLogMessage(spec.ready) : Wait.forAll([])).withStartupTimeout(180_000);
        if (spec.tmpfs) this.withTmpFs(spec.tmpfs);
        if (spec.user) this.withUser(spec.user);
        this.withExtraHosts(Object.entries(spec.hosts ?? {}).map(([host, ipAddress]) => ({ host, ipAddress })));
        // Without nocopy Docker fills a new volume with what the image has at its mount point; a disk at Render hides that.
        this.withBindMounts(
            Object.entries(spec.volumes ?? {}).map(([source, target]) => ({ source, target, mode: "nocopy" as "rw" })),
        );
    }
}

export const start = (spec: ContainerSpec): Promise<StartedTestContainer> => new Peer(spec).start();

export const isRunning = async (container: StartedTestContainer) =>
    (await (await engine()).getContainer(container.getId()).inspect()).State.Running;

/** Everything that a container has printed so far. */
export async function logOf(container: StartedTestContainer): Promise<string> {
    const docker = await engine();
    const raw = await docker.getContainer(container.getId()).logs({ stdout: true, stderr: true });
    // Each frame begins with a header of eight bytes: the stream, three zeros and the length.
    const frames: Buffer[] = [];
    for (let at = 0; at + 8 <= raw.length; ) {
        const end = at + 8 + raw.readUInt32BE(at + 4);
        frames.push(raw.subarray(at + 8, end));
        at = end;
    }
    return Buffer.concat(frames).toString();
}

/** Waits until a container ends by itself; gives its exit code and log, and removes it. */
export async function ending(container: StartedTestContainer): Promise<{ code: number; log: string }> {
    const handle = (await engine()).getContainer(container.getId());
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
export async function output(container: StartedTestContainer, ...command: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await container.exec(command);
    if (exitCode !== 0) throw new Error(`${command[0]} ended with ${exitCode}: ${stderr || stdout}`);
    return stdout;
}

/** Tells the networks and volumes of one test file from those of another. */
export const unique = () => Math.random().toString(36).slice(2, 8);
