import { RunError } from "@pulumi/pulumi/errors.js";

/**
 * An error with which the program ends. Pulumi prints only its sentence, but Node.js still formats the stack, in color. At a frame
 * of the SDK that takes half a minute and as much memory as the longest string (nodejs/node#64011). So we remove the stack.
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
