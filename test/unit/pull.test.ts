/** A pull to this machine that this machine can't take. The services' shells are a command `ssh`. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { pullBoth, pullOpen } from "../../pull.ts";
import { ShellFailed } from "../../shell.ts";

vi.mock(import("node:fs"), async (original) => {
    const actual = await original();
    return { ...actual, createWriteStream: vi.fn(actual.createWriteStream) };
});

const services = ["Hermes", "Open WebUI"].map((title, index) => ({ title, id: `srv-${index}`, region: "oregon" }));
let folder: string;
let to: string;

beforeEach(() => {
    folder = fs.mkdtempSync(join(tmpdir(), "private-hermes-unit-"));
    to = join(folder, "backups");
    // A member a.txt of each service's name, as `backup open` prints it.
    fs.writeFileSync(
        join(folder, "ssh"),
        `#!/bin/sh\nfor host; do case $host in srv-*) break ;; esac; done\nmkdir -p '${folder}'/$host && cd '${folder}'/$host && echo said >$host.txt && tar -czf - $host.txt\n`,
    );
    fs.chmodSync(join(folder, "ssh"), 0o755);
    vi.stubEnv("PATH", `${folder}:${process.env.PATH ?? ""}`);
});
afterEach(() => {
    vi.mocked(fs.createWriteStream).mockReset();
    vi.unstubAllEnvs();
    fs.rmSync(folder, { recursive: true });
});

test("a disk that is full is said, and nothing of it stays", async () => {
    const full = () =>
        new Writable({
            write: (_, __, done) => {
                done(Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" }));
            },
        });
    vi.mocked(fs.createWriteStream).mockImplementation(full as never);
    const error: unknown = await pullBoth(services, to, "password").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ShellFailed);
    expect(`${(error as ShellFailed).message}: ${(error as ShellFailed).fix}`).toMatch(/Hermes: this machine's disk is full: make room where .*--to/);
    expect(fs.readdirSync(to)).toEqual([]);
});

test("what a run that was killed has left there goes with the next; what another one is at stays", async () => {
    fs.mkdirSync(to);
    // The id of a process that has ended, and of one that runs.
    const [gone, there] = ["999999999", String(process.ppid)].map((pid) => join(to, `.pull-${pid}-abc`));
    for (const each of [gone, there]) fs.mkdirSync(each);
    const target = await pullOpen(services, to);
    expect(fs.readdirSync(target).toSorted()).toEqual(["srv-0@ssh.oregon.render.com.txt", "srv-1@ssh.oregon.render.com.txt"]);
    expect(fs.existsSync(gone)).toBe(false);
    expect(fs.existsSync(there)).toBe(true);
});

test("Ctrl-C leaves nothing of it", async () => {
    fs.writeFileSync(join(folder, "ssh"), "#!/bin/sh\nwhile kill -0 $PPID; do sleep 0.1; done 2>/dev/null\n");
    const program = `import { pullOpen } from ${JSON.stringify(new URL("../../pull.ts", import.meta.url).href)}; await pullOpen(${JSON.stringify(services)}, ${JSON.stringify(to)});`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: "ignore" });
    const ended = once(child, "exit");
    await expect.poll(() => fs.existsSync(to) && fs.readdirSync(to).length, { timeout: 30_000 }).toBe(1);
    child.kill("SIGINT");
    expect(await ended).toEqual([130, null]);
    expect(fs.readdirSync(to)).toEqual([]);
});
