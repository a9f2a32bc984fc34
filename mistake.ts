import { RunError } from "@pulumi/pulumi/errors.js";

/**
 * An error with which the program ends. Pulumi prints its sentence alone, and has Node.js format the stack all the same, in
 * color. At a frame of the SDK that takes half a minute and the memory of the longest string (nodejs/node#64011), so it has none.
 * Its message stays as it is: for a property that fails the SDK would put `error serializing property` in front, once for each level.
 */
export const mistake = (sentence: string) =>
    Object.defineProperties<RunError>(new RunError(sentence), {
        stack: { value: undefined },
        message: {
            get: () => sentence,
            set: () => {
                // Kept.
            },
        },
    });
