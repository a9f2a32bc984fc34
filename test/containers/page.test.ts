/** What the page shows, held against docs/page.md: an upgrade of Open WebUI that brings a button or a page is noticed here. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect, createNetwork, logOf, output, start } from "../harness/docker.ts";
import { Laptop, type PhoneWalk, type Walked } from "../harness/laptop.ts";
import { Testbed, words, type Session } from "../harness/testbed.ts";
import { fare, recordings, say } from "../harness/voice.ts";

/** Rows of the tables in docs/page.md: the place, its controls, who has them, what they are. */
const sections = readFileSync("docs/page.md", "utf8").split(/^## /m).slice(1);
const listed = sections.flatMap((section) => {
    const place = section.slice(0, section.indexOf("\n"));
    const rows = section.split("\n").filter((line) => line.startsWith("| `"));
    return rows.flatMap((row) => {
        const [names, ...cells] = row
            .split("|")
            .slice(1, -1)
            .map((cell) => cell.trim());
        const [who, state] = place === "Addresses" ? ["everyone", cells[0]] : cells;
        return [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => ({ place, name, who, state }));
    });
});
const addresses = listed.filter(({ place }) => place === "Addresses");
const suggestions = JSON.parse(readFileSync("openwebui/suggestions.json", "utf8")) as { title: string[]; content: string }[];

let testbed: Testbed;
let laptop: Laptop;
let admin: Session;

beforeAll(async () => {
    testbed = await Testbed.create();
    [laptop] = await Promise.all([Laptop.join(testbed), testbed.start("hermes"), testbed.start("open-webui")]);
    admin = await testbed.signIn();
});
afterAll(() => testbed.remove());

describe("the controls", () => {
    const walked: Partial<Record<"admin" | "people", Walked>> = {};

    beforeAll(async () => {
        const person = { name: "Ada", email: "ada@example.com", password: words("password"), role: "user" };
        const { status } = await testbed.webui("POST", "/api/v1/auths/add", { bearer: admin.token, body: person });
        expect(status).toBe(200);
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_ADMIN_PASSWORD: password } = testbed.environment("open-webui");
        const gone = addresses.filter(({ state }) => state === "gone").map(({ name }) => name.replaceAll(/\[\w+\]/g, "x"));
        const order = { url: testbed.url, suggestions, addresses: gone };
        [walked.admin, walked.people] = await Promise.all([
            laptop.walk({ ...order, email, password, width: 1280 }),
            laptop.walk({ ...order, ...person, width: 390 }),
        ]);
    });

    test.for(["admin", "people"] as const)("those that %s see are those that docs/page.md lists, and no others", (who) => {
        const has = ["everyone", who, who === "admin" ? "wide" : "phone"];
        const controls = Object.entries(walked[who]?.controls ?? {}).filter(([place]) => place !== "Addresses");
        const seen = controls.flatMap(([place, names]) => names.map((name) => `${place}: ${name}`));
        const there = listed.filter(({ place, who: whose, state }) => place !== "Addresses" && state !== "gone" && has.includes(whose));
        expect(seen.toSorted()).toEqual(there.map(({ place, name }) => `${place}: ${name}`).toSorted());
    });

    test("on a phone a wide table scrolls in its place, and the input stays in sight", () => {
        const { page, table, shown, scrolled, input } = walked.people?.measures ?? {};
        expect({ page, scrolled }).toEqual({ page: 390, scrolled: table });
        expect(table).toBeGreaterThan(2 * (shown ?? Infinity));
        expect(input).toBeLessThanOrEqual(800);
    });

    test("the list says of each whether it works", () => {
        expect(listed.filter(({ state }) => !["works", "gone", "kept"].includes(state))).toEqual([]);
    });

    test.for(["admin", "people"] as const)("pages that are gone lead %s elsewhere", (who) => {
        const gone = addresses.filter(({ state }) => state === "gone").map(({ name }) => name.replaceAll(/\[\w+\]/g, "x"));
        expect(walked[who]?.controls.Addresses).toEqual(gone);
    });

    test.for(["admin", "people"] as const)("a suggestion that %s press is sent as it is and answered", (who) => {
        expect(walked[who]?.suggested).toEqual(suggestions.map(({ content }) => expect.stringContaining(`Echo: ${content}`) as string));
    });
});

test("Open WebUI has the pages that docs/page.md lists, and no others", async () => {
    const app = await output(testbed.running("open-webui"), "sh", "-c", "cat /app/build/_app/immutable/entry/app.*.js");
    const routes = [...app.matchAll(/"(\/[^"]*)":\[/g)].map(([, route]) => route.replace("/(app)", "") || "/");
    expect([...new Set(routes)].toSorted()).toEqual(addresses.map(({ name }) => name).toSorted());
});

test("Open WebUI fetches no address that somebody gives it, public or private", async () => {
    // Its own bounds let an address through that is public. This network has such addresses, and no way out.
    const network = `${testbed.network}-public`;
    await createNetwork(network, "11.22.33.0/24");
    await connect(testbed.running("open-webui"), network);
    const script = "import http.server as s; s.test(s.SimpleHTTPRequestHandler, port=80)";
    const site = await start({ image: "internet", network, aliases: ["site.example"], command: ["python3", "-uc", script], ready: /Serving/ });
    await connect(site, testbed.network, ["private.example"]);
    const asked = async () => (await logOf(site)).match(/"GET /g)?.length;
    const sites = ["http://site.example/", "http://private.example/"];
    await output(testbed.running("open-webui"), "curl", "--fail", "--silent", ...sites);
    expect(await asked()).toBe(2);
    for (const url of [...sites, "http://127.0.0.1:8080/health", `http://${testbed.address("hermes")}/health`]) {
        for (const kind of ["web", "youtube"]) {
            const { status } = await testbed.webui("POST", `/api/v1/retrieval/process/${kind}`, { bearer: admin.token, body: { url } });
            expect(status, `${kind} ${url}`).toBe(400);
        }
    }
    expect(await asked()).toBe(2);
});

describe("a voice", () => {
    /** A sentence, and enough silence behind it for voice mode to take it for the end. */
    const speech = () => say(testbed, "wav", "The colour of the boat is turquoise.", 0, 6);
    const walk = async (more: Partial<PhoneWalk> = {}) => {
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_ADMIN_PASSWORD: password } = testbed.environment("open-webui");
        return laptop.walkOnPhone({ url: testbed.url, email, password, ...more }, await speech());
    };
    const cached = () => output(testbed.running("open-webui"), "sh", "-c", "find /app/backend/data/cache/audio -type f; grep -rl OpusHead /tmp || true");

    test("what is dictated stands in the message, a call is talked, and the browser speaks; no recording stays", { timeout: 300_000 }, async () => {
        await fare(testbed);
        const walked = await walk({ call: true });
        expect(walked.dictated).toMatch(/^Words of [2-5] seconds$/);
        expect(walked).toMatchObject({
            answer: expect.stringContaining(`Echo: ${walked.dictated}`) as string,
            aloud: expect.stringContaining(walked.dictated) as string,
            call: { said: expect.stringMatching(/^Words of \d+ seconds/) as string, spoken: expect.stringMatching(/Words of \d+ seconds/) as string },
        });
        for (const { format, model } of await recordings(testbed))
            expect({ format, model }).toEqual({ format: "webm", model: "openai/whisper-large-v3-turbo" });
        expect(await cached()).toBe("");
    });

    test("an audio file that is uploaded becomes text, and stays", async () => {
        await fare(testbed);
        const form = { file: { name: "note.mp3", content: await say(testbed, "mp3", "The colour of the boat is turquoise.") } };
        const { body } = await testbed.webui("POST", "/api/v1/files/", { bearer: admin.token, form });
        const { id } = body as { id: string };
        const uploaded = async () => (await testbed.webui("GET", `/api/v1/files/${id}`, { bearer: admin.token })).body;
        await expect
            .poll(uploaded, { timeout: 30_000 })
            .toMatchObject({ data: { status: "completed", content: expect.stringMatching(/^Words of \d seconds$/) as string } });
        expect((await testbed.webui("GET", `/api/v1/files/${id}/content`, { bearer: admin.token })).status).toBe(200);
    });

    test("why there is no text is said once, in one sentence, and OpenRouter is asked once", async () => {
        await fare(testbed, { status: 402 });
        expect(await walk()).toEqual({
            dictated: "",
            refused: expect.stringMatching(/^OpenRouter refuses: the credit is used up.*settings\/credits\.$/) as string,
        });
        expect(await recordings(testbed)).toHaveLength(1);
        expect(await cached()).toBe("");
    });

    test("with voiceModel none nobody sees a microphone or voice mode, an admin neither, and the API refuses", { timeout: 300_000 }, async () => {
        await testbed.configure({ voiceModel: "none" });
        await testbed.redeploy("open-webui");
        await expect(walk()).rejects.toThrow(/Dictating failed/);
        const style = await laptop.fetch(`${testbed.url}/static/custom.css`);
        expect(style.body).toContain("#voice-input-button");
        const { status, body } = await testbed.webui("POST", "/api/v1/audio/transcriptions", {
            bearer: (await testbed.signIn()).token,
            form: { file: { name: "recording.webm", content: await say(testbed, "webm", "Hello") } },
        });
        expect({ status, body }).toEqual({ status: 404, body: { detail: expect.stringMatching(/voiceModel/) as string } });
        await testbed.configure();
    });
});

test("the name that people read is the owner's, and the id that chats refer to stays", async () => {
    const model = async () => {
        const { body } = await testbed.webui("GET", "/api/models", { bearer: admin.token });
        return (body as { data: { id: string; name: string }[] }).data.map(({ id, name }) => ({ id, name }));
    };
    const id = testbed.environment("open-webui").DEFAULT_MODELS;
    expect(await model()).toEqual([{ id, name: "Hermes" }]);
    await testbed.configure({ agentName: "Jarvis" });
    await testbed.redeploy("open-webui");
    expect(await model()).toEqual([{ id, name: "Jarvis" }]);
    expect(await testbed.sendFromPage(admin.token, "Are you there?")).toBe("Echo: Are you there?");
});
