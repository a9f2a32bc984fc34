/**
 * The image registry that the real engine's program pushes to, under the name of one that Render pulls from, and the
 * builder that does it: two containers, which share one network namespace. What asks for this name on this machine,
 * docker-build at `refresh` and `destroy`, is led there by a proxy, and to nowhere else.
 *
 * Failures that it plays: a user, a password and a token that it doesn't know (401), and an image or a digest that it
 * hasn't (404). It doesn't imitate: scopes of a token, limits (429), an outage, storage that is full, GHCR's 405 to a
 * deletion, and pages of a list.
 *
 * On Linux the authority that has signed the registry's certificate reaches docker-build by SSL_CERT_FILE. Go doesn't
 * read that on macOS and Windows: docker-build warns there that it can't verify the tags, and deletes nothing.
 */
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream";
import {
    buildImage,
    contexts,
    createVolume,
    engine,
    ensureBases,
    find,
    imageOfRun,
    nameOfRun,
    output,
    outputOf,
    portOf,
    repository,
    runToEnd,
    start,
    withoutImitatedDigests,
    type Container,
} from "./docker.ts";

/** What logs in to a registry. */
export interface Credential {
    username: string;
    authToken: string;
}

/** What the registry has under one name. */
export interface Repository {
    name: string;
    /** Of all its manifests, also of those that no tag points to any more. */
    digests: string[];
    /** Digest by tag. */
    tags: Record<string, string>;
}

/** Where the base images are, see builder/buildkitd.toml. */
const bases = "bases";
/** The registry's ports, see registry/entrypoint.sh. */
const [tlsPort, plainPort] = [443, 5000];

export class Registry {
    /** Its name for the program, the builder and docker-build. */
    static readonly host = "registry.gitlab.com";

    private readonly registry: Container;
    private readonly builder: Container;
    /** Its address for the Docker engine: host and port of this machine's loopback. */
    readonly address: string;
    private readonly proxy: Server;

    private constructor(registry: Container, builder: Container, address: string, proxy: Server) {
        this.registry = registry;
        this.builder = builder;
        this.address = address;
        this.proxy = proxy;
    }

    /**
     * The run's registry and builder: made at the first call, found by later ones, also by those of another process of
     * the run. The base images of the program's images that the local Docker engine has are in it afterwards.
     */
    static async ensure(): Promise<Registry> {
        const builder = await find(nameOfRun("builder"));
        const registry = builder && (await find(nameOfRun("registry")));
        return builder && registry ? Registry.of(registry, builder) : Registry.make();
    }

    private static async of(registry: Container, builder: Container): Promise<Registry> {
        const address = `127.0.0.1:${await portOf(registry, plainPort)}`;
        return new Registry(registry, builder, address, await proxyTo(Registry.host, await portOf(registry, tlsPort)));
    }

    private static async make(): Promise<Registry> {
        await ensureBases(...["registry", "builder"].map((name) => join(repository, "test/stand-ins", name, "Dockerfile")));
        for (const image of ["registry", "builder"] as const) await buildImage(image);
        const volumes = { [nameOfRun("registry")]: "/ca" };
        await createVolume(nameOfRun("registry"));
        const authority = await runToEnd({ image: "internet", network: "none", command: ["sh", "/authority.sh", Registry.host], volumes });
        if (authority.code !== 0) throw new Error(`the registry's certificate can't be made: ${authority.log}`);
        const registry = await start({
            image: "registry",
            name: nameOfRun("registry"),
            // Docker's default network, because the nameservers in it are real ones: the builder's RUN steps ask them.
            network: "bridge",
            hosts: { [Registry.host]: "127.0.0.1" },
            environment: { REGISTRY_NAME: Registry.host },
            volumes,
            published: [tlsPort, plainPort],
            ready: /^ready$/m,
        });
        await pushBases(`127.0.0.1:${await portOf(registry, plainPort)}`, await ownCredential(registry));
        const builder = await start({
            image: "builder",
            name: nameOfRun("builder"),
            network: `container:${registry.getId()}`, // where the registry's name is this loopback
            volumes,
            nesting: true,
            ready: /running server on/,
        });
        return Registry.of(registry, builder);
    }

    /** Makes these the only accounts: password by user. */
    async admit(accounts: Record<string, string>): Promise<void> {
        const lines = Object.entries(accounts).map(([user, password]) => `${user}\n${password}\n`);
        await outputOf(this.registry, ["bash", "/registry/admit.sh"], lines.join(""));
    }

    /**
     * What the Pulumi CLI needs in its environment for docker-build to find the builder, the registry and the Docker
     * engine, and nothing of the user's own Docker configuration. Files for it go into the folder, none of them secret.
     */
    async environment(folder: string): Promise<Record<string, string>> {
        const [buildx, docker, authority] = ["buildx", "docker", "authority.pem"].map((name) => join(folder, name));
        await mkdir(join(buildx, "instances"), { recursive: true });
        await mkdir(docker, { recursive: true });
        await writeFile(join(docker, "config.json"), "{}");
        await writeFile(authority, await output(this.registry, "cat", "/ca/ca.pem"));
        // The one builder there is, and so docker-build takes it unasked. `docker exec` is its way in: no port.
        const node = { Name: "rehearsal0", Endpoint: `docker-container://${this.builder.getId()}` };
        await writeFile(join(buildx, "instances", "rehearsal"), JSON.stringify({ Name: "rehearsal", Driver: "remote", Nodes: [node] }));
        return {
            BUILDX_CONFIG: buildx,
            DOCKER_CONFIG: docker,
            DOCKER_HOST: await engineAddress(),
            HTTPS_PROXY: `http://127.0.0.1:${(this.proxy.address() as AddressInfo).port}`,
            NO_PROXY: "127.0.0.1,localhost",
            SSL_CERT_FILE: authority,
            // The same for the program, which tries the token.
            NODE_USE_ENV_PROXY: "1",
            NODE_EXTRA_CA_CERTS: authority,
        };
    }

    /** Whether it gives out an image (registry.gitlab.com/path@sha256:…) to the holder of the credential. */
    async has(reference: string, credential?: Credential): Promise<boolean> {
        return (await this.refusal(reference, credential)) === undefined;
    }

    /** Why it doesn't give out an image to the holder of the credential; nothing when it does. */
    private async refusal(reference: string, credential?: Credential): Promise<string | undefined> {
        const [path, digest] = parsed(reference);
        const headers = { Accept: manifestTypes.join(), ...(credential && { Authorization: basic(credential) }) };
        const { status } = await fetch(`http://${this.address}/v2/${path}/manifests/${digest}`, { method: "HEAD", headers });
        if (status === 200) return undefined;
        if (status === 401) return "unauthorized";
        if (status === 404) return "not found";
        throw new Error(`the registry answered ${status} when asked for ${reference}`);
    }

    /**
     * Pulls an image (registry.gitlab.com/path@sha256:…) into the Docker engine and gives the name that it has there
     * until the end of the run. Rejects with the reason when the registry or the engine has one.
     */
    async pull(reference: string, credential?: Credential): Promise<string> {
        const [path, digest] = parsed(reference);
        // An engine that has pulled it before would not ask the registry again, and so take any credential.
        const refusal = await this.refusal(reference, credential);
        if (refusal) throw new Error(`${reference} can't be pulled: ${refusal}`);
        const docker = await engine();
        const pulled = `${this.address}/${path}@${digest}`;
        await finished(await docker.pull(pulled, { platform: "linux/amd64", authconfig: credential && authOf(this.address, credential) }));
        // A name for each digest: an image that loses its name to another is nobody's, and stays.
        const name = imageOfRun(`${path.replaceAll("/", "-")}-${digest.slice("sha256:".length).slice(0, 12)}`);
        const [repo, tag] = name.split(":");
        await docker.getImage(pulled).tag({ repo, tag });
        await docker.getImage(pulled).remove();
        return name;
    }

    /** What it has, without the base images. */
    async contents(): Promise<Repository[]> {
        const links = await output(
            this.registry,
            ...["find", "/var/lib/registry/docker/registry/v2/repositories", "-path", "*/_manifests/*", "-name", "link"],
            ...["-exec", "grep", "-H", ".", "{}", "+"],
        );
        const repositories = new Map<string, Repository>();
        for (const [, name, tag, digest] of links.matchAll(/repositories\/(.+)\/_manifests\/(?:revisions|tags\/([^/]+)\/current)\/.*?link:(.+)/g)) {
            if (name.startsWith(`${bases}/`)) continue;
            const found = repositories.get(name) ?? { name, digests: [], tags: {} };
            if (tag) found.tags[tag] = digest;
            else found.digests.push(digest);
            repositories.set(name, found);
        }
        return [...repositories.values()];
    }

    /** Ends the proxy; the containers stay until the end of the run. */
    async close(): Promise<void> {
        this.proxy.close();
        await once(this.proxy, "close");
    }
}

const manifestTypes = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

const basic = ({ username, authToken }: Credential) => `Basic ${Buffer.from(`${username}:${authToken}`).toString("base64")}`;

/** A credential as the Docker engine takes it. */
const authOf = (serveraddress: string, { username, authToken }: Credential) => ({ serveraddress, username, password: authToken });

/** Path and digest of a reference to this registry. */
function parsed(reference: string): [path: string, digest: string] {
    const [, host, path, digest] = /^([^/]+)\/(.+)@(sha256:[0-9a-f]{64})$/.exec(reference) ?? [];
    if (host !== Registry.host) throw new Error(`${reference} isn't an image of ${Registry.host} by its digest`);
    return [path, digest];
}

/** The account by which the rehearsal itself writes. */
const ownCredential = async (registry: Container): Promise<Credential> => ({
    username: "rehearsal",
    authToken: (await output(registry, "cat", "/registry/own-password")).trim(),
});

/** A proxy that leads one host's HTTPS to a port of this machine's loopback and refuses everything else. */
async function proxyTo(host: string, port: number): Promise<Server> {
    const proxy = createServer((_, response) => response.writeHead(403).end());
    proxy.on("connect", ({ url }, socket, head) => {
        if (url !== `${host}:443`) return void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
        const upstream = connect(port, "127.0.0.1", () => {
            socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
            upstream.write(head);
            pipeline(socket, upstream, socket, () => undefined);
        });
        upstream.on("error", () => socket.destroy());
    });
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    return proxy.unref();
}

/** The Docker engine's address, as DOCKER_HOST has it. */
async function engineAddress(): Promise<string> {
    const { socketPath, host, port } = (await engine()).modem as unknown as { socketPath?: string; host: string; port: number };
    if (!socketPath) return `tcp://${host}:${port}`;
    return socketPath.startsWith("/") && !socketPath.startsWith("//") ? `unix://${socketPath}` : `npipe://${socketPath}`;
}

/** Pushes the base images of the program's images to where the builder asks for them first, as far as the Docker engine has them. */
async function pushBases(address: string, credential: Credential): Promise<void> {
    const docker = await engine();
    for (const name of await programBases()) {
        const here = await docker.listImages({ filters: { reference: [name] } });
        if (here.length === 0) continue;
        const [repo, tag] = [`${address}/${bases}/${pathOf(name)}`, name.slice(name.lastIndexOf(":") + 1)];
        await docker.getImage(name).tag({ repo, tag });
        const pushed = docker.getImage(`${repo}:${tag}`);
        await finished(await pushed.push({ authconfig: authOf(address, credential) }));
        await pushed.remove();
    }
}

/** What the program's images are built from: names with a tag. A real one by digest comes from its own registry only. */
async function programBases(): Promise<string[]> {
    const pinned = await Promise.all([contexts.hermes, contexts.openWebUi].map((folder) => readFile(join(repository, folder, "Dockerfile"), "utf8")));
    const dockerfiles = await Promise.all(pinned.map(withoutImitatedDigests));
    const names = dockerfiles.flatMap((dockerfile) => [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, name]) => name));
    return names.filter((name) => name.includes(":") && !name.includes("@"));
}

/** An image's path at its registry: `library/python` for `python:3`. */
function pathOf(name: string): string {
    const path = name.slice(0, name.lastIndexOf(":")).split("/");
    if (path.length === 1) path.unshift("library");
    return (path[0].includes(".") ? path.slice(1) : path).join("/");
}

/** Resolves when the Docker engine has done what it reports on; rejects with its reason when it couldn't. */
async function finished(progress: NodeJS.ReadableStream): Promise<void> {
    const docker = await engine();
    const steps = await new Promise<{ error?: string }[]>((resolve, reject) => {
        docker.modem.followProgress(progress, (error: Error | null, all: { error?: string }[]) => {
            if (error) reject(error);
            else resolve(all);
        });
    });
    const failed = steps.find(({ error }) => error);
    if (failed) throw new Error(failed.error);
}
