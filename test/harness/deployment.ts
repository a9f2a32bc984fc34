/**
 * The deployment as `pulumi up` makes it: by the real engine and the real providers, from images that they build and
 * push, at a stand-in of Render that runs what it is told to as containers of a `Testbed`.
 *
 * What it does not imitate: a Render that restarts a service which ends, or goes back to the release before one that
 * fails; pulls with a token that can't push; plans other than `starter` and `standard`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { StartedTestContainer } from "testcontainers";
import { removeVolume } from "./docker.ts";
import type { Testbed } from "./testbed.ts";
import { secretSettings, serviceNames, type ServiceName } from "./settings.ts";
import { RenderApi } from "../stand-ins/render/api.ts";
import type { Service } from "../stand-ins/render/model.ts";
import type { Runtime } from "../stand-ins/render/runtime.ts";
import { Pulumi, stackName, type Ended } from "./pulumi.ts";
import { Registry } from "./registry.ts";

/** The program names a service after itself and the stack, and Render's host names begin with the service's name. */
const nameAtRender = (name: ServiceName) => `${name}-${stackName}`;
const serviceOf = (slug: string): ServiceName => (slug.startsWith(nameAtRender("hermes")) ? "hermes" : "open-webui");

/** Runs Render's services as those of a stack. */
function runtime(testbed: Testbed, registry: Registry): Runtime {
    const images = new Map<string, string>();
    const containers = new Map<string, StartedTestContainer>();
    const disks = new Set<string>();

    async function stop(serviceId: string, seconds = 60) {
        const container = containers.get(serviceId);
        if (!container) return;
        containers.delete(serviceId);
        for (const name of serviceNames) if (testbed.services[name] === container) testbed.services[name] = undefined;
        await container.stop({ timeout: seconds * 1000, remove: true, removeVolumes: false });
    }

    return {
        has: ({ reference, credential }) => registry.has(reference, credential),
        async pull({ reference, credential }) {
            images.set(reference, await registry.pull(reference, credential));
        },
        async start({ serviceId, slug, image, environment, disk, plan, maxShutdownDelaySeconds: seconds }) {
            const reference = images.get(image.reference);
            if (!disk || !reference) throw new Error(`${slug} has no disk or no image`);
            const name = serviceOf(slug);
            await stop(serviceId, seconds);
            if (!disks.has(disk.id)) await testbed.newDisk(name, disk.id);
            disks.add(disk.id);
            testbed.declare(name, { environment, disk: { name: disk.id, mountPath: disk.mountPath }, seconds, plan, host: slug, image: { reference } });
            containers.set(serviceId, await testbed.start(name));
        },
        remove: stop,
        async removeDisk(id) {
            if (disks.delete(id)) await removeVolume(testbed.volume(id));
        },
    };
}

export class Deployment {
    /** Where the list of writes begins. */
    private from = 0;

    readonly testbed: Testbed;
    readonly registry: Registry;
    readonly pulumi: Pulumi;
    readonly render: RenderApi;

    private constructor(testbed: Testbed, registry: Registry, pulumi: Pulumi, render: RenderApi) {
        this.testbed = testbed;
        this.registry = registry;
        this.pulumi = pulumi;
        this.render = render;
    }

    /** Makes the Pulumi stack with the settings of a testbed; nothing is deployed yet. */
    static async create(testbed: Testbed): Promise<Deployment> {
        const { registryUser, registryToken, renderApiKey, renderOwnerId } = testbed.settings;
        const registry = await Registry.ensure();
        await registry.admit({ [registryUser]: registryToken });
        const pulumi = await Pulumi.create();
        const render = await RenderApi.start(renderApiKey, renderOwnerId, runtime(testbed, registry));
        // After the installation, which has to reach more than the registry.
        pulumi.use({ ...(await registry.environment(pulumi.folder("docker"))), RENDER_HOST: render.url });
        const deployment = new Deployment(testbed, registry, pulumi, render);
        await deployment.set({ ...testbed.settings, imageRegistry: `${Registry.host}/family/agent` });
        return deployment;
    }

    /** Changes settings, secret ones the secret way. */
    async set(settings: Record<string, string>): Promise<void> {
        await this.pulumi.set(settings, secretSettings);
    }

    /** `pulumi up`, and what follows at Render; gives the number of resources by what was done to them. */
    async up(...flags: string[]): Promise<Record<string, number>> {
        try {
            await this.pulumi.must("up", "--yes", ...flags);
        } finally {
            await this.settled();
        }
        return (await this.pulumi.lastUpdate()).resourceChanges;
    }

    /** A `pulumi up` that is to fail; rejects when it doesn't, and gives what it printed. */
    async failingUp(options: Parameters<Pulumi["run"]>[1] = {}): Promise<Ended> {
        const ended = await this.pulumi.run(["up", "--yes"], options);
        await this.settled();
        if (ended.code === 0) throw new Error(`pulumi up was expected to fail:\n${ended.output}`);
        return ended;
    }

    /** `pulumi destroy`, and what follows at Render. */
    async destroy(): Promise<void> {
        await this.pulumi.must("destroy", "--yes");
        await this.settled();
    }

    /** What has been changed at Render since `forget`, in order: method and path, with a service's name in the place of its id and its disk's. */
    writes(): string[] {
        return this.render.writes(this.from).map(({ method, path, service }) => `${method} ${service ? path.replace(/(srv|dsk)-\w+/, service) : path}`);
    }

    /** Begins a new list of writes. */
    forget(): void {
        this.from = this.render.calls.length;
    }

    /** Resolves when Render is asked this the next time. */
    async seen(method: string, path: RegExp): Promise<void> {
        const from = this.render.calls.length;
        while (!this.render.calls.slice(from).some((call) => call.method === method && path.test(call.path))) await sleep(20);
    }

    /** Resolves when Render has nothing left to do. */
    async settled(): Promise<void> {
        await this.render.workspace.deploys.settled();
    }

    /** A service as Render has it; rejects when there is none. */
    service(name: ServiceName): Service {
        const service = this.render.workspace.find(nameAtRender(name));
        if (!service) throw new Error(`there is no ${nameAtRender(name)} at Render`);
        return service;
    }

    /** Removes what the engine has made on this machine; the testbed is somebody else's. */
    async close(): Promise<void> {
        await this.settled();
        await this.render.close();
        await this.registry.close();
        await this.pulumi.remove();
    }
}
