/** What the lists of replaced places can say without Hermes and Open WebUI; their images' builds and a container test prove the rest. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { projectFiles } from "../harness/files.ts";

const read = (path: string) => readFileSync(path, "utf8");

test("both images replace what isn't theirs in the same way", () => {
    expect(read("openwebui/replacing.py")).toBe(read("hermes/private_hermes/replacing.py"));
    expect(read("openwebui/confined.py")).toBe(read("hermes/confined.py"));
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
