/** What the page shows, held against docs/page.md: an upgrade of Open WebUI that brings a button or a page is noticed here. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect, createNetwork, logOf, output, start } from "../harness/docker.ts";
import { Laptop, type Walked } from "../harness/laptop.ts";
import { Testbed, words, type Session } from "../harness/testbed.ts";

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
