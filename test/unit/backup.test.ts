/** What backups leave out: it is what the service makes anew at each start, and nothing else that it has. */
import { readFileSync } from "node:fs";
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
