/** Command lines of the checks. */
import { parseArgs } from "node:util";

/** Flags that a command knows; ends the process with 2 and one sentence at any other. */
export function options<Flag extends string>(...flags: Flag[]): Record<Flag, boolean> {
    try {
        const { values } = parseArgs({ options: Object.fromEntries(flags.map((flag) => [flag, { type: "boolean", default: false }])) });
        return values as Record<Flag, boolean>;
    } catch {
        console.error(`${process.argv.slice(2).join(" ")} isn't known: the options are ${flags.map((flag) => `--${flag}`).join(" and ")}.`);
        process.exit(2);
    }
}
