/** What people read in the page that isn't Open WebUI's own: it is there in the same ten languages, from one file. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { projectFiles } from "../harness/files.ts";

const read = (path: string) => readFileSync(path, "utf8");

type Texts = Record<string, Record<string, string>>;
const { page, sentences } = JSON.parse(read("openwebui/page/texts.json")) as Record<string, Texts>;
const languages = Object.keys(sentences["Runs Python"]).toSorted();

/** Files of Python of which nobody reads a sentence in the page, by who does. */
const others = {
    "whoever runs it": [
        ...["admin", "app_start", "backup", "confined", "door", "loops", "relay", "replacing", "seams"].map((name) => `openwebui/${name}.py`),
        ...["choices", "command", "health", "loops", "replacing", "seams", "way_out"].map((name) => `hermes/private_hermes/${name}.py`),
    ],
    "the model, who tells it": [
        ...["continued", "handover", "mail", "office"].map((name) => `openwebui/${name}.py`),
        ...["handover", "job_tool", "picture_reader", "places", "prompts", "web", "sandbox/"].map((name) => `hermes/private_hermes/${name}`),
    ],
    "people on Telegram": ["attachments", "inbox", "telegram_", "undelivered"].map((name) => `hermes/private_hermes/${name}`),
    "stands in openwebui/ as well": ["hermes/private_hermes/documents/"],
};
/** Sentences of the other files that stay English, by who reads them. */
const english = {
    "the model": [
        /^(The arguments of|Call it again|\[?A picture stood|If it is needed, ask|\[This message got no answer|An earlier try|Each report comes)/,
        /^(The following was collected|Use it as context|Its script has found|Paused\. |It isn't paused|It runs again|The agent remembers|Nothing has the id|\{\} is no job|\[Now:)/,
        /^\(?(This document has|This page is|There is no text on|Of the \{\} rows|All are in the file|Picture \{\} of|The model can be shown|Pictures on|Attached files|What is filled)/,
    ],
    "the model, who may tell it, and a person": [/^\[\{\} isn't here: \{\}\.\]$/],
    "the owner alone, who sets it": [/modelDefault|pulumi up\.$|^OpenRouter doesn't understand|^The page hasn't fetched|^Look whether the service/],
    "with each of its reasons, as below": [/^⚠️ \*\*Stopped:\*\* \{\}\.$/u],
    "the owner on Telegram": [/^A report of the scheduled job|^It may have been the last|^You aren't told again/],
    "who sends no page": [/^This request says of no account|^Send the recording as the part/],
};

const withHoles = (text: string) => text.replaceAll(/\{+[^{}]*\}+|%[ds]/g, "{}");
const known = new Set(Object.keys(sentences).map(withHoles));

/** The sentences that a file of Python says, with {} for what is filled in. Not its comments, its log and the descriptions of tools. */
function said(path: string): string[] {
    const source = read(path)
        .replaceAll(/"""[\s\S]*?"""/g, '""')
        .replaceAll(/^ *#.*$/gm, "")
        // A literal in several pieces is one.
        .replaceAll(/"\s*\n\s*f?"(?=.)/g, "")
        // What a tool is called with.
        .replaceAll(/^(DESCRIPTION|PARAMETERS) = [\s\S]*?\n\}?\n/gm, "");
    const constants = Object.fromEntries([...source.matchAll(/^([A-Z_]+) = \(?\s*f?"((?:[^"\\]|\\.)*)"/gm)].map(([, name, text]) => [name, text]));
    const whole = (text: string): string => text.replaceAll(/\{([A-Z_]+)\}/g, (hole, name: string) => (name in constants ? whole(constants[name]) : hole));
    const lines = source.split("\n").filter((line) => !/^\s*log(ger)?\.|RuntimeError\(|sys\.exit\(|tool_error\(/.test(line));
    const literals = lines.flatMap((line) => [...line.matchAll(/f?"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text));
    const sentencesOf = literals.flatMap((text) => withHoles(whole(text)).split(/(?<=[.”]) (?=[A-Z])|\\n|(?<=^Scheduled job “\{\}”:) /u));
    // Neither SQL nor an expression.
    return sentencesOf.filter((text) => /^[([A-Z{⚠].* .* .*[.!):\]]$/u.test(text) && !/^[A-Z]{5,} |\|/.test(text));
}

test("each text is there in the same ten languages, with the same holes", () => {
    expect(languages).toHaveLength(10);
    const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([hole]) => hole).toSorted();
    for (const [sentence, texts] of Object.entries(sentences)) {
        expect(Object.keys(texts).toSorted(), sentence).toEqual(languages);
        for (const text of Object.values(texts)) expect(holes(text), text).toEqual(holes(sentence));
    }
    for (const [name, texts] of Object.entries(page)) {
        expect(Object.keys(texts).toSorted(), name).toEqual([...languages, "en"].toSorted());
        for (const text of Object.values(texts)) expect(holes(text), text).toEqual(holes(texts.en));
    }
});

test("each sentence that the code says to somebody in the page has one, and each line of what the agent does", () => {
    const isOthers = (path: string) => Object.values(others).some((paths) => paths.some((one) => path.startsWith(one)));
    const paths = projectFiles("openwebui/*.py", "hermes/private_hermes/**/*.py").filter((path) => !isOthers(path));
    const stays = Object.values(english).flat();
    const missing = paths.flatMap((path) =>
        said(path)
            .filter((text) => !known.has(text) && !stays.some((one) => one.test(text)))
            .map((text) => `${path}: ${text}`),
    );
    expect(missing).toEqual([]);
    const lines = [...read("hermes/private_hermes/progress.py").matchAll(/^ {4}"\w+": "([^"]+)"/gm)].map(([, line]) => line);
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.filter((line) => !known.has(line))).toEqual([]);
    const reasons = [...read("hermes/private_hermes/brake.py").matchAll(/^ {4}"\w+": "(the [^"]+|this [^"]+|\{tool\}[^"]+)",$/gm)].map(([, reason]) => reason);
    expect(reasons.length).toBeGreaterThan(4);
    expect(reasons.map((reason) => withHoles(`Stopped: ${reason.split(". ")[0]}.`)).filter((text) => !known.has(text))).toEqual([]);
});

test("what stands in the file is said by somebody", () => {
    const code = projectFiles("openwebui/**/*.{py,js}", "hermes/private_hermes/**/*.py")
        .map(read)
        .join("\n")
        .replaceAll(/"\s*\n\s*f?"(?=.)/g, "");
    const pieces = (sentence: string) =>
        sentence
            .replace(/^Stopped: |\.$/g, "")
            .split(/\{\w+\}/)
            .filter((piece) => piece.length > 3);
    expect(Object.keys(sentences).filter((sentence) => !sentence.startsWith("These can:") && !pieces(sentence).every((piece) => code.includes(piece)))).toEqual(
        [],
    );
    expect(Object.keys(page).filter((name) => !new RegExp(`["\`]${name.replace(/_.*/, "_?")}`).test(code))).toEqual([]);
});
