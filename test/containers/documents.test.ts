/** Documents that people upload: as text they reach the model, and what can't be read is told. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { output, outputOf, withPid } from "../harness/docker.ts";
import { problems, seen } from "../harness/documents.ts";
import { Testbed, words } from "../harness/testbed.ts";
import { Uploads } from "../harness/uploads.ts";

let testbed: Testbed;
let token: string;
let uploads: Uploads;

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.start("hermes");
    // Looks for what nobody needs every few seconds, and not once a day.
    await testbed.start("open-webui", { LEFTOVERS_EVERY: "3" });
    ({ token } = await testbed.signIn());
    uploads = await Uploads.create(testbed, token);
});
afterAll(() => testbed.remove());

/** How many files there are of an upload. */
const kept = async (id: string) => Number(await output(testbed.running("open-webui"), "sh", "-c", `ls /app/backend/data/uploads | grep -c ${id} || true`));

describe("the text of a document", () => {
    beforeEach(() => testbed.forgetCalls());

    test.for(["pdf", "docx", "xlsx", "pptx", "odt", "rtf", "epub", "csv", "html", "txt"])("reaches the model (%s)", async (kind) => {
        const { id, error } = await uploads.upload(`a.${kind}`);
        expect(error).toBeUndefined();
        const question = words(`What is the word in the ${kind}?`);
        await testbed.sendFromPage(token, question, { files: [id] });
        const [{ messages }] = await testbed.asked(question);
        expect(JSON.stringify(messages.at(-1))).toContain(kind === "txt" ? "Größe: The word is txt" : `The word is ${kind}`);
    });

    test("is Markdown, without what isn't shown", async () => {
        expect((await uploads.upload("a.html")).content).toMatch(/^A page\n\n# Title\n\n\| Key \|\n\| --- \|\n\| The word is html \|$/);
        expect((await uploads.upload("a.csv")).content).toBe("| Key | Größe |\n| --- | --- |\n| The word is csv | 2 |");
        expect((await uploads.upload("a.pdf")).content).toMatch(/^\*\*Page 1\*\*\n\nThe word is pdf\n\n\*\*Page 2\*\*\n\n\(There is no text on this page\.\)$/);
    });

    test("is whole, with 200 columns", async () => {
        const { content } = await uploads.upload("wide.xlsx");
        expect(content.match(/\bcolumn \d+\b/g)).toHaveLength(400);
    });
});

test.for(seen)("what people see in it reaches the model, or is said to be left out (%s)", async ([name, says, pictures = 0]) => {
    const { id, content, error } = await uploads.upload(name);
    expect(error).toBeUndefined();
    for (const one of says) expect(content).toMatch(one);
    expect(content).not.toMatch(/unseen|secret|not this one/);
    expect(await kept(id)).toBe(1 + pictures);
});

describe("a large table", () => {
    test.for([
        ["rows.csv", "30,000", "| 49 | 2401 | Person 49 | Town |"],
        ["rows.tsv", "8,000", "| 49 | Town |"],
        ["rows.xlsx", "8,001", "| 48 | Town | and more |"],
    ])("stands in the message as its head and its size (%s)", async ([name, rows, last]) => {
        const { error, content } = await uploads.upload(name);
        expect(error).toBeUndefined();
        expect(content).toContain(`(Of the ${rows} rows of this table the first 50 stand here. All are in the file`);
        expect(content.trim().split("\n").at(-1)).toBe(last);
        expect(content.length).toBeLessThan(5000);
    });
});

describe("a PDF without text", () => {
    /** The pictures of a message to the model: width, height, and whether the middle of the upper and of the lower half is rather red or blue. */
    async function picturesIn(question: string): Promise<unknown> {
        const [{ messages }] = await testbed.asked(question);
        const urls = [...JSON.stringify(messages).matchAll(/"data:image\/jpeg;base64,([^"]*)"/g)].map(([, data]) => data);
        const program = `
import base64, io, json, sys
from PIL import Image
pictures = [Image.open(io.BytesIO(base64.b64decode(data))) for data in json.load(sys.stdin)]
colours = lambda one: ["red" if one.getpixel((one.width // 2, one.height * part // 4))[0] > 127 else "blue" for part in (1, 3)]
print(json.dumps([[one.width, one.height, *colours(one)] for one in pictures]))`;
        return JSON.parse(await outputOf(testbed.running("open-webui"), ["python3", "-c", program], JSON.stringify(urls)));
    }
    const size = [1212, 1568];
    const pages = [
        [...size, "red", "blue"],
        [...size, "blue", "red"],
    ];

    test("is shown to the model as pictures of its pages, with each message of its chat", async () => {
        const { id, error, content } = await uploads.upload("scan.pdf");
        expect(error).toBeUndefined();
        expect(content).toMatch(/no text.*Its 2 pages are shown as pictures/);
        const [first, second] = [words("What is on the scan?"), words("And what else?")];
        const asked = await testbed.askFromPage(token, first, { files: [id] });
        await testbed.answered(token, asked);
        expect(await picturesIn(first)).toEqual(pages);
        await testbed.sendFromPage(token, second, { files: [id], after: asked });
        expect(await picturesIn(second)).toEqual(pages);
    });

    test("is drawn with the memory that there is, eight pages of 300 dpi in colour", async () => {
        const { id, error } = await uploads.upload("paper.pdf");
        expect(error).toBeUndefined();
        const question = words("What is on the paper?");
        await testbed.sendFromPage(token, question, { files: [id] });
        expect(await picturesIn(question)).toEqual(Array(8).fill([...size, "red", "red"]));
    });

    test("isn't shown to the model of somebody else, who names it", async () => {
        const { id } = await uploads.upload("scan.pdf");
        const ben = await testbed.addAccount(token);
        const question = words("What is on it?");
        await testbed.sendFromPage(ben.token, question, { files: [id] });
        expect(await picturesIn(question)).toEqual([]);
    });

    test("leaves no page behind when it goes, as an old upload does that no chat names", async () => {
        const { id } = await uploads.upload("scan.pdf");
        expect(await kept(id)).toBe(3);
        const old = `import sqlite3; db = sqlite3.connect("/app/backend/data/webui.db", timeout=30); db.execute("update file set created_at = 1 where id = '${id}'"); db.commit()`;
        await output(testbed.running("open-webui"), "python3", "-c", old);
        await expect.poll(() => kept(id), { timeout: 30_000 }).toBe(0);
    });

    test("is deleted by whoever has uploaded it, and the page hears that it is gone", async () => {
        const { id } = await uploads.upload("scan.pdf");
        const path = `/api/v1/files/${id}`;
        expect(await testbed.webui("DELETE", path, { bearer: token })).toMatchObject({ status: 200 });
        expect(await testbed.webui("GET", path, { bearer: token })).toMatchObject({ status: 404 });
        await expect.poll(() => kept(id), { timeout: 30_000 }).toBe(0);
    });
});

describe("what can't be read", () => {
    test.for(problems)("is told in the page, and to the model (%s)", async ([name, says]) => {
        const { error, content } = await uploads.upload(name);
        expect(error).toMatch(says);
        expect(content).toBe(`[${error}]`);
    });

    test("does no harm to the next one", async () => {
        const results = await Promise.all(["tree.html", "bomb.docx", "a.docx"].map((name) => uploads.upload(name)));
        expect(results.map(({ error }) => error !== undefined)).toEqual([true, true, false]);
    });

    test("is told in an answer, for the model hears of it", async () => {
        await testbed.forgetCalls();
        const [question, { id, error }] = [words("What does the book say?"), await uploads.upload("book.pdf")];
        await testbed.sendFromPage(token, question, { files: [id] });
        const [{ messages }] = await testbed.asked(question);
        expect(JSON.stringify(messages.at(-1))).toContain(error);
    });
});

describe("what reads them", () => {
    const pattern = "extractor.py";
    // Root may not read these of another user's process: the containers have no SYS_PTRACE.
    const read = (file: string) => `setpriv --reuid=10002 --regid=10002 --clear-groups cat /proc/$pid/${file}`;

    test("is a user of its own, who sees nothing of the app's", async () => {
        const container = testbed.running("open-webui");
        expect(await withPid(container, pattern, "cat /proc/$pid/status")).toMatch(/^Uid:\t10002\t10002\t10002\t10002$[^]*^NoNewPrivs:\t1$/m);
        const asExtractor = (command: string) => container.exec(["sh", "-c", command], { user: "10002:10002" });
        expect((await asExtractor("ls /app/backend/data")).exitCode).not.toBe(0);
        expect((await withPid(container, pattern, `${read("environ")} | tr '\\0' '\\n'`)).match(/^[A-Z_]+(?==)/gm)?.sort()).toEqual([
            "MALLOC_ARENA_MAX",
            "PATH",
        ]);
        const asNobody = await container.exec(["python3", "-ISc", "import socket; socket.socket(socket.AF_UNIX).connect('/var/lib/extractor/socket')"], {
            user: "65534:65534",
        });
        expect(asNobody.output).toContain("PermissionError");
    });

    test("takes 8 MB while there is nothing to read", async () => {
        const rollup = await withPid(testbed.running("open-webui"), pattern, read("smaps_rollup"));
        const private_ = [...rollup.matchAll(/^Private_\w+:\s+(\d+) kB/gm)].map(([, kb]) => Number(kb));
        expect(private_.reduce((sum, kb) => sum + kb)).toBeLessThanOrEqual(8 * 1024);
    });

    test("gives up what never ends, and goes on", async () => {
        const client = `
import json, os, socket
connection = socket.socket(socket.AF_UNIX)
connection.connect("/var/lib/extractor/socket")
reading, writing = os.pipe()
socket.send_fds(connection, [json.dumps({"name": "endless.txt", "type": None}).encode()], [reading])
print(connection.makefile().read())`;
        expect(await outputOf(testbed.running("open-webui"), ["python3", "-IS", "-"], client)).toContain("takes too long to read");
        expect((await uploads.upload("a.txt")).error).toBeUndefined();
    });

    test("has the limits that it sets itself, and is what the kernel ends first", async () => {
        // Held by an open file that gives nothing.
        const client = `
import json, os, socket, time
connection = socket.socket(socket.AF_UNIX)
connection.connect("/var/lib/extractor/socket")
socket.send_fds(connection, [json.dumps({"name": "a.txt", "type": None}).encode()], [os.pipe()[0]])
time.sleep(2)
parent = next(pid for pid in os.listdir("/proc") if pid.isdigit() and b"extractor.py" in open(f"/proc/{pid}/cmdline", "rb").read())
child = open(f"/proc/{parent}/task/{parent}/children").read().split()[0]
print(open(f"/proc/{child}/limits").read(), open(f"/proc/{child}/oom_score_adj").read())`;
        const limits = await output(testbed.running("open-webui"), "python3", "-ISc", client);
        expect(limits).toMatch(/^Max data size\s+134217728\s+134217728/m);
        expect(limits).toMatch(/^Max processes\s+0\s+0/m);
        expect(limits).toMatch(/^Max file size\s+0\s+0/m);
        expect(limits).toMatch(/^ ?1000$/m);
    });
});
