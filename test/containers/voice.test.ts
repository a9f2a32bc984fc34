/** Speech that becomes text: over Hermes' route, by OpenRouter, within limits, and nothing of it stays. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { logOf, output } from "../harness/docker.ts";
import { Testbed, words } from "../harness/testbed.ts";
import { fare, recordings, say, type Kind } from "../harness/voice.ts";

let testbed: Testbed;

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.start("hermes");
});
afterAll(() => testbed.remove());
beforeEach(() => fare(testbed));

/** Sends a recording, in base64, as Open WebUI does; gives the text or the reason why there is none. */
async function transcribe(content: string, more: Record<string, string> = {}, bearer = testbed.environment("hermes").API_SERVER_KEY) {
    const form = { model: "whatever", ...more, file: { name: "recording.wav", content } };
    const { status, body } = await testbed.hermes("POST", "/v1/audio/transcriptions", { bearer, form });
    const { text, error } = body as { text?: string; error?: { message: string } };
    return { status, text, says: error?.message };
}

describe("a recording", () => {
    test.for<Kind>(["wav", "ogg", "webm", "m4a", "mp3"])("comes back as text, whatever it is called (%s)", async (kind) => {
        const recording = await say(testbed, kind, "The colour of the boat is turquoise, and so is the sea behind it.");
        const { status, text } = await transcribe(recording, { language: "de" });
        const [heard, ...more] = await recordings(testbed);
        expect(heard).toMatchObject({
            authorization: `Bearer ${testbed.environment("hermes").OPENROUTER_API_KEY}`,
            model: "openai/whisper-large-v3-turbo",
            language: "de",
            format: kind,
            bytes: Buffer.from(recording, "base64").length,
        });
        expect(more).toEqual([]);
        expect(heard.seconds).toBeGreaterThan(2);
        expect({ status, text }).toEqual({ status: 200, text: `Words of ${Math.round(heard.seconds)} seconds` });
        expect(await testbed.calls()).toEqual([]);
    });

    test("that isn't sent with the key of the two services is refused, and OpenRouter doesn't hear of it", async () => {
        const recording = await say(testbed, "ogg", "Hello");
        expect(await transcribe(recording, {}, "wrong")).toMatchObject({ status: 401 });
        expect(await recordings(testbed)).toEqual([]);
    });

    test("is sent with three others at most, and 16 more wait", { timeout: 120_000 }, async () => {
        await fare(testbed, { seconds: 30 });
        const recording = await say(testbed, "ogg", "Hello");
        const refused: string[] = [];
        const asked = Array.from({ length: 24 }, async () => {
            const { status, text, says } = await transcribe(recording);
            if (status === 429) refused.push(says ?? "");
            return text;
        });
        await expect.poll(() => refused, { timeout: 28_000 }).toHaveLength(4);
        expect(refused[0]).toMatch(/Too many recordings.*moment/);
        await expect.poll(() => recordings(testbed), { timeout: 20_000 }).toHaveLength(4);
        await fare(testbed);
        expect((await Promise.all(asked)).filter(Boolean)).toHaveLength(20);
        expect((await recordings(testbed)).filter(({ together }) => together > 4)).toEqual([]);
    });
});

describe("what is no speech is a sentence, and costs nothing", () => {
    const opus = (bytes: number) => Buffer.concat([Buffer.from("OggS"), randomBytes(bytes)]).toString("base64");
    test.for<[what: string, recording: () => string | Promise<string>, status: number, says: RegExp]>([
        ["over 9 MB", () => opus(9_000_001), 413, /over 9 MB.*shorter/],
        ["over ten minutes, as Ogg", () => say(testbed, "ogg", "So it went on and on.", 620), 413, /longer than 10 minutes.*shorter/],
        ["over ten minutes, as WebM", () => say(testbed, "webm", "So it went on and on.", 620), 413, /longer than 10 minutes.*shorter/],
        ["a program", () => Buffer.from("MZ and so on").toString("base64"), 415, /isn't a recording.*WebM, Ogg/],
        ["an empty file", () => "", 415, /isn't a recording/],
    ])("%s", async ([, recording, status, says]) => {
        expect(await transcribe(await recording())).toMatchObject({ status, says: expect.stringMatching(says) as string });
        expect(await recordings(testbed)).toEqual([]);
    });

    test("no form at all", async () => {
        const { API_SERVER_KEY: bearer } = testbed.environment("hermes");
        for (const request of [{ body: {} }, { form: { model: "none" } }]) {
            const { status, body } = await testbed.hermes("POST", "/v1/audio/transcriptions", { bearer, ...request });
            expect({ status, body }).toMatchObject({ status: 400, body: { error: { message: expect.stringMatching(/part “file” of a form/) as string } } });
        }
    });
});

describe("what has no words in it is a sentence", () => {
    test("silence", async () => {
        expect(await transcribe(await say(testbed, "ogg", ""))).toMatchObject({
            status: 422,
            says: expect.stringMatching(/Nothing was said.*microphone/) as string,
        });
    });

    test.for(["[BLANK_AUDIO]", "(upbeat music)", "♪ ♪", " . ", "*sighs* <|nospeech|>"])("noise, of which a model makes “%s”", async (text) => {
        await fare(testbed, { text });
        expect(await transcribe(await say(testbed, "ogg", "Hmm"))).toMatchObject({ status: 422, says: expect.stringMatching(/Nothing was said/) as string });
    });

    test("but words stay as they are, in whatever script", async () => {
        for (const text of ["[laughs] Yes, of course (really).", "明日の朝"]) {
            await fare(testbed, { text });
            expect(await transcribe(await say(testbed, "ogg", "Hmm"))).toMatchObject({ status: 200, text });
        }
    });
});

describe("a failure of OpenRouter is a sentence", () => {
    test.for<[status: number, says: RegExp]>([
        [400, /doesn't take this recording.*voiceModel/],
        [401, /doesn't take the key.*openrouterApiKey.*pulumi up/],
        [402, /credit is used up.*settings\/credits/],
        [404, /no such model for speech.*voiceModel/],
        [413, /over 9 MB/],
        [418, /doesn't take this recording/],
        [429, /too much to do.*Try again/],
        [500, /out of order.*Try again/],
        [503, /out of order.*Try again/],
    ])("%i", async ([status, says]) => {
        await fare(testbed, { status });
        expect(await transcribe(await say(testbed, "ogg", "Hello"))).toMatchObject({ status: 502, says: expect.stringMatching(says) as string });
        expect(await recordings(testbed)).toHaveLength(1);
    });

    test.for(["<html>Bad gateway</html>", "[]", '{"text": null}', '{"error": {"code": 502}}', `{"text": "${"a".repeat(300_000)}"}`])(
        "an answer that can't be understood (%#)",
        async (body) => {
            await fare(testbed, { body });
            expect(await transcribe(await say(testbed, "ogg", "Hello"))).toMatchObject({ status: 502, says: expect.stringMatching(/out of order/) as string });
        },
    );

    test("none at all is waited for 45 seconds", { timeout: 120_000 }, async () => {
        await fare(testbed, { seconds: 60 });
        expect(await transcribe(await say(testbed, "ogg", "Hello"))).toMatchObject({ status: 504, says: expect.stringMatching(/within 45 seconds/) as string });
    });
});

test("nothing of a recording stays on the disk, and nobody reads the key", async () => {
    const recording = await say(testbed, "ogg", "Nobody keeps this");
    expect(await transcribe(recording)).toMatchObject({ status: 200 });
    const hermes = testbed.running("hermes");
    expect(await output(hermes, "sh", "-c", "grep -rla OpusHead /opt/data /tmp || true")).toBe("");
    const log = `${await logOf(hermes)}${await output(hermes, "find", "/opt/data/logs", "-type", "f", "-exec", "cat", "{}", "+")}`;
    expect(log).toContain("OpenRouter answers 402 to a recording");
    expect(log).not.toContain(testbed.environment("hermes").OPENROUTER_API_KEY);
});

test("with voiceModel none there is no voice, and the sentence says who may change that", async () => {
    await testbed.configure({ voiceModel: "none" });
    await testbed.redeploy("hermes");
    expect(await transcribe(await say(testbed, "ogg", words("Hello")))).toMatchObject({ status: 404, says: expect.stringMatching(/voiceModel/) as string });
    expect(await recordings(testbed)).toEqual([]);
});
