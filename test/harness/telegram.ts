/** Telegram and the people on it, in a testbed's private network. See test/stand-ins/internet/telegram.ts. */
import { PlayedHost } from "./internet.ts";
import type { Testbed } from "./testbed.ts";

/** A method of the bot API as the bot has called it. */
interface Call {
    method: string;
    parameters: Record<string, string>;
}

const host = "api.telegram.org";

export class Telegram extends PlayedHost {
    /** Starts it with one bot. */
    static async open(testbed: Testbed, botToken: string): Promise<Telegram> {
        return new Telegram(await this.play(testbed, host, { TELEGRAM_BOT_TOKEN: botToken }), host);
    }

    /** Writes to the bot as a person does, in private or in a group; or has done so many seconds ago. */
    async write(from: number, text: string, chat?: number, age = 0): Promise<void> {
        await this.ask("POST", "/updates", { from, text, chat, age });
    }

    /** Speaks to the bot, in private: a recording in base64, with a caption; `size` is what Telegram says of it, in bytes. */
    async speak(from: number, voice: string, { caption = "", size }: { caption?: string; size?: number } = {}): Promise<void> {
        await this.ask("POST", "/updates", { from, text: caption, voice, size });
    }

    /** Sends the bot a file, in private or in a group, with a caption. */
    async give(
        from: number,
        name: string,
        content: Buffer,
        {
            caption = "",
            ...more
        }: { caption?: string; mime?: string; size?: number; chat?: number; as?: "document" | "audio" | "video" | "sticker"; more?: object } = {},
    ): Promise<void> {
        await this.ask("POST", "/updates", { from, text: caption, document: content.toString("base64"), name, ...more });
    }

    /** Sends a message with further fields, as Telegram has them; `edited` for an edit of an earlier one. */
    async send(from: number, text: string, more: object, { chat, edited }: { chat?: number; edited?: boolean } = {}): Promise<void> {
        await this.ask("POST", "/updates", { from, text, chat, more, edited });
    }

    /** Makes a supergroup of a group; the bot is told of it by a service message, if `by` is somebody. */
    async move(from: number, to: number, by?: number): Promise<void> {
        await this.ask("POST", "/moved", { from, to, told: by !== undefined, by });
    }

    /** Has a chat block the bot, or let it write again. */
    async block(chat: number, blocked = true): Promise<void> {
        await this.ask("POST", "/blocked", { chat, blocked });
    }

    /** Refuses the next calls of a method; `retry_after` in seconds. */
    async refuse(method: string, times: number, code: number, description: string, retryAfter?: number): Promise<void> {
        await this.ask("POST", "/faults", { method, times, code, description, retry_after: retryAfter });
    }

    /** What the bot has said in a chat, oldest first; the chat with a person has that person's id. */
    async texts(chat: number): Promise<string[]> {
        return (await this.ask("GET", `/chats/${chat}`)) as string[];
    }

    /** The files that the bot has sent into a chat, their bytes in base64. */
    async files(chat: number): Promise<{ kind: "photo" | "document"; name: string; content: string }[]> {
        return (await this.ask("GET", `/files/${chat}`)) as Awaited<ReturnType<Telegram["files"]>>;
    }

    async calls(): Promise<Call[]> {
        return (await this.ask("GET", "/calls")) as Call[];
    }

    /** How many messages wait for the bot. */
    async pending(): Promise<number> {
        return (await this.ask("GET", "/pending")) as number;
    }
}
