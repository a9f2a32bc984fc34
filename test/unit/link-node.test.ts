import { spawnSync } from "node:child_process";
import { copyFileSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";

// The script as npm runs it after the installation, in a checkout that has nothing else.

let folder: string;
const path = (name: string) => join(folder, name);
const link = () => path("node_modules/.bin/node");

beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "private-hermes-link-"));
    onTestFinished(() => {
        rmSync(folder, { recursive: true });
    });
    for (const name of ["ops", "node_modules/.bin"]) mkdirSync(path(name), { recursive: true });
    copyFileSync("ops/link-node.mjs", path("ops/link-node.mjs"));
});

/** Puts a Node.js where its npm package has it. */
function bring(name: string) {
    mkdirSync(path(`node_modules/${name}/bin`), { recursive: true });
    writeFileSync(path(`node_modules/${name}/bin/node`), name);
}

function install() {
    const { status, stderr } = spawnSync(process.execPath, [path("ops/link-node.mjs")], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(status).toBe(0);
}

describe.skipIf(process.platform === "win32")("after the installation", () => {
    const own = `${process.platform}-${process.arch}`;

    test.each([`node-${own}`, `node-bin-${own}`])("%s is linked, and that of another system isn't", (name) => {
        bring("node-other-system");
        bring(name);
        install();
        expect(lstatSync(link()).isSymbolicLink()).toBe(true);
        expect(readFileSync(link(), "utf8")).toBe(name);
    });

    test("a link that npm has left stays", () => {
        bring(`node-${own}`);
        writeFileSync(link(), "npm's own");
        install();
        expect(readFileSync(link(), "utf8")).toBe("npm's own");
    });

    test("where no Node.js was brought nothing is linked", () => {
        install();
        expect(lstatSync(link(), { throwIfNoEntry: false })).toBeUndefined();
    });
});
