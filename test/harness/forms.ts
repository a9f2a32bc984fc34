/** The forms in which a secret can stand somewhere and be read all the same. */

/** The base64 of bytes wherever they begin in a longer text, as a token does behind `user:`: the whole characters of each alignment. */
const base64Of = (bytes: Buffer) =>
    [0, 1, 2].map((before) => {
        const text = Buffer.concat([Buffer.alloc(before), bytes])
            .toString("base64")
            .replace(/=+$/, "");
        return text.slice(Math.ceil((before * 4) / 3), (before + bytes.length) % 3 === 0 ? undefined : -1);
    });

/** A secret as it is, and as hex, base64, base64url and URL-encoded; where it is hex itself, so are the bytes that it stands for. */
function formsOf(secret: string): string[] {
    const texts = [Buffer.from(secret), ...(/^([0-9a-f]{2})+$/i.test(secret) ? [Buffer.from(secret, "hex")] : [])];
    const encoded = texts.flatMap((bytes) => [bytes.toString("hex"), bytes.toString("hex").toUpperCase(), ...base64Of(bytes)]);
    const safe = encoded.map((text) => text.replaceAll("+", "-").replaceAll("/", "_"));
    const plain = [secret, JSON.stringify(secret).slice(1, -1), ...encoded, ...safe];
    return [...new Set([...plain, ...plain.map(encodeURIComponent)])];
}

/** Which of the secrets, by name, can be read in a text in one form or another. */
export const readableIn = (text: string, secrets: Record<string, string>): string[] =>
    Object.keys(secrets).filter((name) => formsOf(secrets[name]).some((form) => text.includes(form)));
