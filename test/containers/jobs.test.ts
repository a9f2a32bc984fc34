/** Jobs: whose they are, when they run, what they report, what the model is told of them. */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { StartedTestContainer } from "testcontainers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { addressOf, buildImage, output, repository, start } from "../harness/docker.ts";
import { Person } from "../harness/person.ts";
import { Telegram } from "../harness/telegram.ts";
import { Testbed, words } from "../harness/testbed.ts";

const zone = "Europe/Zurich";
/** People on Telegram. */
const [owner, anna] = [1001, 1002];
/** The owner's, in the owner's sandbox. */
const token = randomUUID();
const botToken = `123456789:AA${randomUUID().replaceAll("-", "")}`;

let testbed: Testbed;
let telegram: Telegram;

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.configure({ timezone: zone, telegramBotToken: botToken, telegramAllowedUsers: `${owner},${anna}`, sandboxSecrets: `GITHUB_TOKEN=${token}` });
    telegram = await Telegram.open(testbed, botToken);
    await testbed.start("hermes");
});
afterAll(() => testbed.remove());
beforeEach(() => testbed.forgetCalls());

const hermes = () => testbed.running("hermes");

/** What a Python program prints that has the gateway's modules, as Hermes' user and with a home of its own; `play` changes Hermes before all else does. */
async function python(program: string, play = ""): Promise<unknown> {
    const install = "import private_hermes; assert private_hermes.install() == []; from private_hermes import jobs";
    const whole = `import json, os, gateway.run\n${play}\n${install}\n${program}`;
    const { output: printed } = await hermes().exec(["sh", "-c", 'exec /opt/hermes/bin/python -c "$0" 2>/dev/null', whole], {
        user: "10000:10000",
        env: { HERMES_HOME: "/tmp/home-of-a-test" },
    });
    return JSON.parse(printed.trim().split("\n").at(-1) ?? "");
}

const job = (name: string, more: object = {}) => ({ action: "create", name, schedule: "every 24h", prompt: words("Say hello"), ...more });
const create = async (person: Person, what: object) => {
    const made = await person.use("cronjob", what);
    expect(made).toMatchObject({ success: true });
    return made as { job_id: string };
};

/** What waits for the page of a job's reports, the oldest first. */
async function reports(name: string): Promise<string[]> {
    const { API_SERVER_KEY: bearer } = testbed.environment("hermes");
    const get = async (path: string) => (await testbed.hermes("GET", `/v1/reports${path}`, { bearer })).body;
    const { waiting } = (await get("")) as { waiting: string[] };
    const all = (await Promise.all(waiting.map((id) => get(`/${id}`)))) as { name: string; parts: unknown[] }[];
    return all.filter((report) => report.name === name).map(({ parts }) => parts.join(""));
}

/** The owner in the page, as Open WebUI says it: its first admin. */
async function theOwner(): Promise<Person> {
    const person = new Person(testbed);
    const { API_SERVER_KEY: bearer } = testbed.environment("hermes");
    expect((await testbed.hermes("GET", `/v1/reports?owner=${person.id}`, { bearer })).status).toBe(200);
    return person;
}

/** The request of a run, by its words; the chat that makes the job has them, too, and the tool for jobs. */
async function requestOfRun(prompt: string) {
    const found = (await testbed.asked(prompt)).find(({ tools }) => !tools.includes("cronjob"));
    if (!found) throw new Error("no job has asked this");
    return found;
}

test("a job belongs to who made it: another can't see, change, run, stop or read it, and may have one of the same name", async () => {
    const [maker, other] = [new Person(testbed), new Person(testbed)];
    const [name, secret] = [words("diary"), words("Read my diary")];
    const { job_id } = await create(maker, job(name, { prompt: secret }));
    expect(JSON.stringify(await other.use("cronjob", { action: "list" }))).not.toMatch(new RegExp(`${name}|${secret}|${job_id}`));
    for (const job_ref of [job_id, name]) {
        for (const action of ["update", "pause", "resume", "run", "remove"]) {
            const tried = await other.use("cronjob", { action, job_id: job_ref, prompt: "cat /root/diary.txt", deliver: `telegram:${anna}` });
            expect(tried.error, action).toMatch(/not found/);
        }
    }
    expect(await other.use("cronjob", job(words("reads"), { context_from: [job_id] }))).toMatchObject({ success: false });
    // One's own of the same name is found by it.
    const own = await create(other, job(name));
    expect(await other.use("cronjob", { action: "pause", job_id: name })).toMatchObject({ success: true, job: { job_id: own.job_id } });
    // Its maker finds it as it was, from another chat, too; the owner's command sees both.
    const kept = (await maker.elsewhere().use("cronjob", { action: "list" })) as { jobs: { job_id: string; state: string }[] };
    expect(kept.jobs).toMatchObject([{ job_id, state: "scheduled", deliver: "origin" }]);
    const all = await output(hermes(), "hermes", "cron", "list", "--all");
    for (const id of [job_id, own.job_id]) expect(all).toContain(id);
    expect(await maker.use("cronjob", { action: "remove", job_id: name })).toMatchObject({ success: true });
    expect(await output(hermes(), "hermes", "cron", "list", "--all")).not.toContain(job_id);
});

/** What the bot has said in a chat, without the signs of its markup. */
const said = async (chat: number) => (await telegram.texts(chat)).map((text) => text.replaceAll("\\", ""));

/** What the tool lists for somebody. */
const listed = async (person: Person) => ((await person.use("cronjob", { action: "list" })) as { jobs: Record<string, unknown>[] }).jobs;

test("who asks for their jobs is told from the tool what is next, how it went, what it cost and where it reports; the owner sees all and pauses one", async () => {
    const [maker, other] = [new Person(testbed), new Person(testbed)];
    const [name, others] = [words("watcher"), words("another's")];
    const { job_id } = await create(maker, job(name, { prompt: words("COST 1200") }));
    await create(other, job(others));
    expect(await listed(maker)).toMatchObject([{ last_run: "has not run yet", tokens_of_last_run: null, tokens_this_month: 0 }]);
    await maker.use("cronjob", { action: "run", job_id });
    await maker.use("cronjob", { action: "run", job_id });
    // In a chat these words would fail themselves.
    await output(hermes(), "hermes", "cron", "edit", job_id, "--prompt", "FAIL 402 Insufficient credits");
    await maker.use("cronjob", { action: "run", job_id });
    const moment = String.raw`\w+day, \d\d \w+ 20\d\d, \d\d:\d\d`;
    expect(await listed(maker)).toMatchObject([
        {
            next_run: expect.stringMatching(new RegExp(`^${moment}$`)) as string,
            last_run: expect.stringMatching(
                new RegExp(`^${moment}: failed: ⚠️ \\*\\*No answer from the model\\.\\*\\* OpenRouter refuses: the credit is used up`),
            ) as string,
            failures_in_a_row: 1,
            tokens_of_last_run: 0,
            tokens_today: 2402,
            tokens_this_month: 2402,
            reports_to: `the page, the chat “⏰ ${name}”`,
        },
    ]);
    const knowledge = (...parameters: string[]) => output(hermes(), "knowledge", ...parameters);
    const found = (await knowledge()).split(/^(?=[0-9a-f]{10} {2})/m).filter((entry) => entry.includes(name));
    expect(found).toHaveLength(1);
    for (const shown of [/next run: \w+day/, /last run: [^]*failed/, /failures in a row: 1/, /tokens this month: 2402/, /reports to: the page/]) {
        expect(found[0]).toMatch(shown);
    }
    const id = found[0].slice(0, 10);
    expect(await knowledge("resume", id)).toMatch(new RegExp(`^It isn't paused. Its next run: ${moment}\n$`));
    expect(await knowledge("pause", id)).toContain("knowledge resume");
    // Paused ones are listed, too.
    expect(await listed(maker)).toMatchObject([{ job_id, state: "paused", next_run: "paused, does not run: by the owner" }]);
    expect(await listed(other)).toMatchObject([{ name: others, state: "scheduled", tokens_this_month: 0 }]);
    expect(await knowledge("resume", id)).toMatch(new RegExp(`^It runs again. Its next run: ${moment}\n$`));
    expect(await listed(maker)).toMatchObject([{ state: "scheduled", next_run: expect.stringMatching(new RegExp(`^${moment}$`)) as string }]);
    // What is over doesn't come back.
    const once = words("over");
    await output(hermes(), "hermes", "cron", "create", "2h", words("Say it once"), "--name", once);
    await output(hermes(), "hermes", "cron", "pause", once);
    const past = `/"name": "${once}"/,/"run_at"/s/"run_at": .*/"run_at": "2026-01-01T07:00:00+01:00",/`;
    await hermes().exec(["sed", "-i", past, "/opt/data/cron/jobs.json"], { user: "10000:10000" });
    const [over] = new RegExp(`[0-9a-f]{10}(?=  job ${once})`).exec(await knowledge()) ?? [""];
    await expect(knowledge("resume", over)).rejects.toThrow("knowledge: It was to run once, and that time is over. Remove it, and ask for it anew.");
    await output(hermes(), "hermes", "cron", "remove", once);
});

test("a run with nothing to report is told as that", async () => {
    const result = await played(
        "quiet",
        `
from private_hermes import views
from hermes_state import SessionDB
def spends(job):
    db = SessionDB()
    for id, parent in ((f"cron_{job['id']}_20990101_070000", None), ("continued", f"cron_{job['id']}_20990101_070000")):
        db.create_session(id, "cron", parent_session_id=parent)
        db._execute_write(lambda connection: connection.execute("UPDATE sessions SET input_tokens = 500 WHERE id = ?", (id,)))
answer("[SILENT]")
acts.append(spends)
scheduler.run_one_job(get_job(job["id"]))
view = views.view(get_job(job["id"]))
print(json.dumps({"told": told, "last": view["last_run"], "cost": view["tokens_of_last_run"], "place": view["reports_to"]}))`,
    );
    // What a run that grew too long has continued in counts, too.
    expect(result).toEqual({ told: [], last: expect.stringMatching(/: nothing to report$/) as string, cost: 1000, place: "Telegram, chat 1001" });
});

test("a job reports to nobody else than its maker: on Telegram from the page for the owner alone, and there to no other user", async () => {
    await telegram.write(owner, "/whoami"); // a bot can't write first
    const [user, admin] = [new Person(testbed), await theOwner()];
    const alone = words("For me alone");
    for (const deliver of ["telegram", "all", `telegram:${owner}`, `origin,telegram:${anna}`]) {
        expect((await user.use("cronjob", job(words("tells"), { deliver }))).error, deliver).toMatch(/nobody else than who makes it.*admin/);
    }
    expect((await admin.use("cronjob", job(words("tells"), { deliver: `telegram:${anna}` }))).error).toMatch(/nobody else/);
    expect(await listed(user)).toEqual([]);
    const { job_id } = await create(admin, job(words("tells"), { deliver: "telegram", prompt: alone }));
    await admin.use("cronjob", { action: "run", job_id });
    await expect.poll(async () => (await telegram.texts(owner)).join(), { timeout: 20_000 }).toContain(alone);
    expect(await listed(admin)).toMatchObject([{ reports_to: expect.stringMatching(/^the page, .* and Telegram, chat 1001$/) as string }]);
    // One that was made when this was for everybody.
    const old = await create(user, job(words("old"), { prompt: words("Not for others") }));
    await hermes().exec(["sed", "-i", `/"id": "${old.job_id}"/,/"deliver"/s/"deliver": .*/"deliver": "telegram",/`, "/opt/data/cron/jobs.json"], {
        user: "10000:10000",
    });
    expect(await listed(user)).toMatchObject([{ deliver: "telegram" }]);
    await user.use("cronjob", { action: "run", job_id: old.job_id });
    expect((await telegram.texts(owner)).join()).not.toContain("Not for others");
    const kept = await output(hermes(), "sh", "-c", "cat /opt/data/page-reports/*/report.json");
    expect(kept).toMatch(/Not for others[^}]*report only jobs of the page's first admin/);
    // On Telegram: the other's chat is not to be had, one's own is.
    await telegram.write(anna, `CALL cronjob ${JSON.stringify(job(words("spies"), { deliver: `telegram:${owner}` }))}`);
    await expect.poll(async () => (await telegram.texts(anna)).join(), { timeout: 30_000 }).toMatch(/nobody else than who makes it/);
});

test("a chat on Telegram knows what a job has sent there: the maker's, and the first user's from the page", async () => {
    const [name, news, page] = [words("brief"), words("The news of today"), words("From the page")];
    await telegram.write(
        anna,
        `CALL cronjob ${JSON.stringify(job(name, { prompt: news }))} THEN CALL cronjob ${JSON.stringify({ action: "run", job_id: name })}`,
    );
    await expect.poll(async () => (await said(anna)).filter((text) => text.includes(name)).join(), { timeout: 30_000 }).toMatch(/execution_success/);
    const admin = await theOwner();
    const { job_id } = await create(admin, job(words("besides"), { prompt: page, deliver: "telegram" }));
    await admin.use("cronjob", { action: "run", job_id });
    for (const [user, report, others] of [
        [anna, news, page],
        [owner, page, news],
    ] as const) {
        const about = async () => {
            const question = words("What did you just send me?");
            await telegram.write(user, question);
            await expect.poll(async () => (await testbed.asked(question)).length, { timeout: 30_000 }).toBe(1);
            return (await testbed.asked(question))[0].messages.slice(-3);
        };
        // It is noted once the chat is at rest.
        await expect
            .poll(about, { timeout: 30_000, interval: 2000 })
            .toMatchObject([
                { role: "user", content: expect.stringContaining("Scheduled job “") as string },
                { role: "assistant", content: expect.stringContaining(report) as string },
                { role: "user" },
            ]);
        expect(JSON.stringify(await about())).not.toContain(others);
    }
});

test("a chat on Telegram that nobody answers knows the last reports, and of a long one the beginning", async () => {
    const result = await played(
        "many",
        `
from private_hermes import sent
from types import SimpleNamespace
from gateway.config import Platform
adapter = SimpleNamespace(_active_sessions={})
store = SimpleNamespace(get_or_create_session=lambda source: SimpleNamespace(session_id="chat"))
runner = SimpleNamespace(adapters={Platform.TELEGRAM: adapter}, session_store=store)
sent.gateway._gateway_runner_ref = lambda: runner
db = SessionDB()
db.create_session("chat", "telegram")
db.append_message("chat", "user", "Hello.")
for number in range(30): sent.note(job, Platform.TELEGRAM, "1001", f"report {number}" + "." * 9000, None, None)
texts = [message["content"] for message in db.get_messages_as_conversation("chat")]
print(json.dumps([texts[0], len(texts), texts[2][:9], texts[-1][:9], len(texts[-1])]))`,
    );
    expect(result).toEqual(["Hello.", 41, "report 10", "report 29", 4004]);
});

test("seven is seven on the wall, also when the clocks change, and each time once", async () => {
    const program = (expression: string, from: string) =>
        python(`
from cron.jobs import compute_next_run
moment, due = "${from}", []
for _ in range(3):
    moment = compute_next_run({"kind": "cron", "expr": "${expression}"}, moment)
    due.append(moment[:22])
print(json.dumps(due))`);
    expect(await program("0 7 * * *", "2027-03-27T07:00:09+01:00")).toEqual(["2027-03-28T07:00:00+02", "2027-03-29T07:00:00+02", "2027-03-30T07:00:00+02"]);
    expect(await program("0 7 * * *", "2027-10-30T07:00:09+02:00")).toEqual(["2027-10-31T07:00:00+01", "2027-11-01T07:00:00+01", "2027-11-02T07:00:00+01"]);
    // The hour that is left out, and the one that comes twice.
    expect(await program("30 2 * * *", "2027-03-27T02:30:09+01:00")).toEqual(["2027-03-28T03:30:00+02", "2027-03-29T02:30:00+02", "2027-03-30T02:30:00+02"]);
    expect(await program("30 2 * * *", "2027-10-30T02:30:09+02:00")).toEqual(["2027-10-31T02:30:00+02", "2027-11-01T02:30:00+01", "2027-11-02T02:30:00+01"]);
    // What runs in every hour runs in each that passes.
    expect(await program("0 * * * *", "2027-10-31T02:00:09+02:00")).toEqual(["2027-10-31T02:00:00+01", "2027-10-31T03:00:00+01", "2027-10-31T04:00:00+01"]);
});

test("on the days when the clocks change nothing runs twice and nothing is left out, in the hour that comes twice, too", async () => {
    /** When each job has run on such a day, by the scheduler's own looks, a minute apart, from midnight on. */
    const runsOf = (day: string, created: string, away = [created, created]) =>
        played(
            "daily",
            `
import hermes_time
from cron import jobs as stored, executions
from datetime import datetime as moment
clock = moment.fromisoformat("${created}").timestamp()
def now(): return moment.fromtimestamp(clock, hermes_time.get_timezone())
hermes_time.now = stored._hermes_now = scheduler._hermes_now = executions._hermes_now = now
save_jobs([])
for name, schedule in (("hourly", "0 * * * *"), ("half", "*/30 2 * * *"), ("daily", "30 2 * * *"), ("seven", "0 7 * * *"), ("every", "every 60m"), ("once", "150m")):
    create_job(prompt=name, schedule=schedule, name=name, deliver="telegram:1001")
answer("[SILENT]")
ran = {}
acts.append(lambda job: ran.setdefault(job["name"], []).append(now().isoformat()[11:19] + now().isoformat()[19:22]))
end, leaves, returns = (moment.fromisoformat(text).timestamp() for text in ["${day}T07:30:00+01:00", *${JSON.stringify(away)}])
while clock < end:
    clock += 60
    if not leaves <= clock < returns: look(scheduler.tick, verbose=False)
print(json.dumps(ran))`,
        );
    const hours = (from: number, to: number, offset: string) => Array.from({ length: to - from + 1 }, (_, index) => `0${from + index}:00:00${offset}`);
    expect(await runsOf("2027-10-31", "2027-10-30T23:59:00+02:00")).toEqual({
        hourly: [...hours(0, 2, "+02"), ...hours(2, 7, "+01")],
        every: [...["00:59:00+02", "01:59:00+02", "02:59:00+02", "02:59:00+01"], ...["03:59:00+01", "04:59:00+01", "05:59:00+01", "06:59:00+01"]],
        half: ["02:00:00+02", "02:30:00+02"],
        daily: ["02:30:00+02"],
        once: ["02:29:00+02"],
        seven: ["07:00:00+01"],
    });
    // Hermes is away while the clocks change.
    expect(await runsOf("2027-10-31", "2027-10-30T23:59:00+02:00", ["2027-10-31T02:10:00+02:00", "2027-10-31T02:05:00+01:00"])).toMatchObject({
        hourly: [...hours(0, 2, "+02"), "02:05:00+01", ...hours(3, 7, "+01")],
        daily: ["02:05:00+01"],
    });
    expect(await runsOf("2027-03-28", "2027-03-27T23:59:00+01:00")).toMatchObject({
        hourly: [...hours(0, 1, "+01"), ...hours(3, 8, "+02")],
        daily: ["03:30:00+02"],
        once: ["03:29:00+02"],
        seven: ["07:00:00+02"],
    });
});

test("[SILENT] is silent however it is dressed, and swallows no report", async () => {
    const silent = [
        ...["[SILENT]", "**[SILENT]**", "`[SILENT]`", '"[SILENT]"', "> [SILENT]", "Silent.", String.raw`\[SILENT\]`, "[silent]", "NO_REPLY", "- _[SILENT]_"],
        ...["```\n[SILENT]\n```", "~~~text\nSILENT\n~~~", "<think>Nothing new.</think>\n[SILENT]"],
    ];
    const reports = {
        "[SILENT]\n\nThe price dropped from 100 to 60!": "The price dropped from 100 to 60!",
        "The price dropped!\n\n**[SILENT]**": "The price dropped!",
        "[SILENT] but the page is down since 3 days": "but the page is down since 3 days",
        "I won't stay [SILENT] about this": "I won't stay [SILENT] about this",
        "Silent retry succeeded.": "Silent retry succeeded.",
    };
    const given = JSON.stringify([...silent, ...Object.keys(reports)]);
    const got = await python(`print(json.dumps([jobs.report(text) for text in json.loads(${JSON.stringify(given)})]))`);
    expect(got).toEqual([...silent.map(() => "[SILENT]"), ...Object.values(reports)]);
});

test("what the model is told of schedules is true, and of what it isn't told nothing is taken", async () => {
    const schema = JSON.stringify(await python('from tools.registry import registry\nprint(json.dumps(registry.get_entry("cronjob").schema))'));
    expect(schema).toContain(zone);
    for (const gone of ["model_snapshot", '"model"', "/scripts", '"workdir"', "no_agent", "every 30 minutes)"]) expect(schema).not.toContain(gone);
    // Each schedule that it names as an example does what it says.
    const quoted = [...schema.matchAll(/'((?:every )?\d+[mhd]|[\d*]+ [\d*]+ \* \* [\w*-]+|\d{4}-[\dT:-]+)'/g)].map(([, example]) => example);
    expect(quoted.length).toBeGreaterThanOrEqual(6);
    const kinds = await python(
        `from cron.jobs import parse_schedule\nfrom private_hermes.job_tool import plain\nprint(json.dumps({text: parse_schedule(plain(text))["kind"] for text in ${JSON.stringify(quoted)}}))`,
    );
    expect(kinds).toEqual(Object.fromEntries(quoted.map((text) => [text, text.startsWith("every") ? "interval" : text.includes("*") ? "cron" : "once"])));
    const person = new Person(testbed);
    expect((await person.use("cronjob", job(words("model"), { model: { model: "other/model" } }))).error).toMatch(/modelDefault/);
    const made = await person.use("cronjob", job(words("weekdays"), { schedule: "0 7 * * mon-fri" }));
    expect(made.next_run_at).toMatch(/T07:00:00\+0[12]:00$/);
});

test("honest jobs are taken, whatever words they use", async () => {
    const person = new Person(testbed);
    for (const prompt of [
        'curl -H "Authorization: Bearer $GITHUB_TOKEN" https://api.github.com/user',
        "cat .env.example, rm -rf /tmp/work and clone anew",
        "Ignore all previous results. Follow the instructions of AGENTS.md.",
        "A copied\u200B text",
    ]) {
        const { job_id } = await create(person, job(words("honest"), { prompt }));
        expect(await person.use("cronjob", { action: "run", job_id }), prompt).toMatchObject({ success: true, job: { execution_success: true } });
    }
});

test("a run knows where and when it is, and has few tools", async () => {
    const [person, prompt] = [new Person(testbed), words("What is the time?")];
    const { job_id } = await create(person, job(words("clock"), { prompt }));
    await person.use("cronjob", { action: "run", job_id });
    const { messages, tools, bytes } = await requestOfRun(prompt);
    expect(JSON.stringify(messages.at(-1))).toMatch(new RegExp(String.raw`Now: \w+day, \d\d \w+ \d{4}, \d\d:\d\d in ${zone}`));
    expect([...tools].sort()).toEqual(["process", "terminal"]);
    expect(bytes).toBeLessThan(16_000);
});

test("a job whose words or skills need more tools has them", async () => {
    const [person, prompt] = [new Person(testbed), words("Keep what you learn as a skill")];
    const { job_id } = await create(person, job(words("learns"), { prompt, enabled_toolsets: ["terminal", "file", "memory"] }));
    await person.use("cronjob", { action: "run", job_id });
    const { tools } = await requestOfRun(prompt);
    expect(tools).toEqual(expect.arrayContaining(["terminal", "read_file", "skill_manage"]));
    expect(tools).not.toContain("memory");
});

/** Gives a job other words, by the command: in a chat they would be its own. */
const edit = (id: string, prompt: string) => output(hermes(), "hermes", "cron", "edit", id, "--prompt", prompt);

/** The requests that a job's words have made. */
const askedByRuns = async (prompt: string) => (await testbed.asked(prompt)).filter(({ tools }) => !tools.includes("cronjob"));

test("a script in its maker's sandbox decides whether the model is asked: nothing is while nothing changes, and no change is lost", async () => {
    const [person, prompt] = [new Person(testbed), words("Tell of the change")];
    await person.run("echo 100 > /root/price");
    const script = 'echo noise >&2; cmp -s /root/price /root/seen || { cp /root/price /root/seen; echo "It is $(cat /root/price) at $(date +%Z)"; }';
    const { job_id } = await create(person, job(words("watch"), { prompt, script }));
    const run = async () => {
        await testbed.forgetCalls();
        expect(await person.use("cronjob", { action: "run", job_id })).toMatchObject({ success: true, job: { failures_in_a_row: 0 } });
        return askedByRuns(prompt);
    };
    const cost = async () => (await listed(person))[0].tokens_of_last_run;
    expect(JSON.stringify(await run())).toMatch(/It is 100 at CES?T/);
    expect(await cost()).toBe(2);
    expect(await run()).toEqual([]);
    expect(await cost()).toBe(0);
    await person.run("echo 60 > /root/price");
    const [changed, ...more] = await run();
    expect(more).toEqual([]);
    expect(JSON.stringify(changed.messages)).not.toMatch(/noise|It is 100/);
    // What a run was woken for that didn't come to its end is told by the next.
    await person.run("echo 40 > /root/price");
    await edit(job_id, "FAIL 402 no credit");
    expect(await person.use("cronjob", { action: "run", job_id })).toMatchObject({ job: { failures_in_a_row: 1 } });
    await person.use("cronjob", { action: "update", job_id, prompt });
    expect(JSON.stringify(await run())).toContain("It is 40");
    expect(await run()).toEqual([]);
    // As Hermes documents it.
    await person.use("cronjob", { action: "update", job_id, script: `echo seen; echo '{"wakeAgent": false}'` });
    expect(await run()).toEqual([]);
    await person.use("cronjob", { action: "update", job_id, script: "" });
    expect(await run()).toHaveLength(1);
});

test("a script that fails is told, without asking the model, and pauses its job at the third time", async () => {
    const [person, prompt, name] = [new Person(testbed), words("Never asked"), words("broken")];
    const { job_id } = await create(person, job(name, { prompt, script: "echo half; echo HTTP 402 oops >&2; exit 3" }));
    const states = [];
    for (let time = 0; time < 3; time++) {
        const { job: after } = (await person.use("cronjob", { action: "run", job_id })) as { job?: { state: string } };
        states.push(after?.state);
    }
    expect(states).toEqual(["scheduled", "scheduled", "paused"]);
    expect(await askedByRuns(prompt)).toEqual([]);
    expect(await listed(person)).toMatchObject([{ tokens_of_last_run: 0, last_run: expect.stringContaining("exit code 3") as string }]);
    const told = await reports(name);
    expect(told.slice(0, 2)).toEqual(Array<string>(2).fill(`Scheduled job “${name}”: Its script has failed. It ended with exit code 3. half\nHTTP 402 oops`));
    expect(told[2]).toMatch(/exit code 3[^]*3 times in a row and is paused/);
    expect((await person.use("cronjob", job(words("long"), { script: "#".repeat(4001) }))).error).toMatch(/at most 4000 characters/);
});

test("a run that a crash cuts off runs once more, and a job that is to run once isn't lost", async () => {
    await telegram.write(anna, "/whoami"); // a bot can't write first
    // By the command: in a chat these words would slow down the answer about the job.
    const made = await Promise.all(
        ["every 24h", "2h"].map(async (schedule) => {
            const said = await output(
                hermes(),
                "hermes",
                "cron",
                "create",
                schedule,
                words("SLOW 30"),
                "--name",
                words("cut"),
                "--deliver",
                `telegram:${anna}`,
            );
            return /[0-9a-f]{12}/.exec(said)?.[0];
        }),
    );
    const runs = made.map((job_id) => testbed.useTool("cronjob", { action: "run", job_id }).catch(() => undefined));
    const asked = async () => (await testbed.asked("SLOW 30")).filter(({ tools }) => !tools.includes("cronjob"));
    await expect.poll(async () => (await asked()).length, { timeout: 30_000 }).toBe(2);
    await testbed.kill("hermes");
    await Promise.all(runs);
    await testbed.forgetCalls();
    await testbed.start("hermes");
    await expect.poll(async () => (await telegram.texts(anna)).filter((text) => text.includes("28 29 30")).length, { timeout: 240_000 }).toBe(2);
    for (const { messages } of await asked()) expect(JSON.stringify(messages.at(-1))).toContain("cut off by a restart");
    await expect.poll(() => output(hermes(), "hermes", "cron", "list", "--all"), { timeout: 20_000 }).not.toContain(made[1]);
    expect(await output(hermes(), "hermes", "cron", "list", "--all")).toContain(made[0]);
});

/** Runs a job in Python as the scheduler does, with a run and a delivery that are played; gives what was delivered where, and the job. */
const played = (name: string, program: string) =>
    python(
        `
import datetime
from private_hermes import runs
os.environ["TELEGRAM_HOME_CHANNEL"] = "1001"
runs.PAUSES = (0, 0)
def look(at, **more): return (runs.leave_late(), at(**more))[1]  # as the scheduler (scheduling.py)
def late(hours): return (runs.hermes_time.now() - datetime.timedelta(hours=hours)).isoformat()
def answer(words, success=True): says[:] = [success, "", words if success else "", None if success else words]
from hermes_state import SessionDB
SessionDB().close()  # as the gateway, which makes the database when it starts
from cron.jobs import create_job, get_job, save_jobs, list_jobs
save_jobs([])
# Each day, an hour ago: the next one isn't near, whatever the time is.
daily = (runs.hermes_time.now() - datetime.timedelta(hours=1)).strftime("%M %H * * *")
job = create_job(prompt="Look.", schedule=daily, name="${name}", deliver="telegram:1001")
${program}`,
        `
from cron import scheduler
told, asked, says, acts, refusal = [], [], [], [], None
def deliver(job, content, *more): return told.append([job["deliver"], content]) or (None if "1001" in job["deliver"] or job["deliver"] == "telegram" else refusal)
def run(job, **more):
    asked.append(job["prompt"])
    for act in acts: act(job)
    return says
scheduler._deliver_result, scheduler.run_job = deliver, run`,
    );

test("what is made up says for when it was, or is left to the next, and a second crash is told", async () => {
    const result = await played(
        "late",
        `
answer("News.")
# Every hour: one that is three hours late; one of ten to the full hour, whichever that is now.
hourly = create_job(prompt="Look.", schedule="every 60m", name="hourly", deliver="telegram:1001")
runs.change(hourly["id"], next_run_at=late(3))
near = (runs.hermes_time.now() + datetime.timedelta(minutes=5)).strftime("%M %H * * *")
daily = create_job(prompt="Brief.", schedule=near, name="daily", deliver="telegram:1001")
runs.change(daily["id"], next_run_at=late(23.9))
runs.change(job["id"], begun={"due": late(1), "tries": 2}, next_run_at=late(1))
due = look(scheduler.get_due_jobs)
for found in due: scheduler.run_one_job(found)
answer("Today's news.")
runs.change(daily["id"], next_run_at=late(0))
for found in look(scheduler.get_due_jobs): scheduler.run_one_job(found)
print(json.dumps({"due": [found["name"] for found in due], "told": told, "missed": get_job(daily["id"]).get("missed")}))`,
    );
    expect(result).toMatchObject({ due: ["late", "hourly"], missed: null });
    const { told } = result as { told: string[][] };
    expect(told.map(([, text]) => text)).toEqual([
        "Scheduled job “late”: Hermes ended twice while this job ran, so it is left out this time.",
        expect.stringMatching(/^This is for \w+day, .*: Hermes didn't run then\.\n\nNews\.$/),
        expect.stringMatching(/^The one for \w+day, .* was missed: Hermes didn't run then\.\n\nToday's news\.$/),
    ]);
});

test("a run that was asked for in a chat is cut off by a stop as any other: it reports nothing, and is due at the next start", async () => {
    const result = await played(
        "asked for",
        `
once = create_job(prompt="Look.", schedule="2h", name="once", deliver="telegram:1001")
answer("What a command had printed until then.")
acts.append(lambda job: scheduler.mark_running_jobs_interrupted("a stop"))
from private_hermes import job_tool
jobs.asker.set("somebody")
for job in (job, once): job_tool.run(get_job(job["id"]))
running = sorted(scheduler._running_job_ids)
runs.PROCESS = "the next"
runs.give_back()
answer("News.")
acts.clear()
asked.clear()
for found in scheduler.get_due_jobs(): scheduler.run_one_job(found)
print(json.dumps({"told": [text for _, text in told], "running": running, "asked": ["cut off by a restart" in prompt for prompt in asked], "left": [job["name"] for job in list_jobs()]}))`,
    );
    expect(result).toEqual({ told: ["News.", "News."], running: [], asked: [true, true], left: ["asked for"] });
});

test("the third failure in a row pauses a job and says so; a success in between counts anew", async () => {
    const result = await played(
        "fails",
        `
from private_hermes import failures
states = []
for success in (False, False, True, False, False, False):
    answer(failures.told(failures.CREDIT), success)
    scheduler.run_one_job(get_job(job["id"]))
    states.append(get_job(job["id"])["state"])
print(json.dumps({"states": states, "told": [text for _, text in told], "reason": get_job(job["id"])["paused_reason"]}))`,
    );
    const { states, told, reason } = result as { states: string[]; told: string[]; reason: string };
    expect(states).toEqual([...Array<string>(5).fill("scheduled"), "paused"]);
    expect(told.filter((text) => text.includes(reason))).toEqual([told[5]]);
    expect(told[5]).toMatch(/credit is used up[^]*3 times in a row and is paused/);
});

test("a report that can't be delivered is tried again, then the first user is told once, without the report", async () => {
    const result = await played(
        "lost",
        `
refusal = "Forbidden: bot was blocked by the user"
runs.change(job["id"], deliver="telegram:1002")
answer("The secret report.")
for _ in range(2):
    scheduler.run_one_job(get_job(job["id"]))
error = get_job(job["id"])["last_delivery_error"]
refusal = None
scheduler.run_one_job(get_job(job["id"]))
refusal = "Forbidden: bot was kicked from the group chat"
scheduler.run_one_job(get_job(job["id"]))
print(json.dumps({"told": told, "error": error}))`,
    );
    const report = ["telegram:1002", "The secret report."];
    const first = (why: string) => [
        "telegram",
        expect.stringContaining(`A report of the scheduled job “lost” couldn't be delivered: Forbidden: ${why}`) as string,
    ];
    expect(result).toEqual({
        told: [...Array<string[]>(3).fill(report), first("bot was blocked"), ...Array<string[]>(5).fill(report), ...[report, report], first("bot was kicked")],
        error: "Forbidden: bot was blocked by the user",
    });
});

test("a job that comes too often is refused, and one more than a person may have", async () => {
    const person = new Person(testbed);
    for (const schedule of ["every 0m", "every 14m", "*/5 * * * *", "0,10 7 * * *"]) {
        expect((await person.use("cronjob", job(words("often"), { schedule }))).error, schedule).toMatch(/every 15 minutes at most.*jobMinutes/);
    }
    for (const schedule of ["every 15m", "*/15 * * * *", "5m"]) await create(person, job(words("seldom"), { schedule }));
    for (let count = 3; count < 20; count++) await create(person, job(words("one of many")));
    expect((await person.use("cronjob", job(words("one too many")))).error).toMatch(/20 jobs.*jobsPerPerson.*Remove one/);
    await create(new Person(testbed), job(words("another's")));
});

test("a job rests for the day once its runs have taken its tokens, and says so once; a run has fewer turns than a chat", async () => {
    const result = await played(
        "dear",
        `
from hermes_state import SessionDB
db = SessionDB()
id = f"cron_{job['id']}_{runs.hermes_time.now():%Y%m%d}_070000"
db.create_session(id, "cron")
answer("News.")
def spend(tokens, cached):
    db._execute_write(lambda connection: connection.execute("UPDATE sessions SET input_tokens = ?, cache_read_tokens = ? WHERE id = ?", (tokens, cached, id)))
    scheduler.run_one_job(get_job(job["id"]))
acts.append(lambda job: db._execute_write(lambda connection: connection.execute("UPDATE sessions SET output_tokens = 7 WHERE id = ?", (id,))))
costs = []
for tokens, cached in ((100_000, 700_000), (170_000, 100_000), (170_000, 100_000)):
    spend(tokens, cached)
    costs.append(get_job(job["id"])["last_tokens"])
from private_hermes import views
class Agent: platform, max_iterations = "cron", 60
runs.left.set(5)
runs.run_conversation(lambda: None, agent := Agent())
print(json.dumps({"told": [text for _, text in told], "asked": len(asked), "costs": costs, "last": views.last(get_job(job["id"])), "agent": [agent.max_iterations, agent.token_limit]}))`,
    );
    expect(result).toEqual({
        told: ["News.", "This job has used up its 180,000 tokens of today (the setting jobTokens). It goes on tomorrow."],
        asked: 1,
        // What is left out costs nothing, and isn't told as a run.
        costs: [7, 0, 0],
        last: expect.stringMatching(/: left out, the tokens of that day were used up$/) as string,
        agent: [30, 5],
    });
});

test("the owner is known by the page's first admin, the first on Telegram and the shell", async () => {
    const people = ["person-owner", `person-telegram-${owner}`, `person-telegram-${anna}`, "person-webui-a", "person-webui-b"];
    const owners = await python(`
from private_hermes import people
people.note_owner("a")
print(json.dumps([person for person in ${JSON.stringify(people)} if people.is_owner(person)]))`);
    expect(owners).toEqual(["person-owner", `person-telegram-${owner}`, "person-webui-a"]);
});

describe("a reviewer of pull requests", () => {
    let forge: StartedTestContainer;
    let address: string;

    /** Runs git in the repository's work tree at the forge. */
    const atForge = (script: string) => output(forge, "sh", "-euc", `cd /srv/work; ${script}`);
    /** Opens a pull request that adds a line to the shop. */
    const openPull = (number: number, line: string) =>
        atForge(
            `git checkout -qb pull-${number} main; echo '${line}' >>shop.py; git commit -qam 'Change ${number}'; git push -q origin HEAD:refs/pull/${number}/head`,
        );

    beforeAll(async () => {
        await buildImage("forge");
        forge = await start({ image: "forge", network: testbed.network, environment: { FORGE_TOKEN: token }, ready: /the forge is ready/ });
        address = `http://${await addressOf(forge, testbed.network)}`; // a sandbox knows no names of the test's network
        await output(forge, "sh", "-euc", "mkdir -p /srv/shop /srv/work; git init -qb main --bare /srv/shop/prices.git; git init -qb main /srv/work");
        await atForge(`git config user.name Anna; git config user.email anna@example.com; git remote add origin /srv/shop/prices.git
            echo 'No code has \`print(\` in it.' >AGENTS.md; echo 'price = 100' >shop.py
            git add .; git commit -qm 'Begin'; git push -q origin main`);
    });

    /**
     * The model's part: reads AGENTS.md and each new pull request, which it prints for the model, then says whether that adds what AGENTS.md or the
     * arguments forbid.
     */
    const reviewer = () => `import json, os, pathlib, re, subprocess, sys, urllib.request
def git(*words): return subprocess.run(["git", *words], check=True, stdout=subprocess.PIPE, text=True).stdout
os.chdir("/root")
if not pathlib.Path("prices").exists(): git("clone", "-q", "${address}/shop/prices.git")
os.chdir("prices")
git("fetch", "-q", "origin", "+refs/pull/*/head:refs/pull/*")
asked = urllib.request.Request("${address}/repos/shop/prices/pulls", headers={"Authorization": "Bearer " + os.environ["GITHUB_TOKEN"]})
done = pathlib.Path("/root/reviewed")
rules = pathlib.Path("AGENTS.md").read_text()
for pull in json.load(urllib.request.urlopen(asked)):
    if done.exists() and pull["head"]["sha"] in done.read_text(): continue
    added = git("diff", "main..." + pull["head"]["sha"])
    print(rules + added)
    broken = [rule for rule in [*re.findall("\`(.*?)\`", rules), *sys.argv[1:]] if rule in added]
    print(f"Pull request {pull['number']}, {pull['title']}: " + (f"no, it has {broken}" if broken else "yes"))
    done.open("a").write(pull["head"]["sha"] + chr(10))`;

    test("clones with the owner's token, reviews against AGENTS.md, keeps a pattern as a skill, and the next review goes by it", async () => {
        const [other, owner] = [new Person(testbed), await theOwner()];
        const encoded = Buffer.from(reviewer()).toString("base64");
        // As the page on sandboxes says it, for this forge.
        const told = /^git config .*credential.*$/m.exec(await readFile(`${repository}docs/sandbox.md`, "utf8"))?.[0] ?? "";
        const asTold = told.replace("https://github.com", address);
        expect(asTold).toContain(address);
        for (const person of [owner, other]) {
            expect(await person.run(`echo ${encoded} | base64 -d >/root/review.py; ${asTold}`)).toMatchObject({ output: "", exit_code: 0 });
        }
        const review = (...patterns: string[]) =>
            `CALL terminal ${JSON.stringify({ command: ["python3 /root/review.py", ...patterns.map((pattern) => `'${pattern}'`)].join(" ") })}`;
        expect((await other.run("GIT_TERMINAL_PROMPT=0 python3 /root/review.py")).output).toMatch(/could not read Username|Authentication failed/);

        await openPull(1, "try: print(price)\nexcept: pass");
        const [name, skill] = [words("reviewer"), `review-${randomUUID().slice(0, 8)}`];
        const { job_id } = await create(owner, job(name, { prompt: words("Review") }));
        const pattern = `A bare except hides faults. So call it like this: ANSWER ${review("except:")}`;
        const content = `---\nname: ${skill}\ndescription: How pull requests of the shop are reviewed\n---\n\n${pattern}\n`;
        await edit(
            job_id,
            `Review, and keep each pattern as a skill. ${review()} THEN CALL skill_manage ${JSON.stringify({ action: "create", name: skill, content })}`,
        );
        await testbed.forgetCalls();
        expect(await owner.use("cronjob", { action: "run", job_id })).toMatchObject({ job: { failures_in_a_row: 0 } });
        const first = await askedByRuns("Pull request 1");
        expect(JSON.stringify(first[0].messages)).toMatch(/No code has `print\(`[^]*\+try: print\(price\)/);
        expect((await reports(name)).join()).toContain("Pull request 1, Change 1: no, it has ['print(']");
        expect(await output(hermes(), "knowledge")).toMatch(new RegExp(`skill ${skill}\\n +from: [^]*?a job, session\\s+cron_${job_id}`));

        await openPull(2, "try: pay()\nexcept: pass");
        await owner.use("cronjob", { action: "update", job_id, skills: [skill], prompt: "Review what is new." });
        await owner.use("cronjob", { action: "run", job_id });
        expect(JSON.stringify((await requestOfRun("Review what is new.")).messages)).toContain("A bare except hides faults.");
        // AGENTS.md knows nothing of it.
        expect((await reports(name)).at(-1)).toMatch(/Pull request 2, Change 2: no, it has \['except:'\]$/);
        expect((await reports(name)).at(-1)).not.toContain("Pull request 1");

        // The token is in the environment, and not in what the sandbox keeps or the model was asked.
        expect((await owner.run('grep -rqF -- "$GITHUB_TOKEN" /root; echo $?')).output).toBe("1");
        expect(JSON.stringify(await testbed.calls())).not.toContain(token);
    });
});
