/**
 * The three jobs that people want first: a watcher, a briefing and a reviewer, of two accounts, over three days in which a lot goes wrong.
 * Hermes' scheduler lives at another time (test/stand-ins/clock/), the model's part is played by scripts in the sandbox.
 */
import { randomUUID } from "node:crypto";
import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildImage, output, start } from "../harness/docker.ts";
import { Telegram } from "../harness/telegram.ts";
import { Testbed, type Session } from "../harness/testbed.ts";

/** The owner on Telegram. */
const user = 1001;
const botToken = `123456789:AA${randomUUID().replaceAll("-", "")}`;

/** Gives each page of a folder with the status that stands in it. */
const site = `import http.server, pathlib
class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(pathlib.Path("/tmp/status").read_text()))
        self.end_headers()
        self.wfile.write(pathlib.Path("/tmp" + self.path).read_bytes())
print("ready", flush=True)
http.server.HTTPServer(("", 80), Site).serve_forever()`;

/** What the model would do, by job; each remembers in a file of the sandbox. The watcher says that it is silent in a report, too. */
const scripts = {
    watcher: `seen = pathlib.Path("/root/seen")
try: found = read("price")
except urllib.error.HTTPError as error: found = f"an error {error.code}"
before = seen.read_text() if seen.exists() else found
seen.write_text(found)
print(f"It was {before} and is {found}.\\n\\n**[SILENT]**" if found != before else "**[SILENT]**")`,
    briefing: `print("Good morning. " + read("news"))`,
    reviewer: `rule, done = read("AGENTS.md"), pathlib.Path("/root/reviewed")
number, _, words = read("pull").partition(" ")
if pathlib.Path("/root/slow").exists(): pathlib.Path("/root/slow").unlink(), time.sleep(110)
new = not done.exists() or number not in done.read_text().split()
done.open("a").write(number + "\\n")
print(f"Pull request {number}: it {'breaks' if rule in words else 'follows'} AGENTS.md." if new else "[SILENT]")`,
};
type Job = keyof typeof scripts;
const schedules: Record<Job, string> = { watcher: "0 */8 * * *", briefing: "0 7 * * *", reviewer: "0 20 * * *" };
const jobs = Object.keys(scripts) as Job[];

interface Stored {
    id: string;
    next_run_at: string;
    last_run_at: string | null;
}
interface Listed {
    name: Job;
    tokens_this_month: number;
    failures_in_a_row: number;
    next_run: string;
    last_run: string;
}
/** Somebody with an account. */
interface Account extends Session {
    name: string;
    seen: Set<string>;
}

let testbed: Testbed;
let telegram: Telegram;
let shop: StartedTestContainer;
let accounts: Account[];
/** Tokens of the jobs' runs so far, and how many messages the owner has on Telegram. */
let [paid, sent] = [0, 0];

const hermes = () => testbed.running("hermes");
const startHermes = () => testbed.start("hermes", {}, { clock: "/clock" });
const stored = async () => (JSON.parse(await output(hermes(), "cat", "/opt/data/cron/jobs.json")) as { jobs: Stored[] }).jobs;
const waiting = () => output(hermes(), "sh", "-c", "ls /opt/data/page-reports 2>/dev/null || true");
/** Seconds that the scheduler's clock is ahead at a moment that is now. */
const ahead = (moment: string) => (Date.parse(moment) - Date.now()) / 1000 + 2;
/** What the site answers from now on. */
const serve = (page: string, text: string | number) => output(shop, "sh", "-c", `printf %s "$0" >/tmp/${page}`, String(text));

/** What the scheduler's tool says to somebody who asks in the page. */
async function use(account: Account, tool: string, parameters: object): Promise<unknown> {
    const said = await testbed.sendFromPage(account.token, `CALL ${tool} ${JSON.stringify(parameters)}`);
    return JSON.parse(/\{[^]*\}/.exec(said)?.[0] ?? said);
}
const listed = async (account: Account) => ((await use(account, "cronjob", { action: "list" })) as { jobs: Listed[] }).jobs;

/** Waits for all runs that are due, and gives what has arrived since, a line each. */
async function arrived(due: Stored[], moment: string): Promise<string[]> {
    const ended = async () => {
        const now = await stored();
        return due.every(({ id, last_run_at: before }) => now.some((job) => job.id === id && job.last_run_at !== before));
    };
    await expect.poll(ended, { timeout: 200_000 }).toBe(true);
    await expect.poll(waiting, { timeout: 60_000 }).toBe("");
    const lines: string[] = [];
    for (const account of accounts) {
        for (const { id, title } of (await testbed.chats(account.token)).filter(({ title: name }) => name.startsWith("⏰"))) {
            const { body } = await testbed.webui("GET", `/api/v1/chats/${id}`, { bearer: account.token });
            const { messages } = (body as { chat: { history: { messages: Record<string, { role: string; content: string }> } } }).chat.history;
            for (const [message, { role, content }] of Object.entries(messages)) {
                if (role !== "assistant" || account.seen.has(message)) continue;
                account.seen.add(message);
                lines.push(`${account.name}, page, ${title.slice(2)}: ${content}`);
            }
        }
    }
    const texts = (await telegram.texts(user)).map((text) => text.replaceAll("\\", ""));
    for (const text of texts.slice(sent)) {
        const found = /^Cronjob Response: (\w+)\n[^]*?-{5,}\n+([^]*?)\n+To stop or manage/.exec(text);
        lines.push(`owner, Telegram, ${found ? `${found[1]}: ${found[2]}` : text}`);
    }
    sent = texts.length;
    // A chat has the tool for jobs, and Open WebUI's own questions have none.
    const runs = (await testbed.calls()).filter(({ tools }) => tools.length > 0 && !tools.includes("cronjob"));
    const tokens = runs.reduce((sum, call) => sum + call.tokens, 0);
    await testbed.forgetCalls();
    paid += tokens;
    const head = `${moment.slice(11, 16)}, ${due.length} runs, ${tokens} tokens`;
    return [head, ...lines.map((line) => line.replaceAll("\n", " ").trim()).toSorted()];
}

/** The jobs that are due at a moment. */
const dueAt = async (moment: string) => (await stored()).filter(({ next_run_at: next }) => Date.parse(next) <= Date.parse(moment));

/** Sets the scheduler's clock to a moment; gives what arrives then. */
async function at(moment: string, meanwhile?: () => Promise<unknown>): Promise<string[]> {
    const due = await dueAt(moment);
    await output(hermes(), "sh", "-c", `echo ${ahead(moment)} >/clock/ahead`);
    await meanwhile?.();
    return arrived(due, moment);
}

/** The same while Hermes is away. */
async function away(moment: string): Promise<string[]> {
    const due = await dueAt(moment);
    await testbed.stop("hermes");
    await testbed.onDisk("clock", `echo ${ahead(moment)} >/disk/ahead`);
    await startHermes();
    return arrived(due, moment);
}

/** What a day has to bring: in the page for both, and of the watcher on Telegram for the owner. */
const both = (job: Job, text: string) => ["Anna", "owner"].map((name) => `${name}, page, ${job}: ${text}`);
const watched = (text: string) => [`Anna, page, watcher: ${text}`, `owner, Telegram, watcher: ${text}`, `owner, page, watcher: ${text}`];

/** The lines of a day without what differs from run to run. */
const told = (moments: string[][]) => moments.flat().map((line) => line.replace(/, \d+ tokens$/, ""));

beforeAll(async () => {
    [testbed] = await Promise.all([Testbed.create(), buildImage("clock")]);
    await testbed.configure({ timezone: "Europe/Zurich", telegramBotToken: botToken, telegramAllowedUsers: String(user) });
    testbed.useImage("hermes", "clock");
    await testbed.addVolume("clock", `echo ${ahead("2027-03-26T23:00:00+01:00")} >/disk/ahead`);
    [telegram, shop] = await Promise.all([
        Telegram.open(testbed, botToken),
        start({ image: "internet", network: testbed.network, command: ["python3", "-c", site], ready: /ready/ }),
    ]);
    await serve("status", 200);
    const pages = { price: "100", news: "Nothing burns.", "AGENTS.md": "print(", pull: "7 print(price)" };
    for (const [page, text] of Object.entries(pages)) await serve(page, text);
    await Promise.all([startHermes(), testbed.start("open-webui", { REPORTS_EVERY: "1" })]);
    const admin = await testbed.signIn();
    const anna = await testbed.addAccount(admin.token, { name: "Anna" });
    accounts = [
        { ...admin, name: "owner", seen: new Set() },
        { ...anna, name: "Anna", seen: new Set() },
    ];
});
afterAll(() => testbed.remove());

describe("Three days of jobs: a watcher, a briefing and a reviewer, each of two accounts", () => {
    test("the owner and Anna ask for theirs in the page, the owner for the watcher on Telegram, too", async () => {
        await telegram.write(user, "/whoami"); // a bot can't write first
        await expect.poll(() => telegram.texts(user), { timeout: 30_000 }).toHaveLength(1);
        sent = 1;
        // Open WebUI says within a second who the owner is.
        const known = () => output(hermes(), "sh", "-c", "cat /opt/data/page-owner 2>/dev/null || true");
        await expect.poll(known, { timeout: 60_000 }).toBe(accounts[0].id);
        await testbed.play({ counts: true });
        const address = await output(shop, "hostname", "-i"); // a sandbox knows no names of the test's network
        for (const account of accounts) {
            for (const job of jobs) {
                const script = `import pathlib, time, urllib.error, urllib.request\nread = lambda page: urllib.request.urlopen("http://${address.trim()}/" + page).read().decode()\n${scripts[job]}`;
                const encoded = Buffer.from(script).toString("base64");
                const wrote = await use(account, "terminal", { command: `echo ${encoded} | base64 -d >/root/${job}.py` });
                expect(wrote).toMatchObject({ exit_code: 0 });
                const prompt = `ANSWER CALL terminal ${JSON.stringify({ command: `python3 /root/${job}.py` })}`;
                const besides = job === "watcher" && account.name === "owner" ? { deliver: "telegram" } : {};
                const made = await use(account, "cronjob", { action: "create", name: job, schedule: schedules[job], prompt, ...besides });
                expect(made).toMatchObject({ success: true });
            }
        }
        await testbed.forgetCalls();
    });

    test("Saturday: the price drops, both sandboxes die, and a redeploy cuts off a review: each report comes once", async ({ annotate }) => {
        const day = "2027-03-27T";
        const moments = [await at(`${day}00:00:00+01:00`), await at(`${day}07:00:00+01:00`)];
        await serve("price", 60);
        moments.push(await at(`${day}08:00:00+01:00`));
        // They are saved within a minute.
        await expect.poll(async () => (await testbed.modal.saved()).length, { timeout: 90_000 }).toBeGreaterThanOrEqual(2);
        for (const { id } of await testbed.modal.running()) await testbed.modal.end(id);
        moments.push(await at(`${day}16:00:00+01:00`));
        await use(accounts[0], "terminal", { command: "touch /root/slow" });
        const redeploy = async () => {
            // Its script has begun.
            const begun = async () => ((await use(accounts[0], "terminal", { command: "test -e /root/slow" })) as { exit_code: number }).exit_code;
            await expect.poll(begun, { timeout: 60_000 }).toBe(1);
            await testbed.stop("hermes");
            await startHermes();
        };
        moments.push(await at(`${day}20:00:00+01:00`, redeploy));
        await annotate(moments.flat().join("\n"));
        // The scripts' sandbox is told of, and the price isn't said again.
        const anew = ["Anna, page", "owner, Telegram", "owner, page"].map(
            (place) =>
                expect.stringMatching(new RegExp(`^${place}, watcher: \\[The sandbox had ended\\. This is a new one, with the files[^\\]]*\\]$`)) as string,
        );
        expect(told(moments)).toEqual([
            ...["00:00, 2 runs", "07:00, 2 runs", ...both("briefing", "Good morning. Nothing burns.")],
            ...["08:00, 2 runs", ...watched("It was 100 and is 60."), "16:00, 2 runs", ...anew],
            ...["20:00, 2 runs", ...both("reviewer", "Pull request 7: it breaks AGENTS.md.")],
        ]);
    });

    test("Sunday, when the clocks change: no credit at night, seven is seven, and a site that answers 500 is said once", async ({ annotate }) => {
        const day = "2027-03-28T";
        await testbed.play({ counts: true, status: 402, reason: "Insufficient credits" });
        const moments = [await at(`${day}00:00:00+01:00`)];
        await testbed.play({ counts: true });
        moments.push(await at(`${day}06:30:00+02:00`), await at(`${day}07:00:00+02:00`));
        await serve("status", 500);
        moments.push(await at(`${day}08:00:00+02:00`), await at(`${day}16:00:00+02:00`));
        await serve("status", 200);
        moments.push(await at(`${day}20:00:00+02:00`));
        await annotate(moments.flat().join("\n"));
        const failed = expect.stringMatching(/: .*credit is used up/) as string;
        expect(told(moments)).toEqual([
            ...["00:00, 2 runs", failed, failed, failed, "06:30, 0 runs"],
            ...["07:00, 2 runs", ...both("briefing", "Good morning. Nothing burns.")],
            ...["08:00, 2 runs", ...watched("It was 60 and is an error 500."), "16:00, 2 runs", "20:00, 2 runs"],
        ]);
    });

    test("Monday: Hermes is away at seven, and the briefing says for when it is; then all that was paid is known", async ({ annotate }) => {
        const day = "2027-03-29T";
        await serve("price", 50);
        await serve("pull", "8 log(price)");
        const moments = [await at(`${day}00:00:00+02:00`), await away(`${day}07:40:00+02:00`)];
        for (const time of ["08:00", "16:00", "20:00"]) moments.push(await at(`${day}${time}:00+02:00`));
        await annotate(moments.flat().join("\n"));
        expect(told(moments)).toEqual([
            ...["00:00, 2 runs", ...watched("It was an error 500 and is 50.")],
            ...["07:40, 2 runs", ...both("briefing", "This is for Monday, 29 March 2027, 07:00: Hermes didn't run then.  Good morning. Nothing burns.")],
            ...["08:00, 2 runs", "16:00, 2 runs", "20:00, 2 runs", ...both("reviewer", "Pull request 8: it follows AGENTS.md.")],
        ]);

        let known = 0;
        for (const account of accounts) {
            const own = await listed(account);
            expect(own.map(({ name }) => name).toSorted()).toEqual(jobs.toSorted());
            for (const { name, tokens_this_month: tokens, next_run: next, last_run: last, failures_in_a_row: failures } of own) {
                known += tokens;
                expect(failures).toBe(0);
                await annotate(`${account.name}, ${name}: ${tokens} tokens; last run ${last}; next run ${next}`);
            }
        }
        expect(known).toBe(paid);
        await annotate(`paid for both: ${paid} tokens, $${((paid * 5) / 1e6).toFixed(2)} at $5 for a million`);
    });
});
