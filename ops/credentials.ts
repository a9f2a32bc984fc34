/** Each credential against its service, by the cheapest question that changes nothing. */
import { requestAndLimit, type SettingName } from "../config.ts";
import { type Answer, ask, unexpected } from "./http.ts";
import { askModal } from "./modal.ts";
import { askRegistry } from "./registry.ts";
import { askRender } from "./render.ts";
import { type Check, failure, type Finding, ok, Unchecked, unchecked, warning } from "./report.ts";
import { type Stack, whenRight } from "./stack.ts";

const renderKeys = "make a key in Render's dashboard, Account Settings, API Keys";

async function renderOwner({ settings: { renderApiKey, renderOwnerId } }: Stack): Promise<Finding> {
    const { status, body } = await askRender(renderApiKey, `/owners/${renderOwnerId}`);
    if (status === 401) return failure("Render doesn't take renderApiKey", renderKeys);
    if (status === 403 || status === 404) {
        return failure(
            `renderApiKey doesn't belong to the workspace ${renderOwnerId}`,
            "copy renderOwnerId from the URL of the workspace's settings, or make the key as a member of that workspace",
        );
    }
    if (status !== 200) throw new Unchecked(`Render answers ${status}`);
    return ok(`the key opens the workspace “${(body as { name: string }).name}”`);
}

/** Render's API doesn't tell whether a workspace can pay; it takes a service of one that can. */
async function paymentCard({ serviceIds }: Stack): Promise<Finding> {
    if ((await serviceIds()).length > 0) return ok("the workspace has one, for this stack's services run there");
    return unchecked("Render doesn't tell whether the workspace has one, and refuses everything with 402 until it has", "add one under Billing in its dashboard");
}

interface ServiceItem {
    service: { id: string; name: string };
}

async function serviceNames({ name, serviceIds, settings: { renderApiKey, renderOwnerId } }: Stack): Promise<Finding> {
    const own = await serviceIds();
    const names = [`hermes-${name}`, `open-webui-${name}`];
    const answers = await Promise.all(
        names.map((each) => askRender(renderApiKey, `/services?${new URLSearchParams({ name: each, ownerId: renderOwnerId }).toString()}`)),
    );
    const refused = answers.find(({ status }) => status !== 200);
    if (refused) throw new Unchecked(`Render answers ${refused.status}`);
    const foreign = answers
        .flatMap(({ body }) => (body as ServiceItem[]).map(({ service }) => service))
        .filter((service) => names.includes(service.name) && !own.includes(service.id));
    if (foreign.length === 0) return ok(`no ${names.join(" or ")} outside this stack`);
    return failure(
        `${foreign.map(({ id, name: taken }) => `${taken} (${id})`).join(" and ")} exists at Render outside this stack`,
        "after an up that was cut off adopt it (docs/recover.md, “An up that was cut off”), otherwise delete it or use a stack of another name",
    );
}

const pushHint = "make a classic token at github.com/settings/tokens/new?scopes=write:packages";
const pullHint = "make a classic token at github.com/settings/tokens/new?scopes=read:packages";

/** The way out at GHCR; elsewhere tokens are made in other places, and rights have other names. */
const at = (registry: string, hint: string, right: string) => (registry === "ghcr.io" ? hint : `give it the right to ${right} at ${registry.split("/")[0]}`);

async function push({ name, settings }: Stack): Promise<Finding> {
    const { imageRegistry: registry, ghcrUser: user } = settings;
    const verdict = await askRegistry(settings, `hermes-${name}`, settings.ghcrToken);
    if (!verdict.valid) return failure(`${registry} doesn't take ghcrToken`, at(registry, pushHint, "push"));
    if (!verdict.rights) return unchecked(`${registry} takes ghcrToken but doesn't say whether it may push`);
    if (!verdict.rights.push) return failure("ghcrToken may not push", at(registry, pushHint, "push"));
    const { owner = user } = verdict;
    if (owner.toLowerCase() !== user.toLowerCase()) {
        return warning(`ghcrToken belongs to ${owner} and the images go to ${user}`, `set ghcrUser to ${owner}, unless ${user} is an organization that lets ${owner} push`);
    }
    const more = verdict.rights.more.filter((right) => right !== "push" && right !== "write:packages");
    if (more.length > 0) return warning(`ghcrToken may do more than push (${more.join(", ")})`, at(registry, pushHint, "push only"));
    return ok(`ghcrToken may push to ${settings.imageBase}, and nothing more`);
}

async function pull({ name, settings }: Stack): Promise<Finding> {
    const { imageRegistry: registry, ghcrPullToken, ghcrToken } = settings;
    const hint = at(registry, pullHint, "pull only");
    if (ghcrPullToken === ghcrToken) return warning("ghcrPullToken isn't set, so Render gets ghcrToken, which can push", hint);
    const verdict = await askRegistry(settings, `hermes-${name}`, ghcrPullToken);
    if (!verdict.valid) return failure(`${registry} doesn't take ghcrPullToken`, hint);
    if (!verdict.rights) return unchecked(`${registry} takes ghcrPullToken but doesn't say what it may do`);
    const { pull: mayPull, more } = verdict.rights;
    if (!mayPull) return failure("ghcrPullToken may not pull", hint);
    return more.length > 0 ? warning(`ghcrPullToken may do more than pull (${more.join(", ")})`, hint) : ok("ghcrPullToken may pull, and nothing more");
}

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

function openRouterChecks({ settings: { openrouterApiKey, modelDefault } }: Stack): Record<"key" | "limit" | "credit" | "model", () => Promise<Finding>> {
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
            const [{ is_free_tier }, { status, body }] = await Promise.all([validKey(), ask("https://openrouter.ai/api/v1/credits", { bearer: openrouterApiKey })]);
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
    };
}

async function modal({ settings: { modalTokenId, modalTokenSecret } }: Stack): Promise<Finding> {
    const verdict = await askModal(modalTokenId, modalTokenSecret);
    if (verdict === "outdated") return failure("Modal doesn't take the version of its client that is in the Hermes image any more", "take a newer release of this project, or lock a newer modal in hermes/requirements.in");
    return verdict === "taken"
        ? ok("modalTokenId and modalTokenSecret are a valid pair")
        : failure("Modal doesn't take modalTokenId with modalTokenSecret", "make a new pair at modal.com/settings/tokens and set both");
}

/** Dollars a second that a sandbox costs for a core and for a GiB of memory (modal.com/pricing, November 2026). */
const modalPrices = { core: 0.00003942, gib: 0.00000672 };

/** What a sandbox costs while it runs; nothing is asked. */
function sandboxPrice({ settings: { sandboxCpu, sandboxMemoryMb, sandboxIdleMinutes } }: Stack): Finding {
    const [cores, memory] = [sandboxCpu, sandboxMemoryMb].map((value) => requestAndLimit(value) ?? [NaN, NaN]);
    const second = [0, 1].map((index) => cores[index] * modalPrices.core + (memory[index] / 1024) * modalPrices.gib);
    const [hour, most] = second.map((price) => `$${(price * 3600).toFixed(3)}`);
    const chat = (second[0] * 60 * (Number(sandboxIdleMinutes) + 0.5)).toFixed(4);
    return ok(`while one runs it costs ${hour} an hour, at most ${most} with all that it may use, and a chat with one command $${chat}, by Modal's prices of November 2026`);
}

function telegramChecks(stack: Stack): Check[] {
    const { telegram } = stack.settings;
    if (!telegram) return [];
    const { botToken, allowedUsers } = telegram;
    /** Telegram has the token in the path (core.telegram.org/bots/api, "Making requests"). */
    const askBot = (question: string) => ask(`https://api.telegram.org/bot${botToken}/${question}`);
    let question: Promise<Answer> | undefined;
    /** The bot's name; undefined when Telegram doesn't take the token. */
    const botName = async () => {
        const { status, body } = await (question ??= askBot("getMe"));
        if (status === 401 || status === 404) return undefined;
        if (status !== 200) throw new Unchecked(`Telegram answers ${status}`);
        return (body as { result: { username: string } }).result.username;
    };
    const bot = async () => {
        const name = await botName();
        return name ? ok(`telegramBotToken is that of @${name}`) : failure("Telegram doesn't take telegramBotToken", "ask @BotFather for the bot's token, or for a new one");
    };
    const users = async () => {
        const name = await botName();
        if (!name) throw new Unchecked("telegramBotToken has to be put right first");
        const ids = allowedUsers.split(",");
        const answers = await Promise.all(ids.map((id) => askBot(`getChat?chat_id=${id}`)));
        const unknown = ids.filter((_, index) => answers[index].status !== 200);
        if (unknown.length === 0) return ok("the bot may write to each of telegramAllowedUsers");
        return warning(`@${name} may not write to ${unknown.join(" and ")} yet, so no job can report there`, `press Start at t.me/${name} on that account, or correct telegramAllowedUsers`);
    };
    return [
        { name: "Telegram", about: ["telegramBotToken"], run: whenRight(stack, ["telegramBotToken"], bot) },
        { name: "Telegram users", about: ["telegramAllowedUsers"], run: whenRight(stack, ["telegramBotToken", "telegramAllowedUsers"], users) },
    ];
}

/** The checks of everything that has a service to be asked. */
export function credentialChecks(stack: Stack): Check[] {
    const openRouter = openRouterChecks(stack);
    const render: SettingName[] = ["renderApiKey", "renderOwnerId"];
    const registry: SettingName[] = ["ghcrUser", "imageRegistry"];
    const sandbox: SettingName[] = ["sandboxCpu", "sandboxMemoryMb", "sandboxIdleMinutes"];
    return [
        { name: "Render", about: render, run: whenRight(stack, render, () => renderOwner(stack)) },
        { name: "Payment card", run: () => paymentCard(stack) },
        { name: "Service names", run: whenRight(stack, render, () => serviceNames(stack)) },
        { name: "Registry, push", about: ["ghcrUser", "ghcrToken"], run: whenRight(stack, [...registry, "ghcrToken"], () => push(stack)) },
        { name: "Registry, pull", about: ["ghcrPullToken"], run: whenRight(stack, [...registry, "ghcrToken", "ghcrPullToken"], () => pull(stack)) },
        { name: "OpenRouter", about: ["openrouterApiKey"], run: whenRight(stack, ["openrouterApiKey"], openRouter.key) },
        { name: "Spending limit", about: ["openrouterApiKey"], run: whenRight(stack, ["openrouterApiKey"], openRouter.limit) },
        { name: "Credit", about: ["openrouterApiKey"], run: whenRight(stack, ["openrouterApiKey"], openRouter.credit) },
        { name: "Model", about: ["modelDefault"], run: whenRight(stack, ["modelDefault"], openRouter.model) },
        { name: "Modal", about: ["modalTokenId", "modalTokenSecret"], run: whenRight(stack, ["modalTokenId", "modalTokenSecret"], () => modal(stack)) },
        { name: "Sandbox price", about: sandbox, run: whenRight(stack, sandbox, () => Promise.resolve(sandboxPrice(stack))) },
        ...telegramChecks(stack),
    ];
}
