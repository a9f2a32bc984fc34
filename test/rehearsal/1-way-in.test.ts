/** The deployment as its owner uses it: the page over the tailnet, and no other way to either service. */
import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { BlockList } from "node:net";
import { networkInterfaces } from "node:os";
import { relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inflateSync } from "node:zlib";
import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addressOf, engine, handleOf, output, outputOf, repository, type Container } from "../harness/docker.ts";
import { Exa } from "../harness/exa.ts";
import { Laptop, proxyPort, type Fetched, type PhoneWalked, type Visited } from "../harness/laptop.ts";
import { needs, told, type Need } from "../harness/memory.ts";
import { keepsakes } from "../harness/own.ts";
import { sizeOfJpeg } from "../harness/picture.ts";
import { Telegram } from "../harness/telegram.ts";
import { Testbed, words } from "../harness/testbed.ts";
import { writeDocuments } from "../harness/uploads.ts";
import { Deployment } from "../harness/deployment.ts";
import { cliVersion } from "../harness/pulumi.ts";
import { howToOpen, keep, realServices } from "../harness/options.ts";
import { VerifyUser } from "../harness/verify-user.ts";
import { recordings, say } from "../harness/voice.ts";

const cli = await cliVersion();

let testbed: Testbed;
let deployment: Deployment | undefined;
let exa: Exa | undefined;
let telegram: Telegram | undefined;
let laptop: Laptop;
let hermes: StartedTestContainer;
let openWebUi: StartedTestContainer;

beforeAll(async () => {
    testbed = await Testbed.create(realServices);
    if (!realServices) {
        Object.assign(testbed.settings, {
            exaApiKey: randomUUID(),
            sandboxSecrets: `GITHUB_TOKEN=${randomUUID()}`,
            telegramBotToken: `123456789:AA${randomUUID().replaceAll("-", "")}`,
            telegramAllowedUsers: `${onTelegram}`,
        });
        await testbed.configure();
        telegram = await Telegram.open(testbed, testbed.settings.telegramBotToken);
        exa = await Exa.open(testbed, testbed.settings.exaApiKey);
        await exa.publish(festival);
    }
    console.log(`Starting Hermes, Open WebUI and the laptop${realServices ? ", with your accounts at OpenRouter and Modal" : ""}`);
    [[hermes, openWebUi], laptop] = await Promise.all([start(), Laptop.join(testbed)]);
});
afterAll(async () => {
    await deployment?.close();
    if (!keep) await testbed.remove();
});

/** Brings both services up: by the engine where there is one, otherwise as the evaluated program declares them. */
async function start(): Promise<StartedTestContainer[]> {
    if (!cli) return Promise.all([testbed.start("hermes"), testbed.start("open-webui")]);
    console.log(`They come from images that pulumi ${cli} builds and pushes, which takes a few minutes`);
    deployment = await Deployment.create(testbed);
    await deployment.up();
    return [testbed.running("hermes"), testbed.running("open-webui")];
}

/** The owner's id at Telegram. */
const onTelegram = 1001;
/** A page that only a search finds. */
const festival = { url: "https://town.example/harbour", title: "The harbour festival", text: words("The harbour festival begins at noon, by the pier") };

/** Host names and addresses of a service's port on the private network. */
const doors = async () => [
    `${await addressOf(hermes, testbed.network)}:8642`,
    `${await addressOf(openWebUi, testbed.network)}:8080`,
    testbed.address("hermes"),
    testbed.address("open-webui"),
];

/** Expects no answer at any of them, to what asks for a page; all at once, for each takes seconds. */
const expectAllShut = async (fetch: (url: string) => Promise<Fetched>) => {
    const shut = async (door: string) => {
        expect(await fetch(`http://${door}/health`), door).toMatchObject({ status: 0 });
    };
    await Promise.all((await doors()).map(shut));
};

describe("The way in", () => {
    test("over the tailnet the page answers, with a certificate that verifies", async ({ annotate }) => {
        const { status, body, reason } = await laptop.fetch(testbed.url);
        expect(status, reason).toBe(200);
        expect(body).toContain("<title>Open WebUI");
        await annotate(
            `${testbed.url}, through the laptop's tailscaled. The certificate is of the rehearsal's own authority: Let's Encrypt takes no part here`,
        );
    });

    test("the verification is a real one: who doesn't trust that authority gets no page", async () => {
        const { status, reason } = await laptop.fetch(testbed.url, { trusting: "/etc/ssl/certs/ca-certificates.crt" });
        expect(status).toBe(0);
        expect(reason).toMatch(/certificate/i);
    });

    test("from this machine there is none: no port is published, and it has no address in their network", async () => {
        const docker = await engine();
        const subnets = new BlockList();
        for (const { Subnet = "" } of (await docker.getNetwork(testbed.network).inspect()).IPAM?.Config ?? []) {
            const [address, prefix] = Subnet.split("/");
            subnets.addSubnet(address, Number(prefix));
        }
        expect(subnets.check(await addressOf(hermes, testbed.network))).toBe(true);
        const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
        expect(own.filter(({ family, address }) => family === "IPv4" && subnets.check(address))).toEqual([]);
        for (const container of [hermes, openWebUi]) {
            const { NetworkSettings, HostConfig } = await (await handleOf(container)).inspect();
            expect(Object.values(NetworkSettings.Ports).filter((bindings) => bindings as unknown)).toEqual([]);
            expect(HostConfig.PublishAllPorts).toBe(false);
            expect(Object.keys(NetworkSettings.Networks)).toEqual([testbed.network, ...(container === hermes && realServices ? [testbed.wayOut] : [])]);
        }
    });

    test("from a container outside there is none", async () => {
        await expectAllShut((url) => laptop.fetchDirectly(url));
    });

    test("Hermes isn't on the tailnet at all", async () => {
        const machines = await testbed.machines();
        expect(machines.map(({ Name, Tags }) => [Name.split(".")[0], ...(Tags ?? [])]).toSorted()).toEqual([["laptop"], ["open-webui", "tag:hermes"]]);
        await expectAllShut((url) => laptop.fetch(url));
    });

    test("the certificate's private key and the machine's stay unreadable for the app", async () => {
        const { exitCode } = await openWebUi.exec(["sh", "-c", "cat /app/backend/data/tailscale/certs/*.key"], { user: "10001:10001" });
        expect(exitCode).not.toBe(0);
    });
});

/** Of a chart with two bars: width, height, and the colours of its pixels. */
const chart = [3, 2, ...[200, 30, 30], ...[255, 255, 255], ...[30, 30, 200], ...[200, 30, 30], ...[30, 30, 200], ...[30, 30, 200]];
const table = "bar;height\nä;2\nb;1\n";
/** Python that writes both into files, without a library, for the sandbox of the stand-in has none. */
const drawing = `
import struct, zlib
def part(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
colours = bytes(${JSON.stringify(chart.slice(2))})
lines = b"".join(b"\\0" + colours[at : at + 9] for at in (0, 9))
header = struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0)
with open("/root/chart.png", "wb") as file:
    file.write(b"\\x89PNG\\r\\n\\x1a\\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(lines)) + part(b"IEND", b""))
with open("/root/Zahlen 1.csv", "w") as file:
    file.write(${JSON.stringify(table)})
print("Both:", "MEDIA:/root/chart.png", "MEDIA:/root/Zahlen 1.csv", sep="\\n")`;
const draw = `Draw in your sandbox: ${drawing.trim()}`;

describe("In a browser", () => {
    const question = "Run Python in your sandbox: the sum of i*i for i from 1 to 1000";
    const onTheWeb = "Look it up on the web: when does the harbour festival begin?";
    const picture = "https://pictures.example/of-what-was-said.png";
    /** What a page of Open WebUI's would run as a script, were a command taken for an event (\`socket\` in its frontend). */
    const event = `{"event": {"type": "execute", "data": {"code": "console.error('planted')"}}}`;
    const slow = `Run in your sandbox: import time  # ${event}\ntime.sleep(60)\nprint("done")`;
    const printed = "<h1>Minutes</h1><p>The colour of the boat is turquoise.</p>";
    const about = "Which words are in these documents, and what is on the photo?\n\n| Person | Boats |\n| --- | --- |\n| Ada | 2 |\n";
    let visited: Visited | undefined;
    let needed: Need[] = [];

    function seen(): Visited {
        if (!visited) throw new Error("the visit above didn't get that far");
        return visited;
    }

    test("sign in as the generated admin, have Python run, read the answer", async ({ annotate }) => {
        await testbed.forgetCalls();
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_ADMIN_PASSWORD: password } = testbed.environment("open-webui");
        const visit = laptop.browse({
            url: testbed.url,
            email,
            password,
            message: question,
            search: realServices ? undefined : onTheWeb,
            files: realServices ? undefined : draw,
            uploads: realServices ? undefined : { message: about, printed, paths: [`${await writeDocuments(laptop.container)}/a.docx`] },
            stopped: realServices ? undefined : slow,
            long: realServices ? undefined : "SLOW 12",
            // The provider's words are in the answer, and ask for a picture.
            temporary: realServices ? undefined : `FAIL 402 Insufficient credits ![](${picture})`,
        });
        needed = await needs(testbed, [hermes, openWebUi], visit);
        visited = await visit;
        expect(visited.answer.replaceAll(/[,. ]/g, "")).toContain("333833500");
        const folder = `${repository}test/.reports`;
        mkdirSync(folder, { recursive: true });
        writeFileSync(`${folder}/open-webui.png`, await laptop.screenshot());
        writeFileSync(`${folder}/phone.png`, await laptop.screenshot("phone"));
        await annotate(`screenshots: open-webui.png and phone.png in ${relative(process.cwd(), folder)}`);
    });

    test("the code ran in the sandbox, which holds nothing of the gateway's", async ({ skip, annotate }) => {
        skip(realServices !== undefined, "only the stand-in of Modal tells what ran");
        const [{ commands, mounts, secrets }, ...more] = await testbed.modal.sandboxes();
        expect(more).toEqual([]);
        expect(commands.filter((command) => command.includes("range(1, 1001)"))).toHaveLength(1);
        // That of sandboxSecrets, as the page has named its owner.
        expect({ mounts, secrets }).toEqual({ mounts: 0, secrets: 1 });
        await annotate("in the stand-in of Modal, by the calls that Modal's own client makes");
    });

    test("two model calls were made for it: one has the code run, one tells", async ({ skip }) => {
        skip(realServices !== undefined, "only the stand-in of OpenRouter counts calls");
        // Whatever else Open WebUI might ask for comes after the answer; give it the time that a title takes.
        await sleep(3000);
        expect(await testbed.asked(question)).toHaveLength(1);
        // The others are those of the search, of the two chats with files, of the uploads, of the one that was stopped, of the long answer and of the temporary chat.
        expect(await testbed.calls()).toHaveLength(2 + 2 + 2 * 2 + 1 + 1 + 1 + 2);
    });

    test("a question about the web is answered with what only a search has found, and says what was looked for", async ({ skip, annotate }) => {
        skip(!exa, "only the stand-in of Exa tells what was asked");
        expect(seen().search).toContain(festival.text);
        expect(seen().search).toMatch(/Searches the web: when does the harbour festival begin/);
        expect(await exa?.calls()).toMatchObject([{ path: "/search", body: { query: "when does the harbour festival begin?" } }]);
        await annotate("in the stand-in of Exa");
    });

    test("a chart made in the sandbox is seen, and a table downloaded byte for byte: at once, after a reload, in a temporary chat", ({ skip }) => {
        skip(realServices !== undefined, "only the stand-in of OpenRouter draws what it is told to");
        const arrived = { picture: chart, name: "Zahlen 1.csv", content: Buffer.from(table).toString("base64") };
        expect(seen().files).toEqual([arrived, arrived, arrived]);
    });

    test("a PDF and a DOCX reach the model as text, and a photo of 12 megapixels as one that the browser has made smaller", async ({ skip, annotate }) => {
        skip(realServices !== undefined, "only the stand-in of OpenRouter shows what it is sent");
        const [{ messages }] = await testbed.asked("Which words are in these documents");
        const parts = messages.at(-1)?.content as { text?: string; image_url?: { url: string } }[];
        const text = parts.map((part) => part.text ?? "").join();
        expect(text).toContain("The colour of the boat is turquoise.");
        expect(text).toContain("The word is docx");
        const photo = Buffer.from(parts.find((part) => part.image_url)?.image_url?.url.split(";base64,")[1] ?? "", "base64");
        expect(sizeOfJpeg(photo)).toEqual([1568, 1176]);
        const before = seen().uploads?.photo ?? NaN;
        expect(photo.length).toBeLessThan(before / 2);
        await annotate(`the photo: ${(before / 1e6).toFixed(1)} MB before, ${(photo.length / 1e6).toFixed(1)} MB after`);
    });

    test("a table of the answer is shown as a table", ({ skip }) => {
        skip(realServices !== undefined, "only the stand-in of OpenRouter answers with a table that it was sent");
        expect(seen().uploads?.tables).toEqual([
            ["Person", "Boats"],
            ["Ada", "2"],
        ]);
    });

    test("while a command runs the page says which; after Stop and a reload it still does, and nothing shimmers as if it went on", ({ skip }) => {
        skip(realServices !== undefined, "only the stand-in of OpenRouter runs what it is told to");
        const text: unknown = expect.stringMatching(/^Runs a command: python3 -c/);
        const ended = { text, running: false, shimmers: 0 };
        expect(seen().stopped).toEqual([{ ...ended, running: true }, ended, ended]);
    });

    test("an answer goes on while the page is closed, and is there when it is opened again", ({ skip }) => {
        skip(realServices !== undefined, "only the stand-in of OpenRouter answers as slowly as it is told to");
        const [left, whole] = seen().long ?? [];
        expect(left).not.toContain("12");
        expect(whole).toBe(Array.from({ length: 12 }, (_, index) => index + 1).join(" "));
    });

    test("a model that fails says why in the answer's place, in a temporary chat, too, and when it is asked again", ({ skip }) => {
        skip(realServices !== undefined, "only the stand-in of OpenRouter fails when it is told to");
        const reason: unknown = expect.stringMatching(/No answer from the model.*credit is used up/s);
        expect(seen().temporary).toEqual([reason, reason]);
    });

    test("the page's websocket works, and one from another origin is refused", async () => {
        expect(seen().websocket).toBe(true);
        const socket = (Origin: string) =>
            testbed.webui("GET", "/ws/socket.io/?EIO=4&transport=websocket", {
                headers: {
                    Origin,
                    Connection: "Upgrade",
                    Upgrade: "websocket",
                    "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                },
            });
        expect((await socket(testbed.url)).status).toBe(101);
        expect((await socket("https://evil.example")).status).toBe(403);
    });

    test("a phone can install the page: it has a manifest, and the icons that this names", async () => {
        const manifest = JSON.parse((await laptop.fetch(`${testbed.url}/manifest.json`)).body) as {
            name: string;
            display: string;
            start_url: string;
            icons: { src: string; sizes: string }[];
        };
        expect(manifest).toMatchObject({ name: "Open WebUI", display: "standalone", start_url: "/" });
        expect(Number.parseInt(manifest.icons[0].sizes, 10)).toBeGreaterThanOrEqual(192);
        for (const { src } of manifest.icons) expect((await laptop.fetch(`${testbed.url}${src}`)).status, src).toBe(200);
    });

    test("the page asked no other host and complained of nothing", () => {
        expect(seen().hosts).toEqual([]);
        // The page asks for channels, which are off, when it is faster than its own settings.
        expect(seen().errors.filter((error) => !/403.*\/api\/v1\/channels\//.test(error) && !error.includes(picture))).toEqual([]);
    });

    test("a picture elsewhere that an answer asks for isn't loaded: its host would hear of it", ({ skip }) => {
        skip(realServices !== undefined, "only the stand-in of OpenRouter says what it is told to");
        expect(seen().errors).toContainEqual(expect.stringMatching(/Content Security Policy/));
        expect(seen().errors.filter((error) => error.includes(picture))).not.toEqual([]);
    });

    test("above the answer stands which tool has run, and on what, after a reload, too", ({ skip }) => {
        skip(realServices !== undefined, "a model runs what it likes");
        expect(seen().answer).toMatch(/Runs a command: python3 -c/);
    });

    test("all of it fits into the memory that both services have, without swap: nothing was killed", async ({ annotate }) => {
        // `needs` has looked at what was killed.
        for (const { name, megabytes, limit } of needed) expect(megabytes, name).toBeLessThan(limit);
        await annotate(told(needed));
    });

    test("an admin reads at the Admin Panel's settings that nothing keeps them", () => {
        expect(seen().notice).toMatch(/gone at the next start.*README/);
    });

    test.for([1280, 390])(
        "what is typed without a network waits and is sent once, and an answer that was stopped goes on (%i pixels)",
        async (width, { skip }) => {
            skip(realServices !== undefined, "only the stand-in of OpenRouter answers as slowly as it is told to");
            const account = await testbed.addAccount((await testbed.signIn()).token);
            const day = (does: string, what: object) => laptop.week({ url: testbed.url, ...account, width, does, with: what });
            const messages = [words("The first"), words("The second")];
            const { chat } = (await day("offline", { messages })) as { chat: string[] };
            expect(chat).toEqual(messages.map((message) => expect.stringContaining(message) as string));
            for (const message of messages) expect(await testbed.asked(message)).toHaveLength(1);
            const numbers = ((await day("goes_on", { message: `${words("Count")} SLOW 30` })) as string).split(" ").map(Number);
            expect(numbers).toEqual(numbers.map((_, index) => index + 1));
        },
    );

    test.for([1280, 390])(
        "it says what an answer and a chat have cost, and shows, pauses and deletes what the agent keeps of somebody (%i pixels)",
        async (width, { skip }) => {
            skip(realServices !== undefined, "only the stand-in of OpenRouter has the agent keep what it is told to");
            const account = await testbed.addAccount((await testbed.signIn()).token);
            const { message, tea, skill } = keepsakes();
            const axe = await readFile(`${repository}node_modules/axe-core/axe.min.js`, "utf8");
            const seen = (await laptop.week({ url: testbed.url, ...account, width, does: "own", with: { axe, message } })) as Record<string, unknown>;
            for (const told of [seen.info, seen.chat]) expect(told).toContain("$0.008");
            expect(seen.violations).toEqual([]);
            for (const text of [tea, skill, "kettle"]) {
                expect(seen.own).toContain(text);
                expect(seen.after).not.toContain(text);
            }
            expect(seen.away).toMatch(/can’t be reached/);
        },
    );

    test("the browser saw the same certificate", () => {
        expect(seen().certificate.subject).toBe(new URL(testbed.url).hostname);
        expect(seen().certificate.issuer).toBe("Rehearsal authority");
    });
});

describe("On Telegram", () => {
    test("a chart made in the sandbox arrives as a photo, and a table as a document, byte for byte", async ({ skip, annotate }) => {
        if (!telegram) return skip("only the stand-in of Telegram tells what has arrived");
        await telegram.write(onTelegram, draw);
        await expect.poll(() => telegram?.files(onTelegram), { timeout: 60_000 }).toHaveLength(2);
        const [photo, document] = await telegram.files(onTelegram);
        expect(photo).toMatchObject({ kind: "photo", name: "chart.png" });
        const png = Buffer.from(photo.content, "base64");
        // Each line of pixels begins with the way in which it is compressed: 0 is none.
        expect([...inflateSync(png.subarray(png.indexOf("IDAT") + 4))]).toEqual([0, ...chart.slice(2, 11), 0, ...chart.slice(11)]);
        expect(document).toEqual({ kind: "document", name: "Zahlen_1.csv", content: Buffer.from(table).toString("base64") });
        await annotate("in the stand-in of Telegram");
    });
});

describe("On a phone", () => {
    const table = "Who has boats?\n\n| Person | Boats |\n| --- | --- |\n| Ada | 2 |\n";
    let walked: PhoneWalked | undefined;

    test("sign in, dictate a message and send it, read a table, find the chat again", async ({ skip, annotate }) => {
        skip(realServices !== undefined, "only the stand-in of OpenRouter answers with a table that it was sent");
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_ADMIN_PASSWORD: password } = testbed.environment("open-webui");
        const speech = await say(testbed, "wav", "The colour of the boat is turquoise, and so is the sea behind it.");
        walked = await laptop.walkOnPhone({ url: testbed.url, email, password, table, search: "Words of" }, speech);
        const { dictated } = walked;
        expect(dictated).toMatch(/^Words of \d seconds$/);
        expect(walked).toMatchObject({
            answer: expect.stringContaining(`Echo: ${dictated}`) as string,
            table: {
                rows: [
                    ["Person", "Boats"],
                    ["Ada", "2"],
                ],
                fits: true,
            },
            found: expect.stringContaining(dictated) as string,
        });
        const folder = `${repository}test/.reports`;
        for (const [name, picture] of Object.entries(await laptop.phoneScreenshots())) writeFileSync(`${folder}/${name}`, picture);
        await annotate(`screenshots: phone-dictated.png, phone-table.png and phone-search.png in ${relative(process.cwd(), folder)}`);
    });

    test("what was dictated went to OpenRouter as it was recorded, with the gateway's key, and no recording is left", async ({ skip, annotate }) => {
        skip(!walked, "nothing was dictated");
        const [{ authorization, format, model, seconds }, ...more] = await recordings(testbed);
        expect(more).toEqual([]);
        expect({ authorization, format, model }).toEqual({
            authorization: `Bearer ${testbed.environment("hermes").OPENROUTER_API_KEY}`,
            format: "webm",
            model: testbed.environment("hermes").VOICE_MODEL,
        });
        const left = await Promise.all(
            [hermes, openWebUi].map((each) => output(each, "sh", "-c", "grep -rla OpusHead /opt/data /app/backend/data /tmp 2>/dev/null || true")),
        );
        expect(left).toEqual(["", ""]);
        await annotate(`${seconds.toFixed(1)} s of speech that a synthesizer has spoken into the browser's microphone, decoded by the stand-in of OpenRouter`);
    });
});

/** Lets devices through to these ports only, by the policy. */
const grant = (Ports: number[] | null) => testbed.tailnet("PATCH", "/settings", { Ports });

describe("Only the page is served", () => {
    const name = () => new URL(testbed.url).hostname;
    /** The one that Render waits for. */
    const stub = 8080;
    /** tailscaled's own for its peers, which no policy touches: it judges each request by itself. */
    let peers: number;
    /** Who reaches what, as it was seen. */
    const seen: [from: string, reaches: string][] = [];

    beforeAll(async () => {
        const { Self } = JSON.parse(await output(openWebUi, "tailscale", "status", "--json")) as { Self: { PeerAPIURL: string[] } };
        peers = Number(new URL(Self.PeerAPIURL[0]).port);
    });
    afterAll(() => grant([443]));

    /** Tries all TCP ports of the container. */
    const scan = async (from: Container, ...to: string[]) => {
        const source = await readFile(`${repository}test/harness/scan.py`, "utf8");
        return JSON.parse(await outputOf(from, ["python3", "-", ...to], source)) as { open: number[]; silent: number };
    };

    test("of all 65,535 ports the private network reaches one that refuses everybody, and tailscaled's own", async ({ annotate }) => {
        const [host] = testbed.address("open-webui").split(":");
        const ports = await scan(testbed.openRouter, host);
        expect(ports).toEqual({ open: [stub, peers].toSorted((a, b) => a - b), silent: 0 });
        for (const path of ["/", "/api/config", "/health"]) {
            const refused = await testbed.request("GET", `http://${testbed.address("open-webui")}${path}`);
            expect(refused).toMatchObject({ status: 403, body: expect.stringMatching(/on the tailnet only/) as string });
        }
        await expect(testbed.request("GET", `http://${host}:${peers}/`)).rejects.toThrow(); // it hangs up on who isn't one
        seen.push(["a neighbour in Render's private network", `${stub}: 403; ${peers}: hung up on`]);
        await annotate(`${stub} answers 403, ${peers} is tailscaled's own port for its peers`);
    });

    test("without any policy a device reaches the page besides these, and nothing else", async ({ annotate }) => {
        await grant(null);
        const ports = await scan(laptop.container, name(), `${proxyPort}`);
        expect(ports).toEqual({ open: [443, stub, peers].toSorted((a, b) => a - b), silent: 0 });
        expect((await laptop.fetch(`http://${name()}:${stub}/`)).status).toBe(403);
        expect((await laptop.fetch(`http://${name()}:${peers}/`)).body).toMatch(/peerapi/);
        seen.push(["a device, without any policy", `443: the page; ${stub}: 403; ${peers}: tailscaled's own`]);
        await annotate(`443, ${stub} (403) and ${peers} (tailscaled's own), of 65,535`);
    });

    test("without one, what somebody opens in the container by hand would be open, on its loopback, too: for that the policy is there", async ({
        annotate,
    }) => {
        const byHand = 9999;
        await output(openWebUi, "sh", "-c", `cd /usr/share && python3 -m http.server --bind 127.0.0.1 ${byHand} >/dev/null 2>&1 &`);
        await expect.poll(async () => (await laptop.fetch(`http://${name()}:${byHand}/`)).status, { timeout: 30_000 }).toBe(200);
        await grant([443]);
        const answered = await Promise.all([byHand, stub, peers].map(async (port) => (await laptop.fetch(`http://${name()}:${port}/`)).status));
        expect(answered.slice(0, 2)).toEqual([0, 0]);
        expect(answered[2]).not.toBe(0);
        expect((await laptop.fetch(testbed.url)).status).toBe(200);
        seen.push(["a device, with the policy", `443: the page; ${peers}: tailscaled's own`]);
        await annotate([["Who", "reaches of Open WebUI"] as const, ...seen].map(([from, what]) => `${from.padEnd(42)}${what}`).join("\n"));
    });
});

/** A second device: the first has proven what no network but the tailnet lets through, and this machine reaches this one. */
let second: Promise<Laptop> | undefined;
const reachable = () => (second ??= Laptop.join(testbed, { published: true }));

describe("`npm run verify` on a device in the tailnet", () => {
    let user: VerifyUser;

    beforeAll(async () => {
        user = await VerifyUser.create(testbed, await reachable(), deployment);
    });
    afterAll(() => user.close());

    test("finds all in order", async ({ annotate }) => {
        const { statuses, line, code } = await user.verify({}, "--modal");
        // That is a question for the public DNS.
        expect(line("Funnel")).toMatch(/^unchecked: cloudflare-dns\.com/);
        expect(
            Object.entries(statuses)
                .filter(([, status]) => status !== "ok")
                .map(([check]) => check),
        ).toEqual(["Funnel", "Backups"]);
        expect(Object.keys(statuses)).toHaveLength(20);
        expect(code).toBe(0);
        for (const check of ["Machine on the tailnet", "Certificate", "Chat", "Modal run"]) await annotate(`${check}, ${line(check)}`);
    });

    test("sends no password to a page whose certificate doesn't verify", async () => {
        const { line, code } = await user.verify({ NODE_EXTRA_CA_CERTS: undefined });
        expect(line("Certificate")).toMatch(/^failure: .*don't sign in/);
        expect(line("Chat")).toMatch(/^unchecked/);
        expect(code).toBe(1);
    });

    test("says so when the policy shuts this device out", async () => {
        await grant([22]);
        const { line, code } = await user.verify();
        await grant([443]);
        expect(line("Page")).toMatch(/^failure: .*tcp:443 of tag:hermes/);
        expect(code).toBe(1);
    });

    test("says so when the policy lets this device reach more than the page", async () => {
        await grant(null);
        const { line, code } = await user.verify();
        await grant([443]);
        expect(line("Other ports")).toMatch(/^warning: .*:8080 answers, too.*tailnetPolicy/);
        expect(code).toBe(0);
    });

    test("says so when the machine is off the tailnet", async () => {
        await testbed.tailnet("PATCH", "/machines/open-webui", { Offline: true });
        const { line } = await user.verify();
        await testbed.tailnet("PATCH", "/machines/open-webui", { Offline: false });
        expect(line("Machine on the tailnet")).toMatch(/^failure: .*offline/);
    });

    test("says so when Hermes is gone", async () => {
        await hermes.stop({ remove: false, removeVolumes: false });
        const { line, code } = await user.verify();
        await hermes.restart();
        expect(line("Chat")).toMatch(/^failure: .*Hermes/);
        expect(code).toBe(1);
    });
});

if (keep) {
    test("It stays up", async ({ annotate }) => {
        await annotate(await howToOpen(testbed, await reachable()), "open");
    });
}
