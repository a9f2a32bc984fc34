/** Before the container tests: base images, then the images of this repository and of the stand-ins. */
import { spawnSync } from "node:child_process";
import { removeProjects } from "../engine/pulumi";
import { buildImage, clearUp, contexts, onStandIn, ownsRun, repository } from "./docker";

// Ryuk, Testcontainers' own janitor, is one more image to pull; clearUp() does its work.
process.env.TESTCONTAINERS_RYUK_DISABLED = "true";

async function removeAll() {
    await removeProjects();
    await clearUp();
}

export default async function setup() {
    await removeAll();
    const bases = spawnSync(`${repository}test/containers/bases/build.sh`, { stdio: "inherit" });
    if (bases.status !== 0) throw new Error("The base images are missing, see above.");
    for (const name of Object.keys(contexts) as (keyof typeof contexts)[]) {
        console.log(`Building an image from ${contexts[name]}/`);
        await buildImage(name);
        if (await onStandIn(name)) console.log(`  on a stand-in of its base image`);
    }
    if (!ownsRun()) return undefined;
    return removeAll;
}
