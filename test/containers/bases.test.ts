/** Base images that Renovate has pinned by digest: where no registry answers, the stand-in serves that has the name and tag. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { buildFrom, contexts, engine, ensureBases, imageOfRun, repository } from "../harness/docker.ts";

test("a Dockerfile with digests is built on what bases/build.sh has made sure of", async () => {
    const folder = mkdtempSync(join(tmpdir(), "private-hermes-pinned-"));
    onTestFinished(() => {
        rmSync(folder, { recursive: true });
    });
    const [, name] = /^FROM (python:[^\s@]+)/m.exec(readFileSync(join(repository, contexts.hermes, "Dockerfile"), "utf8")) ?? [];
    const docker = await engine();
    const base = await docker.getImage(name).inspect();
    // A stand-in has none.
    const pinned = `${name}@${base.RepoDigests[0]?.split("@")[1] ?? `sha256:${"0".repeat(64)}`}`;
    const dockerfile = join(folder, "Dockerfile");
    writeFileSync(dockerfile, `FROM ${pinned}\nCOPY --from=${pinned} /etc/os-release /\n`);
    await ensureBases(dockerfile);
    await buildFrom(folder, imageOfRun("pinned"));
    const built = await docker.getImage(imageOfRun("pinned")).inspect();
    expect(built.RootFS.Layers?.slice(0, -1)).toEqual(base.RootFS.Layers);
});
