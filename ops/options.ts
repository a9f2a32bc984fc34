/** Command lines of the checks. */
import { parseArgs } from "node:util";

/** Options that a command knows, with what they are; ends the process with 2 and one sentence at any other. */
export function optionsOf<Spec extends Record<string, "boolean" | "string">>(
    spec: Spec,
): { [Name in keyof Spec]?: Spec[Name] extends "boolean" ? boolean : string } {
    try {
        return parseArgs({ options: Object.fromEntries(Object.entries(spec).map(([name, type]) => [name, { type }])) }).values as never;
    } catch {
        console.error(
            `${process.argv.slice(2).join(" ")} isn't known: the options are ${Object.entries(spec)
                .map(([name, type]) => `--${name}${type === "string" ? " and a value" : ""}`)
                .join(" and ")}.`,
        );
        process.exit(2);
    }
}

/** Flags that a command knows. */
export function options<Flag extends string>(...flags: Flag[]): Record<Flag, boolean> {
    const given: Partial<Record<string, boolean>> = optionsOf(Object.fromEntries(flags.map((flag) => [flag, "boolean" as const])));
    return Object.fromEntries(flags.map((flag) => [flag, given[flag] ?? false])) as Record<Flag, boolean>;
}
