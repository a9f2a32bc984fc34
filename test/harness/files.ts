import { globSync } from "node:fs";

/** Paths of the project's own files that one of these patterns fits; without Git, for the project may come as an archive. */
export const projectFiles = (...patterns: string[]) => globSync(patterns, { exclude: ["**/node_modules/**", ".git/**", "sdks/**", "test/.reports/**"] }).sort();
