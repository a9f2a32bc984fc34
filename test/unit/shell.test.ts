/** The shells of the services, over a command `ssh` that says what OpenSSH's client says. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { backupCommand, inShell, ShellFailed } from "../../shell.ts";

const service = { title: "Hermes", id: "srv-d4abc", region: "frankfurt" };
let folder: string;

beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "private-hermes-unit-"));
    vi.stubEnv("PATH", `${folder}:/usr/bin:/bin`);
});
afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
});

/** Installs an `ssh` that notes its arguments and does this. */
function ssh(script: string): void {
    writeFileSync(join(folder, "ssh"), `#!/bin/sh\nprintf '%s\\n' "$@" >'${folder}/arguments'\n${script}\n`);
    chmodSync(join(folder, "ssh"), 0o755);
}

const refused = async () => {
    const error: unknown = await inShell(service, `${backupCommand} now`).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ShellFailed);
    const { message, fix } = error as ShellFailed;
    return `${message}: ${fix}`;
};

test("a command reaches the service's address with nothing to answer, and only a host whose key is known; its words and errors come back", async () => {
    ssh("echo said; echo 'backup: so' >&2");
    expect(await inShell(service, `${backupCommand} now`)).toEqual({ out: "said\n", errors: ["backup: so"] });
    const line = readFileSync(join(folder, "arguments"), "utf8").trim().split("\n");
    expect(line.slice(-2)).toEqual(["srv-d4abc@ssh.frankfurt.render.com", "/usr/local/bin/backup now"]);
    expect(line).toContain("BatchMode=yes");
    expect(line).toContain("StrictHostKeyChecking=yes");
    const known = line.find((argument) => argument.startsWith("UserKnownHostsFile="))?.slice("UserKnownHostsFile=".length) ?? "";
    expect(known).toMatch(/^"[^"]+" ~\/\.ssh\/known_hosts$/);
    expect(readFileSync(known.split('"')[1], "utf8")).toMatch(/^ssh\.frankfurt\.render\.com ssh-ed25519 /m);
});

test.for<[what: string, script: string, sentence: RegExp]>([
    [
        "a key that Render doesn't know",
        "echo 'srv-d4abc@ssh.frankfurt.render.com: Permission denied (publickey).' >&2; exit 255",
        /doesn't know your SSH key: add/,
    ],
    ["a host with another key", "echo 'Host key verification failed.' >&2; exit 255", /what answers hasn't Render's key: .*don't go on/],
    ["a name that isn't found", "echo 'ssh: Could not resolve hostname ssh.frankfurt.render.com: Name or service not known' >&2; exit 255", /can't be reached/],
    ["a service that is away", "echo 'ssh: connect to host ssh.frankfurt.render.com port 22: Connection refused' >&2; exit 255", /can't be reached/],
    ["a connection that is lost", "echo 'client_loop: send disconnect: Broken pipe' >&2; exit 255", /connection was lost: run it again/],
    ["an image without the command", "echo 'bash: line 1: /usr/local/bin/backup: No such file or directory' >&2; exit 127", /image has no .*: pulumi up/],
    ["a command that fails", "echo 'backup: The disk is odd.' >&2; exit 1", /^The disk is odd: look at its log/],
    ["one that says nothing", "exit 3", /^it ended with 3: /],
])("%s is one sentence with the way out", async ([, script, sentence]) => {
    ssh(script);
    expect(await refused()).toMatch(sentence);
});

test("so is a machine without ssh", async () => {
    vi.stubEnv("PATH", folder);
    expect(await refused()).toMatch(/ssh isn't installed: install OpenSSH's client/);
});
