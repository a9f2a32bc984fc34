/** Speech in a testbed, and OpenRouter's transcription of it. See test/stand-ins/internet/speech.py and openrouter.ts. */
import { output } from "./docker.ts";
import { requestFrom } from "./client.ts";
import type { Testbed } from "./testbed.ts";

/** What browsers and Telegram record. */
export type Kind = "wav" | "ogg" | "webm" | "m4a" | "mp3";

/** A recording as OpenRouter got it. */
interface Recording {
    authorization: string;
    model: string;
    language: string | null;
    format: string;
    seconds: number;
    bytes: number;
    /** How many were transcribed when it came, itself included. */
    together: number;
}

/** Says something and records it, repeated for so many seconds, or with as many of silence behind it; without words, silence. Gives the recording in base64. */
export const say = (testbed: Testbed, kind: Kind, said: string, seconds = 0, silence = 0) =>
    output(testbed.openRouter, "env", `SECONDS=${seconds}`, `SILENCE=${silence}`, "python3", "/speech.py", kind, said).then((text) => text.trim());

/** How transcriptions fare from now on, and forgets those so far: `text` in the place of the words, `body` an answer that is no JSON, `seconds` to wait. */
export async function fare(testbed: Testbed, fault: { status?: number; text?: string; body?: string; seconds?: number } = {}): Promise<void> {
    const { status } = await requestFrom(testbed.openRouter, "POST", "http://127.0.0.1:8000/voice", { body: fault });
    if (status !== 200) throw new Error(`the stand-in of OpenRouter answers ${status}`);
}

/** The recordings since the last `fare`. */
export async function recordings(testbed: Testbed): Promise<Recording[]> {
    return (await requestFrom(testbed.openRouter, "GET", "http://127.0.0.1:8000/recordings")).body as Recording[];
}
