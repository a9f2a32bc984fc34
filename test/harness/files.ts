import { globSync, readFileSync } from "node:fs";

/** Paths of the project's own files that one of these patterns fits; without Git, for the project may come as an archive. */
export const projectFiles = (...patterns: string[]) => globSync(patterns, { exclude: ["**/node_modules/**", ".git/**", "sdks/**", "test/.reports/**"] }).sort();

/** What an image sets in the environment, by the name: the ENV of its Dockerfile. */
export function environmentOfImage(folder: "hermes" | "openwebui"): Record<string, string> {
    const dockerfile = readFileSync(`${folder}/Dockerfile`, "utf8").replaceAll(/^ *#.*\n/gm, "");
    const assignments = [...dockerfile.matchAll(/^ENV ((?:.*\\\n)*.*)$/gm)].flatMap(([, text]) => [
        ...text.matchAll(/(?<![^\s])([A-Z_]+)=('[^']*'|"[^"]*"|[^\s\\]*)/g),
    ]);
    return Object.fromEntries(assignments.map(([, name, value]) => [name, value.replace(/^(["'])(.*)\1$/, "$2")]));
}
