/**
 * Plays openrouter.ai: its chat API, its transcription, and what it says of models, of a key and of credit.
 *
 * The answer is told by the last message of the user:
 *   CALL <tool> <JSON object>   one call of that tool; the next answer then begins with "Tool said: ". With THEN between them several,
 *                               one after the other, each with the answer of the one before; then all that they said
 *   ANSWER CALL ...             the same; then what the last one has printed, alone
 *   LOOP <tool> <arguments>     that call again and again, whatever came of it, while there are tools; the arguments may be no JSON. With
 *                               COST <n> at the end each call counts n tokens
 *   ... in your sandbox: <what> Python is run: what is code, or the sum of i*i for i from 1 to 1000; then what it has printed
 *   ... on the web: <what>      a search for it; then the excerpt of the first result, and its address
 *   SLOW <n>                    n words, one a second
 *   FAST <n>                    n words, one each 20 ms, as a model writes
 *                               asked to go on, the words behind those that it has said, and the last of those before them; with CALL ...
 *                               behind it the first call comes after them
 *   FAIL <status> <words>       refused with that status, as {"error": {"code", "message"}}; with 200 an answer without a word, with 307 an
 *                               answer that leads to the address in the place of the words
 *   BREAK <words>               a few words, and then a provider's error in the stream, each time that it is asked
 *   THINK <n>                   n seconds with a comment line in each, then as below
 *   SILENT <n>                  a stream without a byte for n seconds, which then ends
 *   Hermes' wish for a summary  "Summary <n>", another one each time
 *   anything else               "Echo: " and the message
 *
 * A request with a picture that isn't PNG, JPEG, GIF or WebP, or is a JPEG without its end, is refused as OpenAI does behind OpenRouter: the
 * reason stands beside the message (openrouter.ai/docs, "Provider errors").
 *
 * A recording is decoded, as a whole: one that isn't what its format says is refused (400). Its text is "Words of n seconds", and empty
 * when it is silent.
 *
 * GET /calls on port 8000 lists the chat requests so far as JSON, DELETE /calls forgets them. POST /chats tells how they fare from now on:
 * {"status": of a refusal, "reason": its words, "counts": whether the usage is a token for every 4 bytes that came and went, "free":
 * whether it tells no cost}. GET /recordings lists what came to be
 * transcribed, as {"authorization", "model", "language", "format", "seconds", "bytes", "together": how many were at it then}; the oldest
 * first. POST /voice tells how that fares from now on, and has the list begin anew: {"status": of a refusal, "text": in the place of the
 * words, "body": an answer that is no JSON, "seconds": to wait}.
 *
 * As the real one, a stream begins with a comment line, and ends with the usage in a chunk of its own without choices
 * (openrouter.ai/docs, "Streaming" and "Usage Accounting").
 *
 * Failures that it plays: every status with an error's JSON, an answer without a word, a provider's error in the middle of a
 * stream (openrouter.ai/docs, "Errors and Debugging"), a model that thinks long, a connection that is dead, no bearer or one that isn't
 * known (401), a key that may not ask for credits (403); for a recording each status, an answer that is late or no JSON, text that is no
 * words.
 *
 * What it does not imitate: a model, what is said in a recording, token counts, prices but for a tenth of a cent each, and what they take from the credit, rate limits,
 * limits of a recording's size and length, routing between providers, forms in the place of JSON, and every other endpoint. The
 * transcription is that of openrouter.ai/docs, "Speech-to-Text".
 */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Exchange, Host } from "./serving.ts";

/** What a token costs. */
const DOLLARS = 0.001;

interface Model {
    id: string;
    context_length?: number;
    supported_parameters?: string[];
    architecture?: { input_modalities: string[]; output_modalities: string[] };
}

interface Message {
    role: string;
    content?: string | { text?: string; image_url?: { url: string } }[] | null;
}

interface ChatRequest {
    model: string;
    messages: Message[];
    tools?: { function: { name: string } }[];
    stream?: boolean;
}

interface TranscriptionRequest {
    model: string;
    language?: string;
    input_audio: { data: string; format: string };
}

/** A call of a tool; its arguments are JSON. */
interface Step {
    name: string;
    arguments: string;
}

function textOf({ content }: Message): string {
    return Array.isArray(content) ? content.map(({ text: part = "" }) => part).join("") : (content ?? "");
}

/** Whether a provider would refuse a message for one of its pictures. */
function hasBadPicture({ content }: Message): boolean {
    return (Array.isArray(content) ? content : []).some(({ image_url: picture }) => {
        if (!picture?.url.startsWith("data:")) return false;
        const bytes = Buffer.from(picture.url.split(",")[1], "base64").toString("latin1");
        return !/^(\x89PNG|GIF8|RIFF....WEBP)/s.test(bytes) && !/^\xff\xd8\xff.*\xff\xd9$/s.test(bytes);
    });
}

/** The tool calls that a question asks for, in order. */
function stepsOf(said: string): Step[] {
    const [, task] = /in your sandbox\b[^:]*: (.*)/s.exec(said) ?? [];
    if (task) {
        const code = task.includes("print(") ? task : "print(sum(i * i for i in range(1, 1001)))";
        return [{ name: "terminal", arguments: JSON.stringify({ command: `python3 -c '${code.replaceAll("'", `'"'"'`)}'` }) }];
    }
    const [, query] = /on the web: (.*)/.exec(said) ?? [];
    if (query) return [{ name: "web_search", arguments: JSON.stringify({ query }) }];
    return said.split(" THEN ").flatMap((step) => {
        const [, name, parameters] = /CALL (\w+) (\{.*\})/s.exec(step) ?? [];
        return name ? [{ name, arguments: parameters }] : [];
    });
}

/** The next message: its words, or the tool that it calls. */
function next(messages: Message[], tools: string[]): { words: string; step?: Step } {
    const asked = messages.findLastIndex(({ role }) => role === "user");
    const said = textOf(messages[asked]);
    const results = messages
        .slice(asked)
        .filter(({ role }) => role === "tool")
        .map(textOf);
    if (said.startsWith("You are a summarization agent")) return { words: `## Goal\nSummary ${Math.random()}` };
    const [, again, raw] = /LOOP (\w+) (.*?)(?: COST \d+)?$/s.exec(said) ?? [];
    if (again && tools.length > 0) return { words: "", step: { name: again, arguments: raw } };
    const steps = stepsOf(said);
    const [, slow = "0"] = /(?:SLOW|FAST) (\d+)/.exec(said) ?? [];
    const counted = Array.from({ length: Number(slow) }, (_, index) => `${index + 1} `).join("");
    if (results.length < steps.length) return { words: results.length === 0 ? counted : "", step: steps[results.length] };
    const last = results.at(-1);
    if (last !== undefined && said.includes("in your sandbox")) return { words: `It has printed: ${(JSON.parse(last) as { output: string }).output}` };
    if (last !== undefined && said.includes("on the web: ")) {
        // The result stands between two tags of Hermes.
        const { data } = JSON.parse(/\{.*\}/s.exec(last)?.[0] ?? "") as { data: { web: { description: string; url: string }[] } };
        return { words: `${data.web[0].description} (${data.web[0].url})` };
    }
    if (last !== undefined && /^((?!CALL)[^])*ANSWER CALL/.test(said)) return { words: (JSON.parse(last) as { output: string }).output };
    if (last !== undefined) return { words: results.map((result) => `Tool said: ${result}`).join("\n") };
    const had = /^\[Your answer above was cut off/.test(said) ? textOf(messages[asked - 1]) : undefined;
    if (had !== undefined) {
        const last = Number(/(\d+)\s*$/.exec(had)?.[1]);
        return { words: Array.from({ length: 10 }, (_, index) => `${last + index} `).join("") };
    }
    if (slow !== "0") return { words: counted };
    return { words: `Echo: ${said}` };
}

/** Seconds of a recording, and whether there is a sound in it; undefined when it isn't of that kind, or is damaged. */
async function heard(recording: Buffer, kind: string): Promise<{ seconds: number; loud: boolean } | undefined> {
    const decoder = spawn("python3", ["/heard.py", kind], { stdio: ["pipe", "pipe", "inherit"] });
    decoder.stdin.on("error", () => undefined); // it reads no further than it has to
    decoder.stdin.end(recording);
    const printed = await text(decoder.stdout);
    return printed ? (JSON.parse(printed) as Awaited<ReturnType<typeof heard>>) : undefined;
}

/** What it knows; with `anyKey` it takes each bearer. */
type Known = Partial<Pick<OpenRouter, "keys" | "credits" | "models" | "voices">> & { anyKey?: boolean };

export class OpenRouter implements Host {
    /** What it says of each key. */
    keys: Record<string, Record<string, unknown>>;
    private readonly anyKey: boolean;
    /** Answer to the question for credits; without one it takes management keys only. */
    credits?: { total_credits: number; total_usage: number };
    models: Model[];
    /** Those that are listed when it is asked for models that transcribe. */
    voices: Model[];
    /** The chat requests so far. */
    private calls: object[] = [];
    private recordings: object[] = [];
    /** How a chat fares. */
    private chats: { status?: number; reason?: string; counts?: boolean; free?: boolean } = {};
    /** How a transcription fares. */
    private fares: { status?: number; text?: string; body?: string; seconds?: number } = {};
    private atIt = 0;

    constructor({ keys = {}, anyKey = false, credits, models = [], voices = [] }: Known = {}) {
        this.keys = keys;
        this.anyKey = anyKey;
        this.credits = credits;
        this.models = models;
        this.voices = voices;
    }

    async answer(exchange: Exchange): Promise<void> {
        const { bearer, url } = exchange;
        const asked = exchange.asked.replace(" /api/", " /");
        const refuse = (code: number, message: string) => {
            exchange.send(code, { error: { code, message } });
        };
        if (asked === "GET /v1/models") {
            const models = url.searchParams.get("output_modalities") === "transcription" ? this.voices : this.models;
            const common = {
                ...{ context_length: 400_000, pricing: { prompt: "0", completion: "0" }, supported_parameters: ["tools"] },
                architecture: { input_modalities: ["text"], output_modalities: ["text"] },
            };
            exchange.send(200, { data: models.map((model) => ({ name: model.id, ...common, ...model })) });
        } else if (!bearer || !(this.anyKey || bearer in this.keys)) refuse(401, "No auth credentials found");
        else if (asked === "POST /v1/chat/completions") await this.chat(exchange);
        else if (asked === "POST /v1/audio/transcriptions") await this.transcribe(exchange);
        else if (asked === "GET /v1/key") exchange.send(200, { data: this.keys[bearer] });
        else if (asked !== "GET /v1/credits") refuse(404, "Not Found");
        else if (this.credits) exchange.send(200, { data: this.credits });
        else refuse(403, "Only management keys can fetch credits for an account");
    }

    private async chat(exchange: Exchange): Promise<void> {
        const body = await exchange.body();
        const { model, messages, tools = [], stream } = JSON.parse(body.toString()) as ChatRequest;
        const { authorization, host, cookie } = exchange.request.headers;
        const call = { authorization, host, cookie, bytes: body.length, model, messages, tools: tools.map(({ function: { name } }) => name), tokens: 0 };
        this.calls.push(call);
        if (this.chats.status) {
            exchange.send(this.chats.status, { error: { code: this.chats.status, message: this.chats.reason } });
            return;
        }
        const said = textOf(messages.findLast(({ role }) => role === "user") as Message);
        if (messages.some(hasBadPicture)) {
            const raw = JSON.stringify({
                error: { message: "You uploaded an unsupported image. Please make sure your image is valid.", code: "invalid_image_format" },
            });
            exchange.send(400, { error: { code: 400, message: "Provider returned error", metadata: { raw, provider_name: "OpenAI" } } });
            return;
        }
        const [, failure, reason] = /FAIL (\d+) ?(.*)/.exec(said) ?? [];
        if (failure && failure !== "200") {
            if (failure.startsWith("3")) exchange.response.setHeader("location", reason);
            exchange.send(Number(failure), { error: { code: Number(failure), message: reason } });
            return;
        }
        const { words, step } = failure
            ? { words: "" }
            : next(
                  messages,
                  tools.map(({ function: { name } }) => name),
              );
        const common = { id: "gen-1", model, created: Math.floor(Date.now() / 1000) };
        const [, cost = "1"] = /COST (\d+)/.exec(said) ?? [];
        const [came, went] = this.chats.counts
            ? [body.length, words.length + JSON.stringify(step ?? "").length].map((bytes) => Math.ceil(bytes / 4))
            : [Number(cost), 1];
        call.tokens = came + went;
        const usage = { prompt_tokens: came, completion_tokens: went, total_tokens: call.tokens, ...(!this.chats.free && { cost: call.tokens * DOLLARS }) };
        const calls = step && { tool_calls: [{ index: 0, id: `call_${this.calls.length}`, type: "function", function: step }] };
        const finish = step ? "tool_calls" : "stop";
        const paces = { SLOW: 1000, FAST: 20 };
        const last = JSON.stringify(messages.at(-1));
        const pause = Object.entries(paces).find(([pace]) => last.includes(pace))?.[1] ?? 0;
        if (!stream) {
            // What counts takes as long as in a stream.
            if (words.startsWith("1 2 ")) await sleep(pause * words.split(" ").length);
            const choice = { index: 0, message: { role: "assistant", content: words, ...calls }, finish_reason: finish };
            exchange.send(200, { ...common, object: "chat.completion", choices: [choice], usage });
            return;
        }

        const { response } = exchange;
        response.writeHead(200, { "content-type": "text/event-stream", connection: "close" });
        response.flushHeaders();
        const [, silent] = /SILENT (\d+)/.exec(said) ?? [];
        if (silent) {
            await sleep(Number(silent) * 1000);
            response.end();
            return;
        }
        const [, think] = /THINK (\d+)/.exec(said) ?? [];
        for (let comments = think ? Number(think) : 1; comments > 0; comments--) {
            response.write(": OPENROUTER PROCESSING\n\n");
            await sleep(think ? 1000 : 0);
        }
        const chunk = (choices: object[], more = {}) => {
            response.write(`data: ${JSON.stringify({ ...common, object: "chat.completion.chunk", choices, ...more })}\n\n`);
        };
        const send = (delta: object, reason: string | null = null, more = {}) => {
            chunk([{ index: 0, delta, finish_reason: reason }], more);
        };
        // Hermes asks to go on with words of its own.
        const asked = messages.filter(({ role }) => role === "user").map(textOf);
        const [, broken] = /BREAK (.*)/.exec(asked.join("\n")) ?? [];
        if (broken) {
            send({ role: "assistant", content: "The first words" });
            send({ content: "" }, "error", { error: { code: 502, message: broken } });
            response.end();
            return;
        }
        if (calls && !words) send({ role: "assistant", ...calls });
        // A word each, as a model's tokens come; of a long text several, for Hermes takes a millisecond for each chunk.
        const all = words.split(" ");
        const together = Math.ceil(all.length / 1000);
        for (let at = 0; at < all.length; at += together) {
            send({ role: "assistant", content: `${all.slice(at, at + together).join(" ")} ` });
            await sleep(pause);
        }
        if (calls && words) send({ role: "assistant", ...calls });
        send({}, finish);
        chunk([], { usage });
        response.end("data: [DONE]\n\n");
    }

    private async transcribe(exchange: Exchange): Promise<void> {
        const { model, language, input_audio: audio } = await exchange.json<TranscriptionRequest>();
        const recording = Buffer.from(audio.data, "base64");
        const found = await heard(recording, audio.format);
        const refuse = (code: number) => {
            exchange.send(code, { error: { code, message: "Provider returned error" } });
        };
        if (!found) {
            refuse(400);
            return;
        }
        const { seconds, loud } = found;
        const { authorization } = exchange.request.headers;
        const about = { authorization, model, language: language ?? null, format: audio.format, seconds, bytes: recording.length };
        this.recordings.push({ ...about, together: ++this.atIt });
        const { status, text: words, body, seconds: wait = 0 } = this.fares;
        await sleep(wait * 1000);
        this.atIt--;
        if (status) refuse(status);
        else if (body !== undefined) exchange.send(200, Buffer.from(body));
        else {
            const usage = { seconds, cost: (seconds * 0.04) / 3600 };
            exchange.send(200, { text: words ?? (loud ? `Words of ${Math.round(seconds)} seconds` : ""), usage });
        }
    }

    async inside(exchange: Exchange): Promise<void> {
        if (exchange.asked === "GET /calls") exchange.send(200, this.calls);
        else if (exchange.asked === "GET /recordings") exchange.send(200, this.recordings);
        else if (exchange.asked === "DELETE /calls") {
            this.calls = [];
            exchange.send(200, {});
        } else if (exchange.asked === "POST /chats") {
            this.chats = await exchange.json();
            exchange.send(200, {});
        } else if (exchange.asked === "POST /voice") {
            this.fares = await exchange.json();
            this.recordings = [];
            exchange.send(200, {});
        } else exchange.send(404, {});
    }
}
