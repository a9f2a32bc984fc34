/** Files that the agent gives: out of a person's sandbox, by way of Hermes' answer, into the page. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { output, outputOf } from "../harness/docker.ts";
import { png } from "../harness/picture.ts";
import { type Asked, socketPath, type Session, Testbed, words } from "../harness/testbed.ts";
import { Uploads } from "../harness/uploads.ts";

let testbed: Testbed;
let owner: Session;

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.start("hermes");
    // Looks for files that nobody needs every few seconds, and not once a day.
    await testbed.start("open-webui", { LEFTOVERS_EVERY: "3" });
    owner = await testbed.signIn();
});
afterAll(() => testbed.remove());

const csv = 'Stadt;Einwohner\nZürich;448664\n"a, b";1\r\n';
const sha256 = (content: string | Buffer) => createHash("sha256").update(content).digest("hex");

/** Runs code in a new chat; gives the answer as it is stored. What the code prints on a line is a line of the answer. */
const answerTo = (code: string, token = owner.token) => testbed.sendFromPage(token, `${words("Work")} in your sandbox: ${code}`);
/** Python that writes files, by their paths. */
const writing = (files: Record<string, string | Buffer>) =>
    `import base64, os\nfor path, content in ${JSON.stringify(Object.entries(files).map(([path, content]) => [path, Buffer.from(content).toString("base64")]))}:\n` +
    " os.makedirs(os.path.dirname(path), exist_ok=True)\n open(path, 'wb').write(base64.b64decode(content))\n";
/** Python that ends with an answer in which each of these lines stands, below a first one. */
const naming = (...lines: string[]) => `print('\\n'.join(${JSON.stringify(["Here:", ...lines])}))`;
const first = "It has printed: Here:\n";

/** What the server of the page answers to a browser that opens a link. */
async function open(token: string, link: string): Promise<{ status: number; type: string; disposition: string; sha256: string }> {
    const program = `
import hashlib, http.client, json, socket, sys
call = json.load(sys.stdin)
page = http.client.HTTPConnection("localhost")
page.sock = socket.socket(socket.AF_UNIX)
page.sock.connect("${socketPath}")
page.request("GET", call["link"], headers={"Authorization": f"Bearer {call['token']}"})
answer = page.getresponse()
print(json.dumps({"status": answer.status, "type": answer.headers["content-type"], "disposition": answer.headers["content-disposition"] or "", "sha256": hashlib.sha256(answer.read()).hexdigest()}))`;
    return JSON.parse(await outputOf(testbed.openRouter, ["python3", "-c", program], JSON.stringify({ link, token }))) as Awaited<ReturnType<typeof open>>;
}

/** The links of an answer: whether each is shown as a picture, its words and its address. */
const linksIn = (answer: string) =>
    [...answer.matchAll(/(!?)\[([^\]]*)\]\((\/api\/v1\/files\/[^)\s]*)\)/g)].map(([, picture, name, link]) => ({ shown: picture === "!", name, link }));

describe("a file that the agent names", () => {
    let answer: string;

    beforeAll(async () => {
        const files = { "/root/plots/chart 1.png": png, "/root/Städte – 日本.csv": csv, "/mnt/data/more.txt": "more" };
        answer = await answerTo(
            writing(files) + naming("MEDIA:/root/plots/chart 1.png", "- `MEDIA:/root/Städte – 日本.csv`", "and [the rest](sandbox:/mnt/data/more.txt)."),
        );
    });

    test("is shown or offered in its place, byte for byte, under its name", async () => {
        const [picture, table, rest] = linksIn(answer);
        expect(answer).toBe(`${first}![chart 1.png](${picture.link})\n- [Städte – 日本.csv](${table.link})\nand [more.txt](${rest.link}).`);
        expect(await open(owner.token, picture.link)).toMatchObject({ status: 200, type: "image/png", sha256: sha256(png) });
        expect(await open(owner.token, table.link)).toMatchObject({
            status: 200,
            disposition: `attachment; filename*=UTF-8''${encodeURIComponent("Städte – 日本.csv")}`,
            sha256: sha256(csv),
        });
        expect(await open(owner.token, rest.link)).toMatchObject({ sha256: sha256("more") });
    });

    test("is of the person who chats, and nobody else's", async () => {
        const [anna, ben] = await testbed.addAccounts(owner.token, 2);
        const [{ link }] = linksIn(await answerTo(writing({ "/root/hers.csv": csv }) + naming("MEDIA:/root/hers.csv"), anna));
        expect(await open(anna, link)).toMatchObject({ status: 200, sha256: sha256(csv) });
        expect(await open(ben, link)).toMatchObject({ status: 404 });
        expect(await open("", link)).toMatchObject({ status: 401 });
        // Nor does his agent find it, in a sandbox of his own.
        expect(await answerTo(naming("MEDIA:/root/hers.csv"), ben)).toMatch(/hers\.csv isn't here/);
    });

    test("comes back to the model as what it wrote, without a byte, and stands so in Hermes' own history", async () => {
        await testbed.forgetCalls();
        const question = words("And now?");
        const history = [
            { role: "user", content: "Draw" },
            { role: "assistant", content: answer },
        ];
        await testbed.chat([...history, { role: "user", content: question }]);
        const [{ messages }] = await testbed.asked(question);
        expect(messages.find(({ role }) => role === "assistant")?.content).toBe(
            `${first}MEDIA:/root/plots/chart 1.png\n- MEDIA:/root/Städte – 日本.csv\nand [more.txt](sandbox:/mnt/data/more.txt).`,
        );
        const kept = await output(
            testbed.running("hermes"),
            "python",
            "-c",
            "import sqlite3; print([r[0] for r in sqlite3.connect('/opt/data/state.db').execute(\"select content from messages where role = 'assistant'\")])",
        );
        expect(kept).toContain("MEDIA:/root/plots/chart 1.png");
        expect(kept).not.toMatch(/base64|api\/v1\/files/);
    });
});

describe("what isn't given", () => {
    test("is said in its place: missing, a folder, a device, too large, empty, and whatever is on the gateway", async () => {
        const limit = Number(testbed.environment("hermes").FILE_LIMIT_MB) << 20;
        const places: [path: string, reason: string][] = [
            ["/root/none.png", "there is no such file in the sandbox"],
            ["/root/folder", "it is a folder; put it into an archive"],
            ["/dev/zero", "it is no regular file"],
            ["/root/large.bin", `it is larger than ${limit >> 20} MB`],
            ["/root/empty.txt", "it is empty"],
            ["/etc/hermes/.env", "there is no such file in the sandbox"],
            ["/opt/data/state.db", "there is no such file in the sandbox"],
            ["/opt/data/../data/state.db", "there is no such file in the sandbox"],
            ["/root/to-the-gateway", "there is no such file in the sandbox"],
        ];
        const code = `import os
os.makedirs('/root/folder', exist_ok=True)
open('/root/large.bin', 'wb').write(bytes(${limit + 1}))
open('/root/whole.bin', 'wb').write(bytes(${limit}))
open('/root/empty.txt', 'w')
os.symlink('/opt/data/state.db', '/root/to-the-gateway')
`;
        const answer = await answerTo(code + naming(...places.map(([path]) => `MEDIA:${path}`), "MEDIA:/root/whole.bin"));
        const lines = answer.split("\n").slice(1);
        expect(lines.slice(0, -1)).toEqual(places.map(([path, reason]) => `[${path.split("/").at(-1)?.replace(/^\./, "")} isn't here: ${reason}.]`));
        const [{ link }] = linksIn(answer);
        expect(await open(owner.token, link)).toMatchObject({ sha256: sha256(Buffer.alloc(limit)) });
    });

    test("a path in the middle of a sentence, or in code, is neither", async () => {
        const prose = ["I write MEDIA:/absolute/path on a line of its own.", "```", "MEDIA:/root/none.png", "```"];
        expect(await answerTo(naming(...prose))).toBe(`${first}${prose.join("\n")}`);
    });

    test("comes with no answer that isn't streamed, for nobody would store it", async () => {
        expect(await testbed.ask("It\nMEDIA:/root/whole.bin")).toMatch(/^Echo: It\n\[whole\.bin isn't here: files come with streamed answers only[^\n]*\.\]$/);
    });

    test("what was in a sandbox that has ended is said to be gone, and the next command has a new one", async () => {
        await answerTo(writing({ "/root/lost.txt": "lost" }) + "print('done')");
        for (const { id } of await testbed.modal.running()) await testbed.modal.end(id);
        expect(await testbed.sendFromPage(owner.token, "Again\nMEDIA:/root/lost.txt")).toMatch(
            /^Echo: Again\n\[lost\.txt isn't here: there is no such file in the sandbox\. The sandbox had ended\. This is a new one, with no files[^\n]*\]$/,
        );
        expect(await answerTo("print('alive')")).toMatch(/The sandbox had ended.*\nalive/);
    });
});

describe("a file from the sandbox runs no script in the page's origin", () => {
    const page = "<!doctype html><script>document.title = 'run'</script>";
    const drawing = '<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "run"</script></svg>';

    test.for<[path: string, content: string]>([
        ["/root/page.html", page],
        ["/root/drawing.svg", drawing],
        ["/root/page.png", page],
        ["/root/page.xhtml", page],
        ["/root/page", page],
    ])("%s is bytes to keep, whoever asks for it and how", async ([path, content]) => {
        const answer = await answerTo(writing({ [path]: content }) + naming(`MEDIA:${path}`));
        const [{ shown, link }] = linksIn(answer);
        expect(shown).toBe(false);
        const [file] = link.split("/content");
        for (const way of ["", "?attachment=true", "/page.html"])
            expect(await open(owner.token, `${file}/content${way}`)).toMatchObject({
                status: 200,
                disposition: expect.stringMatching(/^attachment; filename\*=UTF-8''[\w.]+$/) as string,
                sha256: sha256(content),
            });
        expect((await open(owner.token, `${file}/content`)).type).toBe("application/octet-stream");
        // Here Open WebUI serves an admin's files for frames of the page, with the type of the name on its disk.
        expect(await open(owner.token, `${file}/content/html`)).toMatchObject({ status: 200, type: "application/octet-stream" });
    });

    test("a name can't break out of a header, a link or a path", async () => {
        const names = ['x"; filename=evil.html', "a\rb.csv", "](javascript:alert(1)).csv", "..%2f..%2fetc.csv", "{}.csv", `${"ä".repeat(120)}.csv`];
        const files = Object.fromEntries(names.map((name, at) => [`/root/names/${at}/${name}`, "x"]));
        const answer = await answerTo(writing(files) + naming(...Object.keys(files).map((path) => `MEDIA:${path}`)));
        const links = linksIn(answer);
        expect(links.map(({ name }) => name)).toEqual([
            "x_; filename=evil.html",
            "a_b.csv",
            "_(javascript_alert(1)).csv",
            "%2f..%2fetc.csv",
            "__.csv",
            `${"ä".repeat(80)}.csv`,
        ]);
        for (const { name, link } of links)
            expect(await open(owner.token, link)).toMatchObject({
                status: 200,
                disposition: `attachment; filename*=UTF-8''${encodeURIComponent(name).replace(/[()']/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`)}`,
                sha256: sha256("x"),
            });
        expect(await output(testbed.running("open-webui"), "sh", "-c", "ls /app/backend/data/uploads")).toMatch(/^([0-9a-f-]{36}\n)*[0-9a-f-]{36}\n?$/);
    });
});

describe("a file that a person gives", () => {
    let uploads: Uploads;
    /** Runs code in a chat whose message comes with these files. */
    const workOn = (files: string[], code: string, token = owner.token) => testbed.sendFromPage(token, `${words("Work")} in your sandbox: ${code}`, { files });
    /** Python that prints the name and the SHA-256 of each file that was given. */
    const look =
        "import hashlib, json, pathlib\nprint(json.dumps({one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in pathlib.Path('/root/uploads').glob('*')}))";
    const seen = async (files: string[], token = owner.token) =>
        JSON.parse((await workOn(files, look, token)).replace("It has printed: ", "")) as Record<string, string>;
    const join = async (name: string) => {
        const { id, token } = await testbed.addAccount(owner.token, { name });
        return { id, token, uploads: await Uploads.create(testbed, token) };
    };

    beforeAll(async () => {
        uploads = await Uploads.create(testbed, owner.token);
    });

    test("is worked with in the sandbox: 30,000 rows are added up, an archive is unpacked, a database is opened", async () => {
        const [rows, archive, database] = [await uploads.upload("rows.csv"), await uploads.upload("a.zip"), await uploads.upload("a.db")];
        const code = `import csv, sqlite3, zipfile
print(sum(int(row['square']) for row in csv.DictReader(open('/root/uploads/rows.csv'))))
print(zipfile.ZipFile('/root/uploads/a.zip').read('in/it.txt').decode())
print(sqlite3.connect('/root/uploads/a.db').execute('select word from words').fetchone()[0])`;
        expect(await workOn([rows.id, archive.id, database.id], code)).toBe(
            `It has printed: ${(29_999 * 30_000 * 59_999) / 6}\nThe word is zip\nThe word is db`,
        );
    });

    test("is handed over when a tool first wants it and not before, once, and costs no call to Modal from then on", async () => {
        const { token, uploads: hers } = await join("ada");
        const { id } = await hers.upload("a.pdf");
        const [first, second] = [words("What does it say?"), words("And now?")];
        const before = (await testbed.modal.sandboxes()).length;
        await testbed.forgetCalls();
        const asked = await testbed.askFromPage(token, first, { files: [id] });
        await testbed.answered(token, asked);
        expect(await testbed.modal.sandboxes()).toHaveLength(before);
        expect(JSON.stringify((await testbed.asked(first))[0].messages.at(-1))).toContain("byte for byte in the sandbox: /root/uploads/a.pdf]");
        expect(await testbed.asked(first)).toHaveLength(1);
        expect(await seen([id], token)).toEqual({ "a.pdf": await hers.sha256("a.pdf") });
        // The gateway saves other sandboxes whenever it's their time: hardly during each of three.
        const calls: number[] = [];
        for (const more of ["one", "two", "three"]) {
            await testbed.modal.forgetCalls();
            expect(await testbed.sendFromPage(token, `${second} in your sandbox: print('${more}')`, { files: [id], after: asked })).toContain(more);
            calls.push(Object.values(await testbed.modal.calls()).reduce((sum, times) => sum + times));
        }
        expect(Math.min(...calls)).toBe(2);
    });

    test("is in nobody else's sandbox, and not in that of somebody who names it", async () => {
        const [anna, ben] = [await join("hanna"), await join("benno")];
        const { id } = await anna.uploads.upload("a.docx");
        expect(Object.keys(await seen([id], anna.token))).toEqual(["a.docx"]);
        expect(await workOn([id], "import os; print(os.path.exists('/root/uploads'))", ben.token)).toContain("False");
    });

    test("has its own name, however odd, and a second one of that name doesn't take its place", async () => {
        const { token, uploads: his } = await join("otto");
        const names = [
            "Büro – Übersicht (1) 日本.txt",
            'it\'s "so" $(id) `id`.txt',
            "-rf *.txt",
            ".hidden",
            "..",
            "../../../etc/passwd",
            "a\\b.txt",
            `${"ä".repeat(110)}.txt`,
        ];
        const ids = [];
        for (const name of [...names, names[0]]) ids.push((await his.upload("a.txt", name)).id);
        const found = await seen(ids, token);
        // A quotation mark is sent as %22 in a form, by browsers, too.
        expect(Object.keys(found).sort()).toEqual(
            [...names.slice(0, 4).map((name) => name.replaceAll('"', "%22")), "file", "passwd", "b.txt", names[7], "Büro – Übersicht (1) 日本 (2).txt"].sort(),
        );
        expect(new Set(Object.values(found))).toEqual(new Set([await his.sha256("a.txt")]));
    });

    test("is put there again after its sandbox was lost, and not after somebody has deleted it there", async () => {
        const { token, uploads: her } = await join("ines");
        const { id } = await her.upload("a.zip");
        const sha256 = await her.sha256("a.zip");
        expect(await seen([id], token)).toEqual({ "a.zip": sha256 });
        for (const { id: sandbox } of await testbed.modal.running()) await testbed.modal.end(sandbox);
        expect(await workOn([id], look, token)).toContain(sha256);
        await workOn([id], "import os; os.remove('/root/uploads/a.zip'); print('gone')", token);
        await testbed.redeploy("hermes");
        expect(await seen([id], token)).toEqual({});
    });

    test("is there for two chats at once, which both want it first", async () => {
        const { token, uploads: his } = await join("ivo");
        const [first, second] = [await his.upload("a.zip"), await his.upload("a.db")];
        const both = await Promise.all([seen([first.id], token), seen([second.id], token), seen([first.id, second.id], token)]);
        const [zip, database] = [await his.sha256("a.zip"), await his.sha256("a.db")];
        expect(both[0]).toMatchObject({ "a.zip": zip });
        expect(both[1]).toMatchObject({ "a.db": database });
        expect(await seen([], token)).toEqual({ "a.zip": zip, "a.db": database });
    });

    describe("into a chat that somebody shares", () => {
        /** Gives a file in a new chat; of what is asked there later, too, the page sends it along. */
        const givenBy = async ({ token, uploads: own }: Awaited<ReturnType<typeof join>>, folder?: string) => {
            const { id } = await own.upload("a.zip");
            const asked = await testbed.askFromPage(token, words("Keep it"), { files: [id], folder });
            await testbed.answered(token, asked);
            return { id, asked, sha256: await own.sha256("a.zip") };
        };
        const share = async (chat: string, by: string, to: string[], mode?: "continue") => {
            const shared = await testbed.webui("POST", `/api/v1/chats/${chat}/share`, { bearer: by, body: { share_mode: mode } });
            const grants = to.map((id) => ({ principal_type: "user", principal_id: id, permission: "read" }));
            const granted = await testbed.webui("POST", `/api/v1/chats/shared/${chat}/access/update`, { bearer: by, body: { access_grants: grants } });
            expect([shared.status, granted.status]).toEqual([200, 200]);
            return (shared.body as { share_id: string }).share_id;
        };
        /** Goes on with a chat as its copy has it, and gives what is in the sandbox then. */
        const goOn = async (token: string, file: string, after: Asked) =>
            JSON.parse(
                (await testbed.sendFromPage(token, `${words("Look")} in your sandbox: ${look}`, { files: [file], after })).replace("It has printed: ", ""),
            ) as Record<string, string>;
        /** What the model is told of a file of somebody's message. */
        const toldOf = async (token: string, file: string, after?: Asked) => {
            const question = words("What is in it?");
            await testbed.sendFromPage(token, question, { files: [file], after });
            return JSON.stringify((await testbed.asked(question))[0].messages.at(-1));
        };
        const clone = async (token: string, share: string, answerId: string) => {
            const { status, body } = await testbed.webui("POST", `/api/v1/chats/${share}/clone/shared`, { bearer: token });
            expect(status).toBe(200);
            const { id, chat } = body as { id: string; chat: { files: { id: string }[] } };
            return { asked: { chatId: id, answerId }, files: chat.files.map((file) => file.id) };
        };

        test("is in the sandbox of each who goes on with a copy, and in nobody else's; once it isn't shared any more, that is said", async () => {
            const [maker, reader, late, other] = [await join("mara"), await join("nora"), await join("lena"), await join("olaf")];
            const { id, asked, sha256 } = await givenBy(maker);
            const shared = await share(asked.chatId, maker.token, [reader.id, late.id]);
            const [hers, theirs] = [await clone(reader.token, shared, asked.answerId), await clone(late.token, shared, asked.answerId)];
            expect([hers.files, theirs.files]).toEqual([[id], [id]]);
            expect(await goOn(reader.token, id, hers.asked)).toEqual({ "a.zip": sha256 });
            expect((await testbed.webui("POST", `/api/v1/chats/${shared}/clone/shared`, { bearer: other.token })).status).toBe(401);
            expect(await toldOf(other.token, id)).toContain("isn't there: whose it is doesn't share it with this person");
            expect(await seen([id], other.token)).toEqual({});
            expect((await testbed.webui("DELETE", `/api/v1/chats/${asked.chatId}/share`, { bearer: maker.token })).status).toBe(200);
            expect(await toldOf(late.token, id, theirs.asked)).toContain("isn't there: whose it is doesn't share it with this person");
            expect(await seen([id], late.token)).toEqual({});
            expect(await toldOf(maker.token, id, asked)).toContain("byte for byte in the sandbox: /root/uploads/a.zip");
        });

        test("where several write, is in the sandbox of who writes, whoever has given it", async () => {
            const [maker, writer] = [await join("mira"), await join("nils")];
            const { id, asked, sha256 } = await givenBy(maker);
            await share(asked.chatId, maker.token, [writer.id], "continue");
            expect(await goOn(writer.token, id, asked)).toEqual({ "a.zip": sha256 });
            const his = await writer.uploads.upload("a.db");
            expect(Object.keys(await goOn(writer.token, his.id, asked)).sort()).toEqual(["a.db", "a.zip"]);
            // She has not asked for hers there yet.
            expect(await goOn(maker.token, his.id, asked)).toEqual({ "a.zip": sha256, "a.db": await writer.uploads.sha256("a.db") });
        });

        test("in a folder is in the sandbox of each who may write there", async () => {
            const [writer, other] = [await join("wanda"), await join("olga")];
            const admin = { ...owner, uploads };
            const { status, body } = await testbed.webui("POST", "/api/v1/folders/", { bearer: owner.token, body: { name: words("Trip") } });
            expect(status).toBe(200);
            const folder = (body as { id: string }).id;
            const grants = ["read", "write"].map((permission) => ({ principal_type: "user", principal_id: writer.id, permission }));
            const granted = await testbed.webui("POST", `/api/v1/folders/${folder}/access/update`, {
                bearer: owner.token,
                body: { access_grants: grants, share_mode: "continue" },
            });
            expect(granted.status).toBe(200);
            const { id, asked, sha256 } = await givenBy(admin, folder);
            expect(await goOn(writer.token, id, asked)).toEqual({ "a.zip": sha256 });
            expect(await toldOf(other.token, id)).toContain("doesn't share it with this person");
            expect(await seen([id], other.token)).toEqual({});
        });
    });

    test("that is a video is a file, and the model knows that it can't see it", async () => {
        const { token, uploads: her } = await join("vera");
        const { id, error } = await her.upload("a.zip", "a.mp4", "video/mp4");
        expect(error).toBeUndefined();
        const question = words("What happens in it?");
        await testbed.sendFromPage(token, question, { files: [id] });
        expect(JSON.stringify(await testbed.asked(question))).toContain("/root/uploads/a.mp4 (you can't see or hear it, but work with it as a file)]");
    });

    test("for which the disk of Hermes has no room is said not to be there, and the message is answered", async () => {
        const { token, uploads: his } = await join("fred");
        const { id } = await his.upload("a.zip");
        const question = words("What is in it?");
        const asRoot = (command: string) => output(testbed.running("hermes"), "sh", "-c", command);
        await asRoot("chown root /opt/data/uploads && chmod 755 /opt/data/uploads");
        await testbed.sendFromPage(token, question, { files: [id] });
        await asRoot("chown hermes /opt/data/uploads && chmod 700 /opt/data/uploads");
        expect(JSON.stringify(await testbed.asked(question))).toContain("a.zip isn't there: the disk of the service hermes has no room for it");
    });

    test("for which the page's own disk has no room is refused with a sentence, and the next one is taken", async () => {
        const { uploads: his } = await join("fritz");
        const folder = "/app/backend/data/uploads";
        const owners = (await output(testbed.running("open-webui"), "stat", "-c", "%u:%g %a", folder)).trim().split(" ");
        await output(testbed.running("open-webui"), "sh", "-c", `chown 0:0 ${folder} && chmod 755 ${folder}`);
        const { error } = await his.upload("a.zip");
        await output(testbed.running("open-webui"), "sh", "-c", `chown ${owners[0]} ${folder} && chmod ${owners[1]} ${folder}`);
        expect(error).toContain("The disk of this page takes no file now. Tell the admin");
        expect((await his.upload("a.zip")).id).not.toBe("");
    });

    test("is said not to be there, where it was deleted", async () => {
        const { token, uploads: her } = await join("uta");
        const { id } = await her.upload("a.zip");
        const question = words("What is in it?");
        await output(testbed.running("open-webui"), "sh", "-c", `rm /app/backend/data/uploads/${id}_*`);
        await testbed.sendFromPage(token, question, { files: [id] });
        expect(JSON.stringify(await testbed.asked(question))).toContain("a.zip isn't there: it was deleted");
    });

    test("waits on Hermes' disk within bounds: the file that nobody has named for longest goes first, and one that doesn't fit is refused", async () => {
        const program = `
import os, shutil, time
from pathlib import Path
from types import SimpleNamespace
from private_hermes import handover
os.makedirs(handover.root())
handover.MOST, handover.NAMES = 30, 3
def keep(id, name="a.txt", size=10, person="person-a"):
    new = handover.root() / "a.new"
    new.write_bytes(bytes(size))
    try:
        return handover.keep(person, id, name, new)
    except handover.Refused as refused:
        return str(refused)
    finally:
        assert not new.exists()
def age(id, seconds):
    os.utime(handover.root() / "person-a" / id, times=(time.time() - seconds,) * 2)
kept = lambda: sorted(handover.files_of("person-a"))
print([keep("1"), keep("2"), keep("1"), keep("3", person="person-b"), keep("4")])
age("1", 7200); age("2", 7201)
handover.named("person-a", ["2"])
print([keep("5"), kept()])
handover.shutil = SimpleNamespace(rmtree=shutil.rmtree, disk_usage=lambda path: SimpleNamespace(free=handover.ROOM + 9))
age("2", 7200)
print([keep("6"), kept()])
age("5", handover.KEPT + 1)
handover.delete_old()
print([kept(), sorted(handover.named("person-b", ["3", "5"]).items())])`;
        const ran = await outputOf(testbed.running("hermes"), ["env", "HERMES_HOME=/tmp/handed", "python", "-"], program);
        const at = (name: string) => `'/root/uploads/${name}'`;
        const full = "'the disk of the service hermes has no room for it'";
        expect(ran.trim().split("\n")).toEqual([
            `[${at("a.txt")}, ${at("a (2).txt")}, ${at("a.txt")}, ${at("a.txt")}, ${full}]`,
            `[${at("a (3).txt")}, ['2', '5']]`,
            `[${full}, ['5']]`,
            `[[], [('3', ${at("a.txt")})]]`,
        ]);
    });

    test("is taken from Open WebUI alone, and under no id that is a path", async () => {
        const put = (path: string, bearer?: string) => testbed.hermes("PUT", `/v1/uploads/${path}`, { bearer, body: "x".repeat(100) });
        expect(await put("1?name=a.txt")).toMatchObject({ status: 401 });
        expect(await put("..%2f1?name=a.txt", testbed.environment("hermes").API_SERVER_KEY)).toMatchObject({ status: 400 });
    });
});

test("a long line is shown as it comes, and its files arrive all the same", async () => {
    const script = `
from private_hermes.files import Answer
answer = Answer(lambda path, written: [f"<{path}>"])
given = lambda pieces: "".join(piece for text in pieces for piece in answer.add(text))
before = given(["[1"] + [f", {number}" for number in range(2, 5000)])
after = given([", 5000] and [this](sandb", "ox:/root/a.csv) MED", "IA:/root/b.png"]) + "".join(answer.end())
print(len(before) > 20_000, after.endswith(", 5000] and </root/a.csv> </root/b.png>"), (before + after).startswith("[1, 2, 3"))`;
    // As root it would take the gateway's files from it.
    const said = await testbed.running("hermes").exec(["/opt/hermes/bin/python", "-c", script], { user: "10000:10000" });
    expect(said.output).toContain("True True True\n");
});

describe("a file on the disk", () => {
    const onDatabase = (statement: string) =>
        output(
            testbed.running("open-webui"),
            "python3",
            "-c",
            `import sqlite3; db = sqlite3.connect("/app/backend/data/webui.db", timeout=30); db.execute("${statement}"); db.commit()`,
        );

    test("goes a week after it was made if no chat shows it, and stays as long as one does", async () => {
        const uploads = await Uploads.create(testbed, owner.token);
        const upload = async () => (await uploads.upload("a.txt")).id;
        const code = writing({ "/root/report.csv": csv }) + naming("MEDIA:/root/report.csv");
        const kept = linksIn(await answerTo(code))[0].link;
        const dropped = linksIn(await answerTo(code))[0].link;
        // Not by the order of the chats: both may have been changed in the same second.
        const text = async ({ id }: { id: string }) => JSON.stringify((await testbed.webui("GET", `/api/v1/chats/${id}`, { bearer: owner.token })).body);
        const chats = await testbed.chats(owner.token);
        const chat = chats[(await Promise.all(chats.map(text))).findIndex((found) => found.includes(dropped))].id;
        // Of two uploads, one is named in a chat.
        const [sent, unsent] = [await upload(), await upload()];
        await testbed.sendFromPage(owner.token, `What is in ${sent}?`);
        expect((await testbed.webui("DELETE", `/api/v1/chats/${chat}`, { bearer: owner.token })).status).toBe(200);
        const young = await upload();
        const status = async (link: string) => (await open(owner.token, link.startsWith("/") ? link : `/api/v1/files/${link}/content`)).status;
        const all = [kept, dropped, sent, unsent, young];
        expect(await Promise.all(all.map(status))).toEqual([200, 200, 200, 200, 200]);
        await onDatabase(`update file set created_at = created_at - 8 * 86400 where id != '${young}'`);
        await expect.poll(() => Promise.all(all.map(status)), { timeout: 30_000 }).toEqual([200, 404, 200, 404, 200]);
        const left = await output(testbed.running("open-webui"), "ls", "/app/backend/data/uploads");
        expect(left).not.toContain(dropped.split("/")[4]);
        expect(left).not.toContain(unsent);
        expect(left).toContain(kept.split("/")[4]);
    });
});
