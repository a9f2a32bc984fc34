/** What OpenRouter says of the key and the models. */
import { type Answer, ask, unexpected, Unchecked } from "../http.ts";
import { type Check, failure, type Finding, ok, warning } from "./report.ts";
import { type Stack, whenRight } from "./stack.ts";

interface OpenRouterKey {
    limit: number | null;
    limit_remaining: number | null;
    limit_reset?: string | null;
    is_free_tier?: boolean;
    /** ISO 8601; null for a key that doesn't expire. */
    expires_at?: string | null;
    is_management_key?: boolean;
    is_provisioning_key?: boolean;
}

const openRouterKeys = "openrouter.ai/settings/keys";

function questions({
    settings: { openrouterApiKey, modelDefault, voiceModel },
}: Stack): Record<"key" | "limit" | "credit" | "model" | "voice", () => Promise<Finding>> {
    const url = "https://openrouter.ai/api/v1/key";
    let question: Promise<Answer> | undefined;
    /** The key as OpenRouter knows it, undefined for one that it doesn't take; asked once for three lines. */
    const askForKey = async () => {
        const answer = await (question ??= ask(url, { bearer: openrouterApiKey }));
        if (answer.status === 401) return undefined;
        if (answer.status !== 200) throw unexpected(url, answer);
        return (answer.body as { data: OpenRouterKey }).data;
    };
    const validKey = async () => {
        const key = await askForKey();
        if (!key) throw new Unchecked("openrouterApiKey has to be put right first");
        return key;
    };
    return {
        key: async () => {
            const key = await askForKey();
            if (!key) return failure("OpenRouter doesn't take openrouterApiKey", `make a key, with a spending limit, at ${openRouterKeys}`);
            if (key.is_management_key || key.is_provisioning_key) {
                return failure("openrouterApiKey is a management key, which can't be used for chats", `make an ordinary one at ${openRouterKeys}`);
            }
            if (!key.expires_at) return ok("openrouterApiKey is valid");
            const days = Math.floor((Date.parse(key.expires_at) - Date.now()) / (24 * 60 * 60 * 1000));
            const says = `openrouterApiKey ${days < 0 ? "has expired" : "expires"} on ${key.expires_at.slice(0, 10)}`;
            const wayOut = `make another, with a spending limit, at ${openRouterKeys}`;
            if (days < 0) return failure(says, wayOut);
            return days < 30 ? warning(`${says}, and no chat is answered from then on`, wayOut) : ok(says);
        },
        limit: async () => {
            const { limit, limit_remaining: left, limit_reset: reset } = await validKey();
            if (limit === null) return warning("openrouterApiKey has no spending limit, so nothing caps the model bill", `set one at ${openRouterKeys}`);
            if (left !== null && left <= 0) return failure(`the spending limit of $${limit} is used up`, `raise it at ${openRouterKeys}`);
            return ok(`$${limit}${reset ? ` ${reset}` : ""}, $${left ?? limit} of it left`);
        },
        credit: async () => {
            const [{ is_free_tier }, { status, body }] = await Promise.all([
                validKey(),
                ask("https://openrouter.ai/api/v1/credits", { bearer: openrouterApiKey }),
            ]);
            const buy = "buy some at openrouter.ai/settings/credits";
            if (status === 200) {
                const { total_credits: bought, total_usage: used } = (body as { data: { total_credits: number; total_usage: number } }).data;
                return bought > used ? ok(`$${(bought - used).toFixed(2)} left`) : failure("the account's credit is used up", buy);
            }
            if (is_free_tier && modelDefault.endsWith(":free")) return ok("none bought, which a free model doesn't need");
            if (is_free_tier) return failure("the account has never bought credit, which all but the free models need", buy);
            // OpenRouter tells the balance to management keys only.
            return ok("the account has bought some; what is left of it stands at openrouter.ai/settings/credits");
        },
        model: async () => {
            const url = "https://openrouter.ai/api/v1/models";
            const answer = await ask(url);
            if (answer.status !== 200) throw unexpected(url, answer);
            const { data } = answer.body as { data: { id: string; supported_parameters?: string[] }[] };
            // A variant such as :nitro or :online is a way of routing, and not listed by itself.
            const model = data.find(({ id }) => id === modelDefault) ?? data.find(({ id }) => id === modelDefault.replace(/:[^:]*$/, ""));
            if (!model) return failure(`OpenRouter has no model ${modelDefault}`, "copy the id, vendor included, from openrouter.ai/models into modelDefault");
            return model.supported_parameters?.includes("tools") === false
                ? failure(`${modelDefault} can't call tools, and the agent works by them`, "choose another at openrouter.ai/models?supported_parameters=tools")
                : ok(modelDefault);
        },
        voice: async () => {
            // Those for speech are listed apart (openrouter.ai/docs/guides/overview/multimodal/stt).
            const url = "https://openrouter.ai/api/v1/models?output_modalities=transcription";
            const answer = await ask(url);
            if (answer.status !== 200) throw unexpected(url, answer);
            const { data } = answer.body as { data: { id: string; architecture?: { input_modalities?: string[]; output_modalities?: string[] } }[] };
            const { input_modalities: takes, output_modalities: gives } = data.find(({ id }) => id === voiceModel)?.architecture ?? {};
            return takes?.includes("audio") && gives?.includes("transcription")
                ? ok(voiceModel)
                : failure(
                      `OpenRouter has no model ${voiceModel} that turns speech into text`,
                      "copy an id from openrouter.ai/models?output_modalities=transcription into voiceModel, or write none",
                  );
        },
    };
}

/** What can be asked before the first chat. */
export function beforeUp(stack: Stack): Check[] {
    const { key, limit, credit, model, voice } = questions(stack);
    const about = ["openrouterApiKey"] as const;
    return [
        { name: "OpenRouter", about: [...about], run: whenRight(stack, [...about], key) },
        { name: "Spending limit", about: [...about], run: whenRight(stack, [...about], limit) },
        { name: "Credit", about: [...about], run: whenRight(stack, [...about], credit) },
        { name: "Model", about: ["modelDefault"], run: whenRight(stack, ["modelDefault"], model) },
        ...(stack.settings.voiceModel === "none" ? [] : [{ name: "Voice", about: ["voiceModel" as const], run: whenRight(stack, ["voiceModel"], voice) }]),
    ];
}
