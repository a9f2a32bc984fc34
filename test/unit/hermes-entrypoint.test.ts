import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { stackOf } from "../../ops/stack.ts";
import { environmentOfImage } from "../harness/files.ts";
import { project, requiredSettings, secretSettings } from "../harness/settings.ts";

const entrypoint = fileURLToPath(new URL("../../hermes/entrypoint.sh", import.meta.url));

const goodEnv = {
    API_SERVER_KEY: "0123456789abcdef",
    OPENROUTER_API_KEY: "sk-or-v1-something",
    HERMES_MODEL: "openai/gpt-5.5",
    MODAL_TOKEN_ID: "ak-something",
    MODAL_TOKEN_SECRET: "as-something",
};

// What the image sets in the place of the program.
const defaults = environmentOfImage("hermes");

// What needs root or a machine of its own; everything else is the real command, on a temporary folder.
const fakes = {
    id: "echo 0",
    mountpoint: "exit 0",
    df: "printf 'Avail\\n1000\\n'",
    chown: 'echo "chown $*" >> "$CALLS"',
    setsid: 'exec "$@"',
    // Until it is told to end.
    haproxy: `echo "haproxy $*" >>"$CALLS"; echo $$ >"$CALLS.haproxy"; trap 'exit 0' USR1; touch "$HERMES_WAY/out/routers"; for _ in $(seq 600); do sleep 0.1; done`,
    confined: 'echo "confined $*" >> "$CALLS"; cp "$HERMES_HOME/config.yaml" "$CALLS.config"; exit 7',
};

let root: string;
let data: string;

beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "hermes-entrypoint-"));
    data = join(root, "data");
    plant("managed/config.yaml", "managed: true\n");
    for (const file of ["way/hosts.crt", "way/out/routers", "authorities"]) plant(file, "");
    mkdirSync(data);
});

afterEach(() => {
    unseal();
    rmSync(root, { recursive: true, force: true });
});

/** Lets others than root take away what is in a sealed folder. */
function unseal() {
    const folder = join(data, "platforms");
    if (existsSync(folder)) chmodSync(folder, 0o755);
}

function plant(path: string, content: string) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
}

function boot({ env = {}, commands = {} }: { env?: Record<string, string>; commands?: Record<string, string> } = {}) {
    const calls = join(root, "calls");
    rmSync(calls, { force: true });
    for (const [name, body] of Object.entries({ ...fakes, ...commands })) {
        plant(`bin/${name}`, `#!/bin/sh\n${body}\n`);
        chmodSync(join(root, "bin", name), 0o755);
    }
    const { status, stdout, stderr } = spawnSync("bash", [entrypoint], {
        encoding: "utf8",
        env: {
            ...defaults,
            PATH: `${join(root, "bin")}:/usr/bin:/bin`,
            HERMES_HOME: data,
            HERMES_MANAGED_DIR: join(root, "managed"),
            HERMES_WAY: join(root, "way"),
            SSL_CERT_FILE: join(root, "authorities"),
            CALLS: calls,
            ...env,
        },
    });
    return {
        status,
        output: stdout + stderr,
        refusals: stderr.split("\n").filter((line) => line !== ""),
        calls: existsSync(calls) ? readFileSync(calls, "utf8").trim().split("\n") : [],
    };
}

describe("refusals", () => {
    test("name everything that is missing, at once and before the disk is touched", () => {
        plant("data/.env", "TERMINAL_ENV=local\n");
        const { status, refusals, calls } = boot({ commands: { mountpoint: "exit 1" } });
        expect(status).toBe(1);
        const subjects = [/API_SERVER_KEY/, /OPENROUTER_API_KEY/, /MODAL_TOKEN_ID/, /MODAL_TOKEN_SECRET/, /HERMES_MODEL/, /No disk/];
        expect(refusals).toHaveLength(subjects.length);
        for (const subject of subjects) {
            expect(refusals.filter((line) => subject.test(line))).toHaveLength(1);
        }
        expect(calls).toEqual([]);
        expect(readFileSync(join(data, ".env"), "utf8")).toBe("TERMINAL_ENV=local\n");
    });

    test.each([
        ["API_SERVER_KEY", ""],
        ["API_SERVER_KEY", "0123456789abcde"],
        ["API_SERVER_KEY", "your_api_key_here"],
        ["API_SERVER_KEY", "YOUR_API_KEY_HERE"],
        ["API_SERVER_KEY", "0123456789abcdef\n"],
        ["OPENROUTER_API_KEY", ""],
        ["OPENROUTER_API_KEY", "sk-or-v1\nsecond line"],
        ["OPENROUTER_API_KEY", "sk-or-v1\r"],
        ["OPENROUTER_API_KEY", "sk-or-v1-abc\u200bdef"],
        ["MODAL_TOKEN_SECRET", "as-\u0430bcdef"],
        ["EXA_API_KEY", "0a1b\u00072c3d"],
        ["MODAL_TOKEN_ID", ""],
        ["MODAL_TOKEN_ID", "ak\nsecond line"],
        ["MODAL_TOKEN_SECRET", ""],
        ["MODAL_TOKEN_SECRET", "as\nsecond line"],
        ["HERMES_MODEL", ""],
        ["VOICE_MODEL", "whisper-1"],
        ["HERMES_MODEL", "openai/gpt 5.5"],
        ["HERMES_MODEL", "use openai/gpt-5.5"],
        ["HERMES_MODEL", "${OTHER}/model"],
        ["SANDBOX_CPU", "2"],
        ["SANDBOX_MEMORY_MB", "0.5-4"],
        ["SANDBOX_IDLE_MINUTES", "soon"],
        ["SANDBOX_BACKGROUND_MINUTES", "2h"],
        ["SANDBOX_NETWORK", "github.com"],
        ["SANDBOX_PACKAGES", "apt:git,$(reboot)"],
        ["SANDBOX_SECRETS", "ghp_0a1b2c3d"],
        ["SANDBOX_SECRETS", "GOOD=0a1b,bad=2c3d"],
        ["SANDBOX_SECRETS", "GOOD=0a1b\u200b"],
        ["FILE_LIMIT_MB", "10 MB"],
        ["SESSION_DAYS", "0"],
        ["JOB_MINUTES", "0"],
        ["JOBS_PER_PERSON", "many"],
        ["JOB_TURNS", "-1"],
        ["JOB_TOKENS", "1M"],
        ["TELEGRAM_HOME_CHANNEL", "1\n2"],
        ["TELEGRAM_BOT_TOKEN", "1:token\n"],
    ])("%s=%j", (name, value) => {
        const { status, refusals, calls } = boot({ env: { ...goodEnv, TELEGRAM_ALLOWED_USERS: "1", [name]: value } });
        expect(status).toBe(1);
        expect(refusals).not.toHaveLength(0);
        expect(refusals.every((line) => line.includes(name))).toBe(true);
        expect(calls).toEqual([]);
    });

    test.each(["", "*", "@somebody", "1,*", "1,,2", "1\n2"])("a Telegram bot open to TELEGRAM_ALLOWED_USERS=%j", (users) => {
        const { status, refusals } = boot({ env: { ...goodEnv, TELEGRAM_BOT_TOKEN: "1:token", TELEGRAM_ALLOWED_USERS: users } });
        expect(status).toBe(1);
        expect(refusals.every((line) => line.includes("TELEGRAM_ALLOWED_USERS"))).toBe(true);
    });

    test.each([
        ["that is a MiB too full", "printf 'Avail\\n63\\n'"],
        ["whose room can't be told", "exit 1"],
    ])("a disk %s", (_, df) => {
        const { status, refusals, calls } = boot({ env: goodEnv, commands: { df } });
        expect(status).toBe(1);
        expect(refusals).toEqual([expect.stringMatching(/less than 64 MiB/)]);
        expect(calls).toEqual([]);
    });

    test("never print a value", () => {
        const names = [...Object.keys(goodEnv), "TELEGRAM_BOT_TOKEN", "TELEGRAM_ALLOWED_USERS", "TELEGRAM_HOME_CHANNEL"];
        const { status, output } = boot({ env: Object.fromEntries(names.map((name) => [name, "canary\ncanary"])) });
        expect(status).toBe(1);
        expect(output).not.toContain("canary");
    });
});

describe("a value is judged here as by the settings' rules, which the program has its complaints from", () => {
    const variables = {
        modelDefault: "HERMES_MODEL",
        voiceModel: "VOICE_MODEL",
        sandboxPackages: "SANDBOX_PACKAGES",
        sandboxSecrets: "SANDBOX_SECRETS",
        sandboxNetwork: "SANDBOX_NETWORK",
    } as const;
    test.for<[setting: keyof typeof variables, value: string, right: boolean]>([
        ["modelDefault", "openai/gpt-5.5", true],
        ["modelDefault", "meta-llama/llama-3.3-70b-instruct:free", true],
        ["modelDefault", "~anthropic/claude-sonnet-latest", true],
        ["modelDefault", "openai/gpt-5.5@preset/careful", true],
        ["modelDefault", "openai/gpt-5.5:nitro@preset/careful", true],
        ["modelDefault", "gpt-5.5", false],
        ["modelDefault", "/gpt-5.5", false],
        ["modelDefault", "openai/", false],
        ["modelDefault", "openai/-x", false],
        ["modelDefault", "-openai/x", false],
        ["modelDefault", "~/x", false],
        ["modelDefault", "openai/~x", false],
        ["modelDefault", "openai/gpt-5.5@preset", false],
        ["modelDefault", "openai/gpt-5.5@other/x", false],
        ["modelDefault", "openrouter/openai/gpt-5.5", false],
        ["modelDefault", "openai/gpt-5.5:", false],
        ["modelDefault", "openäi/x", false],
        ["voiceModel", "none", true],
        ["voiceModel", "openai/whisper-large-v3.1_turbo", true],
        ["voiceModel", "None", false],
        ["voiceModel", "openai/whisper:free", false],
        ["voiceModel", "openai/-x", false],
        ["voiceModel", "openai/ä", false],
        ["sandboxPackages", "none", true],
        ["sandboxPackages", "apt:g++,apt:lib.x-1,pandas==2.3.3,Pillow,scikit_learn", true],
        ["sandboxPackages", "pandas==2.3.3+cpu!1", true],
        ["sandboxPackages", "apt:a", false],
        ["sandboxPackages", "apt:Git", false],
        ["sandboxPackages", "pandas>=2", false],
        ["sandboxPackages", "pandas,", false],
        ["sandboxPackages", "-r", false],
        ["sandboxPackages", "pändas", false],
        ["sandboxSecrets", "A=b,everybody:C_2=d=e", true],
        ["sandboxSecrets", "a=b", false],
        ["sandboxSecrets", "A=", false],
        ["sandboxSecrets", "A=b,", false],
        ["sandboxSecrets", "owner:A=b", false],
        ["sandboxNetwork", "none", true],
        ["sandboxNetwork", "10.0.0.0/8,1.1.1.1/32", true],
        ["sandboxNetwork", "1.1.1.1", false],
        ["sandboxNetwork", "10.0.0.0/8,", false],
        ["sandboxNetwork", "fd00::/8", false],
    ])("%s=%s", ([setting, value, right]) => {
        expect(refused({ [variables[setting]]: value })).toEqual(right ? [] : [variables[setting]]);
        expect(complained({ [setting]: value })).toEqual(right ? [] : [setting]);
    });

    test("what the rules take at most is taken", () => {
        const most = {
            sandboxCpu: ["SANDBOX_CPU", "0.125-16"],
            sandboxMemoryMb: ["SANDBOX_MEMORY_MB", "128-65536"],
            sandboxIdleMinutes: ["SANDBOX_IDLE_MINUTES", "12"],
            sandboxBackgroundMinutes: ["SANDBOX_BACKGROUND_MINUTES", "1380"],
            fileLimitMb: ["FILE_LIMIT_MB", "10"],
            sessionDays: ["SESSION_DAYS", "3650"],
            jobMinutes: ["JOB_MINUTES", "1440"],
            jobsPerPerson: ["JOBS_PER_PERSON", "1000"],
            jobTurns: ["JOB_TURNS", "90"],
            jobTokens: ["JOB_TOKENS", "100000000"],
            telegramAllowedUsers: ["TELEGRAM_ALLOWED_USERS", "1,22,333"],
        };
        const settings = Object.fromEntries(Object.entries(most).map(([setting, [, value]]) => [setting, value]));
        expect(complained({ ...settings, telegramBotToken: `123456789:${"A".repeat(35)}` })).toEqual([]);
        expect(refused({ TELEGRAM_BOT_TOKEN: "1:token", ...(Object.fromEntries(Object.values(most)) as Record<string, string>) })).toEqual([]);
    });

    /** The variables that the image refuses. It is without a disk, for what it doesn't refuse takes two seconds. */
    function refused(variables: Record<string, string>): string[] {
        const { refusals } = boot({ env: { ...goodEnv, ...variables }, commands: { mountpoint: "exit 1" } });
        expect(refusals.at(-1)).toMatch(/No disk is mounted/);
        return refusals.slice(0, -1).map((line) => line.split(" ")[1]);
    }

    /** The settings that the program complains of. */
    function complained(settings: Record<string, string>): string[] {
        const fullKey = (key: string) => `${project.name}:${key}`;
        const values = Object.fromEntries(Object.entries({ ...requiredSettings(), ...settings }).map(([key, value]) => [fullKey(key), value]));
        const { complaints } = stackOf({ name: "test", values, secretKeys: secretSettings.map(fullKey) });
        return complaints.map(({ key }) => key);
    }
});

describe("accepted", () => {
    test("Telegram with its users, on a disk that has just enough room", () => {
        const env = { ...goodEnv, TELEGRAM_BOT_TOKEN: "1:token", TELEGRAM_ALLOWED_USERS: "1, 22,333" };
        const { status, refusals } = boot({ env, commands: { df: "printf 'Avail\\n64\\n'" } });
        expect(refusals).toEqual([]);
        expect(status).toBe(7);
    });

    test("Hermes starts confined, once HAProxy is there, which ends after it", () => {
        const { status, calls } = boot({ env: goodEnv });
        expect(status).toBe(7);
        expect(calls.slice(-2)).toEqual(["haproxy -db -f /etc/egress/haproxy.cfg", "confined 10000 hermes-gateway gateway run --external-supervisor"]);
        expect(() => process.kill(Number(readFileSync(`${root}/calls.haproxy`, "utf8")), 0)).toThrow("ESRCH");
    });
});

describe("the seal", () => {
    const files = ["config.yaml", ".env", ".op.env", "auth.json", "gateway.json", "active_profile"];
    const folders = ["hooks", "plugins", "scripts", "profiles", "pairing", "platforms", "platforms/pairing", "bin", "node", "node_modules", "lsp"];
    const removed = [".managed", ".container-mode"];

    function expectSealed() {
        expect(lstatSync(data).mode & 0o7777).toBe(0o1770);
        for (const name of files) {
            const stat = lstatSync(join(data, name));
            expect([name, stat.isFile(), stat.mode & 0o7777]).toEqual([name, true, 0o444]);
        }
        for (const name of folders) {
            const stat = lstatSync(join(data, name));
            expect([name, stat.isDirectory(), stat.mode & 0o7777]).toEqual([name, true, 0o555]);
            expect(readdirSync(join(data, name))).toEqual(name === "platforms" ? ["pairing"] : []);
        }
        for (const name of removed) {
            expect(readdirSync(data)).not.toContain(name);
        }
        expect(readFileSync(join(data, "config.yaml"), "utf8")).toBe("managed: true\n");
        for (const name of ["auth.json", "gateway.json"]) {
            expect(JSON.parse(readFileSync(join(data, name), "utf8"))).toEqual({});
        }
        for (const name of [".env", ".op.env", "active_profile"]) {
            expect(readFileSync(join(data, name), "utf8")).toBe("");
        }
    }

    test("holds on an empty disk and again on the next boot, in place before Hermes starts", () => {
        for (let round = 0; round < 2; round++) {
            expect(boot({ env: goodEnv }).status).toBe(7);
            expectSealed();
            expect(readFileSync(join(root, "calls.config"), "utf8")).toBe("managed: true\n");
            unseal();
        }
    });

    test("replaces symlinks and leaves alone what they point to", () => {
        plant("outside/file", "untouched");
        plant("outside/folder/file", "untouched");
        for (const name of [...files, ...removed]) {
            symlinkSync(join(root, "outside/file"), join(data, name));
        }
        for (const name of folders.filter((folder) => !folder.includes("/"))) {
            symlinkSync(join(root, "outside/folder"), join(data, name));
        }
        const { mode } = lstatSync(join(root, "outside/folder"));
        boot({ env: goodEnv });
        expectSealed();
        expect(readFileSync(join(root, "outside/file"), "utf8")).toBe("untouched");
        expect(readdirSync(join(root, "outside/folder"))).toEqual(["file"]);
        expect(lstatSync(join(root, "outside/folder")).mode).toBe(mode);
    });

    test("deletes nothing behind a link in the place of a folder above a sealed one", () => {
        plant("outside/pairing/file", "untouched");
        symlinkSync(join(root, "outside"), join(data, "platforms"));
        boot({ env: goodEnv });
        expectSealed();
        expect(readFileSync(join(root, "outside/pairing/file"), "utf8")).toBe("untouched");
    });

    test("replaces folders where files belong, files where folders belong and dangling symlinks", () => {
        for (const name of [...files, ...removed]) {
            plant(`data/${name}/inner`, "evil");
        }
        for (const name of folders.filter((folder) => !folder.includes("/"))) {
            if (name === "hooks") {
                symlinkSync(join(root, "nowhere"), join(data, name));
            } else {
                plant(`data/${name}`, "evil");
            }
        }
        boot({ env: goodEnv });
        expectSealed();
    });

    test.each(["chown", "chmod", "install"])("that fails at %s keeps Hermes from starting", (command) => {
        const { status, calls } = boot({ env: goodEnv, commands: { [command]: "exit 1" } });
        expect(status).toBe(1);
        expect(calls.filter((call) => call.startsWith("setpriv"))).toEqual([]);
    });

    test("gives the top folder to root, and to Hermes what is neither sealed nor its own yet", () => {
        plant("data/state.db", "restored as root");
        plant("data/hooks/evil/handler.py", "evil");
        plant("data/lost+found/inode", "the file system's");
        const [top, rest] = boot({ env: goodEnv }).calls;
        expect(top).toBe(`chown root:10000 ${data}`);
        expect(rest.split(" ").filter((word) => word.startsWith("/"))).toEqual([join(data, "state.db")]);
        expect(rest).toMatch(/^chown --no-dereference 10000:10000 /);
    });
});
