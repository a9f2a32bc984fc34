/**
 * Asks the stand-in of Render's API what Render's provider asks, with the same bodies. Each test has an empty workspace
 * but for one registry credential. The runtime is one that starts nothing: what containers do is the rehearsal's business.
 */
import { afterEach, beforeEach, expect, type Mock, vi } from "vitest";
import { RenderApi } from "../stand-ins/render/api.ts";
import type { Release, Runtime } from "../stand-ins/render/runtime.ts";

export const apiKey = "key-of-the-workspace";
export const ownerId = "tea-c1a2b3c4d5e6f7g8h9i0";
export const token = "token-of-octo-cat";
export const image = `ghcr.io/octo-cat/hermes@sha256:${"a".repeat(64)}`;
export const newImage = `ghcr.io/octo-cat/hermes@sha256:${"b".repeat(64)}`;
export const disk = { mountPath: "/opt/data", name: "hermes-data", sizeGB: 5 };
export const secret = "value-of-a-secret-variable";
export const variables = { PORT: "8642", API_SERVER_KEY: secret };

export let runtime: { [Method in keyof Runtime]: Mock<Runtime[Method]> };
export let api: RenderApi;
export let credentialId: string;

beforeEach(async () => {
    runtime = {
        // The registry has both images, for the holder of the token.
        has: vi.fn(({ reference, credential }) => Promise.resolve([image, newImage].includes(reference) && credential?.authToken === token)),
        pull: vi.fn(() => Promise.resolve()),
        start: vi.fn(() => Promise.resolve()),
        remove: vi.fn(() => Promise.resolve()),
        removeDisk: vi.fn(() => Promise.resolve()),
    };
    api = await RenderApi.start(apiKey, ownerId, runtime);
    credentialId = ((await ask("POST", "/registrycredentials", credential())).body as { id: string }).id;
});

afterEach(() => api.close());

interface Answer {
    status: number;
    /** Nothing for an empty one. */
    body?: unknown;
}

interface Options {
    bearer?: string;
    signal?: AbortSignal;
}

export async function ask(method: string, path: string, body?: unknown, { bearer = apiKey, signal }: Options = {}): Promise<Answer> {
    const headers = { authorization: `Bearer ${bearer}` };
    const response = await fetch(`${api.url}${path}`, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
    const answer = await response.text();
    return { status: response.status, body: answer === "" ? undefined : JSON.parse(answer) };
}

export const credential = (changes = {}) => ({ authToken: token, name: "registry", ownerId, registry: "GITHUB", username: "Octo-Cat", ...changes });

export const envVars = (values: Record<string, string>) => Object.entries(values).map(([key, value]) => ({ key, value }));

/** What the provider sends to create a service. */
export const newService = (changes: object = {}, details: object = {}) => ({
    envVars: envVars(variables),
    image: { imagePath: image, ownerId: "", registryCredentialId: credentialId },
    name: "hermes",
    ownerId,
    rootDir: "",
    secretFiles: null,
    serviceDetails: {
        disk,
        envSpecificDetails: {},
        maxShutdownDelaySeconds: 60,
        numInstances: 1,
        plan: "starter",
        previews: {},
        pullRequestPreviewsEnabled: "no",
        region: "oregon",
        runtime: "image",
        ...details,
    },
    type: "private_service",
    ...changes,
});

/** What the provider sends to update one. */
export const changedService = (changes: object = {}, details: object = {}) => ({
    image: { imagePath: newImage, ownerId, registryCredentialId: credentialId },
    name: "hermes",
    rootDir: "",
    serviceDetails: {
        envSpecificDetails: { dockerCommand: "" },
        maxShutdownDelaySeconds: 60,
        plan: "starter",
        preDeployCommand: "",
        previews: {},
        pullRequestPreviewsEnabled: "no",
        runtime: "image",
        ...details,
    },
    ...changes,
});

export interface ServiceJson {
    id: string;
    slug: string;
    imagePath: string;
    registryCredential?: object;
    serviceDetails: { url: string; disk?: { id: string; sizeGB: number } };
}

/** Creates a service. Its first deploy has yet to begin or to end. */
export async function create(changes: object = {}, details: object = {}): Promise<ServiceJson & { diskId: string }> {
    const { status, body } = await ask("POST", "/services", newService(changes, details));
    expect(status).toBe(201);
    const { service } = body as { service: ServiceJson };
    return { ...service, diskId: service.serviceDetails.disk?.id ?? "" };
}

/** Creates a service whose first deploy is live. */
export async function createLive() {
    const service = await create();
    await api.workspace.deploys.settled();
    return service;
}

export const read = async (id: string) => (await ask("GET", `/services/${id}`)).body as ServiceJson;
export const deploy = (id: string) => ask("POST", `/services/${id}/deploys`, {});

export const deploysOf = async (id: string) =>
    ((await ask("GET", `/services/${id}/deploys`)).body as { deploy: { id: string; status: string; finishedAt: string | null } }[]).map((item) => item.deploy);

/** The newest first. */
export const statusesOf = async (id: string) => (await deploysOf(id)).map(({ status }) => status);

/** Makes the next call of a mock wait for the test. */
export function hold<Result>(mock: Mock<(...args: never[]) => Promise<Result>>) {
    let end!: (result: Result | PromiseLike<Result>) => void;
    const held = new Promise<Result>((resolve) => (end = resolve));
    const before = mock.mock.calls.length;
    mock.mockImplementationOnce(() => held);
    return {
        end,
        reached: () =>
            vi.waitFor(() => {
                expect(mock.mock.calls.length).toBeGreaterThan(before);
            }),
    };
}

export const lastRelease = () => runtime.start.mock.lastCall?.[0] as Release;
