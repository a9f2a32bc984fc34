/** What the page shows, held against docs/page.md: an upgrade of Open WebUI that brings a button or a page is noticed here. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keepsakes } from "../harness/own.ts";
import { sizeOfJpeg } from "../harness/picture.ts";
import { writeDocuments } from "../harness/uploads.ts";
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
        const person = await testbed.addAccount(admin.token, { name: "Ada" });
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_ADMIN_PASSWORD: password } = testbed.environment("open-webui");
        const gone = addresses.filter(({ state }) => state === "gone").map(({ name }) => name.replaceAll(/\[\w+\]/g, "x"));
        const order = { url: testbed.url, suggestions, addresses: gone };
        [walked.admin, walked.people] = await Promise.all([
            laptop.walk({ ...order, email, password, width: 1280 }),
            laptop.walk({ ...order, email: person.email, password: person.password, width: 390 }),
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

describe("from day to day", () => {
    const { page } = JSON.parse(readFileSync("openwebui/page/texts.json", "utf8")) as { page: Record<string, Record<string, string>> };
    const { offline, starting, unsent } = page;
    type More = { width?: number; locale?: string; with?: object; email?: string; password?: string };
    /** A new account, and its token; Open WebUI refuses a sixteenth sign-in of one within three minutes. */
    const join = (role = "user") => testbed.addAccount(admin.token, { name: words("Kim"), role });
    const day = async (does: string, more: More = {}) => {
        const { email, password } = more.email ? { email: more.email, password: more.password ?? "" } : await join();
        return laptop.week({ url: testbed.url, does, ...more, email, password });
    };
    /** What does something in a window and on a phone at once. */
    const both = (does: (width: number) => Promise<void>) => () => Promise.all([1280, 390].map(does));
    const asAdmin = () => {
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_ADMIN_PASSWORD: password } = testbed.environment("open-webui");
        return { email, password };
    };

    test("a first load is light: the sign-in comes without the rest of the page", async () => {
        const { address, requests, bytes } = (await day("first_load")) as { address: string; requests: number; bytes: number };
        expect(address).toBe("/auth?redirect=%2F");
        // 220 and 2.5 MB without connection.js.
        expect(requests).toBeLessThan(110);
        expect(bytes).toBeLessThan(1.25e6);
    });

    test.for<[path: string, width: number]>([
        ["/api/config", 390],
        ["/api/v1/auths/", 1280],
    ])("first requests that fail sign nobody out: they are made again, and a line says so (%s, %i)", async ([path, width]) => {
        expect(await day("loads", { width, with: { path } })).toEqual({
            aborted: { said: offline.en, in: true },
            "502": { said: starting.en, in: true },
            "500": { said: starting.en, in: true },
        });
    });

    test.for([401, 403])("a session that the service refuses with %i is over, and the sign-in is there", async (status) => {
        expect(await day("refused", { with: { status } })).toEqual({ address: "/auth?redirect=%2F", token: null });
    });

    test("reloads before the page is there sign nobody out", async () => {
        expect(await day("reloads", { width: 390 })).toEqual(Array.from({ length: 6 }, () => true));
    });

    test.for([1280, 390])("a message that is sent without a network waits, and is there after the page was closed (%s)", async (width) => {
        const messages = [words("The first"), words("The second")];
        await testbed.forgetCalls();
        expect(await day("offline", { width, with: { messages } })).toEqual({
            said: offline.en,
            thinks: 0,
            kept: expect.stringContaining(messages[0]) as string,
            answer: `Echo: ${messages[0]}`,
            draft: messages[1],
            told: unsent.en,
            chat: messages.map((message) => expect.stringContaining(message) as string),
            field: "",
        });
        for (const message of messages) expect(await testbed.asked(message)).toHaveLength(1);
    });

    test.for<[by: string, width: number]>([
        ["the server", 1280],
        ["another tab", 390],
        ["sent", 390],
    ])("a session that ends keeps the chat and the draft (%s, %i)", async ([by, width]) => {
        const draft = words("A long thought");
        expect(await day("session", { width, with: { message: words("Hello"), draft, by } })).toEqual({ back: true, field: draft });
    });

    test("a session that ends in one tab leads another to the sign-in, and nobody else finds the draft", async () => {
        const { email, password } = await join();
        expect(await day("turns", { with: { draft: words("A secret"), other: { email, password } } })).toEqual({ found: "" });
    });

    test("an answer that is gone on with goes on: the model has the half as its own words, and what comes is joined", async () => {
        const message = `${words("Count")} SLOW 30`;
        await testbed.forgetCalls();
        const answer = (await day("goes_on", { with: { message } })) as string;
        const numbers = answer.split(" ").map(Number);
        expect(numbers.length).toBeGreaterThan(10);
        expect(numbers).toEqual(numbers.map((_, index) => index + 1));
        const call = (await testbed.calls()).at(-1);
        expect(call?.messages.slice(-3)).toEqual([
            expect.objectContaining({ role: "user", content: expect.stringContaining(message) as string }),
            expect.objectContaining({ role: "assistant", content: expect.stringMatching(/^1 2 3[\d ]*$/) as string }),
            expect.objectContaining({ role: "user", content: expect.stringMatching(/cut off\. Go on/) as string }),
        ]);
    });

    test("a half answer and what comes to it are joined as prose and as code", async () => {
        const cases: [half: string, rest: string, whole: string][] = [
            ["The quick", "brown fox", "The quick brown fox"],
            ["The quick ", "brown fox", "The quick brown fox"],
            ["It ends.", "Then more", "It ends. Then more"],
            ["The archi", "architecture", "The architecture"],
            ["The quick", "quick brown", "The quick brown"],
            ["Hello", ", world", "Hello, world"],
            ["Pi is 3.", "14", "Pi is 3.14"],
            ["See (", "this)", "See (this)"],
            ["日本", "語です", "日本語です"],
            ["- one\n- two", "\n- three", "- one\n- two\n- three"],
            ["```py\nfor i in", "```py\nfor i in range(3):\n", "```py\nfor i in range(3):\n"],
            ["```py\nx = 1", "```py\ny = 2\n", "```py\nx = 1\ny = 2\n"],
            ["```py\nx = na", "me + 1", "```py\nx = name + 1"],
        ];
        const program = `
import asyncio, json, sys
from open_webui.private.continued import with_joint
def event(delta, reason=None): return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": reason}]}).encode() + b"\\n"
async def whole(half, rest):
    async def lines():
        for letter in rest: yield event({"content": letter})
        yield event({}, "stop")
        yield b"data: [DONE]\\n"
    said = [json.loads(line[6:])["choices"][0]["delta"].get("content", "") async for line in with_joint(lines(), half) if b"choices" in line]
    return half + "".join(said)
print(json.dumps([asyncio.run(whole(half, rest)) for half, rest, _ in json.loads(sys.argv[1])]))`;
        const webui = testbed.running("open-webui");
        const run = ["sh", "-c", 'cd /app/backend && DATA_DIR=$(mktemp -d) WEBUI_SECRET_KEY=none exec python3 -c "$0" "$1"', program, JSON.stringify(cases)];
        const said = (await output(webui, ...run)).trim().split("\n").at(-1) ?? "";
        expect(JSON.parse(said)).toEqual(cases.map(([, , whole]) => whole));
    });

    test("a chat's title is its first sentence, to be read, and asks no model", async () => {
        const { token } = await join();
        const cases: [message: string, title: string][] = [
            ["**Hello Hermes!** Can you look at https://example.com/a/b?c=1 for me? There is more.", "Can you look at example.com for me?"],
            ["# To *buy*\n\n- [ ] [milk](https://shop.example/milk)", "To buy"],
            ["Mend this:\n```js\nlet x = 1;\n```", "Mend this"],
            ["What is 2*3*4, and what is snake_case_here?", "What is 2*3*4, and what is snake_case_here?"],
            ["会議の準備をしてください。資料は添付しました。", "会議の準備をしてください"],
            [`Tell me all that you know ${"of this and that ".repeat(9)}`, "Tell me all that you know of this and that of this and that…"],
        ];
        for (const [message, title] of cases) {
            await testbed.forgetCalls();
            const asked = await testbed.askFromPage(token, message);
            await testbed.answered(token, asked);
            expect((await testbed.chats(token)).find(({ id }) => id === asked.chatId)?.title).toBe(title);
            expect(await testbed.calls()).toHaveLength(1);
        }
    });

    test("a chat is exported as a PDF with all that its answer has: a task list, a table, a formula, a diagram and a picture of the sandbox", async () => {
        const [picture, diagram] = [
            [200, 30, 200],
            [30, 200, 30],
        ];
        const answer = [
            "- [ ] open\n- [x] done",
            "| a | b |\n|---|---|\n| 1 | 2 |",
            "$$x^2$$",
            "```mermaid\ngraph TD; A[Start]-->B; style A fill:#1ec81e\n```",
            "MEDIA:/root/chart.png",
        ];
        const drawing = `
import struct, zlib
def part(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
lines = (b"\\0" + bytes(${JSON.stringify(picture)}) * 300) * 200
with open("/root/chart.png", "wb") as file:
    file.write(b"\\x89PNG\\r\\n\\x1a\\n" + part(b"IHDR", struct.pack(">IIBBBBB", 300, 200, 8, 2, 0, 0, 0)) + part(b"IDAT", zlib.compress(lines)) + part(b"IEND", b""))
print(${JSON.stringify(answer.join("\n\n"))})`;
        const exports = (await day("exports", { with: { message: `Draw in your sandbox: ${drawing.trim()}`, colours: [picture, diagram] } })) as {
            name: string;
            pixels: number[];
        }[];
        expect(exports).toHaveLength(2);
        for (const { name, pixels } of exports) {
            expect(name).toMatch(/\.pdf$/);
            // Twice as many points each way as the picture has, but for its rounded corners.
            expect(pixels[0]).toBeGreaterThan(230_000);
            expect(pixels[1]).toBeGreaterThan(10_000);
        }
    });

    test("what is in the menus of a chat does what it says", async () => {
        const message = words("Boats and seas");
        const text = `### USER\n${message}\n\n### ASSISTANT\nEcho: ${message}`;
        expect(await day("chat_rows", { with: { message } })).toEqual({
            copied: text,
            text,
            json: [message],
            tags: ["boats"],
            renamed: "A new name",
            unread: [0],
            pinned: true,
            archived: true,
            back: false,
            clone: "Clone of A new name",
            deleted: true,
        });
    });

    test("the buttons of a message and of its answer do what they say", async () => {
        const message = words("Count boats");
        expect(await day("message_rows", { with: { message } })).toEqual({
            "Add Details": "Echo: Add Details",
            "More Concise": "Echo: More Concise",
            suggested: "Echo: As a poem",
            "Try Again": `Echo: ${message}`,
            copied: `Echo: ${message}`,
            fork: `${message} (fork)`,
            edited: "Echo: Count seas",
        });
    });

    test(
        "what is at the sign-in, in the menus of a message and behind / does what it says",
        both(async (width) => {
            const [messages, note] = [{ chat: words("Boats"), all: words("All of that") }, words("turquoise")];
            expect(await day("compose_rows", { width, with: { messages, note } })).toEqual({ password: "text", compared: ["Change 1 of 1", "Two boats"] });
            const said = JSON.stringify((await testbed.asked(messages.all))[0].messages.at(-1));
            // An earlier upload, another chat, and a picture.
            expect(said).toContain(note);
            expect(said).toContain(`Echo: ${messages.chat}`);
            expect(said.match(/"data:image\/\w+;base64,/g)).toHaveLength(1);
        }),
    );

    test(
        "code and tables of an answer are kept and copied, a folder has its picture, and chats are found by their place",
        both(async (width) => {
            const message = words("Seas");
            expect(await day("find_rows", { width, with: { message, code: "print(1)" } })).toEqual({
                saved: "print(1) # more",
                copied: "| a | b |\n|---|---|\n| 1, x | 2 |",
                table: '"a","b"\n"1, x","2"',
                shared: [],
                created: expect.arrayContaining([message, `${message} elsewhere`]) as string[],
                folder: [message],
                preview: `Echo: ${message}:`,
            });
        }),
    );

    test("the model gets the system prompt of a chat, of a folder and of a person", async () => {
        const [prompts, messages] = ["prompt", "message"].map((what) =>
            Object.fromEntries(["chat", "folder", "person"].map((whose) => [whose, words(`A ${what} of a ${whose}`)])),
        );
        // A dialog asks for notes, which are off.
        expect(await day("prompt_rows", { with: { prompts, messages } })).toEqual([]);
        const seen: Record<string, string[]> = {};
        for (const [whose, message] of Object.entries(messages)) {
            const [call] = await testbed.asked(message);
            // Hermes' own role for it depends on the model.
            const told = JSON.stringify(call.messages.filter(({ role }) => role !== "user"));
            seen[whose] = Object.keys(prompts).filter((one) => told.includes(prompts[one]));
        }
        expect(seen).toEqual({ chat: ["chat"], folder: ["folder"], person: ["person"] });
    });

    test("chats are exported, deleted, imported and archived all at once, a file is got back and deleted, and an account gets another name", async () => {
        const [message, note] = [words("Keep boats"), words("turquoise")];
        expect(await day("data_rows", { with: { message, note } })).toEqual({
            ...{ deleted: [], imported: [message], archived: [] },
            ...{ file: note, files: 0, name: "Another name" },
        });
    });

    test("the settings are searched, an account is filled in and named in a system prompt, and a password changed", async () => {
        const profile = { bio: words("Sails"), gender: "female", birth: "1990-05-04", variable: words("Sloop") };
        const [message, password] = [words("Who am I?"), words("another")];
        const prompt = "{{USER_BIO}}, {{USER_GENDER}}, {{USER_BIRTH_DATE}}, {{user.variables.boat}}";
        expect(await day("account_rows", { width: 390, with: { profile, prompt, message, password } })).toEqual({
            found: "Account",
            links: expect.arrayContaining(["_blank https://github.com/open-webui/open-webui", "_blank https://openwebui.com/"]) as string[],
            picture: "data:image/",
        });
        const [{ messages }] = await testbed.asked(message);
        expect(JSON.stringify(messages)).toContain(Object.values(profile).join(", "));
    });

    test("an admin adds accounts, finds, sorts and changes them, has them in a group, and deletes them", async () => {
        const word = words("Ann").replace(" ", "");
        const newcomers = ["A", "B"].map((letter) => ({
            name: `${word} ${letter}`,
            email: `${word}${letter}@example.com`.toLowerCase(),
            password: words("first"),
        }));
        const orders = [
            [`${word} A`, `${word} B Z`],
            [`${word} B Z`, `${word} A`],
        ];
        const order = { newcomers, message: words("To keep") };
        const seen = (await day("admin_rows", { with: order, ...asAdmin() })) as { sorted: Record<string, string[][]> };
        expect(seen).toMatchObject({ added: ["user", "user"], database: newcomers.map(({ name }) => name), users: 2, chats: true });
        const both = { up: true, down: true };
        const looks = { card: { name: `${word} A`, buttons: 0 }, theirs: [`Of ${word} A`], timed: { "Last Active": both, "Created at": both } };
        expect(seen).toMatchObject({ ...looks, edited: [[`${word} B Z`, "pending"]], members: [1], may: [false, true], left: [] });
        for (const [head, sorted] of Object.entries(seen.sorted)) expect(sorted.toSorted(), head).toEqual(orders);
    });

    test("what is set in the settings of the interface is what is seen", async () => {
        const message = words("Look");
        const [off, on, never] = [
            [true, false],
            [false, true],
            [null, false],
        ];
        expect(await day("interface_rows", { with: { message } })).toEqual({
            "UI Scale": ["1", "1.1"],
            "Font Family": ["-apple-system", "Courier"],
            "Accessibility Mode": on,
            "Chat Direction": ["auto", "ltr"],
            "Chat Bubble UI": off,
            "Widescreen Mode": ["928px", "100%"],
            "Render Markdown in User Messages": off,
            "Render Markdown in Assistant Messages": never,
            "Always Collapse Code Blocks": on,
            "Always Expand Details": on,
            "Show Formatting Toolbar": on,
            "iframe Sandbox Allow Scripts": off,
            "iframe Sandbox Allow Same Origin": on,
            "iframe Sandbox Allow Forms": off,
            "iframe Sandbox Allow Downloads": off,
            "Copy Formatted Text": on,
            "Chat Hover Previews": off,
            "Floating Quick Actions": off,
            "Regenerate Menu": off,
            "Landing Page Mode": on,
            "Fade Effect for Streaming Text": off,
            "Haptic Feedback (Android)": on,
            "Enable Message Queue": off,
            "Stylized PDF Export": never,
            "Enter Key Behavior": never,
            "Rich Text Input for Chat": off,
            "Detect Artifacts Automatically": never,
            "Display Chat Title in Tab": [`${message} bold / Open WebUI`, "Open WebUI"],
            "Auto-Copy Response to Clipboard": [null, `Echo: ${message} at once`],
        });
    });

    test("an answer in the background is shown and heard, where that is switched on", async () => {
        const messages = [`${words("A boat")} SLOW 2`, `${words("A sea")} SLOW 2`];
        expect(await day("alert_rows", { width: 390, with: { messages } })).toEqual([[`${messages[0]} / Open WebUI: 1 2`, "notification.mp3"], []]);
    });

    test("the choices for speech are kept to: its language, its voice, how fast, sent and spoken without a press", async () => {
        await fare(testbed);
        const said = expect.stringMatching(/^Words of \d seconds$/) as string;
        const spoken = expect.stringMatching(/^Echo: Words of \d seconds/) as string;
        expect(await day("listen_rows", { width: 390 })).toEqual({ sent: said, spoken, by: "Far", rate: 1.5 });
        expect((await recordings(testbed)).map(({ language }) => language)).toEqual(["de"]);
    });

    test("each shortcut does what it says, gets other keys, and is switched off", async () => {
        const message = `${words("Keys")}\n\n\`\`\`\nboats\n\`\`\``;
        expect(await day("keyboard_rows", { with: { message } })).toEqual({
            "Control+Shift+C": `Echo: ${message}`,
            "Control+Shift+;": "boats",
            "Control+r": true,
            defaults: "",
            off: 0,
        });
    });

    test("a chat is shared with somebody, who finds it behind the link until it is shared no more, and nobody else does", async () => {
        const others = [await join(), await join()].map(({ name, token }) => ({ name, token }));
        const link: unknown = expect.stringMatching(new RegExp(`^${testbed.url}/s/[\\w-]+$`));
        expect(await day("share_rows", { with: { message: words("Share boats"), others } })).toEqual({ link, found: [true, false], after: false });
    });

    test("the switches of the interface are kept", async () => {
        const { switches, same } = (await day("setting_rows")) as { switches: number; same: string[] };
        expect(switches).toBeGreaterThan(30);
        expect(same).toEqual([]);
    });

    test("a failure stands once, for an admin with what to do, for others with whom to tell", async () => {
        const message = "FAIL 402 Insufficient credits. Add more at https://openrouter.ai/settings/credits";
        const [owners, others] = [await day("fails_to_answer", { with: { message }, ...asAdmin() }), await day("fails_to_answer", { with: { message } })];
        expect([owners, others]).toEqual([
            { answer: expect.stringMatching(/^⚠️ No answer from the model\. .*used up\. Add some at https:[^\n]*$/) as string, said: [] },
            { answer: expect.stringMatching(/^⚠️ No answer from the model\. .*used up\. Tell the admin of this page\.$/) as string, said: [] },
        ]);
    });

    test("what this deployment says by itself comes in the page's language, and Hermes knows it again", async () => {
        const [question, fails, file] = [words("Und jetzt?"), words("FAIL 402 no credit"), "Steuer. Anlage {name}.pdf"];
        const { email, password, token } = await join();
        const seen = await day("speaks", { locale: "de-DE", email, password, with: { works: 'CALL terminal {"command": "true"}', fails, file } });
        expect(seen).toEqual({
            suggested: expect.arrayContaining([expect.stringMatching(/^Ein Diagramm zeichnen\s/) as string]) as string[],
            line: "Führt einen Befehl aus: true",
            failure: expect.stringMatching(
                /^⚠️ Keine Antwort vom Modell\. OpenRouter lehnt ab: Das Guthaben ist aufgebraucht\. Die Antwort lautet: “no credit.*”\. Sagen Sie es dem Admin dieser Seite\.$/,
            ) as string,
            refused: expect.stringMatching(/^Steuer\. Anlage \{name\}\.pdf lässt sich nicht lesen: .* laden Sie diese hoch\.$/) as string,
        });
        const chatId = (await testbed.chats(token)).find(({ title }) => title === fails)?.id ?? "";
        const { body } = await testbed.webui("GET", `/api/v1/chats/${chatId}`, { bearer: token });
        const answerId = (body as { chat: { history: { currentId: string } } }).chat.history.currentId;
        await testbed.forgetCalls();
        await testbed.sendFromPage(token, question, { after: { chatId, answerId } });
        const [{ messages }] = await testbed.asked(question);
        expect(JSON.stringify(messages)).toContain(fails);
        expect(JSON.stringify(messages)).not.toMatch(/Keine Antwort|No answer from/);
        // What the model gets in the place of the file is English.
        const files = (await testbed.webui("GET", "/api/v1/files/", { bearer: token })).body;
        expect(JSON.stringify(files)).toContain(`[${file} can't be read: it is damaged`);
    });

    test("an admin sees that an account waits, and who waits is let in when it is approved", async () => {
        const { id, name, email, password } = await join("pending");
        const newcomer = { id, name, email, password };
        const seen = (await day("waits", { with: { newcomer }, ...asAdmin() })) as { pending: string; margin: number };
        expect(seen).toMatchObject({ mark: "Accounts that wait for approval: 1", leads: "/admin/users", after: 0 });
        expect(seen.pending).not.toContain(testbed.environment("open-webui").WEBUI_ADMIN_EMAIL);
        expect(seen.margin).toBeGreaterThan(8);
    });

    test.for<[width: number, theme: string]>([
        [1280, "light"],
        [390, "light"],
        [1280, "dark"],
    ])("axe-core finds nothing against WCAG 2.1 AA (%i, %s)", async ([width, theme]) => {
        const axe = readFileSync("node_modules/axe-core/axe.min.js", "utf8");
        const answer = ["- [ ] open\n- [x] done", "1. one\n2. two", "```python\nprint(1)\n```", "```mermaid\ngraph TD; A-->B;\n```", "> said", "$$x^2$$"];
        const seen = (await day("accessible", { width, with: { axe, theme, message: `Look:\n\n${answer.join("\n\n")}` } })) as Record<string, string[]>;
        expect(Object.keys(seen)).toHaveLength(7);
        expect(seen).toEqual(Object.fromEntries(Object.keys(seen).map((place) => [place, []])));
    });

    test.for([1280, 390])("what an answer and a chat have cost is seen, and what the agent keeps of somebody is read and deleted (%i)", async (width) => {
        const axe = readFileSync("node_modules/axe-core/axe.min.js", "utf8");
        const { message, tea, skill } = keepsakes();
        const seen = (await day("own", { width, with: { axe, message } })) as Record<string, string> & { width: number[] };
        // Four calls of two tokens, at a tenth of a cent.
        expect(seen.info).toMatch(/^\s*Tokens: 4 read, 4 written\s+Cost: \$0\.008/);
        expect(seen.chat).toMatch(/^This chat has cost \$0\.008/);
        for (const text of [
            tea,
            skill,
            "kettle",
            "every 60m",
            "Next: ",
            "Has not run yet",
            "This month: $0.00.",
            "one memory and one list of skills for everybody",
        ])
            expect(seen.own).toContain(text);
        expect(seen.own).not.toContain("Telegram included");
        expect(seen.violations).toEqual([]);
        expect(Math.max(...seen.width)).toBeLessThanOrEqual(width);
        expect(seen.paused).toContain("Paused");
        for (const text of [tea, skill, "kettle"]) expect(seen.after).not.toContain(text);
        expect(seen.away).toBe(page.away.en);
    });

    test("where the provider tells no cost, one sentence says so", async () => {
        await testbed.play({ free: true });
        try {
            const seen = (await day("costs", { with: { message: words("Is it for nothing?") } })) as Record<string, string>;
            expect(seen.chat).toBe(page.untold.en);
            expect(seen.info).toContain(page.cost_unknown.en);
        } finally {
            await testbed.play({});
        }
    });

    test("pictures of all kinds become such as models take, and a photo of 48 megapixels is made smaller before it is refused", async () => {
        const webui = testbed.running("open-webui");
        const folder = await writeDocuments(webui);
        const file = async (name: string, type: string, picture: boolean) => {
            return { name, type, picture, content: (await output(webui, "base64", "-w0", `${folder}/${name}`)).trim() };
        };
        const files = await Promise.all([file("red.avif", "image/avif", true), file("red.bmp", "image/bmp", true), file("fax.tif", "image/tiff", false)]);
        const broken = { name: "broken.png", type: "image/png", picture: false, content: Buffer.from("nothing").toString("base64") };
        const [limit, message] = [10 << 20, words("Look at")];
        const { photo, ...seen } = (await day("pictures", { with: { message, files: [...files, broken], photo: [8000, 6000] } })) as { photo: number };
        expect(photo).toBeGreaterThan(limit);
        expect(seen).toEqual({ documents: ["fax.tif", "broken.png"], said: [expect.stringMatching(/^broken\.png can't be read/) as string] });
        const [{ messages }] = await testbed.asked(message);
        const urls = [...JSON.stringify(messages.at(-1)).matchAll(/"data:([^;]+);base64,([^"]*)"/g)];
        expect(urls.map(([, kind]) => kind)).toEqual(Array.from({ length: 5 }, () => "image/jpeg"));
        const sizes = urls.map(([, , data]) => sizeOfJpeg(Buffer.from(data, "base64")));
        // Two red ones, the photo, and two pages of a fax.
        expect(sizes).toEqual(
            expect.arrayContaining([
                [800, 600],
                [1568, 1176],
            ]),
        );
        expect(Math.max(...sizes.flat())).toBeLessThanOrEqual(1568);
    });

    test("a photo that is sent in the moment in which it is chosen goes along", async () => {
        const messages = [words("See"), words("See also")];
        await day("hurry", { with: { messages, photo: [4000, 3000] } });
        for (const message of messages) {
            const [call] = await testbed.asked(message);
            expect(JSON.stringify(call.messages.at(-1))).toContain('"data:image/');
        }
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
