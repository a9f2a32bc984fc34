/**
 * Plays api.telegram.org: as much of the bot API as Hermes and `npm run preflight` ask for.
 *
 * It knows bots by their tokens; any other token gets the 401 that Telegram has for it. With a bot come the users who have pressed Start.
 *
 * People write to the first bot by POST /updates on port 8000: {"from": user id, "text", "chat": group id (a private chat when left out),
 * "age": seconds since then, "voice" or "document": a voice message or a file in base64, whose caption the text is then, "size": its bytes as
 * Telegram says them, "name" and "mime" of a document, "as": "audio", "video" or "sticker" for a document that is one, "more": further fields of the
 * message, "edited": whether it is an edit}.
 * POST /blocked, {"chat", "blocked"}: whether the bot is blocked in a chat, or removed from it.
 * POST /moved, {"from", "to"}: a group becomes a supergroup, of which the bot is told by its service message if "told" is true.
 * A mention (@ and the bot's name) and a /command at the beginning are marked as Telegram marks them. GET /chats/<id> gives
 * the texts that the bot has in that chat as people see them, with edits and deletions applied; GET /calls each method that
 * was called, with its parameters; GET /pending how many updates wait for the bot; GET /files/<id> what the bot has sent into
 * that chat besides texts, as {"kind": "photo" or "document", "name", "content": in base64}.
 *
 * As at Telegram: a bot can't write to somebody who never wrote to it, updates wait until they are fetched with an offset
 * beyond them, deleteWebhook may drop those that wait, an album has 2 to 10 items (core.telegram.org/bots/api,
 * "sendMediaGroup"; 400 otherwise), and a file of a person's is fetched from the path that getFile gives.
 *
 * Failures that it plays: a wrong token (401), a chat that doesn't exist, a message that is too long or to be edited and gone or
 * unchanged (400), an unknown method (404); and those of POST /faults on port 8000, {"method", "times", "code", "description",
 * "retry_after": seconds, with 429 only}: the next calls of that method are refused so. What is sent with each is in Telegram's
 * own words (core.telegram.org/bots/api, "Making requests"; "Conflict" as its servers say it to a second poller).
 *
 * What it does not imitate: webhooks, files that people send besides voice messages, documents, audio and video, other kinds of files, limits of
 * their size and what a photo is, inline keyboards, topics, limits of its own (429) and pollers that it counts (409),
 * privacy mode (a group's bot sees every message here), rules of MarkdownV2, methods newer than sendMessageDraft (404, as from an
 * older server), and what people's apps show.
 */
import { EventEmitter, once } from "node:events";
import type { Exchange, Host } from "./serving.ts";

/** An error as the bot API has it. */
class Refused extends Error {
    readonly code: number;
    readonly more: object;

    constructor(code: number, description: string, more = {}) {
        super(description);
        this.code = code;
        this.more = more;
    }
}

/** What the next calls of a method are refused with. */
interface Fault {
    method: string;
    times: number;
    code: number;
    description: string;
    retry_after?: number;
}

interface Message {
    from: number;
    text: string;
    chat?: number;
    age?: number;
    voice?: string;
    document?: string;
    size?: number;
    name?: string;
    mime?: string;
    as?: "document" | "audio" | "video" | "sticker";
    more?: object;
    edited?: boolean;
}

interface SentFile {
    kind: string;
    name: string;
    content: string;
}

interface Account {
    username: string;
    /** Ids of those who have pressed Start. */
    users: string[];
}

const sticker = { type: "regular", is_animated: false, is_video: false, emoji: "🙂" };

let numbers = 0;
const next = () => ++numbers;
const now = () => Math.floor(Date.now() / 1000);

type Bot = Account & { id: number };

/** A call of a method. */
interface Call {
    parameters: Record<string, string>;
    files: Record<string, File>;
    bot: Bot;
}

const userOf = ({ id, username }: Bot) => ({ id, is_bot: true, first_name: "Hermes", username });

const message = (bot: Bot, chat: object, id: number, text: string) => ({ message_id: id, date: now(), chat, from: userOf(bot), text });

/** What a call brings, in its address and in its form. */
async function broughtBy(exchange: Exchange): Promise<Pick<Call, "parameters" | "files">> {
    const kind = exchange.request.headers["content-type"];
    const body = new Uint8Array(await exchange.body());
    const form = kind ? await new Response(body, { headers: { "content-type": kind } }).formData() : [];
    const [parameters, files]: [Call["parameters"], Call["files"]] = [Object.fromEntries(exchange.url.searchParams), {}];
    for (const [name, value] of form) {
        if (typeof value === "string") parameters[name] = value;
        else files[name] = value;
    }
    return { parameters, files };
}

export class Telegram implements Host {
    bots: Record<string, Account>;
    private readonly changed = new EventEmitter();
    private updates: { update_id: number; message?: object; edited_message?: object }[] = [];
    private readonly calls: { method: string; parameters: Record<string, string> }[] = [];
    private readonly faults = new Map<string, Fault>();
    /** What Telegram knows of a chat, by its id. */
    private readonly chats = new Map<number, { id: number }>();
    /** Supergroups, by the group that each was. */
    private readonly moved = new Map<number, number>();
    /** Chats that have blocked the bot. */
    private readonly blocked = new Set<number>();
    /** Text by message id, by chat id; in the order in which they were sent. */
    private readonly shown = new Map<number, Map<number, string>>();
    /** What was sent besides texts, by chat id. */
    private readonly files = new Map<number, SentFile[]>();
    /** Voice messages and documents, by their file's id. */
    private readonly spoken = new Map<string, Buffer>();
    private readonly methods: Record<string, (call: Call) => unknown> = {
        getMe: ({ bot }) => ({ ...userOf(bot), can_join_groups: true, can_read_all_group_messages: true, supports_inline_queries: false }),
        getUpdates: (call) => this.getUpdates(call),
        deleteWebhook: (call) => this.deleteWebhook(call),
        sendMessage: (call) => this.send(call),
        sendPhoto: (call) => this.sendFile(call, "photo"),
        sendDocument: (call) => this.sendFile(call, "document"),
        sendMediaGroup: (call) => this.sendAlbum(call),
        editMessageText: (call) => this.edit(call),
        deleteMessage: (call) => this.delete(call),
        getFile: (call) => this.getFile(call),
        getChat: (call) => ({ ...this.chat(call), accent_color_id: 0, max_reaction_count: 11 }),
        sendChatAction: (call) => Boolean(this.chat(call)),
        sendMessageDraft: (call) => Boolean(this.chat(call)),
        setMessageReaction: (call) => Boolean(this.chat(call)),
        setMyCommands: () => true,
        deleteMyCommands: () => true,
        setMyShortDescription: () => true,
        setMyDescription: () => true,
    };

    constructor(bots: Record<string, Account>) {
        this.bots = bots;
    }

    async answer(exchange: Exchange): Promise<void> {
        const [, token, path] = /^\/(?:file\/)?bot([^/]+)\/(.+)$/.exec(decodeURIComponent(exchange.url.pathname)) ?? [];
        const bot = (this.bots as Partial<typeof this.bots>)[token];
        try {
            if (!bot) throw new Refused(401, "Unauthorized");
            if (exchange.url.pathname.startsWith("/file/")) {
                exchange.send(200, this.spoken.get(/^(?:voice|documents)\/(\w+)\.\w+$/.exec(path)?.[1] ?? ""));
                return;
            }
            const { parameters, files } = await broughtBy(exchange);
            this.calls.push({ method: path, parameters });
            const fault = this.faults.get(path);
            if (fault && fault.times-- > 0) {
                throw new Refused(fault.code, fault.description, fault.retry_after && { parameters: { retry_after: fault.retry_after } });
            }
            if (!(path in this.methods)) throw new Refused(404, "Not Found");
            exchange.send(200, { ok: true, result: await this.methods[path]({ parameters, files, bot: { ...bot, id: Number(token.split(":")[0]) } }) });
        } catch (error) {
            if (!(error instanceof Refused)) throw error;
            exchange.send(error.code, { ok: false, error_code: error.code, description: error.message, ...error.more });
        }
    }

    async inside(exchange: Exchange): Promise<void> {
        const [, what, id] = exchange.url.pathname.split("/");
        const seen: Record<string, () => unknown> = {
            calls: () => this.calls,
            pending: () => this.updates.length,
            files: () => this.files.get(Number(id)) ?? [],
            chats: () => [...(this.shown.get(Number(id))?.values() ?? [])],
        };
        if (exchange.request.method === "GET") {
            exchange.send(200, seen[what]());
            return;
        }
        if (what === "faults") {
            const fault = await exchange.json<Fault>();
            this.faults.set(fault.method, fault);
        } else if (what === "moved") {
            this.move(await exchange.json());
        } else if (what === "blocked") {
            const { chat, blocked } = await exchange.json<{ chat: number; blocked: boolean }>();
            if (blocked) this.blocked.add(chat);
            else this.blocked.delete(chat);
        } else this.write(await exchange.json());
        exchange.send(200, {});
    }

    /** A person writes to the first bot, in private or in a group, or has done so `age` seconds ago. */
    private write({ from, text, chat, age = 0, voice, document, size, name, mime, as = "document", more = {}, edited }: Message): void {
        const [{ username }] = Object.values(this.bots);
        const user = { id: from, first_name: `User ${from}` };
        const place = chat ? { id: chat, type: "group", title: "Friends" } : { ...user, type: "private" };
        // A command takes the mention that is attached to it.
        const entities = [...text.matchAll(new RegExp(`^/\\w+(@\\w+)?|@${username}`, "g"))].map(({ 0: found, index }) => ({
            ...{ type: found.startsWith("/") ? "bot_command" : "mention", offset: index, length: found.length },
        }));
        this.chats.set(place.id, place);
        const message = { message_id: next(), date: now() - age, chat: place, from: { ...user, is_bot: false } };
        const said = (name: string, marks: string) => text !== "" && { [name]: text, ...(entities.length > 0 && { [marks]: entities }) };
        const sent = voice ?? document;
        if (sent === undefined) {
            const whole = { ...message, ...said("text", "entities"), ...more };
            this.updates.push({ update_id: next(), ...(edited ? { edited_message: { ...whole, edit_date: now() } } : { message: whole }) });
        } else {
            const [content, file] = [Buffer.from(sent, "base64"), String(next())];
            this.spoken.set(file, content);
            const about = { file_id: file, file_unique_id: file, file_size: size ?? content.length };
            const kind =
                voice === undefined
                    ? {
                          [as]: {
                              ...about,
                              file_name: name,
                              mime_type: mime,
                              ...(as !== "document" && { duration: 1, width: 1, height: 1 }),
                              ...(as === "sticker" && sticker),
                          },
                          ...more,
                      }
                    : { voice: { ...about, duration: 1, mime_type: "audio/ogg" } };
            this.updates.push({ update_id: next(), message: { ...message, ...kind, ...said("caption", "caption_entities") } });
        }
        this.changed.emit("update");
    }

    private move({ from, to, told, by }: { from: number; to: number; told?: boolean; by: number }): void {
        this.moved.set(from, to);
        this.chats.set(to, { ...this.chats.get(from), id: to });
        if (told) this.write({ from: by, text: "", chat: from, more: { migrate_to_chat_id: to } });
    }

    private chat({ parameters: { chat_id: id }, bot: { users } }: Call): { id: number } {
        const to = this.moved.get(Number(id));
        if (to) throw new Refused(400, "Bad Request: group chat was upgraded to a supergroup chat", { parameters: { migrate_to_chat_id: to } });
        if (this.blocked.has(Number(id))) throw new Refused(403, "Forbidden: bot was blocked by the user");
        const chat = this.chats.get(Number(id)) ?? (users.includes(id) ? { id: Number(id) } : undefined);
        if (!chat) throw new Refused(400, "Bad Request: chat not found");
        return chat;
    }

    private async getUpdates({ parameters: { offset = "0", timeout = "0", limit = "100" } }: Call): Promise<object[]> {
        this.updates = this.updates.filter(({ update_id: id }) => id >= Number(offset));
        const patience = AbortSignal.timeout(Number(timeout) * 1000);
        if (this.updates.length === 0) await once(this.changed, "update", { signal: patience }).catch(() => undefined);
        return this.updates.slice(0, Number(limit));
    }

    private deleteWebhook({ parameters: { drop_pending_updates: drop = "" } }: Call): boolean {
        if (drop.toLowerCase() === "true") this.updates = [];
        return true;
    }

    private send(call: Call): object {
        const [chat, id, { text }] = [this.chat(call), next(), call.parameters];
        // After its markup is taken away; that isn't done here.
        if (text.length > 4096) throw new Refused(400, "Bad Request: message is too long");
        this.shown.set(chat.id, (this.shown.get(chat.id) ?? new Map<number, string>()).set(id, text));
        return message(call.bot, chat, id, text);
    }

    private edit(call: Call): object {
        const [chat, id, { text }] = [this.chat(call), Number(call.parameters.message_id), call.parameters];
        const texts = this.shown.get(chat.id);
        if (!texts?.has(id)) throw new Refused(400, "Bad Request: message to edit not found");
        if (texts.get(id) === text) throw new Refused(400, "Bad Request: message is not modified");
        texts.set(id, text);
        return message(call.bot, chat, id, text);
    }

    private delete(call: Call): boolean {
        this.shown.get(this.chat(call).id)?.delete(Number(call.parameters.message_id));
        return true;
    }

    /** The file stands under its kind, or where an item of an album says. */
    private async sendFile(call: Call, kind: string, place = `attach://${kind}`): Promise<object> {
        const [chat, id, file] = [this.chat(call), next(), call.files[place.replace("attach://", "")]];
        const sent = { kind, name: file.name, content: Buffer.from(await file.arrayBuffer()).toString("base64") };
        this.files.set(chat.id, [...(this.files.get(chat.id) ?? []), sent]);
        const sizes = { file_id: String(id), file_unique_id: String(id), width: 1, height: 1 };
        return { ...message(call.bot, chat, id, ""), [kind]: kind === "photo" ? [sizes] : sizes };
    }

    private async sendAlbum(call: Call): Promise<object[]> {
        const items = JSON.parse(call.parameters.media) as { type: string; media: string }[];
        if (items.length < 2 || items.length > 10) throw new Refused(400, "Bad Request: group of media must include 2-10 items");
        const sent = [];
        for (const { type, media } of items) sent.push(await this.sendFile(call, type, media));
        return sent;
    }

    private getFile({ parameters: { file_id: id } }: Call): object {
        return { file_id: id, file_unique_id: id, file_size: this.spoken.get(id)?.length, file_path: `voice/${id}.oga` };
    }
}
