import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { expect, test } from "vitest";
import { projectFiles } from "../harness/files.ts";

const { scripts, dependencies } = JSON.parse(readFileSync("package.json", "utf8")) as Record<"scripts" | "dependencies", Record<string, string>>;

test("`npm ci --omit=dev` installs all that the program and the commands for users import", () => {
    const files = projectFiles("*.ts", "ops/*.ts").filter((file) => file !== "vitest.config.ts");
    const imported = files.flatMap((file) => [...readFileSync(file, "utf8").matchAll(/(?:from |import\()"([^".][^"]*)"/g)].map(([, name]) => name));
    const packages = imported.filter((name) => !name.startsWith("node:") && !builtinModules.includes(name)).map((name) => /^(@[^/]+\/)?[^/]+/.exec(name)?.[0]);
    expect(packages.length).toBeGreaterThan(3);
    expect(packages.filter((name) => !(`${name}` in dependencies))).toEqual([]);
});

test("no npm script needs a Unix shell", () => {
    // What cmd.exe takes, too: no quotes, variables, globs, pipes, and no program of a Unix. Scripts of npm's own are `node` and `npm`.
    const programs = Object.values(scripts).flatMap((script) => script.split(" && "));
    expect(programs.filter((program) => !/^(node|npm run|vitest|oxlint|oxfmt)( [\w\s./:=%@-]*)?$/.test(program))).toEqual([]);
});
