/**
 * Both services with the versions that an upgrade comes from, those of test/harness/previous.json: Hermes from
 * test/harness/previous-hermes/, Open WebUI with Tailscale from this repository's folder with these versions in the place of the
 * pinned ones.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServiceName, unconfined } from "./settings.ts";
import { previous } from "./versions.ts";
import { buildFrom, ensureBases, imageOfRun, repository, withoutImitatedDigests, type ContainerSpec } from "./docker.ts";

/** Replaces the version in a name of a base image, which must be there. */
function exchange(text: string, image: string, tag: string): string {
    const pattern = new RegExp(`(?<=^FROM \\S*${image}:)\\S+`, "m");
    if (!pattern.test(text)) throw new Error(`no FROM names ${image}`);
    return text.replace(pattern, tag);
}

/**
 * Leaves out the steps that change Open WebUI itself, for they fit the pinned version alone; an upgrade is about its data. Without them it asks
 * Hermes by itself, and so runs without the kernel's filter.
 */
function unchanged(dockerfile: string): string {
    const steps = dockerfile.match(/^RUN (?:.*\\\n)*.*\n/gm) ?? [];
    const changing = steps.filter((step) => /page\/build\.py|private\.seams|app_start/.test(step));
    if (changing.length !== 3) throw new Error("the steps that change Open WebUI aren't the three that were here");
    return changing.reduce((text, step) => text.replace(step, ""), dockerfile);
}

/** Builds both, on base images that are pulled or imitated as those of the pinned versions are. */
export async function buildPrevious(): Promise<Record<ServiceName, ContainerSpec["image"]>> {
    const folder = await mkdtemp(join(tmpdir(), "private-hermes-previous-"));
    try {
        await cp(`${repository}openwebui`, folder, { recursive: true });
        const dockerfiles = [`${repository}test/harness/previous-hermes/Dockerfile`, join(folder, "Dockerfile")];
        const pinned = unchanged(await readFile(dockerfiles[1], "utf8"));
        await writeFile(dockerfiles[1], exchange(exchange(pinned, "tailscale", `v${previous.tailscale}`), "open-webui", `v${previous["open-webui"]}-slim`));
        await writeFile(join(folder, "confined.py"), unconfined);
        await ensureBases(...dockerfiles);
        const images = { hermes: imageOfRun("previous-hermes"), "open-webui": imageOfRun("previous-open-webui") };
        const RESTIC = /^FROM (\S+) AS restic$/m.exec(await withoutImitatedDigests(await readFile(`${repository}hermes/Dockerfile`, "utf8")))?.[1] ?? "";
        const ofHermes = join(folder, "hermes");
        await cp(`${repository}test/harness/previous-hermes`, ofHermes, { recursive: true });
        for (const name of ["backup.py", "backup.exclude", "confined.py"]) await cp(`${repository}hermes/${name}`, join(ofHermes, name));
        await buildFrom(ofHermes, images.hermes, "test/harness/previous-hermes", { VERSION: previous["hermes-agent"], RESTIC });
        await rm(ofHermes, { recursive: true });
        await buildFrom(folder, images["open-webui"], folder);
        return { hermes: { reference: images.hermes }, "open-webui": { reference: images["open-webui"] } };
    } finally {
        await rm(folder, { recursive: true });
    }
}
