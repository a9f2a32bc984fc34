/** What Git for Windows makes of this repository, and what both images make of files with Windows' line ends. */
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

test.for(["hermes", "openWebUi"] as const)("a build of %s from files with Windows line ends is refused with a sentence", async (name) => {
    const folder = temporaryFolder();
    cpSync(join(repository, contexts[name]), folder, { recursive: true });
    await takeImitatedDigests(folder);
    const script = join(folder, "entrypoint.sh");
    writeFileSync(script, readFileSync(script, "utf8").replaceAll("\n", "\r\n"));
    rmSync(join(folder, ".dockerignore"), { force: true }); // dockerode would keep the Dockerfile back, too
    const docker = await engine();
    const output = await docker.buildImage({ context: folder, src: readdirSync(folder) }, { version: "2", t: imageOfRun("windows"), platform: "linux/amd64" });
    const events = await new Promise<{ error?: string }[]>((resolve) => {
        docker.modem.followProgress(output, (_, all) => {
            resolve(all as { error?: string }[]);
        });
    });
    // BuildKit quotes the step that failed.
    expect(events.map(({ error }) => error)).toContainEqual(expect.stringMatching(/Windows line ends \(CRLF\)[^]*exit code: 1/));
});
