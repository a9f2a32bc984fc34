/** The gateway's way out: what somebody who has taken it over can't do, from inside Hermes' user, and what HAProxy does between it and the world. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { handleOf, logOf, output, outputOf, runToEnd } from "../harness/docker.ts";
import { Exa } from "../harness/exa.ts";
import { environmentOfImage } from "../harness/files.ts";
import { filteredOf, observe, socketOwners, takesNoFilter } from "../harness/kernel.ts";
import { Person } from "../harness/person.ts";
import { Telegram } from "../harness/telegram.ts";
import { Testbed, words } from "../harness/testbed.ts";
import { recordings, say } from "../harness/voice.ts";

const owner = 1001;
const [exaApiKey, telegramBotToken] = [`exa-${randomUUID()}`, `123456789:AA${randomUUID().replaceAll("-", "")}`];
const attacks = readFileSync(new URL("../harness/attacks.py", import.meta.url), "utf8");

let testbed: Testbed;
let telegram: Telegram;
let exa: Exa;

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.configure({ exaApiKey, telegramBotToken, telegramAllowedUsers: `${owner}` });
    telegram = await Telegram.open(testbed, telegramBotToken);
    exa = await Exa.open(testbed, exaApiKey);
    // Behind Docker's own filter a hole in ours would stay unseen.
    testbed.services.hermes = await testbed.startAndWait("hermes", { ...testbed.spec("hermes"), seccomp: "unconfined" });
});
afterAll(() => testbed.remove());

const hermes = () => testbed.running("hermes");
const root = (script: string) => output(hermes(), "bash", "-c", script);
/** Beneath the filter, as all of Hermes. */
const asTaken = (what: "kernel" | "files" | "connect" | "ask", input = "", pid = "") =>
    outputOf(hermes(), ["bash", "-c", `confined 10000 /opt/hermes/bin/python -I -c "$0" ${what} ${pid}`, attacks], input || " ");
const refusals = async () => (await logOf(hermes())).split("\n").filter((line) => line.startsWith("haproxy: "));
/** All that the services outside know Hermes by. */
const credentials = () => {
    const { OPENROUTER_API_KEY, MODAL_TOKEN_ID, MODAL_TOKEN_SECRET } = testbed.environment("hermes");
    return [OPENROUTER_API_KEY, MODAL_TOKEN_ID, MODAL_TOKEN_SECRET, exaApiKey, telegramBotToken, telegramBotToken.split(":")[1]];
};
const haproxy = async () => (await root("pidof haproxy")).trim();

/** Uses all five services. */
async function useAll() {
    const somebody = new Person(testbed);
    expect((await somebody.run("echo $((6 * 7))")).output).toContain("42");
    const page = { url: `https://${randomUUID()}.example/`, title: words("Title"), text: words("Its text") };
    await exa.publish(page);
    expect(await somebody.use("web_extract", { urls: [page.url] })).toMatchObject({ results: [{ content: page.text }] });
    const question = words("Are you there");
    await telegram.write(owner, question);
    await telegram.speak(owner, await say(testbed, "ogg", "The colour of the boat is turquoise."));
    const heard = async () => {
        expect((await telegram.texts(owner)).join("\n").replaceAll("\\", "")).toContain(question);
        expect(await recordings(testbed)).not.toEqual([]);
    };
    await vi.waitFor(heard, { timeout: 60_000, interval: 500 });
}

test("all that Hermes uses works, each service with its own credential, and HAProxy has refused nothing of it", async () => {
    await useAll();
    const { OPENROUTER_API_KEY } = testbed.environment("hermes");
    for (const { authorization } of [...(await testbed.calls()), ...(await recordings(testbed))]) expect(authorization).toBe(`Bearer ${OPENROUTER_API_KEY}`);
    // Optional look-ups of Hermes', which it does without.
    expect((await refusals()).filter((line) => !/TLS to (models\.dev|dns\.google|cloudflare-dns\.com): /.test(line))).toEqual([]);
});

describe("from Hermes' user", () => {
    test("no way of the kernel leads out, into HAProxy or back to root", async () => {
        const kernel = JSON.parse(await asTaken("kernel", "", await haproxy())) as Record<string, string>;
        expect(Object.keys(kernel).length).toBeGreaterThan(250);
        const tried = { ...kernel, ...(JSON.parse(await asTaken("files")) as Record<string, string>) };
        // What is allowed would prove nothing if it were refused.
        const allowed = { "allowed: a Unix socket": "gave True", "allowed: one of the sockets": "gave None" };
        expect(Object.fromEntries(Object.entries(tried).filter(([, came]) => came !== "refused"))).toEqual(allowed);
    });

    test("no Unix socket leads anywhere but its own and HAProxy's", async () => {
        const sockets = JSON.parse(await asTaken("connect")) as Record<string, string>;
        const reached = Object.entries(sockets).filter(([, what]) => what !== "refused");
        const ofHaproxy = ["api.exa.ai", "api.modal.com", "api.telegram.org", "openrouter.ai", "routers"].map((name) => `/run/way/out/${name}`);
        expect(reached.map(([path]) => path).sort()).toEqual(["/run/way/in/8642", ...ofHaproxy]);
    });

    test("a connection that somebody hands over is closed before it begins", async () => {
        const given = 'exec 7<>/dev/tcp/127.0.0.1/8642; "$@" bash -c "[ -e /proc/self/fd/7 ] && echo open || echo closed"';
        expect(await root(`set -- env; ${given}`)).toBe("open\n");
        expect(await root(`set -- confined 10000; ${given}`)).toBe("closed\n");
    });

    /** Both commands of the shell, halted as soon as they are Hermes' user, and do not run what confines them any more; until they are killed. */
    const halted = async (environment: string) => {
        const pids = await root(`
            export ${environment}
            for command in "hermes cron list" knowledge; do
                $command >/dev/null 2>&1 &
                until grep -q '^Uid:.10000' /proc/$!/status && grep -q private_hermes /proc/$!/cmdline && ! grep -q confined /proc/$!/cmdline; do kill -0 $! || exit 1; done
                kill -STOP $!
                echo $!
            done`);
        return async () => {
            for (const pid of pids.trim().split("\n")) await root(`kill -KILL ${pid}`);
        };
    };

    test("every process runs beneath the filter, and none but HAProxy has a socket of the internet", async () => {
        const kill = await halted("A=b");
        const { filtered, free } = await filteredOf(hermes(), testbed.network, [10000]);
        expect(free).toEqual([]);
        expect(filtered).not.toEqual([]);
        await kill();
        expect(await socketOwners(hermes(), testbed.network)).toEqual(["haproxy: haproxy"]);
    });

    test("the commands of root's shell don't get its terminal, where they could read what is typed later", async () => {
        const program = `
import glob, json, os, pty, subprocess, threading
master, terminal = pty.openpty()
def look():
    while os.read(master, 65536):
        pass
threading.Thread(target=look, daemon=True).start()
def start(*command):
    return subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
def found(name):
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            command = open(f"{folder}/cmdline").read().split("\\0")
            if f"private_hermes.{name}" in command and "Uid:\\t10000" in open(f"{folder}/status").read() and "confined" not in " ".join(command):
                return int(folder.split("/")[-1])
        except (FileNotFoundError, ProcessLookupError):
            pass
def held(pid):
    links = [f"/proc/{pid}/fd/{number}" for number in (0, 1, 2)]
    return set(subprocess.check_output(["setpriv", "--reuid=10000", "--regid=10000", "--clear-groups", "readlink", *links], text=True).split())
def terminals(name, *command):
    while True:
        process = start(*command)
        while not (pid := found(name)) and process.poll() is None:
            pass
        try:
            return ["of root" if path == os.ttyname(terminal) else path.rstrip("0123456789") for path in held(pid)]
        except subprocess.CalledProcessError:
            pass  # it has ended meanwhile
        finally:
            process.wait()
print(json.dumps([terminals("command", "hermes", "cron", "list"), terminals("knowledge", "knowledge"), start("knowledge", "show", "it's nothing").wait()]))`;
        expect(JSON.parse(await output(hermes(), "python3", "-I", "-c", program))).toEqual([["/dev/pts/"], ["/dev/pts/"], 1]);
    });

    test("after a use of all five services no credential is in memory, environment, arguments, files or descriptors of its processes", async () => {
        await useAll();
        const { API_SERVER_KEY } = testbed.environment("hermes");
        // A shell has those of the backups, too, and both commands of Hermes' user begin there.
        const ofBackups = ["BACKUP_KEY_ID", "BACKUP_KEY", "BACKUP_PASSWORD"].map((name) => [name, randomUUID()]);
        const kill = await halted(ofBackups.map((pair) => pair.join("=")).join(" "));
        const sought = [...credentials(), ...ofBackups.map(([, value]) => value), API_SERVER_KEY].join("\n");
        const { memory, files } = JSON.parse(await observe(hermes(), testbed.network, scan, sought)) as Record<string, string[]>;
        await kill();
        // Its own key is in both: so the search finds what is there.
        expect(new Set(memory)).toEqual(new Set([API_SERVER_KEY]));
        expect(files).toEqual([]);
    });
});

const scan = `
import base64, glob, json, os, re
sought = os.environ["SOUGHT"].split("\\n")
forms = {form: word for word in sought for form in (word.encode(), word.encode().hex().encode(), base64.b64encode(word.encode()).rstrip(b"="))}
pattern = re.compile(b"|".join(re.escape(form) for form in forms))
memory, files = set(), set()
def look(folder):
    if not re.search(r"^Uid:\\t10000", open(f"{folder}/status").read(), re.M):
        return
    read = [open(f"{folder}/{name}", "rb").read() for name in ("environ", "cmdline")]
    with open(f"{folder}/mem", "rb", 0) as mem:
        for line in open(f"{folder}/maps"):
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            try:
                mem.seek(begin)
                read.append(mem.read(end - begin))
            except (OSError, OverflowError, ValueError):
                pass
    # Open files, also those that have no name any more; what is in a pipe or a socket is in somebody's memory before and after.
    read += [open(f"{folder}/fd/{number}", "rb").read() for number in os.listdir(f"{folder}/fd") if os.path.isfile(f"{folder}/fd/{number}")]
    memory.update(forms[found] for piece in read for found in pattern.findall(piece))
for folder in glob.glob("/proc/[0-9]*"):
    try:
        look(folder)
    except (FileNotFoundError, ProcessLookupError):
        pass  # It has ended.
for top in ("opt/data", "tmp", "run", "home", "var", "etc", "dev/shm"):
    for folder, _, names in os.walk(f"/proc/1/root/{top}"):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                files |= {f"{path}: {forms[found]}" for found in pattern.findall(open(path, "rb").read())}
print(json.dumps({"memory": sorted(memory), "files": sorted(files)}))`;

/** A request by HTTP/1.1; its host is the socket's, as far as `headers` name no other. */
const http = (line: string, headers: string[] = [], body = "") =>
    [`${line} HTTP/1.1`, ...(headers.some((header) => header.startsWith("Host:")) ? [] : ["Host: of.the.socket"]), `Content-Length: ${body.length}`, ...headers]
        .concat("Connection: close", "", body)
        .join("\r\n");
const question = JSON.stringify({ model: "any", messages: [{ role: "user", content: "Hello" }] });
const chat = (...headers: string[]) => http("POST /api/v1/chat/completions", headers, question);
/** A call by gRPC. */
const modal = (method: string, ...headers: string[]) =>
    [
        `:method: POST`,
        ":scheme: http",
        `:path: /modal.client.ModalClient/${method}`,
        ":authority: evil.example",
        "te: trailers",
        "content-type: application/grpc",
    ]
        .concat(headers)
        .join("\n");

/** A name, the last three bytes of `named`, compressed so that a reader who takes it for plain finds whole fields and no name. */
const named = Buffer.concat([Buffer.from("1a830241228602", "hex"), Buffer.alloc(255, "A"), Buffer.from("0a0178", "hex")]);
const likeProtobuf = Buffer.concat([Buffer.from("1819010901f6fe", "hex"), named, Buffer.from("b8ba42cd", "hex")]);

const answersOf = async (asked: [host: string, request: string][]) => JSON.parse(await asTaken("ask", JSON.stringify(asked))) as string[];

describe("HAProxy lets through what Hermes asks for, and nothing else", () => {
    const others = ["Authorization: Bearer of-somebody-else", "x-api-key: of-somebody-else", "Cookie: of=somebody-else"];
    const allowed: [host: string, request: string, answer: RegExp][] = [
        ["openrouter.ai", http("GET /api/v1/models", ["Host: evil.example"]), /^HTTP\/1.1 200/],
        ["openrouter.ai", chat(...others), /^HTTP\/1.1 200/],
        ["api.exa.ai", http("POST /search", others, '{"query": "anything", "numResults": 1}'), /^HTTP\/1.1 200/],
        ["api.telegram.org", http("POST /bot1:somebody-elses/getMe"), /^HTTP\/1.1 200/],
        ["api.modal.com", modal("ClientHello", "x-modal-token-id: other", "x-modal-token-secret: other"), /^200 0$/],
        // A secret without a name, as Hermes makes it of what it has itself.
        ["api.modal.com", `${modal("SecretGetOrCreate")}\n\n00000000022005`, /^200 0$/],
        ["routers", "command-router.modal.com", /^reached/],
    ];
    const no = /^HTTP\/1.1 40[03]/;
    /** Of each host, by what is to come of them. */
    const refused: [host: string, answer: RegExp, requests: string[]][] = [
        [
            "openrouter.ai",
            no,
            [
                http("CONNECT 169.254.169.254:80", ["Host: 169.254.169.254"]),
                ...["http://evil.example", "https://evil.example", "https://openrouter.ai"].flatMap((origin) => [
                    http(`GET ${origin}/api/v1/models`),
                    http(`GET ${origin}/api/v1/models`, [`Host: ${new URL(origin).host}`]),
                ]),
                ...["GET /api/v1/key", "POST /api/v1/keys", "GET /api/v1/chat/completions", "PUT /api/v1/models", "TRACE /api/v1/models"].map((line) =>
                    http(line),
                ),
                ...["//api/v1/models", "/api/v1/../v1/models", "/api/v1/models/", "/api/v1/%6dodels", "/api/v1/models%00"].map((path) => http(`GET ${path}`)),
                ...["/API/v1/models", "/api/v1/models;x", "\\api\\v1\\models", "/api/v1/models?to=evil.example"].map((path) => http(`GET ${path}`)),
                // Smuggling.
                http("GET /api/v1/models", ["Host: openrouter.ai", "Host: evil.example"]),
                ...["Content-Length: 50", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked, gzip", "Transfer-Encoding : chunked"].map((header) =>
                    chat(header),
                ),
                http("POST /api/v1/chat/completions", ["Transfer-Encoding: chunked"], `${question.length.toString(16)}\r\n${question}\r\n0\r\n\r\n`).replace(
                    /Content-Length.*\r\n/,
                    "",
                ),
            ],
        ],
        ["openrouter.ai", /^HTTP\/1.1 400|^$/, [chat("X: a\0b"), "no HTTP\r\n\r\n"]],
        ["api.exa.ai", no, ["POST /findSimilar", "POST /websets/v0/webhooks", "GET /search"].map((line) => http(line))],
        [
            "api.telegram.org",
            no,
            [
                ...[
                    "setWebhook",
                    "SETWEBHOOK",
                    "set%57ebhook",
                    "logOut",
                    "close",
                    "setMyName",
                    "test/getMe",
                    "getMe/../setWebhook",
                    "getMe/",
                    "bot1:y/getMe",
                ].map((method) => http(`POST /bot1:x/${method}`)),
                http("GET /bot1:x/sendMessage?chat_id=1&text=x"),
                ...["documents/../x", "a/..%2f..%2fbot2:y%2fgetMe", "a/..%252f..%252fbot2:y%252fgetMe", "a/%2E%2e", "../bot2:y/getMe", "a/b/c"].map((file) =>
                    http(`GET /file/bot1:x/${file}`),
                ),
                http("POST /file/bot1:x/documents/file_1"),
                http("GET /FILE/BOT2:y/documents/file_1"),
            ],
        ],
        [
            "api.modal.com",
            /^(403|200 7)$/,
            [
                // What tells of the account, and what gives a credential of its own.
                ...["SecretList", "AuthTokenGet", "TokenFlowCreate", "WorkspaceNameLookup", "SandboxCreateConnectToken"].map((method) => modal(method)),
                ...["ClientHello/../SecretList", "clienthello", "ClientHello?x=1", "ClientHello/"].map((method) => modal(method)),
                // A secret of the workspace's by its name: plain, behind other fields, behind more than is looked at (which ends within a field or
                // after one), compressed, sent later, behind a group, which protobuf has given up, with a number that is written too long, and
                // behind a message of no length.
                ...[
                    "00000000030a0178",
                    "00000000061a01650a0178",
                    `000000ffff${"2005".repeat(20_000)}0a0178`,
                    `000000ffff1a0165${"2005".repeat(20_000)}0a0178`,
                    "01000000030a0178",
                    "01000000041f8b0800",
                    `0100000114${likeProtobuf.toString("hex")}`,
                    "00000000061a0165|0a0178",
                    "00000000079b069c060a0178",
                    "00000000048a000178",
                    "00000000000a0178",
                ].map((body) => `${modal("SecretGetOrCreate")}\n\n${body}`),
                modal("ClientHello").replace("POST", "GET"),
                modal("ClientHello").replace("modal.client.", "modal.clientX"),
            ],
        ],
        [
            "api.modal.com",
            /^(40\d|)$/,
            [
                modal("ClientHello", ":path: /modal.client.ModalClient/SecretList"),
                modal("ClientHello", "transfer-encoding: chunked"),
                modal("ClientHello").replace("POST", "CONNECT"),
                modal("ClientHello").replace(":path: ", ":path: http://evil.example"),
            ],
        ],
        // Hosts that Modal hasn't named, and what is no TLS.
        ["routers", /^$/, ["evil.example", "openrouter.ai", "api.modal.com", "x.command-router.modal.com", "command-router.modal.com.", "localhost", "hermes"]],
        ["routers", /^$/, ["", "169.254.169.254", `raw:${http("GET /", ["Host: open-webui:8080"])}`, "sni:evil\nentrypoint: A lie.", `sni:${"a".repeat(300)}`]],
    ];
    /** What the services have heard, but for what Telegram is asked all the time. */
    const heard = async () => [
        await testbed.calls(),
        await exa.calls(),
        (await telegram.calls()).filter(({ method }) => method !== "getUpdates"),
        await testbed.modal.calls(),
    ];

    test("what Hermes asks for gets an answer, in nobody else's name", async () => {
        // So that the router is known.
        await new Person(testbed).run("true");
        await testbed.forgetCalls();
        const answers = await answersOf(allowed.map(([host, request]) => [host, request]));
        for (const [index, [host, request, answer]] of allowed.entries()) expect(answers[index], `${host}: ${request}`).toMatch(answer);
        // The other stand-ins know their own credential alone.
        const [{ authorization, host, cookie }] = await testbed.calls();
        const own = `Bearer ${testbed.environment("hermes").OPENROUTER_API_KEY}`;
        expect({ authorization, host, cookie }).toEqual({ authorization: own, host: "openrouter.ai", cookie: undefined });
    });

    test("all else is refused, nobody outside hears of it, and each leaves a line in the log, without a credential", async () => {
        const [before, lines] = [await heard(), (await refusals()).length];
        const asked = refused.flatMap(([host, answer, requests]) => requests.map((request) => ({ host, answer, request })));
        const answers = await answersOf(asked.map(({ host, request }) => [host, request]));
        const wrong = asked.map(({ host, answer, request }, index) => (answer.test(answers[index]) ? "" : `${host}: ${request}: ${answers[index]}`));
        expect(wrong.filter(Boolean)).toEqual([]);
        expect(await heard()).toEqual(before);
        const log = await refusals();
        expect(log.length - lines).toBeGreaterThanOrEqual(asked.length);
        for (const secret of credentials()) expect(log.join("\n")).not.toContain(secret);
        expect(await logOf(hermes())).not.toMatch(/^entrypoint: A lie/m);
    });

    test("a redirect of Hermes' doesn't reach Open WebUI, which would follow it", async () => {
        const listen = `
import socket
server = socket.socket(socket.AF_UNIX)
server.bind("/run/way/in/redirecting")
server.listen()
import os
os.chmod("/run/way/in/redirecting", 0o666)
os.rename("/run/way/in/8642", "/run/way/in/kept")
os.rename("/run/way/in/redirecting", "/run/way/in/8642")
connection, _ = server.accept()
connection.recv(65536)
connection.sendall(b"HTTP/1.1 307 Temporary Redirect\\r\\nLocation: http://evil.example/\\r\\nContent-Length: 0\\r\\n\\r\\n")
os.rename("/run/way/in/kept", "/run/way/in/8642")`;
        const taken = outputOf(hermes(), ["confined", "10000", "/opt/hermes/bin/python", "-I", "-"], listen);
        await expect.poll(() => root("ls /run/way/in"), { timeout: 20_000 }).toContain("kept");
        expect((await testbed.hermes("GET", "/v1/models", {})).status).toBe(502);
        await taken;
        expect((await testbed.hermes("GET", "/health", {})).status).toBe(200);
    });
});

describe("HAProxy", () => {
    test("comes back when it is killed, and a sandbox that is there goes on", async () => {
        const somebody = new Person(testbed);
        await somebody.run("echo here >/root/mark");
        await root("kill -9 $(pidof haproxy)");
        await expect.poll(async () => (await testbed.hermes("GET", "/health", {}).catch(() => undefined))?.status, { timeout: 20_000 }).toBe(200);
        expect(await logOf(hermes())).toContain("HAProxy, the way out, has ended; it starts again.");
        // The first command after that may find its connection gone, and says that Modal can't be reached.
        await expect.poll(async () => (await somebody.run("cat /root/mark")).output, { timeout: 60_000 }).toContain("here");
        await useAll();
    });

    test("brings all of an answer to a slow reader before it stops, with Hermes' exit code", async () => {
        const slow = testbed.request("POST", `http://${testbed.address("hermes")}/v1/chat/completions`, {
            ...testbed.chatRequest([{ role: "user", content: "SLOW 6" }]),
        });
        await expect.poll(async () => (await testbed.asked("SLOW 6")).length, { timeout: 20_000 }).toBe(1);
        await hermes().stop({ timeout: 60_000, remove: false });
        expect(JSON.stringify((await slow).body)).toContain("1 2 3 4 5 6");
        expect((await (await handleOf(hermes())).inspect()).State.ExitCode).toBe(0);
        await testbed.redeploy("hermes");
    });

    test("says nothing to a host with somebody else's certificate: Hermes says that it can't be reached", async () => {
        // Debian's authorities, of which none has signed for the stand-ins.
        await testbed.redeploy("hermes", { SSL_CERT_FILE: "" });
        await testbed.forgetCalls();
        await exa.forgetCalls();
        await testbed.modal.forgetCalls();
        const recording = { model: "any", file: { name: "recording.wav", content: await say(testbed, "ogg", "Hello") } };
        const { body } = await testbed.hermes("POST", "/v1/audio/transcriptions", { bearer: testbed.environment("hermes").API_SERVER_KEY, form: recording });
        expect(JSON.stringify(body)).toContain("OpenRouter can't be reached");
        expect(await testbed.ask("Hello")).toMatch(/out of order or out of reach/);
        const others = await answersOf([
            ["api.exa.ai", http("POST /search")],
            ["api.telegram.org", http("POST /bot1:x/getMe")],
            ["api.modal.com", modal("ClientHello")],
        ]);
        expect(others).toEqual(["", "", "503"]);
        expect([await testbed.calls(), await exa.calls(), await testbed.modal.calls()]).toEqual([[], [], {}]);
    });

    test("leads to no private address, also by a name that Modal has given", async () => {
        await testbed.redeploy("hermes", { PRIVATE_NETWORKS: environmentOfImage("hermes").PRIVATE_NETWORKS });
        expect(JSON.stringify(await new Person(testbed).run("true"))).toContain("can't be reached");
        // Modal has given it, and it was refused.
        expect(await testbed.modal.calls()).toHaveProperty("TaskGetCommandRouterAccess");
        expect(await answersOf([["routers", "command-router.modal.com"]])).toEqual([""]);
        expect((await refusals()).at(-1)).toContain("TLS to command-router.modal.com");
    });

    test("asks nothing of a service that isn't switched on", async () => {
        await testbed.redeploy("hermes", { EXA_API_KEY: "", TELEGRAM_BOT_TOKEN: "", TELEGRAM_ALLOWED_USERS: "" });
        await exa.forgetCalls();
        const answers = await answersOf([
            ["api.exa.ai", http("POST /search")],
            ["api.telegram.org", http("POST /bot1:x/getMe")],
            ["api.telegram.org", http("GET /file/bot1:x/documents/file_1")],
        ]);
        for (const answer of answers) expect(answer).toMatch(/^HTTP\/1.1 403/);
        expect(await exa.calls()).toEqual([]);
    });
});

describe("where the kernel takes no filter, as under the emulation on Apple silicon", () => {
    test("nothing starts, and a sentence says so", async () => {
        const { code, log } = await runToEnd({ ...testbed.spec("hermes"), seccomp: takesNoFilter });
        expect(code).toBe(1);
        expect(log).toMatch(/^entrypoint: the kernel of this machine takes no filter.*doesn't start/m);
    });

    test("the tests do without it", async () => {
        await testbed.stop("hermes");
        await testbed.takeFilterAway();
        testbed.services.hermes = await testbed.startAndWait("hermes", { ...testbed.spec("hermes"), seccomp: takesNoFilter });
        await useAll();
    });
});
