import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Commands } from "../harness/commands.ts";
import { engine } from "../harness/docker.ts";
import { ensureEngine } from "../harness/host.ts";

vi.mock(import("../harness/docker.ts"), () => ({ engine: vi.fn() }));

// The real thing was tried on a bare Debian. Here: what it says and where, what it asks apt-get for, and that the daemon ends.
describe.skipIf(process.platform !== "linux")("a machine on which no Docker engine answers", () => {
    let commands: Commands;
    const path = (name: string) => join(commands.folder, name);
    const lines = (name: string) => (existsSync(path(name)) ? readFileSync(path(name), "utf8").trim().split("\n") : []);
    /** A command, as a script. */
    const script = (name: string, ...text: string[]) => {
        writeFileSync(path(name), ["#!/bin/bash", `cd ${commands.folder}`, ...text, ""].join("\n"), { mode: 0o755 });
    };

    beforeEach(() => {
        commands = new Commands();
        vi.stubEnv("PATH", commands.folder);
        vi.stubEnv("DOCKER_HOST", undefined);
        vi.spyOn(process, "getuid").mockReturnValue(0);
        vi.spyOn(console, "log").mockReturnValue();
        for (const name of ["setpriv", "cp", "rm", "sleep"]) symlinkSync(join("/usr/bin", name), path(name));
        script("ps");
        // What it installs is what a package of Debian brings: the daemon with its client.
        script("apt-get", 'echo "$*" >>apt', "if [[ $* == *docker.io* ]]; then cp later dockerd; cp later docker; fi");
        script("later", "trap 'rm up; echo ended >>daemon; exit 0' TERM", 'echo "started $*" >>daemon; >up', "while :; do sleep 0.02; done");
        vi.mocked(engine).mockImplementation(() => (existsSync(path("up")) ? Promise.resolve({} as never) : Promise.reject(new Error("no engine"))));
    });
    afterEach(() => {
        vi.restoreAllMocks();
        vi.unstubAllEnvs();
        commands.remove();
    });

    test("as root on Debian it installs Docker, says so, starts it, and ends it", async () => {
        const end = await ensureEngine();
        expect(lines("apt")).toEqual(["update", "install --yes --no-install-recommends docker.io"]);
        const said = vi.mocked(console.log).mock.calls.map(([line]) => line as string);
        expect(said).toEqual([expect.stringMatching(/^Installing docker\.io/), expect.stringMatching(/^Starting a Docker daemon/)]);
        await end();
        expect(lines("daemon")).toEqual(["started ", "ended"]);
    });

    test("one that answers is left alone, also at the end", async () => {
        writeFileSync(path("up"), "");
        await (
            await ensureEngine()
        )();
        expect([lines("apt"), lines("daemon")]).toEqual([[], []]);
        expect(existsSync(path("up"))).toBe(true);
    });

    test("a daemon that doesn't start: the end of its log, and a sentence", async () => {
        script("later", "echo no cgroup >&2; exit 1");
        await expect(ensureEngine()).rejects.toThrow(/no cgroup\n.*daemon doesn't start/);
    });

    test("what apt-get says, when it fails", async () => {
        script("apt-get", "echo 'E: no network' >&2; exit 100");
        await expect(ensureEngine()).rejects.toThrow(/apt-get can't install docker\.io: E: no network/);
    });

    test.for<[where: string, arrange: () => void, says: RegExp]>([
        [
            "by somebody else than root",
            () => vi.mocked(process.getuid as () => number).mockReturnValue(1000),
            /docs\.docker\.com\/engine\/install.*as root on Debian or Ubuntu/,
        ],
        ["on another Linux", () => commands.uninstall("apt-get"), /docs\.docker\.com\/engine\/install/],
        ["where DOCKER_HOST says that it is elsewhere", () => vi.stubEnv("DOCKER_HOST", "tcp://far:1"), /DOCKER_HOST, tcp:\/\/far:1/],
        [
            "on a Mac",
            () => {
                commands.uninstall("apt-get");
                vi.stubGlobal("process", { ...process, env: process.env, platform: "darwin" });
            },
            /Docker Desktop.*mac-install/,
        ],
        [
            "on Windows",
            () => {
                commands.uninstall("apt-get");
                vi.stubGlobal("process", { ...process, env: process.env, platform: "win32" });
            },
            /Docker Desktop.*windows-install/,
        ],
    ])("%s it installs nothing and says where to get it", async ([, arrange, says]) => {
        arrange();
        try {
            await expect(ensureEngine()).rejects.toThrow(says);
        } finally {
            vi.unstubAllGlobals();
        }
        expect(lines("apt")).toEqual([]);
    });
});
