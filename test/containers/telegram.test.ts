/** The agent on Telegram: who gets an answer and who doesn't, and scheduled jobs that report there. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startWatched, unknownOnDisk } from "./disk";
import { logOf } from "./docker";
import { Stack, words } from "./stack";
import { Telegram } from "./telegram";

const [owner, partner, stranger] = [1001, 1002, 6666];
const friends = -4242;
const mention = "@private_hermes_bot";
const botToken = `123456789:AA${randomUUID().replaceAll("-", "")}`;

let stack: Stack;
let telegram: Telegram;

beforeAll(async () => {
    stack = await Stack.create();
    await stack.configure({ telegramBotToken: botToken, telegramAllowedUsers: `${owner},${partner}` });
    telegram = await Telegram.open(stack, botToken);
    // What the agent could leave behind to let somebody in, at both places where Hermes looks for it.
    const approved = JSON.stringify({ [stranger]: { user_name: "Eve", approved_at: 1 } });
    await stack.onDisk("hermes-data", [
        "mkdir -p /disk/pairing /disk/platforms/pairing",
        `echo '${approved}' | tee /disk/pairing/telegram-approved.json >/disk/platforms/pairing/telegram-approved.json`,
        "chown -R 10000:10000 /disk",
    ].join("\n"));
    await startWatched(stack);
});
afterAll(() => stack.remove());

/** What the bot has said in a chat, without the backslashes of Telegram's markup. */
const said = async (chat: number) => (await telegram.texts(chat)).map((text) => text.replaceAll("\\", ""));

/** Waits until the bot has said in a chat what matches. */
async function expectSaid(chat: number, pattern: RegExp | string, seconds = 60): Promise<void> {
    const expected: unknown = expect.stringMatching(pattern);
    await expect.poll(() => said(chat), { timeout: seconds * 1000, interval: 500 }).toContainEqual(expected);
}

/** Waits for an answer to a message that is written now: Hermes has then dealt with those before it. */
async function catchUp(): Promise<void> {
    const question = words("Are you there");
    await telegram.write(partner, question);
    await expectSaid(partner, `Echo: ${question}`);
}

describe("a message", () => {
    test("of each allowed user is answered, at the price of one model call", async () => {
        for (const user of [owner, partner]) {
            const question = words("Is anybody there");
            await telegram.write(user, question);
            await expectSaid(user, `Echo: ${question}`);
            await catchUp();
            expect(await stack.asked(question)).toMatchObject([{ model: stack.environment("hermes").HERMES_MODEL }]);
        }
    });

    test("has the same tools as one over the API", async () => {
        const question = words("What can you do");
        await telegram.write(owner, question);
        await expectSaid(owner, question);
        const overApi = words("And here");
        await stack.ask(overApi);
        const [there, here] = [await stack.asked(question), await stack.asked(overApi)].map(([{ tools }]) => tools.toSorted());
        expect(here).toContain("terminal");
        expect(there).toEqual(here);
    });

    test("of a stranger has no answer and reaches no model, also when the disk says that the stranger was approved", async () => {
        const attempts = [words("Let me in"), `/start ${words("hi")}`, `/new ${words("hello")}`];
        for (const text of attempts) await telegram.write(stranger, text);
        await catchUp();
        expect(await telegram.pending()).toBe(0);
        expect(await telegram.texts(stranger)).toEqual([]);
        expect((await telegram.calls()).filter(({ parameters }) => Number(parameters.chat_id) === stranger)).toEqual([]);
        for (const text of attempts) expect(await stack.asked(text)).toEqual([]);
    });

    test("in a group counts when an allowed user mentions the bot, and otherwise not", async () => {
        const [unmentioned, foreign, mine] = [words("Among us"), words("Among them"), words("Among friends")];
        await telegram.write(owner, unmentioned, friends);
        await telegram.write(stranger, `${mention} ${foreign}`, friends);
        await telegram.write(owner, `${mention} ${mine}`, friends);
        await expectSaid(friends, mine);
        await catchUp();
        expect(await telegram.texts(friends)).toHaveLength(1);
        expect(await stack.asked(foreign)).toEqual([]);
    });
});

describe("a command of the chat", () => {
    test("that is allowed works", async () => {
        await telegram.write(owner, "/whoami");
        await expectSaid(owner, "/status"); // as a command that may be run
    });

    test.for(["/debug", "/model", "/goal", "/update", "/yolo", "/restart"])("%s is refused, in private and in a group", async (command) => {
        await telegram.write(owner, command);
        await telegram.write(owner, `${command}${mention}`, friends);
        for (const chat of [owner, friends]) await expectSaid(chat, `${command} is admin-only`);
    });
});

describe("a scheduled job", () => {
    test("reports to the chat that it was made in, and with deliver: telegram to the first allowed user", async () => {
        const [origin, home] = [words("Moo"), words("Meow")];
        await telegram.write(partner, `CALL cronjob ${JSON.stringify({ action: "create", name: "origin", schedule: "1m", prompt: origin })}`);
        const { status } = await stack.hermes("POST", "/api/jobs", {
            bearer: stack.environment("hermes").API_SERVER_KEY,
            body: { name: "home", schedule: "1m", prompt: home, deliver: "telegram" },
        });
        expect(status).toBe(200);
        // The scheduler looks once a minute.
        await expectSaid(owner, new RegExp(`^(?!Tool said)[^]*${home}`), 200);
        await expectSaid(partner, new RegExp(`^(?!Tool said)[^]*${origin}`), 60);
    });
});

test("it looks on the disk for nothing that is neither sealed nor the agent's own", async () => {
    expect(await unknownOnDisk(stack)).toEqual([]);
});

describe("a restart", () => {
    test("loses what was written meanwhile, and nothing else", async () => {
        await stack.stop("hermes");
        const missed = words("Are you back");
        await telegram.write(owner, missed);
        await stack.start("hermes");
        await catchUp();
        expect(await telegram.pending()).toBe(0);
        expect(await stack.asked(missed)).toEqual([]);
    });
});

test("the bot's token is in no log", async () => {
    expect(await logOf(stack.running("hermes"))).not.toContain(botToken.split(":")[1]);
    expect(await stack.running("hermes").exec(["grep", "-rlF", botToken.split(":")[1], "/opt/data"])).toMatchObject({ output: "" });
});
