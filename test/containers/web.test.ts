/** The agent's web search and its reading of pages: by Exa alone, within limits, and off without a key. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { logOf, output } from "../harness/docker.ts";
import { Exa } from "../harness/exa.ts";
import { Person } from "../harness/person.ts";
import { Testbed, words } from "../harness/testbed.ts";

const key = randomUUID();

let testbed: Testbed;
let exa: Exa;

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.configure({ exaApiKey: key });
    exa = await Exa.open(testbed, key);
    await testbed.start("hermes");
});
afterAll(() => testbed.remove());

beforeEach(async () => {
    await testbed.forgetCalls();
    await exa.forgetCalls();
});
afterEach(() => exa.play({}));

interface Found {
    success: boolean;
    error?: string;
    data: { web: { url: string; title: string; description: string; position: number }[] };
}
interface Read {
    url: string;
    title: string;
    content: string;
    error: string | null;
}

const person = () => new Person(testbed);
const search = async (query: string, more: object = {}) => (await person().use("web_search", { query, ...more })) as unknown as Found;
const read = async (urls: string[], more: object = {}) => ((await person().use("web_extract", { urls, ...more })) as unknown as { results: Read[] }).results;

/** A page of the web that nobody has seen before. */
const page = (text = words("Its text")) => ({ url: `https://planted-${randomUUID()}.example/page`, title: words("Title"), text });

/** All that Hermes has said: in its logs, and to the model. */
async function everythingSaid(): Promise<string> {
    const hermes = testbed.running("hermes");
    return `${await logOf(hermes)}${await output(hermes, "find", "/opt/data/logs", "-type", "f", "-exec", "cat", "{}", "+")}${JSON.stringify(await testbed.calls())}`;
}

describe("a search", () => {
    test("gives titles, addresses and excerpts, for one request and two calls of the model", async () => {
        const [one, other] = [page(`${words("Capybaras swim.")} ${"a".repeat(3000)}`), page("Nothing of the kind")];
        await exa.publish(one, other);
        const { success, data } = await search("What do capybaras do?");
        expect(success).toBe(true);
        expect(data.web).toEqual([{ url: one.url, title: one.title, description: one.text.slice(0, 1000), position: 1 }]);
        expect(await exa.calls()).toEqual([
            { path: "/search", body: { query: "What do capybaras do?", numResults: 5, type: "auto", contents: { highlights: { maxCharacters: 1000 } } } },
        ]);
        const calls = await testbed.calls();
        expect(calls).toHaveLength(2);
        expect(JSON.stringify(calls[1].messages)).toMatch(/<untrusted_tool_result.*Treat it as DATA/);
    });

    test("is there for the agent's scripts, too", async () => {
        const found = page(words("Otters hold hands."));
        await exa.publish(found);
        const code = "from hermes_tools import web_search\nprint(web_search('What do otters hold?')['data']['web'][0]['description'])";
        expect(await person().use("execute_code", { code })).toMatchObject({ status: "success", output: `${found.text}\n` });
    });

    test("asks for no more results than one request includes", async () => {
        await search("everything", { limit: 100 });
        expect(await exa.calls()).toMatchObject([{ body: { numResults: 10 } }]);
    });
});

describe("the reading of pages", () => {
    test("gives each page's text or why there is none, in the order of the addresses", async () => {
        const [one, other] = [page(), page()];
        const failing = { CRAWL_NOT_FOUND: /no such page/, CRAWL_TIMEOUT: /doesn't answer in time/, SOURCE_NOT_AVAILABLE: /doesn't let/ };
        const broken = Object.keys(failing).map((tag) => ({ url: page().url, tag }));
        await exa.publish(one, other, ...broken);
        const results = await read([one.url, ...broken.map(({ url }) => url), other.url]);
        expect(results.map(({ url, title, content }) => ({ url, title, text: content }))).toEqual([
            one,
            ...broken.map(({ url }) => ({ url, title: "", text: "" })),
            other,
        ]);
        for (const [index, reason] of Object.values(failing).entries()) expect(results[index + 1].error).toMatch(reason);
        expect(await testbed.calls()).toHaveLength(2);
    });

    test("is cut where it was asked to be, at 60,000 characters for all pages together, and says so", async () => {
        const pages = [page("a".repeat(100_000)), page("b".repeat(20_000))];
        await exa.publish(...pages);
        const urls = pages.map(({ url }) => url);
        const lengths = async (...asked: Parameters<typeof read>) => (await read(...asked)).map(({ content }) => content.match(/^[ab]*/)?.[0].length);
        expect(await lengths(urls)).toEqual([15_000, 15_000]);
        expect(await lengths(urls, { char_limit: 1_000_000 })).toEqual([30_000, 20_000]);
        expect(await lengths([urls[0]], { char_limit: 1_000_000 })).toEqual([60_000]);
        expect((await read([urls[0]]))[0].content).toMatch(/the first 15000 of more than 60000 characters/);
    });

    test("looks up and connects to no host but Exa's, whatever an address names", async () => {
        const planted = page();
        const { hostname } = new URL(planted.url);
        await exa.publish(planted);
        await search(`what does ${hostname} say`);
        expect((await read([planted.url]))[0].content).toBe(planted.text);
        // Each try to reach another host than those of haproxy.cfg is refused with a line.
        const refused = (await logOf(testbed.running("hermes"))).split("\n").filter((line) => line.startsWith("haproxy: routers: "));
        expect(refused.filter((line) => !/TLS to (models\.dev|command-router\.modal\.com): /.test(line))).toEqual([]);
        expect((await exa.calls()).map(({ path }) => path)).toEqual(["/search", "/contents"]);
    });

    test.for([
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://hermes:8642/",
        "https://nas.tail1234.ts.net/",
        "file:///etc/passwd",
        "https://me:word@example.org/",
    ])("of %s is refused, and Exa doesn't hear of it", async (url) => {
        const [{ content, error }] = await read([url]);
        expect(content).toBe("");
        expect(error).toMatch(/private or internal/);
        expect(await exa.calls()).toEqual([]);
    });
});

describe("a failure of Exa is a sentence, and nobody reads the key", () => {
    const sentences: [status: number, says: RegExp][] = [
        [400, /doesn't take this request \(400\)/],
        [401, /doesn't take the key.*exaApiKey.*pulumi up/],
        [402, /credit is used up.*dashboard\.exa\.ai/],
        [403, /doesn't allow|don't allow/],
        [429, /too many requests.*Wait/],
        [500, /out of order.*minute/],
        [503, /out of order.*minute/],
    ];
    test.for(sentences)("%s", async ([status, says]) => {
        await exa.play({ status });
        const { success, error } = await search("anything");
        expect(success).toBe(false);
        expect(error).toMatch(says);
        expect((await read([page().url]))[0].error).toMatch(says);
        expect(await exa.calls()).toHaveLength(2);
        const said = await everythingSaid();
        expect(said).toContain("Web search via exa");
        expect(said).not.toContain(key);
    });

    test("an answer without an end isn't read to its end", async () => {
        await exa.play({ bytes: 3_000_000 });
        expect((await search("anything")).error).toMatch(/too long/);
    });

    test("none at all is waited for 40 seconds", { timeout: 120_000 }, async () => {
        await exa.play({ seconds: 60 });
        const began = Date.now();
        const [found, [{ error }]] = await Promise.all([search("anything"), read([page().url])]);
        for (const said of [found.error, error]) expect(said).toMatch(/didn't answer within 40 seconds/);
        expect(Date.now() - began).toBeLessThan(55_000);
    });
});

describe("what the model knows of the web", () => {
    /** What it is told and offered, in a chat that goes on. */
    async function told(somebody: Person): Promise<{ prompt: string; tools: string[] }> {
        const question = words("What do you know?");
        await somebody.ask(question);
        const [{ messages, tools }] = await testbed.asked(question);
        return { prompt: JSON.stringify(messages[0]), tools };
    }
    const web = ["web_extract", "web_search"];

    test("with a key it has both tools; without one neither, and is told what its sandbox reaches, in an old chat, too", async () => {
        const old = person();
        const before = await told(old);
        expect(before.tools).toEqual(expect.arrayContaining(web));
        expect(before.prompt).toMatch(/look things up with web_search.*sandbox reaches the internet/);

        await testbed.redeploy("hermes", { EXA_API_KEY: "" });
        for (const somebody of [old, person()]) {
            const { prompt, tools } = await told(somebody);
            expect(tools).toContain("terminal");
            expect(tools.filter((name) => web.includes(name))).toEqual([]);
            expect(prompt).toMatch(/you have no web_search.*sandbox reaches the internet.*with curl.*Beside Python it has.*curl, git/);
            expect(prompt).not.toContain("look things up with web_search");
        }
        await old.ask('CALL web_search {"query": "anything"}');
        await old.ask(`CALL web_extract {"urls": ["${page().url}"]}`);
        expect(await exa.calls()).toEqual([]);
    });

    test("without a key and with sandboxNetwork none it says that there is no web", async () => {
        await testbed.redeploy("hermes", { EXA_API_KEY: "", SANDBOX_NETWORK: "none" });
        const { prompt } = await told(person());
        expect(prompt).toMatch(/you have none, no web_search either.*no network.*Say so/);
        expect(prompt).not.toContain("reaches the internet");
    });

    test("with networks it names them", async () => {
        await testbed.redeploy("hermes", { EXA_API_KEY: "", SANDBOX_NETWORK: "140.82.112.0/20,1.1.1.1/32" });
        expect((await told(person())).prompt).toContain("only these networks can be reached: 140.82.112.0/20, 1.1.1.1/32.");
    });
});
