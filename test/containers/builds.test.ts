/** What the images aren't built of, and what Git for Windows makes of this repository. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { contexts, engine, imageOfRun, repository, takeImitatedDigests } from "../harness/docker.ts";

function temporaryFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), "private-hermes-windows-"));
    onTestFinished(() => {
        rmSync(folder, { recursive: true, force: true });
    });
    return folder;
}

function git(...args: string[]) {
    const { status, stdout, stderr } = spawnSync("git", args, { encoding: "utf8" });
    return { status, printed: stdout + stderr };
}

test("a clone by Git for Windows, with its default of core.autocrlf=true, has no Windows line ends", ({ skip }) => {
    skip(git("-C", repository, "rev-parse").status !== 0, "this isn't a clone, but an archive");
    const clone = join(temporaryFolder(), "clone");
    expect(git("clone", "--quiet", "-c", "core.autocrlf=true", repository, clone).printed).toBe("");
    const lines = git("-C", clone, "ls-files", "--eol").printed.split("\n");
    expect(lines.length).toBeGreaterThan(100);
    expect(lines.filter((line) => / w\/(crlf|mixed) /.test(line))).toEqual([]);
});

/** Builds an image of its folder with one file changed; gives what went wrong, in which BuildKit quotes the step that failed. */
async function refusals(name: "hermes" | "openWebUi", file: string, change: (text: string) => string) {
    const folder = temporaryFolder();
    cpSync(join(repository, contexts[name]), folder, { recursive: true });
    await takeImitatedDigests(folder);
    const path = join(folder, file);
    const before = readFileSync(path, "utf8");
    writeFileSync(path, change(before));
    expect(readFileSync(path, "utf8")).not.toBe(before);
    rmSync(join(folder, ".dockerignore"), { force: true }); // dockerode would keep the Dockerfile back, too
    const docker = await engine();
    const output = await docker.buildImage({ context: folder, src: readdirSync(folder) }, { version: "2", t: imageOfRun("refused"), platform: "linux/amd64" });
    const events = await new Promise<{ error?: string }[]>((resolve) => {
        docker.modem.followProgress(output, (_, all) => {
            resolve(all as { error?: string }[]);
        });
    });
    return events.map(({ error }) => error);
}

test.for(["hermes", "openWebUi"] as const)("a build of %s from files with Windows line ends is refused with a sentence", async (name) => {
    const refused = await refusals(name, "entrypoint.sh", (text) => text.replaceAll("\n", "\r\n"));
    expect(refused).toContainEqual(expect.stringMatching(/Windows line ends \(CRLF\)[^]*exit code: 1/));
});

test("an image of Hermes that doesn't keep a promise of config.yaml isn't built", async () => {
    const refused = await refusals("hermes", "config.yaml", (text) => text.replace("inline_shell: false", "inline_shell: true"));
    expect(refused).toContainEqual(expect.stringMatching(/prove\.py[^]*exit code: 1/));
});
