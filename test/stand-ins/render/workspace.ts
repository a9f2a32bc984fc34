/** One workspace: its registry credentials and private services, and the rules by which Render refuses a request. */
import { Deploys } from "./deploys.ts";
import { type Credential, type Deploy, type Disk, fullEnvironment, newId, newSlug, now, type Service, type ServiceWithDisk } from "./model.ts";
import { notFound, notImplemented, Refusal } from "./refusal.ts";
import type { ImageSource, Runtime } from "./runtime.ts";

const regions = ["frankfurt", "ohio", "oregon", "singapore", "virginia"];
const registries = ["AWS_ECR", "DOCKER", "GITHUB", "GITLAB", "GOOGLE_ARTIFACT"];

// What requests bring. Nothing in it can be relied on to be there.
export type CredentialInput = Partial<Pick<Credential, "name" | "registry" | "username" | "authToken"> & { ownerId: string }>;
export type EnvVarInput = { key?: string; value?: string; generateValue?: boolean }[] | null;
export type DiskInput = Partial<Pick<Disk, "name" | "mountPath" | "sizeGB">>;

export interface ServiceInput {
    type?: string;
    ownerId?: string;
    name?: string;
    image?: { imagePath?: string; registryCredentialId?: string };
    envVars?: EnvVarInput;
    secretFiles?: unknown[] | null;
    serviceDetails?: {
        runtime?: string;
        plan?: string;
        region?: string;
        disk?: DiskInput;
        numInstances?: number;
        maxShutdownDelaySeconds?: number;
        preDeployCommand?: string;
        envSpecificDetails?: { dockerCommand?: string };
    };
}

function need(value: string | undefined, name: string): string {
    if (!value) throw new Refusal(400, `${name} is required`);
    return value;
}

function oneOf(value: string | undefined, name: string, allowed: string[]): string {
    const given = need(value, name);
    if (!allowed.includes(given)) throw new Refusal(400, `invalid ${name}: ${given}`);
    return given;
}

function between(low: number, high: number, value: number | undefined, name: string): number {
    if (value === undefined || !Number.isInteger(value) || value < low || value > high) {
        throw new Refusal(400, `${name} must be between ${low} and ${high}`);
    }
    return value;
}

const shutdownDelay = (seconds?: number) => (seconds === undefined ? undefined : between(1, 300, seconds, "maxShutdownDelaySeconds"));

function environmentOf(variables: EnvVarInput = null): Record<string, string> {
    return Object.fromEntries(
        (variables ?? []).map(({ key, value = "", generateValue }) => {
            if (generateValue) throw notImplemented("generated environment variables");
            return [need(key, "env var key"), value];
        }),
    );
}

/** Refuses what the real API takes and nobody here runs, lest a test believe that it had an effect. */
function refuseUnsupported({ type = "private_service", secretFiles, serviceDetails = {} }: ServiceInput): void {
    const { runtime = "image", numInstances = 1, preDeployCommand, envSpecificDetails } = serviceDetails;
    if (type !== "private_service") throw notImplemented(`services of type ${type}`);
    if (runtime !== "image") throw notImplemented(`runtime ${runtime}`);
    if (numInstances !== 1) throw notImplemented("second instances");
    if (preDeployCommand) throw notImplemented("pre-deploy commands");
    if (envSpecificDetails?.dockerCommand) throw notImplemented("Docker commands");
    if (secretFiles?.length) throw notImplemented("secret files");
}

/** A disk, or what becomes of one; its size may grow only. */
function putDisk({ name, mountPath, sizeGB }: DiskInput, old?: Disk): Disk {
    const size = between(1, 1000, sizeGB, "disk sizeGB");
    if (old && size < old.sizeGB) throw new Refusal(400, "disk size cannot be decreased");
    const path = need(mountPath, "disk mountPath");
    if (!path.startsWith("/")) throw new Refusal(400, "disk mountPath must be absolute");
    const { id = newId("dsk"), createdAt = now() } = old ?? {};
    return { id, name: need(name, "disk name"), mountPath: path, sizeGB: size, createdAt, updatedAt: now() };
}

export class Workspace {
    readonly ownerId: string;
    readonly deploys: Deploys;
    readonly credentials = new Map<string, Credential>();
    readonly services = new Map<string, Service>();
    /** Services of other types, which somebody has made in the dashboard: as the JSON that lists show. */
    readonly others: { name: string; type: string; [key: string]: unknown }[] = [];
    /** By the service's id: what its log says, the oldest first, its custom domains, and how full its disk is, from 0 to 1. */
    readonly logs = new Map<string, string[]>();
    readonly domains = new Map<string, string[]>();
    readonly diskUse = new Map<string, number>();
    /** What is mailed about a service, by its id; of those that nobody has told, what the workspace's default says. */
    readonly notifications = new Map<string, string>();
    /** Whether the workspace has a payment card. Without one nothing can be made in it. */
    hasCard = true;
    private readonly runtime: Runtime;

    constructor(ownerId: string, runtime: Runtime) {
        this.ownerId = ownerId;
        this.runtime = runtime;
        this.deploys = new Deploys(runtime);
    }

    // --- Registry credentials ------------------------------------------------------------------------------------

    credential(id: string): Credential {
        const credential = this.credentials.get(id);
        if (!credential) throw notFound(id);
        return credential;
    }

    createCredential(input: CredentialInput): Credential {
        this.checkOwner(input.ownerId);
        this.checkCard();
        return this.putCredential(newId("rgc"), input);
    }

    updateCredential(id: string, input: CredentialInput): Credential {
        return this.putCredential(this.credential(id).id, input);
    }

    /** Services that pull with it stay, and their next deploy is without it. */
    deleteCredential(id: string): void {
        this.credentials.delete(this.credential(id).id);
    }

    private putCredential(id: string, { name, registry, username, authToken }: CredentialInput): Credential {
        const credential = {
            id,
            name: need(name, "name"),
            registry: oneOf(registry, "registry", registries),
            username: need(username, "username"),
            authToken: need(authToken, "authToken"),
            updatedAt: now(),
        };
        this.credentials.set(id, credential);
        return credential;
    }

    // --- Services ------------------------------------------------------------------------------------------------

    service(id: string): Service {
        const service = this.services.get(id);
        if (!service) throw notFound(id);
        return service;
    }

    find(name: string): Service | undefined {
        return [...this.services.values()].find((service) => service.name === name);
    }

    async createService(input: ServiceInput): Promise<{ service: Service; deploy: Deploy }> {
        refuseUnsupported(input);
        this.checkOwner(input.ownerId);
        this.checkCard();
        const { plan, region, disk, maxShutdownDelaySeconds } = input.serviceDetails ?? {};
        const name = need(input.name, "name");
        const service: Service = {
            id: newId("srv"),
            ownerId: this.ownerId,
            name,
            slug: newSlug(name),
            plan: need(plan, "plan"),
            region: oneOf(region, "region", regions),
            maxShutdownDelaySeconds: shutdownDelay(maxShutdownDelaySeconds),
            environment: environmentOf(input.envVars),
            disk: disk && putDisk(disk),
            deploys: [],
            createdAt: now(),
            updatedAt: now(),
            ...(await this.image(input.image)),
        };
        this.checkName(service.id, name); // after the last wait: two requests at once are one too many
        this.services.set(service.id, service);
        return { service, deploy: this.deploy(service) };
    }

    /** Changes what is given and starts no deploy. */
    async updateService(id: string, input: ServiceInput): Promise<Service> {
        const service = this.service(id);
        refuseUnsupported(input);
        const { plan = service.plan, maxShutdownDelaySeconds = service.maxShutdownDelaySeconds } = input.serviceDetails ?? {};
        const changes = {
            name: need(input.name ?? service.name, "name"),
            plan: need(plan, "plan"),
            maxShutdownDelaySeconds: shutdownDelay(maxShutdownDelaySeconds),
            ...(input.image && (await this.image(input.image))),
        };
        this.checkName(id, changes.name);
        return Object.assign(service, changes, { updatedAt: now() });
    }

    /** Replaces the whole environment and starts no deploy. */
    updateEnvironment(id: string, variables: EnvVarInput): Service {
        return Object.assign(this.service(id), { environment: environmentOf(variables), updatedAt: now() });
    }

    /** Deploys a service as it stands. */
    deploy(service: Service): Deploy {
        const { id, slug, disk, plan, region, maxShutdownDelaySeconds = 30 } = service;
        return this.deploys.add(service, {
            serviceId: id,
            slug,
            image: this.source(service.imagePath, service.credentialId),
            environment: fullEnvironment(service),
            disk: disk && { id: disk.id, mountPath: disk.mountPath, sizeGB: disk.sizeGB },
            plan,
            region,
            maxShutdownDelaySeconds,
        });
    }

    /** Its disk goes with it. */
    deleteService(id: string): void {
        const service = this.service(id);
        this.services.delete(id);
        this.deploys.remove(service);
    }

    // --- Disks ---------------------------------------------------------------------------------------------------

    /** The service that has this disk. */
    withDisk(id: string): ServiceWithDisk {
        const service = [...this.services.values()].find(({ disk }) => disk?.id === id);
        if (!service) throw notFound(id);
        return service as ServiceWithDisk;
    }

    updateDisk(id: string, input: DiskInput): ServiceWithDisk {
        const service = this.withDisk(id);
        return Object.assign(service, { disk: putDisk({ ...service.disk, ...input }, service.disk) });
    }

    // --- Rules ---------------------------------------------------------------------------------------------------

    private checkOwner(ownerId: string | undefined): void {
        if (need(ownerId, "ownerId") !== this.ownerId) throw new Refusal(400, "invalid ownerId");
    }

    /** In Render's own words (cloudy-sky-software/pulumi-render#363). */
    private checkCard(): void {
        if (this.hasCard) return;
        throw new Refusal(402, "Payment information is required to complete this request. To add a card, visit https://dashboard.render.com/billing");
    }

    private checkName(id: string, name: string): void {
        const other = this.find(name);
        if (other && other.id !== id) throw new Refusal(409, `service name already in use: ${name}`);
    }

    private source(reference: string, credentialId = ""): ImageSource {
        const credential = this.credentials.get(credentialId);
        return { reference, credential: credential && { username: credential.username, authToken: credential.authToken } };
    }

    private async image({ imagePath, registryCredentialId }: NonNullable<ServiceInput["image"]> = {}): Promise<Pick<Service, "imagePath" | "credentialId">> {
        const path = need(imagePath, "image.imagePath");
        if (registryCredentialId && !this.credentials.has(registryCredentialId)) throw new Refusal(400, "invalid registryCredentialId");
        if (!(await this.runtime.has(this.source(path, registryCredentialId)))) throw new Refusal(400, `unable to fetch image: ${path}`);
        return { imagePath: path, credentialId: registryCredentialId };
    }
}
