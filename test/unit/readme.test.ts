import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { projectFiles } from "../files";
import { declaredSettings } from "../program";

const readme = readFileSync("README.md", "utf8");

/** The rows of the table under a heading, as their cells. */
function rows(heading: string): string[][] {
    const section = readme.slice(readme.indexOf(`\n${heading}\n`)).slice(heading.length + 2);
    const lines = section.slice(0, section.search(/\n##/)).split("\n");
    return lines.filter((line) => line.startsWith("| ")).slice(2).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

const unquoted = (cell: string) => cell.replaceAll("`", "");

const required = Object.keys(declaredSettings).filter((key) => declaredSettings[key].default === undefined);

test("the credentials table names every required setting", () => {
    const named = rows("### 1. Credentials, each with the least that works").flatMap(([settings]) => [...settings.matchAll(/`(\w+)`/g)].map(([, key]) => key));
    expect(named.sort()).toEqual([...required, "ghcrPullToken"].sort());
});

test("the configuration table has every other setting, with the program's defaults", () => {
    const table = Object.fromEntries(rows("## Configuration").map(([key, value]) => [unquoted(key), unquoted(value)]));
    const defaults = Object.entries(declaredSettings)
        .filter(([, { default: value }]) => value !== undefined)
        .map(([key, { default: value }]) => [key, String(value)]);
    expect(table).toEqual({ ...Object.fromEntries(defaults), ghcrPullToken: "ghcrToken", telegramBotToken: "–", replaceData: "–", telegramAllowedUsers: "–" });
});

test("every link to a file leads to one", () => {
    const links = [...readme.matchAll(/\]\(((?!https?:|#)[^)]+)\)/g)].map(([, path]) => path);
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((path) => !existsSync(path))).toEqual([]);
});

test("every npm command is one that exists", () => {
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
    const run = [...readme.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name);
    expect(run.length).toBeGreaterThan(0);
    expect(run.filter((name) => !(name in scripts))).toEqual([]);
});

test("every section that something else refers to exists", () => {
    const headings = [...readme.matchAll(/^#+ (?:\d\. )?(.+)$/gm)].map(([, heading]) => heading.replaceAll("`", ""));
    const anchors = headings.map((heading) => heading.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-"));
    const linked = [...readme.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor);
    expect(linked.length).toBeGreaterThan(3);
    expect(linked.filter((anchor) => !anchors.includes(anchor))).toEqual([]);
    const files = projectFiles("**/*.{ts,mts,yaml,yml}", ".github/**/*.yml");
    const named = files.flatMap((file) => [...readFileSync(file, "utf8").matchAll(/README, ["“]([^"”]+)["”]/g)].map(([, section]) => section));
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((section) => !headings.includes(section))).toEqual([]);
});
