/** What Telegram says of the bot and of the people who may write to it. */
import { type Answer, ask, Unchecked } from "../http.ts";
import { type Check, failure, ok, warning } from "./report.ts";
import { type Stack, whenRight } from "./stack.ts";

/** What can be asked before the bot answers; nothing where there is none. */
export function beforeUp(stack: Stack): Check[] {
    const { telegram } = stack.settings;
    if (!telegram) return [];
    const { botToken, allowedUsers } = telegram;
    /** Telegram has the token in the path (core.telegram.org/bots/api, "Making requests"). */
    const askBot = (question: string) => ask(`https://api.telegram.org/bot${botToken}/${question}`);
    let question: Promise<Answer> | undefined;
    /** The bot's name; undefined when Telegram doesn't take the token. */
    const botName = async () => {
        const { status, body } = await (question ??= askBot("getMe"));
        if (status === 401 || status === 404) return undefined;
        if (status !== 200) throw new Unchecked(`Telegram answers ${status}`);
        return (body as { result: { username: string } }).result.username;
    };
    const bot = async () => {
        const name = await botName();
        return name
            ? ok(`telegramBotToken is that of @${name}`)
            : failure("Telegram doesn't take telegramBotToken", "ask @BotFather for the bot's token, or for a new one");
    };
    const users = async () => {
        const name = await botName();
        if (!name) throw new Unchecked("telegramBotToken has to be put right first");
        const ids = allowedUsers.split(",");
        const answers = await Promise.all(ids.map((id) => askBot(`getChat?chat_id=${id}`)));
        const unknown = ids.filter((_, index) => answers[index].status !== 200);
        if (unknown.length === 0) return ok("the bot may write to each of telegramAllowedUsers");
        return warning(
            `@${name} may not write to ${unknown.join(" and ")} yet, so no job can report there`,
            `press Start at t.me/${name} on that account, or correct telegramAllowedUsers`,
        );
    };
    return [
        { name: "Telegram", about: ["telegramBotToken"], run: whenRight(stack, ["telegramBotToken"], bot) },
        { name: "Telegram users", about: ["telegramAllowedUsers"], run: whenRight(stack, ["telegramBotToken", "telegramAllowedUsers"], users) },
    ];
}
