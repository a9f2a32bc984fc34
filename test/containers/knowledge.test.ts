/** The command `knowledge`: what the agent remembers, its skills and its jobs, where each came from, and its removal for good. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { output } from "../harness/docker.ts";
import { Person } from "../harness/person.ts";
import { Telegram } from "../harness/telegram.ts";
import { Testbed, words } from "../harness/testbed.ts";

/** People on Telegram, each for one chat. */
const users = [1001, 1002, 1003];
const botToken = `123456789:AA${randomUUID().replaceAll("-", "")}`;

let testbed: Testbed;
let telegram: Telegram;

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.configure({ telegramBotToken: botToken, telegramAllowedUsers: users.join() });
    telegram = await Telegram.open(testbed, botToken);
    await testbed.start("hermes");
});
afterAll(() => testbed.remove());
beforeEach(() => testbed.forgetCalls());

const hermes = () => testbed.running("hermes");
const knowledge = (...parameters: string[]) => output(hermes(), "knowledge", ...parameters);

/** The entry in the list that has a text. */
async function entryWith(text: string): Promise<{ id: string; told: string }> {
    const found = (await knowledge()).split(/^(?=[0-9a-f]{10} {2})/m).filter((entry) => entry.includes(text));
    expect(found).toHaveLength(1);
    return { id: found[0].slice(0, 10), told: found[0] };
}
/** What is told of it, as one line. */
const originOf = async (text: string) => (await entryWith(text)).told.replace(/\s+/g, " ");
const removeEntry = async (text: string) => knowledge("remove", (await entryWith(text)).id);

/** The prompt that the model got with a message: the first of all that was sent, without what was said in the chat. */
async function promptOf(question: string): Promise<string> {
    const [{ messages }] = await testbed.asked(question);
    return JSON.stringify(messages[0]);
}

/** An entry of the memory as it stands in a prompt. */
const line = (text: string) => `\\n${text}\\n`;

/** A chat of the page that goes on; gives what has the next message sent, and gives the prompt that the model got with it. */
async function pageChat(): Promise<() => Promise<string>> {
    const headers = { "X-OpenWebUI-User-Id": randomUUID(), "X-OpenWebUI-Chat-Id": randomUUID() };
    const messages: { role: string; content: string }[] = [];
    const next = async () => {
        const question = words("How are you?");
        messages.push({ role: "user", content: question });
        messages.push({ role: "assistant", content: await testbed.chat(messages, headers) });
        return promptOf(question);
    };
    await next();
    return next;
}

/** The same of a chat on Telegram. */
async function telegramChat(user: number): Promise<() => Promise<string>> {
    const next = async () => {
        const question = words("Are you there?");
        await telegram.write(user, question);
        await expect.poll(async () => (await telegram.texts(user)).join().replaceAll("\\", ""), { timeout: 60_000 }).toContain(question);
        return promptOf(question);
    };
    await next();
    return next;
}

const skill = (name: string, text: string) => ({ action: "create", name, content: `---\nname: ${name}\ndescription: ${text}\n---\n\nSay meow.\n` });

/** Writes entries to the memory's file as somebody does who found a way to it. */
const plant = (...entries: string[]) =>
    hermes().exec(["sh", "-c", `printf '\\n§\\n%s' "$@" >>/opt/data/memories/MEMORY.md`, "sh", ...entries], { user: "10000:10000" });

test("lists what it remembers, its skills and its jobs, each with when it came, from whom and after which words", async () => {
    const [cat, name, job] = [words("Likes cats."), `greet-${randomUUID().slice(0, 8)}`, words("Feed the cat")];
    const person = new Person(testbed);
    expect(await person.use("memory", { action: "add", target: "user", content: cat })).toMatchObject({ success: true });
    expect(await person.use("skill_manage", skill(name, "Greets the cat"))).toMatchObject({ success: true });
    expect(await person.use("cronjob", { action: "create", name: "feed", schedule: "1h", prompt: job })).toMatchObject({ success: true });
    const from = new RegExp(String.raw`from: \d{4}-\d\d-\d\d[^,]+, the page, session api-person-webui-${person.id}-`);
    for (const text of [cat, name, job]) expect(await originOf(text)).toMatch(from);
    expect(await originOf(cat)).toContain('after "CALL memory');
});

test("names Telegram's user, and says so where nobody is found who wrote it", async () => {
    const [told, planted] = [words("Likes dogs."), words("Nobody has said this.")];
    await telegram.write(users[0], `CALL memory ${JSON.stringify({ operations: [{ action: "add", content: told }] })}`);
    // Hermes stores what was said when it has answered.
    await expect.poll(() => originOf(told), { timeout: 60_000, interval: 1000 }).toContain(`Telegram, user ${users[0]}, session`);
    await plant(planted);
    expect(await originOf(planted)).toContain("from: unknown");
});

test("shows nothing that a terminal would obey, and no text as an entry of its own", async () => {
    const mark = words("mark");
    await plant(`${mark} \u001b[2J\u001b]0;title\u0007 \u202e \u009b31m\r\n0123456789  memory of the user\n    from: 2026-01-01`);
    const list = await knowledge();
    expect(list.replaceAll("\n", "")).not.toMatch(/\p{C}/u);
    expect(list).not.toMatch(/^0123456789/m);
    const { id, told } = await entryWith(mark);
    expect(told).toContain(String.raw`\x1b[2J`);
    expect(told).toContain("| 0123456789");
    expect(await knowledge("show", id)).toBe(told);
    await removeEntry(mark);
});

test("what is removed of the memory is gone from chats that go on, in the page and on Telegram, from new ones and after a restart", async () => {
    const [secret, longer] = [words("The planted rule."), words("Another rule")];
    const person = new Person(testbed);
    await person.use("memory", { action: "add", content: secret });
    // Hermes itself would refuse: the one is part of the other.
    await person.use("memory", { action: "add", content: `${longer} ${secret}` });
    const [page, onTelegram] = [await pageChat(), await telegramChat(users[1])];
    for (const next of [page, onTelegram]) expect(await next()).toContain(line(secret));
    await removeEntry(`| ${secret}`);
    for (const [chat, next] of Object.entries({ page, onTelegram, another: await pageChat() })) {
        const prompt = await next();
        expect(prompt, chat).not.toContain(line(secret));
        expect(prompt, chat).toContain(longer);
    }
    // The agent can still write there.
    const later = words("Said later.");
    expect(await person.use("memory", { action: "add", content: later })).toMatchObject({ success: true });
    await testbed.redeploy("hermes");
    const prompt = await (await pageChat())();
    expect(prompt).not.toContain(line(secret));
    expect(prompt).toContain(later);
    expect(await output(hermes(), "find", "/opt/data/memories", "-user", "root")).toBe("");
});

test("a skill is gone from chats that go on and from new ones, with its folder", async () => {
    const [name, purpose] = [`greet-${randomUUID().slice(0, 8)}`, words("Greets")];
    await new Person(testbed).use("skill_manage", skill(name, purpose));
    const [page, onTelegram] = [await pageChat(), await telegramChat(users[2])];
    for (const next of [page, onTelegram]) expect(await next()).toContain(name);
    await removeEntry(name);
    for (const [chat, next] of Object.entries({ page, onTelegram, another: await pageChat() })) expect(await next(), chat).not.toContain(name);
    expect(await new Person(testbed).use("skill_view", { name })).toMatchObject({ success: false });
    expect(await output(hermes(), "find", "/opt/data/skills", "-name", name)).toBe("");
});

test("a skill whose folder holds another one is removed after that", async () => {
    const [outer, inner] = ["outer", "inner"].map((name) => `${name}-${randomUUID().slice(0, 8)}`);
    await new Person(testbed).use("skill_manage", skill(outer, words("Holds another")));
    const folder = (await output(hermes(), "find", "/opt/data/skills", "-name", outer)).trim();
    const copy = await hermes().exec(["install", "-D", `${folder}/SKILL.md`, `${folder}/${inner}/SKILL.md`], { user: "10000:10000" });
    expect(copy.exitCode, copy.output).toBe(0);
    await expect(removeEntry(`skill ${outer}\n`)).rejects.toThrow(`Its folder holds the skill ${outer}/${inner}: remove that one first.`);
    await removeEntry(`skill ${outer}/${inner}\n`);
    await removeEntry(`skill ${outer}\n`);
    expect(await output(hermes(), "find", "/opt/data/skills", "-name", outer)).toBe("");
});

/** Runs Python with Hermes' database as `db` and a text as `text`, as Hermes' user. */
async function onDatabase(code: string, text = ""): Promise<string> {
    const begin = "import pathlib, sqlite3, sys, time\ntext = sys.argv[1]\ndb = sqlite3.connect('/opt/data/state.db', timeout=60, isolation_level=None)\n";
    const { exitCode, output: said } = await hermes().exec(["/opt/hermes/bin/python", "-c", begin + code, text], { user: "10000:10000" });
    expect(exitCode, said).toBe(0);
    return said.trim();
}

test("a chat that begins meanwhile, with a prompt of before, has it made anew", async () => {
    const secret = words("The planted rule.");
    await new Person(testbed).use("memory", { action: "add", content: secret });
    // As such a chat stores what it has read a moment before.
    const code = `memory = pathlib.Path("/opt/data/memories/MEMORY.md")
while text in memory.read_text():
    time.sleep(0.01)
db.execute("UPDATE sessions SET system_prompt = ?", [text])`;
    await Promise.all([onDatabase(code, secret), removeEntry(secret)]);
    expect(await onDatabase("print(db.execute('SELECT COUNT(*), COUNT(system_prompt) FROM sessions').fetchone())")).toMatch(/^\([1-9]\d*, 0\)$/);
});

test("nothing is removed while the database is busy, and that is said", async () => {
    const kept = words("Likes birds.");
    await new Person(testbed).use("memory", { action: "add", content: kept });
    const holding = onDatabase(`held = pathlib.Path("/tmp/held")
db.execute("BEGIN IMMEDIATE")
held.touch()
while held.exists():
    time.sleep(0.1)`);
    await expect.poll(async () => (await hermes().exec(["test", "-e", "/tmp/held"])).exitCode, { timeout: 20_000 }).toBe(0);
    await expect(removeEntry(kept)).rejects.toThrow(/knowledge: database is locked/);
    expect((await entryWith(kept)).told).toContain(kept);
    await output(hermes(), "rm", "/tmp/held");
    await holding;
});

test("a job runs no more", async () => {
    const job = words("Feed the cat");
    const person = new Person(testbed);
    await person.use("cronjob", { action: "create", name: "feed", schedule: "1h", prompt: job });
    expect(JSON.stringify(await person.use("cronjob", { action: "list" }))).toContain(job);
    await removeEntry(job);
    expect(JSON.stringify(await person.use("cronjob", { action: "list" }))).not.toContain(job);
    expect(await output(hermes(), "cat", "/opt/data/cron/jobs.json")).not.toContain(job);
    expect(await output(hermes(), "find", "/opt/data/cron", "-user", "root")).toBe("");
});

/** What the month has cost, in dollars, as the command says it: in all, or of the page, Telegram, jobs. */
async function spent(on = "says"): Promise<number> {
    const line = (await knowledge()).replace(/\s+/g, " ").split("This month the models have cost").at(-1) ?? "";
    return Number(new RegExp(`${on}:? \\$([\\d,]+(\\.\\d+)?)`).exec(line)?.[1].replaceAll(",", "") ?? 0);
}

test("says what the month has cost, with jobs and Telegram, and knows it after a restart", async () => {
    const person = new Person(testbed);
    const before = { page: await spent("chats of the page"), telegram: await spent("Telegram"), jobs: await spent("jobs"), all: await spent() };
    await testbed.forgetCalls();
    await person.ask("What is 1 + 1? COST 700");
    await telegram.write(users[0], "And 2 + 2? COST 800");
    const { job_id } = (await person.use("cronjob", { action: "create", name: "dear", schedule: "every 1h", prompt: "Look after it. COST 900" })) as {
        job_id: string;
    };
    await person.use("cronjob", { action: "run", job_id });
    // The stand-in takes a tenth of a cent for a token. A chat that asks for a tool asks twice, and the price stands in what makes the job, too.
    await expect.poll(async () => (await spent("jobs")) - before.jobs, { timeout: 200_000, interval: 2000 }).toBeCloseTo(0.901, 1);
    await expect.poll(async () => (await spent("Telegram")) - before.telegram, { timeout: 60_000, interval: 1000 }).toBeCloseTo(0.801, 1);
    expect((await spent("chats of the page")) - before.page).toBeCloseTo(0.701 + 2 * 0.901 + 2 * 0.002, 1);
    const tokens = (await testbed.calls()).reduce((sum, call) => sum + call.tokens, 0);
    const all = await spent();
    expect(all - before.all).toBeCloseTo(tokens * 0.001, 1);
    const [{ cost_this_month: cost }] = ((await person.use("cronjob", { action: "list" })) as { jobs: { cost_this_month: string }[] }).jobs;
    expect(cost).toBe("$0.9010");
    await testbed.kill("hermes");
    await testbed.redeploy("hermes");
    // The list has asked once more, twice.
    expect(await spent()).toBeCloseTo(all + 0.004, 1);
});

test("says where the provider tells no cost", async () => {
    await testbed.play({ free: true });
    await new Person(testbed).ask("Is it for nothing?");
    await testbed.play({});
    expect((await knowledge()).replace(/\s+/g, " ")).toMatch(/cost, by what OpenRouter says: \$[\d.,]+, and 1 calls of which the provider tells no cost\./);
});

test("a full disk loses no cost, and stops no answer; what is years old goes", async () => {
    const program = `
import os, shutil
from pathlib import Path
home = Path(os.environ["HERMES_HOME"])
from private_hermes import costs
costs.add(costs.cost_of({"cost": 1}))
full = home / "full"
with full.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
for _ in range(200):
    costs.add(costs.cost_of({"cost": 0.5}), "telegram", "a chat " + "x" * 200 + str(_))
during = costs.total().dollars
full.unlink()
costs.add(costs.cost_of({}))
with costs.tables.changing() as db:
    db.execute("INSERT INTO private_costs VALUES ('2020-01', '', '', 1000, 1, 0)")
costs.delete_old()
print(during, costs.total())`;
    const env = "HERMES_HOME=/dev/shm/full HOME=/dev/shm/full OPENROUTER_API_KEY=x HERMES_MODEL=x";
    const script = `mkdir -p /dev/shm/full; env ${env} /opt/hermes/bin/python -c "$0" 2>&1; code=$?; rm -r /dev/shm/full; exit $code`;
    const { exitCode, output: said } = await hermes().exec(["sh", "-c", script, program], { user: "10000:10000" });
    expect(exitCode, said).toBe(0);
    const [during, after] =
        said
            .trim()
            .split("\n")
            .at(-1)
            ?.split(/ (?=\$)/) ?? [];
    expect(Number(during)).toBeLessThan(101);
    expect(after).toBe("$101.00, and 1 calls of which the provider tells no cost");
});

/** What the page shows somebody as their own. */
interface Own {
    memory: { id: string; own: boolean; text: string }[];
    skill: { id: string; own: boolean; name: string; text: string }[];
    job: {
        id: string;
        name: string;
        text: string;
        paused: boolean;
        next: string | null;
        last: string | null;
        went: string | null;
        cost: { dollars: number };
    }[];
    owner: boolean;
}

/** A request of Open WebUI's for somebody. */
const asOwn = async (person: { id: string } | undefined, method = "GET", path = "") => {
    const headers = person && { "X-OpenWebUI-User-Id": person.id };
    return testbed.hermes(method, `/v1/own${path}`, { bearer: testbed.environment("hermes").API_SERVER_KEY, headers });
};
const ownOf = async (person: { id: string }) => (await asOwn(person)).body as Own;

test("in the page each person has what their chats wrote and their jobs, and nobody else's; the owner has all but jobs", async () => {
    const [ada, ben, owner] = Array.from({ length: 3 }, () => new Person(testbed));
    const planted = words("Nobody has said this.");
    const [tea, name, job] = [words("Likes tea."), `brew-${randomUUID().slice(0, 8)}`, words("Brew tea")];
    await ada.use("memory", { operations: [{ action: "add", target: "user", content: tea }] });
    await ada.use("skill_manage", skill(name, "Brews"));
    const { job_id } = (await ada.use("cronjob", { action: "create", name: "brew", schedule: "every 1h", prompt: job })) as { job_id: string };
    await ben.use("memory", { action: "add", content: words("Likes coffee.") });
    await plant(planted);
    const own = await ownOf(ada);
    expect(own).toMatchObject({
        memory: [{ own: true, text: tea }],
        skill: [{ own: true, name }],
        job: [{ name: "brew", text: job, went: null }],
        owner: false,
    });
    // Another one's are as if they weren't there.
    const kept = { memory: own.memory[0].id, skill: own.skill[0].id, job: own.job[0].id };
    expect(JSON.stringify(await ownOf(ben))).not.toMatch(new RegExp([...Object.values(kept), tea, name, job].join("|")));
    for (const id of Object.values(kept)) {
        for (const action of ["remove", "pause"]) expect((await asOwn(ben, "POST", `/${id}/${action}`)).status).toBe(404);
        expect((await asOwn(undefined, "POST", `/${id}/remove`)).status).toBe(403);
    }
    expect((await asOwn(undefined)).status).toBe(403);
    await testbed.hermes("GET", `/v1/reports?owner=${owner.id}`, { bearer: testbed.environment("hermes").API_SERVER_KEY });
    const all = await ownOf(owner);
    expect(all.memory).toEqual(expect.arrayContaining([tea, planted].map((text) => expect.objectContaining({ text, own: false }) as object)));
    expect(all).toMatchObject({ owner: true, job: [] });
    expect((await asOwn(owner, "GET", "/costs")).body).toHaveProperty("month.calls");
    expect((await asOwn(ada, "GET", "/costs")).body).not.toHaveProperty("month");
    // A chat costs by its own calls alone: that one has asked for three tools, at two calls each.
    expect((await asOwn(ada, "GET", `/costs?chat=${ada.chat}`)).body).toMatchObject({ chat: { calls: 6, untold: 0 } });
    expect((await asOwn(ben, "GET", `/costs?chat=${ada.chat}`)).body).toMatchObject({ chat: { calls: 0 } });

    const next = await pageChat();
    expect(await next()).toContain(line(tea));
    await asOwn(ada, "POST", `/${kept.job}/pause`);
    expect((await ownOf(ada)).job).toMatchObject([{ paused: true }]);
    expect((await asOwn(ada, "POST", `/${kept.job}/resume`)).status).toBe(200);
    expect((await ownOf(ada)).job).toMatchObject([{ paused: false, next: expect.any(String) as string }]);
    await ada.use("cronjob", { action: "run", job_id });
    await expect.poll(async () => (await ownOf(ada)).job, { timeout: 200_000, interval: 2000 }).toMatchObject([{ went: "ok", cost: { dollars: 0.002 } }]);
    // Twice at once, and each beside the other.
    const ids = Object.values(kept).flatMap((id) => [id, id]);
    const said = await Promise.all(ids.map(async (id) => (await asOwn(ada, "POST", `/${id}/remove`)).status));
    expect(said.filter((status) => status !== 200 && status !== 404)).toEqual([]);
    expect(await ownOf(ada)).toMatchObject({ memory: [], skill: [], job: [] });
    expect(await next()).not.toContain(line(tea));
    expect((await ownOf(owner)).memory.map(({ text }) => text)).toContain(planted);
});

test("a skill that is deleted while a chat uses it is gone there, too, and the chat goes on", async () => {
    const [person, name] = [new Person(testbed), `stir-${randomUUID().slice(0, 8)}`];
    await person.use("skill_manage", skill(name, "Stirs"));
    const view = `CALL skill_view ${JSON.stringify({ name })}`;
    const wait = `CALL terminal ${JSON.stringify({ command: "touch begun; until [ -e go ]; do sleep 0.1; done; rm begun go", workdir: "/root" })}`;
    const answer = person.ask(`${view} THEN ${wait} THEN ${view}`);
    const beside = person.elsewhere();
    await expect.poll(async () => (await beside.run("test -e /root/begun")).exit_code, { timeout: 120_000 }).toBe(0);
    const [{ id }] = (await ownOf(person)).skill;
    expect((await asOwn(person, "POST", `/${id}/remove`)).status).toBe(200);
    await beside.run("touch /root/go");
    const [before, , after] = (await answer).split("Tool said: ").slice(1);
    expect(before).toContain("Say meow.");
    expect(after).not.toContain("Say meow.");
    expect(after).toContain("not found");
});

test("an id that is none removes nothing and says what to do", async () => {
    const before = await knowledge();
    await expect(knowledge("remove", "0123456789")).rejects.toThrow(/Nothing has the id 0123456789; knowledge without more lists what there is\.\n$/);
    await expect(knowledge("remove")).rejects.toThrow(/knowledge remove ID/);
    expect(await knowledge()).toBe(before);
});
