/** The main job: a chat from Open WebUI through Hermes to a model and back, and what must stay closed beside it. */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { interact, kill, output, repository } from "../harness/docker.ts";
import { Person } from "../harness/person.ts";
import { type Session, Testbed, words } from "../harness/testbed.ts";

/** A chat as Open WebUI gives it. */
interface Reports {
    chat: { history: { currentId: string; messages: Record<string, { role: string; content: string }> } };
    updated_at: number;
    last_read_at?: number;
}

let testbed: Testbed;

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.start("hermes");
    await testbed.start("open-webui");
});
afterAll(() => testbed.remove());

describe("a message", () => {
    test("goes from Open WebUI through Hermes to the model and comes back, at the price of one model call", async () => {
        const { token, role } = await testbed.signIn();
        expect(role).toBe("admin");
        await testbed.forgetCalls();
        expect(await testbed.sendFromPage(token, "Is anybody there?")).toBe("Echo: Is anybody there?");
        // Whatever else Open WebUI might ask for comes after the answer; give it the time that a title takes.
        await sleep(3000);
        const calls = await testbed.calls();
        expect(calls).toHaveLength(1);
        expect(calls[0]).toMatchObject({
            model: testbed.environment("hermes").HERMES_MODEL,
            authorization: `Bearer ${testbed.environment("hermes").OPENROUTER_API_KEY}`,
        });
    });

    test("finds the one model that Hermes offers, already chosen", async () => {
        const { token } = await testbed.signIn();
        expect(await testbed.models(token)).toEqual([testbed.environment("hermes").API_SERVER_MODEL_NAME]);
        const { body: config } = await testbed.webui("GET", "/api/config", { bearer: token });
        expect((config as { default_models: string }).default_models).toBe(testbed.environment("hermes").API_SERVER_MODEL_NAME);
    });
});

describe("a neighbour on the private network", () => {
    test("gets from Hermes, without its key, that it runs, and nothing else", async () => {
        const program = `
import json
from gateway.platforms.api_server import APIServerAdapter
routes = object.__new__(APIServerAdapter)._http_route_table()
print(json.dumps([(method, path) for method, path, _ in routes]))`;
        const asHermes = ["setpriv", "--reuid=10000", "--regid=10000", "--clear-groups", "env", "HOME=/opt/data", "/opt/hermes/bin/python"];
        const routes = JSON.parse(await output(testbed.running("hermes"), ...asHermes, "-c", program)) as [method: string, path: string][];
        expect(routes).toContainEqual(["POST", "/v1/chat/completions"]);
        const open: unknown[] = [];
        const healthy = { status: "ok", platform: "hermes-agent", version: expect.any(String) as string };
        for (const [method, path] of routes) {
            for (const bearer of [undefined, "wrong-key-0123456789abcdef"]) {
                const { status, body } = await testbed.hermes(method, path.replaceAll(/\{\w+\}/g, "x"), { bearer, ...(method !== "GET" && { body: {} }) });
                if (status < 400) open.push([method, path, body]);
            }
        }
        expect(open).toEqual(["/health", "/health", "/v1/health", "/v1/health"].map((path) => ["GET", path, healthy]));
    });

    test.for([
        ["Hermes", () => testbed.address("hermes"), () => testbed.hermes("GET", "/health")],
        ["the port that Render waits for", () => testbed.address("open-webui"), () => testbed.request("GET", `http://${testbed.address("open-webui")}/`)],
    ] as const)("keeps nobody waiting at %s with connections that say nothing, or half of something", async ([, address, asked]) => {
        const [host, port] = address().split(":");
        const program = `
import socket
said = [b"", b"POST /v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\n", b"POST /v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 9000\\r\\n\\r\\n{"]
held = [socket.create_connection(("${host}", ${port})) for _ in range(600)]
for at, connection in enumerate(held): connection.sendall(said[at % 3])
print("held", flush=True)
input()`;
        let tell: (line: string) => void = () => undefined;
        await new Promise<void>((resolve, reject) => {
            const ended = (why: string) => {
                reject(new Error(why));
            };
            const held = () => {
                resolve();
            };
            void interact(testbed.openRouter, ["python3", "-c", program], held, ended).then((told) => (tell = told), reject);
        });
        expect((await asked()).status).toBeLessThan(500);
        expect(await testbed.sendFromPage((await testbed.signIn()).token, "Is anybody there?")).toBe("Echo: Is anybody there?");
        tell("");
    });
});

describe("a failure of the model", () => {
    const mark = "No answer from the model";
    let token: string;
    beforeAll(async () => {
        ({ token } = await testbed.signIn());
    }); // once: Open WebUI refuses a sixteenth sign-in within three minutes

    test.for<[status: number, words: string, says: RegExp, calls: number]>([
        [402, "Insufficient credits", /credit is used up.*settings\/credits.*“Insufficient credits”/, 1],
        [403, "Key limit exceeded (total limit)", /spending limit of the key.*settings\/keys/, 1],
        [401, "User not found", /doesn't take the key.*openrouterApiKey/, 1],
        [403, "Your input was flagged", /refuses this message.*“Your input was flagged”/, 1],
        [404, "No endpoints found matching your data policy", /privacy settings.*settings\/privacy/, 1],
        [404, "No endpoints found that support tool use", /can't call tools.*modelDefault/, 1],
        [404, "No such model", /doesn't have this model.*modelDefault/, 1],
        [400, "This endpoint's maximum context length is 400000 tokens. However, you requested about 500000 tokens", /too long for the model.*new one/, 1],
        [429, "Rate limit exceeded", /too much to do.*Try again/, 3],
        [502, "Provider returned error", /out of order.*Try again/, 3],
        [200, "", /answered with nothing.*Try again/, 4],
    ])("%i (%s) is told in the place of the answer, and stays there", async ([status, said, reason, calls]) => {
        await testbed.forgetCalls();
        const stored = await testbed.sendFromPage(token, `FAIL ${status} ${said}`);
        expect(stored).toMatch(reason);
        expect(stored.split(mark)).toHaveLength(2);
        for (const secret of ["Bearer", testbed.environment("hermes").OPENROUTER_API_KEY, "Traceback", testbed.address("hermes")])
            expect(stored).not.toContain(secret);
        expect(await testbed.calls()).toHaveLength(calls);
    });

    test("keeps what was written before it", async () => {
        const stored = await testbed.sendFromPage(token, "BREAK Upstream hung up");
        expect(stored).toMatch(/^The first words.*\n\n.*No answer from the model/s);
    });

    test("isn't what the model has said, and the next message is answered", async () => {
        const failed = await testbed.sendFromPage(token, "FAIL 402 Insufficient credits");
        const question = words("And now?");
        await testbed.forgetCalls();
        const history = [
            { role: "user", content: "Hello" },
            { role: "assistant", content: failed },
            { role: "user", content: "Again" },
            { role: "assistant", content: `Half of it.\n\n${failed}` },
        ];
        expect(await testbed.chat([...history, { role: "user", content: question }])).toBe(`Echo: ${question}`);
        const [sent] = (await testbed.calls()).map(({ messages }) => JSON.stringify(messages));
        expect(sent).not.toContain(mark);
        expect(sent).toContain("got no answer");
        expect(sent).toContain("Half of it.");
    });

    test("can be gone on from: what the page sends for “Continue” is answered", async () => {
        const question = words("Tell me");
        const failed = await testbed.sendFromPage(token, "FAIL 402 Insufficient credits");
        expect(
            await testbed.chat([
                { role: "user", content: question },
                { role: "assistant", content: failed },
            ]),
        ).toContain(question);
    });

    test("leaves no copy of the chat on the disk", async () => {
        expect(await output(testbed.running("hermes"), "sh", "-c", "find /opt/data -name 'request_dump_*'")).toBe("");
    });
});

describe("a lost connection to the agent", () => {
    const mark = "No answer from the model";

    test("is told in the place of the answer, below what was written, and the next message is answered", async () => {
        const { token } = await testbed.signIn();
        const asked = words("SLOW 30");
        await testbed.forgetCalls();
        const [answer] = await Promise.all([
            testbed.sendFromPage(token, asked),
            (async () => {
                while ((await testbed.asked(asked)).length === 0) await sleep(200);
                await sleep(3000); // three words or so
                await kill(testbed.running("hermes"));
            })(),
        ]);
        expect(answer).toMatch(/^1 .*\n\n.*has stopped in the middle of the answer.*Wait a minute/s);
        const missed = await testbed.sendFromPage(token, words("Are you there?"));
        expect(missed).toMatch(/^[^\n]*doesn't run at the moment.*Wait a minute/);
        expect(await testbed.webui("GET", "/api/v1/own", { bearer: token })).toMatchObject({ status: 502, body: { detail: "the agent can't be reached" } });
        for (const said of [answer, missed]) {
            expect(said.split(mark)).toHaveLength(2);
            for (const internal of ["Payload", "TransferEncoding", "Traceback", testbed.address("hermes")]) expect(said).not.toContain(internal);
        }

        await testbed.redeploy("hermes");
        const question = words("And now?");
        await testbed.forgetCalls();
        const history = [
            { role: "user", content: "Hello" },
            { role: "assistant", content: answer },
            { role: "user", content: "Again" },
            { role: "assistant", content: missed },
        ];
        expect(await testbed.chat([...history, { role: "user", content: question }])).toBe(`Echo: ${question}`);
        expect(JSON.stringify((await testbed.calls())[0].messages)).not.toContain(mark);
        expect(await testbed.sendFromPage(token, question)).toBe(`Echo: ${question}`);
    });
});

describe("an answer that is being written while Open WebUI", () => {
    const mark = /\n\n[^\n]*No answer from the model[^\n]*stopped in the middle of the answer.*Wait a minute[^\n]*$/;
    let token: string;
    beforeAll(async () => {
        ({ token } = await testbed.signIn());
    });

    test("is updated, is waited for; a long one keeps what it had, and says so", async () => {
        const [short, long] = [words("SLOW 12"), words("SLOW 90")];
        const asked = await Promise.all([short, long].map((question) => testbed.askFromPage(token, question)));
        for (const question of [short, long]) while ((await testbed.asked(question)).length === 0) await sleep(200);
        await testbed.redeploy("open-webui");
        const [whole, cut] = await Promise.all(asked.map((message) => testbed.answerTo(token, message)));
        expect(whole).toMatchObject({ done: true, content: expect.stringMatching(/^1 .* 12\s*$/s) as string });
        expect(cut).toMatchObject({ done: true, content: expect.stringMatching(/^1 .* 15 /s) as string });
        expect(cut.content).toMatch(mark);
    });

    test("crashes, keeps what it had, and says so, also where it had nothing but a running command", async () => {
        const [long, command] = [words("SLOW 90"), `CALL terminal ${JSON.stringify({ command: "sleep 60" })}`];
        const asked = await Promise.all([long, command].map((question) => testbed.askFromPage(token, question)));
        while (!(await testbed.answerTo(token, asked[0])).content.includes(" 8 ")) await sleep(200);
        await testbed.kill("open-webui");
        await testbed.start("open-webui");
        const [cut, silent] = await Promise.all(asked.map((message) => testbed.answerTo(token, message)));
        expect(cut).toMatchObject({ done: true, content: expect.stringMatching(/^1 2 3 /) as string });
        expect(cut.content).toMatch(mark);
        expect(silent.done).toBe(true);
        expect(`\n\n${silent.content}`).toMatch(mark);
        expect(silent.statusHistory).toHaveLength(1);
    });
});

describe("a slow model", () => {
    const silence = 5;
    let token: string;
    beforeAll(async () => {
        ({ token } = await testbed.signIn());
        // What the image has in /etc/hermes, with a shorter patience for a connection without a byte.
        const write = async (name: string, source: string, change = (text: string) => text) => {
            const text = change(await readFile(`${repository}hermes/${source}`, "utf8"));
            return `echo ${Buffer.from(text).toString("base64")} | base64 -d >/disk/${name}`;
        };
        const shorten = (text: string) => text.replace(/^(HERMES_STREAM_READ_TIMEOUT)=.*$/m, `$1=${silence}`);
        await testbed.addVolume("impatient", [await write("config.yaml", "config.yaml"), await write(".env", "managed.env", shorten)].join("\n"));
        await testbed.stop("hermes");
        await testbed.start("hermes", {}, { impatient: "/etc/hermes" });
    });
    afterAll(() => testbed.redeploy("hermes"));

    test("that sends comment lines is waited for, and asked once", async () => {
        const question = words(`THINK ${3 * silence}`);
        await testbed.forgetCalls();
        expect(await testbed.sendFromPage(token, question)).toBe(`Echo: ${question}`);
        expect(await testbed.calls()).toHaveLength(1);
    });

    test("that sends nothing at all counts as dead, and the person reads so", async () => {
        await testbed.forgetCalls();
        expect(await testbed.sendFromPage(token, words("SILENT 60"))).toMatch(/out of order or out of reach.*Try again/);
        expect(await testbed.calls()).toHaveLength(6);
    });
});

test("the code of each account runs in a sandbox of its own, although both begin a chat with the same words", async () => {
    const admin = await testbed.signIn();
    const { token: ben } = await testbed.addAccount(admin.token);
    const message = `CALL terminal ${JSON.stringify({ command: "cat /root/visits; date +%s.%N >>/root/visits; echo end" })}`;
    const visits = async (token: string) => (await testbed.sendFromPage(token, message)).match(/\d{10}\.\d+/g)?.length ?? 0;
    expect([await visits(admin.token), await visits(ben)]).toEqual([0, 0]);
    expect([await visits(admin.token), await visits(admin.token), await visits(ben)]).toEqual([1, 2, 1]);
    expect(await testbed.modal.running()).toHaveLength(2);
});

describe("a job that was made in the page", () => {
    const disk = (command: string) => output(testbed.running("hermes"), "sh", "-c", `cd /opt/data && ${command}`);
    const waiting = () => disk("ls page-reports 2>/dev/null || true");
    let admin: Session, carol: Session;
    beforeAll(async () => {
        admin = await testbed.signIn();
        carol = await testbed.addAccount(admin.token, { name: "Carol" });
    });

    /** Makes a job in a chat of somebody; gives what runs it. */
    async function made(person: Person, name: string, prompt: string, more = {}) {
        const job = await person.use("cronjob", { action: "create", name, schedule: "every 12h", prompt, ...more });
        expect(job.message).toContain(`“⏰ ${name}”`);
        return async () => {
            expect(await person.use("cronjob", { action: "run", job_id: job.job_id })).toMatchObject({ success: true });
        };
    }

    /** The chats of an account that belong to jobs, with what is said in each, and whether it is marked as unread. */
    async function reports(token: string) {
        const jobs = (await testbed.chats(token)).filter(({ title }) => title.startsWith("⏰"));
        return Promise.all(
            jobs.map(async ({ id, title }) => {
                const { body } = await testbed.webui("GET", `/api/v1/chats/${id}`, { bearer: token });
                const { chat, updated_at: updated, last_read_at: read } = body as Reports;
                const messages = Object.values(chat.history.messages);
                const answers = messages.filter(({ role }) => role === "assistant").map(({ content }) => content);
                const asked = messages.find(({ role }) => role === "user")?.content;
                return { id, title, unread: updated > (read ?? 0), asked, answers, last: chat.history.currentId, turns: messages.map(({ role }) => role) };
            }),
        );
    }

    test("reports into one chat of its maker, unread, the newest below, with files and failures, and the chat knows of it", async () => {
        const [person, name, prompt] = [new Person(testbed, admin.id), words("watch"), words("Two places left")];
        // As from the shell: it belongs to no account, so that the first admin hears of it; a minute from now.
        const body = { name: "poor", schedule: "1m", prompt: "FAIL 402 Insufficient credits" };
        expect((await testbed.hermes("POST", "/api/jobs", { bearer: testbed.environment("hermes").API_SERVER_KEY, body })).status).toBe(200);
        await person.run("echo Zürich >/root/table.csv");
        // So long that the tool's answer leaves the file's place out.
        const run = await made(person, name, `${prompt} ${"Look well. ".repeat(10)}\nMEDIA:/root/table.csv`);
        await run();
        await expect.poll(async () => (await reports(admin.token)).map(({ title }) => title), { timeout: 200_000 }).toContain(`⏰ ${name}`);
        await run();
        const said = async () => (await reports(admin.token)).flatMap(({ answers }) => answers);
        await expect.poll(said, { timeout: 200_000 }).toHaveLength(3);
        const all = await reports(admin.token);
        const [[poor], [watch]] = [all.filter(({ title }) => title === "⏰ poor"), all.filter(({ title }) => title === `⏰ ${name}`)];
        expect(poor.answers).toEqual([expect.stringMatching(/credit is used up/)]);
        expect(watch).toMatchObject({ unread: true, turns: ["user", "assistant", "user", "assistant"] });
        for (const answer of watch.answers) expect(answer).toContain(prompt);
        const [, link = ""] = /\[table\.csv\]\((\/api\/v1\/files\/[\w-]+\/content)/.exec(watch.answers[1]) ?? [];
        expect((await testbed.webui("GET", link, { bearer: admin.token })).body).toBe("Zürich\n");
        expect((await testbed.webui("GET", link, { bearer: carol.token })).status).toBe(404);
        expect(await reports(carol.token)).toEqual([]);

        const question = words("What did you just send me?");
        await testbed.forgetCalls();
        await testbed.sendFromPage(admin.token, question, { after: { chatId: watch.id, answerId: watch.last } });
        const [{ messages }] = await testbed.asked(question);
        expect(messages.slice(1).map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant", "user"]);
        expect(JSON.stringify(messages).split(prompt)).toHaveLength(3);
    });

    test("reports in the language of its maker's page", async () => {
        const dora = await testbed.addAccount(admin.token, { name: "Dora" });
        await testbed.answered(dora.token, await testbed.askFromPage(dora.token, words("Hallo"), { language: "de" }));
        const name = `To read. ${words("Watch")}`;
        await (
            await made(new Person(testbed, dora.id), name, "What is new?", { script: "echo half; exit 3" })
        )();
        const told = async () => (await reports(dora.token)).flatMap(({ asked, answers }) => [asked, ...answers]);
        await expect.poll(told, { timeout: 60_000 }).toEqual([
            // No day of the week, which would be English.
            expect.stringMatching(new RegExp(`^Geplanter Auftrag “${name}” \\(\\w+\\), \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d \\S+$`)),
            expect.stringMatching(new RegExp(`^Geplanter Auftrag “${name}”: Sein Skript ist gescheitert\\. Es endete mit dem Exit-Code 3\\.`)),
        ]);
    });

    test("reports once, whichever of the two services was away meanwhile; one without an account is paused", async () => {
        const [person, prompt] = [new Person(testbed, carol.id), words("One place left")];
        const run = await made(person, words("watch"), prompt);
        await testbed.stop("open-webui");
        await run();
        const [kept] = (await waiting()).split("\n");
        // Twenty more, and the first again at the end, as it is when the answer that it is stored gets lost.
        await disk(`cd page-reports; for number in $(seq 10 29); do
            cp -a ${kept} 8$number; sed -i "s/\\"id\\": \\"../&$number/" 8$number/report.json; done; cp -a ${kept} 9${kept}`);
        await testbed.redeploy("hermes");
        await testbed.start("open-webui");
        await expect.poll(waiting, { timeout: 200_000 }).toBe("");
        // A chat takes twenty.
        const found = await reports(carol.token);
        expect(found.map(({ answers }) => answers.length).toSorted()).toEqual([1, 20]);
        expect(new Set(found.map(({ title }) => title)).size).toBe(1);
        for (const { answers } of found) for (const answer of answers) expect(answer).toContain(prompt);

        expect((await testbed.webui("DELETE", `/api/v1/users/${carol.id}`, { bearer: admin.token })).status).toBe(200);
        await run();
        await expect.poll(() => disk("cat cron/jobs.json"), { timeout: 200_000 }).toMatch(/"paused_reason": "the account that it reports to is gone/);
        expect(await waiting()).toBe("");
    });
});

test("what the agent keeps is shown to whom it belongs to, whatever a browser says", async () => {
    const admin = await testbed.signIn();
    const [ada, ben] = await testbed.addAccounts(admin.token, 2);
    const idOf = async (bearer: string) => ((await testbed.webui("GET", "/api/v1/auths/", { bearer })).body as { id: string }).id;
    const tea = words("Likes tea.");
    await testbed.sendFromPage(ada, `CALL memory ${JSON.stringify({ action: "add", content: tea })}`);
    const own = async (bearer: string, headers = {}) =>
        (await testbed.webui("GET", "/api/v1/own", { bearer, headers })).body as { memory: { id: string; text: string }[] };
    const [kept] = (await own(ada)).memory;
    expect(kept.text).toBe(tea);
    // As somebody who would be another: in headers of any case, in the address and in the body.
    for (const id of [await idOf(ada), admin.id]) {
        const headers = { "X-OpenWebUI-User-Id": id, "x-openwebui-user-role": "admin", "X-OpenWebUI-User-Email": "ada@example.com" };
        expect((await own(ben, headers)).memory).toEqual([]);
        const path = `/api/v1/own/${kept.id}/remove?user=${id}&user_id=${id}`;
        expect((await testbed.webui("POST", path, { bearer: ben, headers, body: { user: { id }, user_id: id, headers } })).status).toBe(400);
        const { body: costs } = await testbed.webui("GET", `/api/v1/own/costs?chat=x&owner=${id}`, { bearer: ben, headers });
        expect(costs).not.toHaveProperty("month");
    }
    for (const path of ["remove", "..%2f..%2freports", "%2e%2e"])
        expect((await testbed.webui("POST", `/api/v1/own/..%2f..%2freports/${path}`, { bearer: ben })).status).toBeGreaterThanOrEqual(400);
    for (const [method, path] of [
        ["GET", ""],
        ["GET", "/costs"],
        ["POST", `/${kept.id}/remove`],
    ])
        expect((await testbed.webui(method, `/api/v1/own${path}`)).status).toBe(401);
    expect((await own(ada)).memory).toEqual([kept]);
    expect((await testbed.webui("POST", `/api/v1/own/${kept.id}/remove`, { bearer: ada })).status).toBe(200);
    expect((await own(ada)).memory).toEqual([]);
});

describe("who gets in", () => {
    test.for<[method: string, path: string]>([
        ["GET", "/v1/models"],
        ["POST", "/v1/chat/completions"],
        ["GET", "/api/jobs"],
        ["GET", "/v1/reports"],
        ["DELETE", "/v1/reports/1"],
        ["GET", "/v1/own"],
    ])("Hermes refuses %s %s without the key and with a wrong one", async ([method, path]) => {
        expect((await testbed.hermes(method, path)).status).toBe(401);
        expect((await testbed.hermes(method, path, { bearer: testbed.environment("hermes").OPENROUTER_API_KEY })).status).toBe(401);
        expect((await testbed.hermes("GET", "/v1/models", { bearer: testbed.environment("hermes").API_SERVER_KEY })).status).toBe(200);
    });

    test("Open WebUI refuses a wrong password and a stranger's chat", async () => {
        const { WEBUI_ADMIN_EMAIL: email } = testbed.environment("open-webui");
        expect((await testbed.webui("POST", "/api/v1/auths/signin", { body: { email, password: "guess" } })).status).toBe(400);
        expect((await testbed.webui("POST", "/api/chat/completions", { body: {} })).status).toBe(401);
    });

    test("its cookie is for HTTPS and for its own pages only", async () => {
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_ADMIN_PASSWORD: password } = testbed.environment("open-webui");
        const { headers } = await testbed.webui("POST", "/api/v1/auths/signin", { body: { email, password } });
        const cookie = Object.entries(headers)
            .find(([name]) => name.toLowerCase() === "set-cookie")?.[1]
            .toLowerCase();
        expect(cookie).toMatch(/^token=/);
        expect(cookie).toContain("secure");
        expect(cookie).toContain("samesite=strict");
        expect(cookie).toContain("httponly");
    });
});

describe("a restart on the same disks", () => {
    test("keeps memory, sessions and accounts", async () => {
        const before = await testbed.signIn();
        const fact = `The cat is called ${randomUUID()}`;
        await testbed.sendFromPage(before.token, "Will you keep this?");
        const chatsOf = async (token: string) => (await testbed.chats(token)).map(({ id }) => id);
        const chats = await chatsOf(before.token);
        expect(chats.length).toBeGreaterThan(0);
        const said = await testbed.useTool("memory", { action: "add", target: "user", content: fact });
        expect(said).toMatch(/Tool said: .*success/s);

        await testbed.redeploy("hermes");
        await testbed.redeploy("open-webui");

        expect(await testbed.remembered()).toContain(fact);

        expect((await testbed.signIn()).role).toBe("admin");
        // The session of before is still good: its secret is the program's, not made up at boot.
        expect((await testbed.webui("GET", "/api/v1/auths/", { bearer: before.token })).status).toBe(200);
        expect(await chatsOf(before.token)).toEqual(chats);
    });
});

test("Open WebUI puts no tools and at most 1 KB around a message, and follows no redirect", async () => {
    // The model server in the place of Hermes, which would hide what it was sent.
    await testbed.redeploy("open-webui", { OPENAI_API_BASE_URL: "http://openrouter.ai:8642/v1" });
    const { token } = await testbed.signIn();
    await testbed.forgetCalls();
    const message = "How much of this is overhead?";
    await testbed.sendFromPage(token, message);
    const [{ bytes, tools }] = await testbed.calls();
    expect(tools).toEqual([]);
    expect(bytes - message.length).toBeLessThanOrEqual(1024);

    // Nor does it carry the chat where an answer leads.
    await testbed.forgetCalls();
    expect(await testbed.sendFromPage(token, "FAIL 307 http://openrouter.ai:8642/v1/chat/completions")).toMatch(/agent doesn't run at the moment/);
    expect(await testbed.calls()).toHaveLength(1);
});
