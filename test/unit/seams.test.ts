/** What the lists of replaced places can say without Hermes and Open WebUI; their images' builds and a container test prove the rest. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { environmentOfImage, projectFiles } from "../harness/files.ts";

const read = (path: string) => readFileSync(path, "utf8");

/** What both images have, and need to have as the same file. */
const twins: Record<string, string> = {
    "hermes/private_hermes/replacing.py": "openwebui/replacing.py",
    "hermes/private_hermes/contract.py": "openwebui/contract.py",
    "hermes/confined.py": "openwebui/confined.py",
    "hermes/backup.py": "openwebui/backup.py",
    ...Object.fromEntries(
        projectFiles("hermes/private_hermes/documents/*.py").map((path) => [path, path.replace("hermes/private_hermes/documents", "openwebui")]),
    ),
};

test.for(Object.entries(twins))("%s is the same file as %s", ([one, other]) => {
    expect(read(other)).toBe(read(one));
});

test.for(["firecrawl-anydoc", "markdownify", "pypdfium2", "pysqlite3"])("both images have %s in the same version", (name) => {
    const [one, other] = ["openwebui", "hermes"].map((image) => new RegExp(`^${name}==\\S+`, "m").exec(read(`${image}/requirements.txt`))?.[0]);
    expect(one ?? name).toBe(other);
});

test("what stands of the contract in other languages is the same", () => {
    const contract = read("openwebui/contract.py");
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
