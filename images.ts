/** The images of the two services: built here, pulled by Render. */
import * as docker from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "./config.ts";

/** Builds a folder of this repository and pushes it; the digest changes with the folder's content. */
export const buildImage = (name: string, folder: string, { imageBase, imageRegistry, ghcrUser, ghcrToken }: Settings) =>
    new docker.Image(
        name,
        {
            context: { location: folder },
            platforms: ["linux/amd64"], // All that Render runs, also when the laptop is an ARM one.
            tags: [`${imageBase}/${name}:latest`],
            push: true,
            registries: [{ address: imageRegistry.split("/")[0], username: ghcrUser, password: pulumi.secret(ghcrToken) }],
        },
        // Run with another DOCKER_HOST, docker-build replaces an image: it pushes the same digest once more, and would
        // then delete it as the old one's, although Render pulls it at every start.
        { retainOnDelete: true },
    );
