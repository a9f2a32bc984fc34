/** Before the container tests: a Docker engine, base images, then the images of this repository and of the stand-ins. */
import { removeProjects } from "./pulumi.ts";
import { ensureEngine } from "./host.ts";
import { buildImage, clearUp, contexts, ensureBases, onStandIn, ownsRun } from "./docker.ts";

// Ryuk, Testcontainers' own janitor, is one more image to pull; clearUp() does its work.
process.env.TESTCONTAINERS_RYUK_DISABLED = "true";

async function removeAll() {
    await removeProjects();
    await clearUp();
}

export default async function setup() {
    const endEngine = await ensureEngine();
    await removeAll();
    await ensureBases();
    console.log("Building images:");
    // Side by side: one waits for downloads while another compiles.
    const build = async (name: keyof typeof contexts) => {
        await buildImage(name);
        console.log(`  from ${contexts[name]}/${(await onStandIn(name)) ? ", on a stand-in of its base image" : ""}`);
    };
    await Promise.all((Object.keys(contexts) as (keyof typeof contexts)[]).map(build));
    if (!ownsRun()) return undefined;
    return async () => {
        await removeAll();
        await endEngine();
    };
}
