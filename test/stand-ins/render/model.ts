/** What a workspace holds, and the JSON that Render's API makes of it. */
import { randomInt } from "node:crypto";

const letters = "0123456789abcdefghijklmnopqrstuv";
const random = (length: number) => Array.from({ length }, () => letters[randomInt(letters.length)]).join("");

/** An id of Render's form: what it is of, and 20 letters and digits. */
export const newId = (kind: "srv" | "dsk" | "dep" | "rgc") => `${kind}-${random(20)}`;

/** The host name of a new service. Render appends to some names what makes them unique, so everybody has to be ready for it. */
export const newSlug = (name: string) => `${name}-${random(4)}`;

export const now = () => new Date().toISOString();

export interface Credential {
    id: string;
    name: string;
    registry: string;
    username: string;
    authToken: string;
    updatedAt: string;
}

export interface Disk {
    id: string;
    name: string;
    mountPath: string;
    sizeGB: number;
    createdAt: string;
    updatedAt: string;
}

export type DeployStatus =
    | "queued"
    | "pre_deploy_in_progress"
    | "pre_deploy_failed"
    | "build_in_progress"
    | "build_failed"
    | "update_in_progress"
    | "update_failed"
    | "live"
    | "deactivated"
    | "canceled";

export interface Deploy {
    id: string;
    status: DeployStatus;
    reference: string;
    createdAt: string;
    updatedAt: string;
    finishedAt?: string;
    /** What the runtime rejected with: for the tests, Render's API doesn't tell. */
    failure?: unknown;
}

export interface Service {
    id: string;
    ownerId: string;
    name: string;
    slug: string;
    plan: string;
    region: string;
    imagePath: string;
    credentialId?: string;
    /** Render takes 30 when there is none. */
    maxShutdownDelaySeconds?: number;
    environment: Record<string, string>;
    disk?: Disk;
    /** The newest first. */
    deploys: Deploy[];
    /** What somebody has made of it in the dashboard: takes the place of what stands in its JSON. */
    byHand?: object;
    createdAt: string;
    updatedAt: string;
}

export type ServiceWithDisk = Service & { disk: Disk };

/** What a service runs with: its own variables, and Render's default port where they name none. */
export const fullEnvironment = ({ environment }: Service): Record<string, string> => ({ PORT: "10000", ...environment });

/** Without the token: Render never gives it out again. */
export const credentialJson = ({ id, name, registry, username, updatedAt }: Credential) => ({ id, name, registry, username, updatedAt });

export const diskJson = ({ id, disk }: ServiceWithDisk) => ({ ...disk, serviceId: id });

export const deployJson = ({ id, status, reference, createdAt, updatedAt, finishedAt }: Deploy) => ({
    id,
    commit: null,
    image: { ref: reference, sha: reference.split("@")[1] },
    status,
    trigger: "api",
    createdAt,
    updatedAt,
    finishedAt: finishedAt ?? null,
});

export function serviceJson(service: Service, credential?: Credential) {
    const { id, ownerId, name, slug, plan, region, imagePath, disk, maxShutdownDelaySeconds, createdAt, updatedAt } = service;
    const port = Number(fullEnvironment(service).PORT);
    return {
        id,
        type: "private_service",
        ownerId,
        name,
        slug,
        imagePath,
        registryCredential: credential && { id: credential.id, name: credential.name },
        autoDeploy: "yes", // so in recordings of services from images, although nothing deploys these
        autoDeployTrigger: "commit",
        dashboardUrl: `https://dashboard.render.com/pserv/${id}`,
        notifyOnFail: "default",
        rootDir: "",
        suspended: "not_suspended",
        suspenders: [],
        createdAt,
        updatedAt,
        serviceDetails: {
            env: "image",
            runtime: "image",
            envSpecificDetails: { dockerCommand: "", dockerContext: "", dockerfilePath: "" },
            buildPlan: "starter",
            plan,
            region,
            disk: disk && { id: disk.id, name: disk.name, mountPath: disk.mountPath, sizeGB: disk.sizeGB },
            maxShutdownDelaySeconds,
            numInstances: 1,
            openPorts: [{ port, protocol: "TCP" }],
            previews: { generation: "off" },
            pullRequestPreviewsEnabled: "no",
            url: `${slug}:${port}`,
        },
        ...service.byHand,
    };
}
