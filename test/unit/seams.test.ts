/** What the lists of replaced places can say without Hermes and Open WebUI; their images' builds and a container test prove the rest. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { environmentOfImage, projectFiles } from "../harness/files.ts";

const read = (path: string) => readFileSync(path, "utf8");

test("both images replace what isn't theirs in the same way", () => {
    expect(read("openwebui/replacing.py")).toBe(read("hermes/private_hermes/replacing.py"));
    expect(read("openwebui/confined.py")).toBe(read("hermes/confined.py"));
});

test("both images read documents with the same code", () => {
    const folder = "hermes/private_hermes/documents/";
    for (const path of projectFiles(`${folder}*.py`)) expect(read(path.replace(folder, "openwebui/"))).toBe(read(path));
    for (const name of ["firecrawl-anydoc", "markdownify", "pypdfium2"]) {
        const [one, other] = ["openwebui", "hermes"].map((image) => new RegExp(`^${name}==\\S+`, "m").exec(read(`${image}/requirements.txt`))?.[0]);
        expect(one ?? name).toBe(other);
    }
});

test("both images have the same contract, and what stands in other languages is the same", () => {
    const contract = read("openwebui/contract.py");
    expect(contract).toBe(read("hermes/private_hermes/contract.py"));
    const [, side] = /^MOST_PICTURES, SIDE = \d+, (\d+)$/m.exec(contract) ?? [];
    const { FILE_IMAGE_COMPRESSION_WIDTH, FILE_IMAGE_COMPRESSION_HEIGHT } = environmentOfImage("openwebui");
    expect([FILE_IMAGE_COMPRESSION_WIDTH, FILE_IMAGE_COMPRESSION_HEIGHT]).toEqual([side, side]);
    expect(/const \[SIDE, LARGE\] = \[(\d+),/.exec(read("openwebui/page/pictures.js"))?.[1]).toBe(side);
    const [, noAnswer] = /^SIGN, NO_ANSWER = "[^"]+", "([^"]+)"$/m.exec(contract) ?? [];
    const { sentences } = JSON.parse(read("openwebui/page/texts.json")) as { sentences: object };
    expect(Object.keys(sentences)).toContain(noAnswer);
});

test("each private name of Hermes that is used stands in the list", () => {
    const list = "hermes/private_hermes/seams.py";
    const sources = projectFiles("hermes/private_hermes/**/*.py")
        .filter((path) => path !== list)
        .map(read);
    const names = (pattern: RegExp) => sources.flatMap((source) => [...source.matchAll(pattern)].map(([, name]) => name));
    const own = new Set(names(/(?:\bdef |\bself\.|^)(_[a-z]\w*)(?=\(|.* = |, )/gm));
    const used = new Set([...names(/(?<!\bself)\.(_[a-z]\w*)/g), ...names(/^from (?!\.).* import .*?\b(_[a-z]\w*)/gm)]);
    expect(used.size).toBeGreaterThan(30);
    expect([...used].filter((name) => !own.has(name) && !new RegExp(`\\b${name}\\b`).test(read(list)))).toEqual([]);
});
