/** What the `pulumi` command says of a stack, for tests of the commands that ask it. */
import { secretSettings } from "./settings.ts";
import type { Says } from "./commands.ts";

/** A resource in the state, as far as it is looked at. */
interface StateResource {
    type: string;
    id?: string;
}

export interface StackOptions {
    name?: string;
    settings: Record<string, string | undefined>;
    /** Secret settings that the user keeps in plain text. */
    plainText?: string[];
    state?: StateResource[];
    outputs?: Record<string, string>;
}

/** The answers of the CLI, as 3.259.0 was seen to give them. */
export function pulumiSays({ name = "dev", settings, plainText = [], state, outputs = {} }: StackOptions): Record<string, Says> {
    const given = Object.entries(settings).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const config = given.map(([key, value]) => [`private-hermes:${key}`, { value, secret: secretSettings.includes(key) && !plainText.includes(key) }]);
    return {
        version: "v3.259.0\n",
        "stack --show-name --non-interactive": `${name}\n`,
        "config --json --show-secrets --non-interactive": JSON.stringify(Object.fromEntries(config)),
        "stack export --non-interactive": JSON.stringify({ version: 3, deployment: { ...(state && { resources: state }) } }),
        "stack output --json --show-secrets --non-interactive": JSON.stringify(outputs),
    };
}
