/** README.md, docs/ and the other pages for people: what they say of settings, commands, files and each other. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { settingRules, type SettingName } from "../../config.ts";
import { projectFiles } from "../harness/files.ts";
import { evaluate } from "../harness/program.ts";
import { declaredSettings } from "../harness/settings.ts";

const pages = Object.fromEntries(projectFiles("*.md", "docs/*.md").map((path) => [path, readFileSync(path, "utf8")]));

/** The rows of the table under a heading, as their cells. */
function rows(page: string, heading: string): string[][] {
    const section = pages[page].slice(pages[page].indexOf(`${heading}\n`) + heading.length);
    const lines = section.slice(0, section.search(/\n##/)).split("\n");
    return lines
        .filter((line) => line.startsWith("| "))
        .slice(2)
        .map((line) =>
            line
                .split("|")
                .slice(1, -1)
                .map((cell) => cell.trim()),
        );
}

/** The headings of a page, as they are read and as links name them. */
const headings = (page: string) => [...pages[page].matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading.replaceAll("`", ""));
const anchors = (page: string) =>
    headings(page).map((heading) =>
        heading
            .toLowerCase()
            .replace(/[^\p{L}\d _-]/gu, "")
            .replaceAll(" ", "-"),
    );

const unquoted = (cell: string) => cell.replaceAll("`", "");

const required = Object.keys(declaredSettings).filter((key) => declaredSettings[key].default === undefined);
const pulumiYaml = readFileSync("Pulumi.yaml", "utf8");

test("the credentials table names every required setting", () => {
    const named = rows("docs/credentials.md", "# Which credentials does it need?").flatMap(([settings]) =>
        [...settings.matchAll(/`(\w+)`/g)].map(([, key]) => key),
    );
    expect(named.sort()).toEqual([...required, "backupKey", "backupKeyId", "backupPassword", "backupRepository", "exaApiKey", "registryPullToken"].sort());
});

test("the settings table is what Pulumi.yaml says of every other setting", () => {
    const declared = parse(pulumiYaml) as { config: Record<string, { default?: unknown; description: string }> };
    const withDefaults = Object.entries(declared.config)
        .filter(([, { default: value }]) => value !== undefined)
        .map(([key, { default: value, description }]) => [key, String(value), description]);
    // Those that can't be declared stand in a comment there.
    const optional = [...pulumiYaml.matchAll(/^ {2}# {3}(\w+(?: \(secret\))?) {2,}(.+)$/gm)].map(([, key, description]) => [key, "–", description]);
    expect(rows("docs/settings.md", "## All settings").map((row) => row.map(unquoted))).toEqual([...withDefaults, ...optional]);
    const names = Object.keys(settingRules) as SettingName[];
    expect(optional.map(([key]) => key).sort()).toEqual(
        names
            .filter((key) => settingRules[key].optional)
            .map((key) => (settingRules[key].secret ? `${key} (secret)` : key))
            .sort(),
    );
});

test("`pulumi new` asks for the required settings, in the words of the program, and for the secret ones as such", () => {
    const { config, template } = parse(pulumiYaml) as Record<"config" | "template", Record<string, unknown>> & {
        template: { config: Record<string, { secret?: boolean }> };
    };
    expect(Object.keys(template.config).sort()).toEqual(required.sort());
    for (const [key, asked] of Object.entries(template.config)) {
        expect(asked).toEqual(config[key]);
        expect(asked.secret ?? false, key).toBe(settingRules[key as SettingName].secret ?? false);
    }
});

test("the policy that people are told to put into their tailnet is the one that the program gives", async () => {
    const [, policy] = /```json\n([^]*?)```/.exec(pages["docs/credentials.md"]) ?? [];
    expect(JSON.parse(policy)).toEqual(JSON.parse((await evaluate()).outputs.tailnetPolicy as string));
});

test("every link to a file or section leads to one", () => {
    const links = Object.entries(pages).flatMap(([page, text]) =>
        [...text.matchAll(/\]\(((?!https?:)[^)]+)\)/g)].map(([, link]) => {
            const [path, anchor] = link.split("#");
            return { link: `${page}: ${link}`, target: path ? join(dirname(page), path) : page, anchor };
        }),
    );
    expect(links.length).toBeGreaterThan(40);
    const broken = links.filter(({ target, anchor }) => !existsSync(target) || (anchor && !anchors(target).includes(anchor)));
    expect(broken.map(({ link }) => link)).toEqual([]);
});

test("every page in docs/ is linked from the README", () => {
    expect(Object.keys(pages).filter((page) => page.startsWith("docs/") && !pages["README.md"].includes(`(${page}`))).toEqual([]);
});

test("every npm command of a page or a workflow is one that exists", () => {
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
    const texts = [...Object.values(pages), ...projectFiles(".github/workflows/*.yml").map((path) => readFileSync(path, "utf8"))];
    const run = texts.flatMap((text) => [...text.matchAll(/npm run (?:--silent )?([\w:]+)/g)].map(([, name]) => name));
    expect(run.length).toBeGreaterThan(10);
    expect(run.filter((name) => !(name in scripts))).toEqual([]);
});

test("every section that something else refers to exists", () => {
    const files = projectFiles("**/*.{ts,mts,yaml,yml,css}", ".github/**/*.yml");
    const named = files.flatMap((file) =>
        [...readFileSync(file, "utf8").matchAll(/(README|docs\/[\w-]+\.md), ["“]([^"”]+)["”]/g)].map(([, page, section]) => [
            page === "README" ? "README.md" : page,
            section,
        ]),
    );
    expect(named.length).toBeGreaterThan(4);
    expect(named.filter(([page, section]) => !(page in pages) || !headings(page).includes(section))).toEqual([]);
});

test("every test that a page names as a proof is one", () => {
    const files: Record<string, string> = {};
    for (const path of projectFiles("test/**/*.test.ts")) {
        const name = path.replace(/^.*\/|\.ts$/g, "");
        files[name] = (files[name] ?? "") + readFileSync(path, "utf8");
    }
    // Its cases are those of Telegram, too.
    files["documents.test"] += readFileSync("test/harness/documents.ts", "utf8");
    const named = Object.entries(pages).flatMap(([page, text]) =>
        text.split("\n").flatMap((line) => {
            // A title, or its beginning, belongs to the file that is named last before it, in its row.
            let file = "";
            return [...line.matchAll(/([\w-]+\.test)\b|“([^”]+)”/g)].flatMap(([, path, title]) => {
                if (path) file = path;
                return path || !file ? [] : [{ page, file, title }];
            });
        }),
    );
    for (const proven of ["docs/backups.md", "docs/jobs.md", "docs/page.md", "docs/reports.md"])
        expect(named.filter(({ page }) => page === proven).length, proven).toBeGreaterThan(20);
    expect(named.filter(({ file, title }) => !files[file]?.includes(`"${title}`))).toEqual([]);
});

test("docs/page.md says of each place with controls that work which test tries them", () => {
    const sections = pages["docs/page.md"].split(/^## /m).slice(1);
    const working = sections.filter((section) => /^\| `.*\| works \|/m.test(section)).map((section) => section.split("\n")[0]);
    const tried = sections.at(-1)?.split("\n").slice(7) ?? [];
    expect(tried.filter((row) => row !== "").map((row) => row.split(" | ")[0].slice(2))).toEqual(working);
});
