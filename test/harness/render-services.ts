/** This project's two services at a stand-in of Render that runs nothing. */
import { serviceNames, type ServiceName } from "./settings.ts";
import type { RenderApi } from "../stand-ins/render/api.ts";
import type { Runtime } from "../stand-ins/render/runtime.ts";

const nothing = () => Promise.resolve();
export const idle: Runtime = { has: () => Promise.resolve(true), pull: nothing, start: nothing, remove: nothing, removeDisk: nothing };

/** Makes both with a registry credential, their deploys live and their disks nearly empty; gives their ids. */
export async function deployServices({ workspace }: RenderApi, stackName: string): Promise<Record<ServiceName, string>> {
    const { ownerId } = workspace;
    const { id: registryCredentialId } = workspace.createCredential({
        name: "registry",
        registry: "GITHUB",
        username: "octo-cat",
        authToken: "token",
        ownerId,
    });
    const made = await Promise.all(
        serviceNames.map(async (name) => {
            const { service } = await workspace.createService({
                name: `${name}-${stackName}`,
                ownerId,
                image: { imagePath: `ghcr.io/octo-cat/${name}-${stackName}@sha256:${"a".repeat(64)}`, registryCredentialId },
                serviceDetails: { plan: "starter", region: "oregon", disk: { name: "disk", mountPath: "/data", sizeGB: 5 } },
            });
            workspace.diskUse.set(service.id, 0.1);
            return [name, service.id] as const;
        }),
    );
    await workspace.deploys.settled();
    return Object.fromEntries(made) as Record<ServiceName, string>;
}
