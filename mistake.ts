import { RunError } from "@pulumi/pulumi/errors.js";

/**
 * An error with which the program ends. Pulumi prints its sentence alone, and has Node.js format the stack all the same, in
 * color. At a frame of the SDK that takes half a minute and the memory of the longest string (nodejs/node#64011), so it has none.
 */
export const mistake = (sentence: string) => Object.assign(new RunError(sentence), { stack: undefined });
