/** What Exa says of the key. */
import { ask, unexpected } from "../http.ts";
import { type Check, failure, type Finding, ok } from "./report.ts";
import { type Stack, whenRight } from "./stack.ts";

const url = "https://api.exa.ai/contents";

/**
 * Asks Exa to read one page, for it has no question about a key alone, and a search costs seven times as much (exa.ai/docs/admin/pricing). The statuses are those of exa.ai/docs/admin/error-codes.
 */
async function key({ settings: { exaApiKey } }: Stack): Promise<Finding> {
    const answer = await ask(url, {}, { "x-api-key": exaApiKey }, { urls: ["https://exa.ai"], text: { maxCharacters: 1 } });
    switch (answer.status) {
        case 200:
            return ok("exaApiKey is valid; to have it checked costs $0.001");
        case 401:
            return failure("Exa doesn't take exaApiKey", "make a key, with a budget, at dashboard.exa.ai/api-keys");
        case 402:
            return failure("the credit at Exa is used up, or the budget of exaApiKey", "add some, or raise the budget, at dashboard.exa.ai");
        case 403:
            return failure("exaApiKey may not read pages", "make another key at dashboard.exa.ai/api-keys, or look at the account's plan there");
        default:
            throw unexpected(url, answer);
    }
}

/** What can be asked before the first search; nothing without a key. */
export function beforeUp(stack: Stack): Check[] {
    if (!stack.settings.exaApiKey) return [];
    return [{ name: "Exa", about: ["exaApiKey"], run: whenRight(stack, ["exaApiKey"], () => key(stack)) }];
}
