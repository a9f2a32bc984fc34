/** What backups leave out: it is what the service makes anew at each start, and nothing else that it has. */
import { globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

test("what Hermes' entrypoint seals and removes isn't in a backup: it is neither the agent's nor of use", () => {
    const entrypoint = readFileSync("hermes/entrypoint.sh", "utf8");
    const lists = ["SEALED_FILES", "SEALED_FOLDERS", "REMOVED"].map((name) => new RegExp(`^readonly ${name}=\\((.*?)^\\)`, "ms").exec(entrypoint)?.[1] ?? "");
    const names = lists.flatMap((list) => list.split("\n").flatMap((line) => line.replace(/#.*/, "").trim().split(" ")));
    const sealed = names.filter((name) => name !== "" && !name.includes("/"));
    expect(sealed.length).toBeGreaterThan(15);
    const excluded = readFileSync("hermes/backup.exclude", "utf8").split("\n");
    expect(sealed.filter((name) => !excluded.includes(`/opt/data/${name}`))).toEqual([]);
});

test("each report of docs/backups.md names a test that there is", () => {
    const [, table] = readFileSync("docs/backups.md", "utf8").split("## What went wrong elsewhere\n");
    const rows = table.split("\n").filter((line) => line.startsWith("| ["));
    expect(rows).toHaveLength(18);
    const tests = ["test/unit", "test/containers"].flatMap((folder) => globSync(`${folder}/*.test.ts`)).map((path) => readFileSync(path, "utf8"));
    // Names begin with a quotation mark, or go on after what the table leaves out.
    const named = rows.flatMap((row) => [...(row.split("|").at(-2) ?? "").matchAll(/“([^”]+)”/g)].map(([, name]) => name));
    expect(named.length).toBeGreaterThanOrEqual(rows.length);
    expect(
        named.filter((name) => !tests.some((text) => text.split("\n").some((line) => /(test|describe)\b|^ *\]\)\(/.test(line) && line.includes(name)))),
    ).toEqual([]);
});
