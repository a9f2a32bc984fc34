/** The Open WebUI image with the real tailscaled: what it refuses, what it keeps to itself, and how it ends. */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StartedTestContainer } from "testcontainers";
import { handleOf, output, outputOf, repository, runToEnd, withPid, type ContainerSpec } from "../harness/docker.ts";
import { filteredOf, socketOwners, takesNoFilter } from "../harness/kernel.ts";
import { socketPath, Testbed } from "../harness/testbed.ts";

let testbed: Testbed;

beforeAll(async () => {
    testbed = await Testbed.create();
});
afterAll(() => testbed.remove());

/** The container as declared, on a disk of its own; a change to `undefined` takes a variable away. */
const onNewDisk = async (changes: Record<string, string | undefined> = {}): Promise<ContainerSpec> =>
    testbed.spec("open-webui", changes, await testbed.newDisk("open-webui"));

/** Every refusal ends with 1, its sentence last, and shows no secret. */
async function expectRefusal(spec: ContainerSpec, says: RegExp) {
    const { code, log } = await runToEnd(spec);
    expect(log.trim().split("\n").at(-1)).toMatch(says);
    expect(code).toBe(1);
    const { TS_AUTHKEY, OPENAI_API_KEY, WEBUI_ADMIN_PASSWORD, WEBUI_SECRET_KEY } = spec.environment ?? {};
    for (const secret of [TS_AUTHKEY, OPENAI_API_KEY, WEBUI_ADMIN_PASSWORD, WEBUI_SECRET_KEY]) if (secret) expect(log).not.toContain(secret);
    expect(log).not.toMatch(/Uvicorn|Application startup/);
}

// What it says of each setting is in unit/openwebui-entrypoint.test.ts.
describe("it refuses to start", () => {
    test("with all of its mistakes told at once", async () => {
        const { code, log } = await runToEnd(await onNewDisk({ WEBUI_URL: undefined, OPENAI_API_KEY: "", WEBUI_SECRET_KEY: undefined }));
        expect(code).toBe(1);
        expect(log.match(/[A-Z_]+ is missing or empty/g)?.map((sentence) => sentence.split(" ")[0])).toEqual([
            "WEBUI_URL",
            "OPENAI_API_KEY",
            "WEBUI_SECRET_KEY",
        ]);
    });

    test("without a disk, on a full one, and on a read-only one", async () => {
        const spec = await onNewDisk();
        await expectRefusal({ ...spec, volumes: {} }, /No disk is mounted at \/app\/backend\/data/);
        await expectRefusal({ ...spec, volumes: {}, tmpfs: { "/app/backend/data": "size=8m" } }, /less than 16 MB left/);
        await expectRefusal({ ...spec, volumes: {}, tmpfs: { "/app/backend/data": "ro" } }, /can't be written to/);
    });

    test("with flags that tailscale doesn't know", async () => {
        const { environment } = testbed.spec("open-webui");
        await expectRefusal(await onNewDisk({ TS_EXTRA_ARGS: `${environment.TS_EXTRA_ARGS} --no-such-flag` }), /correct TS_EXTRA_ARGS/);
    });
});

describe("while it runs", () => {
    let container: StartedTestContainer;
    const asApp = (command: string) => container.exec(["sh", "-c", command], { user: "10001:10001" });

    beforeAll(async () => {
        container = await testbed.startAndWait("open-webui", await onNewDisk());
    });

    test("the app has the image's settings beside the deployment's, and none stands in both", async () => {
        const ofImage = {
            HOST: "127.0.0.1",
            UVICORN_UDS: socketPath,
            ENABLE_OLLAMA_API: "false",
            OLLAMA_BASE_URL: "http://127.0.0.1:9",
            ENABLE_FORWARD_USER_INFO_HEADERS: "true",
            FORWARDED_ALLOW_IPS: "*",
            WEBUI_SESSION_COOKIE_SECURE: "true",
            WEBUI_SESSION_COOKIE_SAME_SITE: "strict",
            JWT_EXPIRES_IN: "7d",
            ENABLE_PERSISTENT_CONFIG: "false",
            DEFAULT_USER_ROLE: "pending",
            BYPASS_MODEL_ACCESS_CONTROL: "true",
            ENABLE_TITLE_GENERATION: "false",
            ENABLE_TAGS_GENERATION: "false",
            ENABLE_FOLLOW_UP_GENERATION: "false",
            ENABLE_AUTOCOMPLETE_GENERATION: "false",
            ENABLE_SEARCH_QUERY_GENERATION: "false",
            ENABLE_RETRIEVAL_QUERY_GENERATION: "false",
            DEFAULT_MODEL_METADATA: '{"capabilities":{"builtin_tools":false}}',
            ENABLE_PLUGINS: "false",
            ENABLE_CODE_EXECUTION: "false",
            ENABLE_CODE_INTERPRETER: "false",
            BYPASS_EMBEDDING_AND_RETRIEVAL: "true",
            OFFLINE_MODE: "true",
            ENABLE_COMMUNITY_SHARING: "false",
            DATABASE_POOL_SIZE: "8",
            DATABASE_SQLITE_PRAGMA_CACHE_SIZE: "-2000",
            DATABASE_SQLITE_PRAGMA_MMAP_SIZE: "0",
            UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN: "30",
        };
        const declared = Object.entries(testbed.environment("open-webui"));
        expect(declared.filter(([name]) => name in ofImage)).toEqual([]);
        const pid = (await withPid(container, "uvicorn", "echo $pid")).trim();
        const { output: environ } = await asApp(`tr '\\0' '\\n' </proc/${pid}/environ`);
        const seen = Object.fromEntries(environ.split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
        expect(seen).toMatchObject({ ...ofImage, ...Object.fromEntries(declared.filter(([name]) => !name.startsWith("TS_"))) });
        expect(Object.keys(seen).filter((name) => name.startsWith("TS_"))).toEqual([]);
    });

    test("an answer goes on while the disk doesn't take what it has so far", async () => {
        const program = `
import asyncio, os
from open_webui.private import answers
kept, passed = [], []
async def store(chat, message, output, done):
    if message == "first": raise OSError(28, "No space left on device")
    kept.append(message)
async def save_response_stream(redis, task_id, chat_id, message_id, output): passed.append(message_id)
answers.store = store
answers.tasks.tasks.update({"first": None, "second": None})
async def go():
    for id in ("first", "second"): await answers.save_response_stream(save_response_stream, None, id, "chat", id, [])
asyncio.run(go())
print(kept, passed, flush=True)
os._exit(0)`;
        const run = ["sh", "-c", 'cd /app/backend && DATA_DIR=$(mktemp -d) WEBUI_SECRET_KEY=none exec python3 -c "$0"', program];
        const { output: said } = await container.exec(run);
        expect(said).toContain("['second'] ['first', 'second']");
        expect(said).toContain("What an answer has so far can't be stored");
    });

    test("a loop that an error ends, ends the app once, and the others go on", async () => {
        const proofs = await readFile(new URL("../harness/page_loops.py", import.meta.url), "utf8");
        const environment = { DATA_DIR: "/tmp/data-of-a-test", WEBUI_SECRET_KEY: "none" };
        const command = 'mkdir -p "$DATA_DIR" && exec python3 -c "$0"';
        const { exitCode, output: said } = await container.exec(["sh", "-c", command, proofs], { user: "10001:10001", env: environment });
        expect({ exitCode, said }).toMatchObject({ exitCode: 0 });
    });

    test("few messages begin at a time, and none waits for one that is refused, fails, hangs or is still on its way", async () => {
        const proofs = await readFile(new URL("../harness/turns.py", import.meta.url), "utf8");
        const run = ["sh", "-c", 'cd /app/backend && DATA_DIR=$(mktemp -d) WEBUI_SECRET_KEY=none exec python3 -c "$0"', proofs];
        const { exitCode, output: said } = await container.exec(run);
        expect({ exitCode, said }).toMatchObject({ exitCode: 0 });
    });

    test("a script of the page comes as it was compressed while the image was built, to be kept for good", async () => {
        const { body: page } = await testbed.webui("GET", "/");
        const [script = ""] = /\/_app\/immutable\/entry\/app\.[\w-]+\.js/.exec(String(page)) ?? [];
        const get = async (encoding: string) => (await testbed.webui("GET", script, { headers: { "accept-encoding": encoding } })).headers;
        const [small, plain] = [await get("gzip, br, zstd"), await get("identity")];
        expect(small).toMatchObject({
            "content-encoding": "br",
            "cache-control": "public, max-age=31536000, immutable",
            vary: expect.stringContaining("Accept-Encoding") as string,
        });
        expect(small["content-type"]).toBe(plain["content-type"]);
        expect(Number(small["content-length"])).toBeLessThan(Number(plain["content-length"]));
        expect(await get("gzip")).toMatchObject({ "content-encoding": "gzip", vary: expect.stringContaining("Accept-Encoding") as string });
        // What page/build.py has changed keeps its name when that changes.
        const changed = JSON.parse(await output(container, "cat", "/app/build/changed.json")) as string[];
        for (const path of ["", ...changed]) {
            const { headers } = await testbed.webui("GET", `/${path}`, { headers: { "accept-encoding": "br" } });
            expect(headers["cache-control"], path).toBe("no-cache");
        }
    });

    test("it serves the page and nothing else, to the tailnet only", async () => {
        const config = JSON.parse(await output(container, "tailscale", "serve", "status", "--json")) as Record<string, unknown>;
        expect(config).toEqual({
            TCP: { "443": { HTTPS: true } },
            Web: { "open-webui.tail1234.ts.net:443": { Handlers: { "/": { Proxy: `unix:${socketPath}` } } } },
        });
    });

    test("nobody but root and the app gets to its socket", async () => {
        const asks = async (user: string) =>
            (await container.exec(["curl", "--silent", "--fail", "--unix-socket", socketPath, "http://localhost/health"], { user })).exitCode;
        expect(await Promise.all(["0:0", "10001:10001", "10002:10002", "65534:65534", "10003:10003"].map(asks))).toEqual([0, 0, 7, 7, 7]);
        expect(await output(container, "stat", "--format=%a %u:%g", dirname(socketPath))).toBe("770 0:10001\n");
    });

    test("on the port that Render waits for, and between the app and Hermes, is a process without rights or environment", async () => {
        for (const name of ["door.py", "relay.py"]) {
            const pid = (await withPid(container, name, "echo $pid")).trim();
            const look = `cd /proc/${pid}; cat status; tr '\\0' '\\n' <environ; grep ^Private_ smaps_rollup`;
            const { output: said } = await container.exec(["sh", "-c", look], { user: "65534:65534" });
            expect(said).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
            expect(said).toMatch(/^CapEff:\t0+$/m);
            expect(said.match(/^[A-Z]\w*=/gm)).toEqual(["PATH=", "MALLOC_ARENA_MAX="]);
            const privateKb = [...said.matchAll(/^Private_\w+: +(\d+) kB$/gm)].reduce((sum, [, kb]) => sum + Number(kb), 0);
            expect(privateKb, name).toBeLessThan(5000);
        }
    });

    test("the one on the port refuses everybody", async () => {
        for (const body of [undefined, { email: "admin@example.com" }]) {
            const answer = await testbed.request(body ? "POST" : "GET", `http://${testbed.address("open-webui")}/api/v1/auths/signin`, { body });
            expect(answer).toMatchObject({ status: 403, body: "Open WebUI answers on the tailnet only.\n" });
        }
    });

    test("with another way to sign in the admin's account stays an admin's, and no start locks the admin out", async () => {
        interface Start {
            code: number;
            said: string;
            accounts: Record<string, [id: string, role: string]>;
            opens: string[];
        }
        const { id } = await testbed.signIn();
        const ben = `INSERT INTO "user" (id, email, role, name, profile_image_url, last_active_at, updated_at, created_at) VALUES ('ben', 'ben@example.com', 'pending', 'Ben', '', 9, 9, 9)`;
        const bens = `INSERT INTO auth (id, email, password, active) VALUES ('ben', 'ben@example.com', '$2b$04$abcdefghijklmnopqrstuuqJwcaHxYm8MqzJmNrRIRqVbPSjOvrHy', 1)`;
        const starts: [email: string, byTailnet: boolean, statements: string[], generated?: string][] = [
            ["admin@example.com", false, [ben, bens]],
            ["Alice@GitHub", true, []],
            ["alice@github", true, []],
            ["carol@example.com", true, []],
            ["owner@example.com", false, []],
            ["other@example.com", false, []],
            ["ben@example.com", true, []],
            ["ben@example.com", false, []],
            ["ben@example.com", false, [], "of another stack"],
            ["ben@example.com", false, [], "of another stack"],
            ["ben@example.com", false, []],
            ["ben@example.com", true, []],
            // A backup of a stack in which the tailnet signs in, brought back to a new one with passwords.
            ["ben@example.com", false, [], "of a third stack"],
            ["dora@example.com", true, [`UPDATE "user" SET role = 'user'`]],
        ];
        const source = await readFile(`${repository}test/harness/admin_cases.py`, "utf8");
        const run = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "python3", "-c", source];
        const found = JSON.parse(
            await outputOf(
                container,
                run,
                JSON.stringify(starts.map(([email, byTailnet, statements, generated = "generated"]) => [email, byTailnet, statements, generated])),
            ),
        ) as Start[];
        const pending = { "ben@example.com": ["ben", "pending"] };
        const start = (code: number, said: RegExp, accounts: object, opens: string[] = []) => ({
            code,
            said: expect.stringMatching(said) as string,
            accounts,
            opens,
        });
        const asAlice = { ...pending, "alice@github": [id, "admin"] };
        const asOwner = { ...pending, "owner@example.com": [id, "admin"] };
        const both = { "ben@example.com": ["ben", "admin"], "owner@example.com": [id, "admin"] };
        expect(found).toEqual([
            start(0, /^$/, { ...pending, "admin@example.com": [id, "admin"] }),
            start(0, /^The admin's account admin@example\.com is alice@github from now on, with its chats/, asAlice),
            start(0, /^$/, asAlice),
            start(1, /^webuiAdminEmail is carol@example\.com now, and the admin of this disk is alice@github: set it back/, asAlice),
            start(0, /^The admin's account alice@github is owner@example\.com.*signs in with the generated password\.$/, asOwner, ["owner@example.com"]),
            start(0, /^$/, asOwner, ["owner@example.com"]),
            start(0, /^The account ben@example\.com is an admin from now on/, both, ["owner@example.com"]),
            start(0, /^ben@example\.com signs in with the generated password\.$/, both, ["owner@example.com", "ben@example.com"]),
            start(0, /^ben@example\.com signs in with the generated password\.$/, both, ["ben@example.com"]),
            start(0, /^$/, both, ["ben@example.com"]),
            start(0, /^ben@example\.com signs in with the generated password\.$/, both, ["owner@example.com", "ben@example.com"]),
            start(0, /^$/, both, ["owner@example.com", "ben@example.com"]),
            start(0, /^ben@example\.com signs in with the generated password\.$/, both, ["ben@example.com"]),
            start(1, /^No account on this disk is an admin: restore a snapshot/, { "ben@example.com": ["ben", "user"], "owner@example.com": [id, "user"] }, [
                "owner@example.com",
            ]),
        ]);
    });

    test("the image's health check is about the app", async () => {
        await expect.poll(async () => (await (await handleOf(container)).inspect()).State.Health?.Status, { timeout: 60_000 }).toBe("healthy");
    });

    test("the app has loaded the SQLite that the image brings, and not Debian's", async () => {
        // It may read what its own processes have in memory, and no others.
        const { output: libraries } = await asApp("cat /proc/[0-9]*/maps");
        expect(libraries).toContain("/site-packages/pysqlite3/");
        expect(libraries).not.toContain("/libsqlite3.so");
    });

    test("the app runs without root, can't read the machine's key and can't publish anything", async () => {
        expect(await withPid(container, "uvicorn", "cat /proc/$pid/status")).toMatch(/^Uid:\t10001\t10001\t10001\t10001$/m);
        expect((await asApp("cat /app/backend/data/tailscale/tailscaled.state")).exitCode).not.toBe(0);
        expect((await asApp("tailscale funnel --bg 8080")).exitCode).not.toBe(0);
        expect((await asApp("tailscale serve reset")).exitCode).not.toBe(0);
        expect((await asApp("cat /proc/1/environ")).exitCode).not.toBe(0);
    });

    describe("the app, taken over,", () => {
        const attacks = readFileSync(new URL("../harness/attacks.py", import.meta.url), "utf8");
        /** Beneath the filter and as the app's user, as all that it starts. */
        const asTaken = (source: string, ...rest: string[]) => output(container, "confined", "10001", "python3", "-c", source, ...rest);
        const tried = async (...rest: string[]) => JSON.parse(await asTaken(attacks, ...rest)) as Record<string, string>;

        test("finds no way of the kernel that leads out, into what has one or back to root", async () => {
            for (const holder of ["relay.py", "tailscaled"]) {
                const came = await tried("kernel", (await withPid(container, holder, "echo $pid")).trim());
                expect(Object.keys(came).length).toBeGreaterThan(250);
                expect(Object.fromEntries(Object.entries(came).filter(([, what]) => what !== "refused"))).toEqual({ "allowed: a Unix socket": "gave True" });
            }
        });

        test("and no process of its user is without the filter, or has a socket of the internet", async () => {
            const { filtered, free } = await filteredOf(container, testbed.network, [10001, 10002]);
            expect(free).toEqual([]);
            expect(filtered).toContain("python3");
            expect(await socketOwners(container, testbed.network)).toEqual(["nobody: python3", "root: tailscaled"]);
        });

        test("reaches by Unix sockets its own, what reads documents and Hermes, and not tailscaled, which would connect it with the tailnet", async () => {
            const { "/var/run/tailscale/tailscaled.sock": tailscaled, ...others } = await tried("connect");
            expect(tailscaled).toBe("refused");
            const reached = Object.entries(others).filter(([, what]) => what !== "refused");
            expect(reached.map(([path]) => path).sort()).toEqual(["/run/way/out/hermes", "/var/lib/extractor/socket", socketPath].sort());
        });

        test("and what connects it with Hermes carries all of both directions, for however long, and tells each side of the other's end", async () => {
            // A relay of the test's own, between a socket and a server of its own.
            const program = `
import json, os, socket, subprocess, sys, tempfile, threading, time
path = tempfile.mkdtemp() + "/socket"
server = socket.create_server(("127.0.0.1", 0))
relay = subprocess.Popen([sys.executable, "-I", "-S", "/usr/local/lib/relay.py", path, "127.0.0.1", str(server.getsockname()[1])])
while not os.path.exists(path): time.sleep(0.05)
def pair():
    app = socket.socket(socket.AF_UNIX)
    while True:
        try:
            app.connect(path)
            break
        except ConnectionRefusedError:
            time.sleep(0.05)  # it has bound, and doesn't listen yet
    app.settimeout(60)
    hermes, _ = server.accept()
    hermes.settimeout(60)
    return app, hermes
def whole(side):
    read = b""
    try:
        while data := side.recv(65536): read += data
    except ConnectionResetError:
        pass
    return len(read)
came = {}
app, hermes = pair()
app.sendall(bytes(1000))
app.shutdown(socket.SHUT_WR)
came["a request to its end"] = whole(hermes)
time.sleep(11)  # longer than a connection may take to be made
threading.Thread(target=lambda: (hermes.sendall(bytes(3_000_000)), hermes.close())).start()
came["an answer that was long in coming"] = whole(app)
app, hermes = pair()
app.sendall(bytes(10))
app.close()
came["an app that has gone"] = whole(hermes)
app, hermes = pair()
hermes.close()
came["a Hermes that has gone"] = whole(app)
server.close()
app = socket.socket(socket.AF_UNIX)
app.settimeout(60)
app.connect(path)
came["no Hermes"] = whole(app)
relay.kill()
print(json.dumps(came))`;
            expect(JSON.parse(await output(container, "python3", "-c", program))).toEqual({
                "a request to its end": 1000,
                "an answer that was long in coming": 3_000_000,
                "an app that has gone": 10,
                "a Hermes that has gone": 0,
                "no Hermes": 0,
            });
        });

        test("can ask nobody but Hermes, whatever name it gives", async () => {
            // As the app asks, and past what is put into its client.
            const program = `
import asyncio, aiohttp, json, os, socket, sys
from open_webui.private import replacing, way_out
def raw(request):
    with socket.socket(socket.AF_UNIX) as hermes:
        hermes.connect("/run/way/out/hermes")
        hermes.sendall(request.encode())
        return hermes.recv(1000).decode().split("\\r\\n")[0]
async def ask(url):
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status
    except Exception as error:
        return type(error).__name__
async def all():
    plain = await ask("http://127.0.0.1:8080/")
    for place, module in replacing.functions: replacing.put(place, module)
    return [plain, *[await ask(url) for url in sys.argv[1:]]]
came = asyncio.run(all())
os.environ["HERMES_SOCKET"] = "/run/way/out/nowhere"
came.append(asyncio.run(ask(sys.argv[1])))
came += [raw(f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n") for path, host in (("http://openrouter.ai:8642/v1/models", "openrouter.ai:8642"), ("/v1/models", "openrouter.ai:8642"))]
came += [raw("CONNECT openrouter.ai:8642 HTTP/1.1\\r\\nHost: openrouter.ai:8642\\r\\n\\r\\n")]
print(json.dumps(came))`;
            await testbed.start("hermes");
            await testbed.forgetCalls();
            const health = `http://${testbed.address("hermes")}/health`;
            const others = [
                "http://openrouter.ai:8642/v1/models",
                "https://openrouter.ai/api/v1/models",
                health.replace("http:", "https:"),
                "ws://evil.example/",
            ];
            const inApp = ["sh", "-c", 'cd /app/backend && exec confined 10001 python3 -c "$0" "$@"', program, health, ...others];
            const [plain, hermes, ...came] = JSON.parse(await output(container, ...inApp)) as unknown[];
            expect([plain, hermes]).toEqual(["ClientConnectorError", 200]);
            expect(came.slice(0, others.length)).toEqual(others.map(() => "ClientConnectionError"));
            // Without a way to Hermes: the error of an ordinary client, of which Open WebUI makes a sentence.
            expect(came[others.length]).toBe("ClientConnectorError");
            for (const answer of came.slice(others.length + 1)) expect(answer).toMatch(/^HTTP\/1.1 (400|401|403|404|405) /);
            expect(await testbed.calls()).toEqual([]);
        });
    });
});

describe("where the kernel takes no filter", () => {
    test("nothing starts, and a sentence says so; the tests do without it", async () => {
        const spec = await onNewDisk();
        const { code, log } = await runToEnd({ ...spec, seccomp: takesNoFilter });
        expect(code).toBe(1);
        expect(log).toMatch(/^entrypoint: the kernel of this machine takes no filter.*doesn't start/m);
        expect(log).not.toMatch(/tailscaled|Uvicorn/);
        await testbed.takeFilterAway();
        await testbed.startAndWait("open-webui", { ...testbed.spec("open-webui"), seccomp: takesNoFilter });
    });
});
