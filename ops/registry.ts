/** What a token may do at an image registry, found out without pushing or pulling anything. */
import { type Answer, ask, challenge, registryApi, unexpected } from "../http.ts";
import type { SettingName, Settings } from "../config.ts";
import { type Check, failure, type Finding, ok, unchecked, warning } from "./report.ts";
import { type Stack, whenRight } from "./stack.ts";

/** `rights` is undefined where the registry takes the token but doesn't say what it may do. */
type Verdict = { valid: false } | { valid: true; owner?: string; rights?: { pull: boolean; push: boolean; more: string[] } };

type Login = Pick<Settings, "imageRegistry" | "imageBase" | "registryUser">;

/**
 * GitHub names the scopes of a classic token with every answer of its API (docs.github.com, "Scopes for OAuth apps");
 * GHCR's own token endpoint gives a token to anybody.
 */
async function github(token: string): Promise<Verdict> {
    const url = "https://api.github.com/user";
    const answer = await ask(url, { bearer: token });
    if (answer.status === 401) return { valid: false };
    if (answer.status !== 200) throw unexpected(url, answer);
    const scopes = (answer.headers.get("x-oauth-scopes") ?? "")
        .split(",")
        .map((scope) => scope.trim())
        .filter((scope) => scope !== "");
    const push = scopes.includes("write:packages");
    return {
        valid: true,
        owner: (answer.body as { login: string }).login,
        // A token that may write may read, too.
        rights: { pull: push || scopes.includes("read:packages"), push, more: scopes.filter((scope) => scope !== "read:packages") },
    };
}

interface Access {
    name: string;
    actions: string[];
}

/** What a registry's token grants, where it is a JWT (distribution.github.io, "Token Authentication Implementation"). */
function accessOf({ body }: Answer): Access[] | undefined {
    const { token, access_token } = body as { token?: string; access_token?: string };
    try {
        const claims = JSON.parse(Buffer.from((token ?? access_token ?? "").split(".")[1], "base64url").toString()) as { access?: Access[] };
        return claims.access ?? [];
    } catch {
        return undefined; // opaque
    }
}

/** The way that Docker logs in (distribution.github.io, "Token Authentication Specification"). */
async function distribution({ imageRegistry, imageBase, registryUser }: Login, repository: string, token: string): Promise<Verdict> {
    const [host] = imageRegistry.split("/");
    const root = registryApi(host);
    const basic = { user: registryUser, password: token };
    const { status, headers } = await ask(root);
    const header = headers.get("www-authenticate") ?? "";
    if (status !== 401 || !/^(Bearer|Basic)\b/i.test(header)) throw unexpected(root, { status });
    if (/^Basic/i.test(header)) {
        const answer = await ask(root, { basic });
        if (answer.status === 401 || answer.status === 403) return { valid: false };
        if (answer.status !== 200) throw unexpected(root, answer);
        return { valid: true };
    }

    const { realm, service } = challenge(header);
    const name = `${imageBase.slice(host.length + 1)}/${repository}`;
    const wanted = async (actions: string) => {
        const url = new URL(realm);
        url.search = new URLSearchParams({ service, scope: `repository:${name}:${actions}` }).toString();
        return ask(url.href, { basic });
    };
    let answer = await wanted("pull,push");
    let refused = false;
    if (answer.status === 403) {
        // Some registries refuse the whole question rather than grant a part of it.
        refused = true;
        answer = await wanted("pull");
    }
    if (answer.status === 401 || answer.status === 403) return { valid: false };
    if (answer.status !== 200) throw unexpected(realm, answer);
    const access = accessOf(answer);
    if (!access) return refused ? { valid: true, rights: { pull: true, push: false, more: [] } } : { valid: true };
    const actions = access.filter((each) => each.name === name).flatMap((each) => each.actions);
    const may = (action: string) => actions.includes(action) || actions.includes("*");
    return { valid: true, rights: { pull: may("pull"), push: may("push"), more: actions.filter((action) => action !== "pull") } };
}

/** Asks a registry about a token. Rejects with `Unchecked` when it can't be reached. */
const askRegistry = (login: Login, repository: string, token: string): Promise<Verdict> =>
    login.imageRegistry === "ghcr.io" ? github(token) : distribution(login, repository, token);

const pushHint = "make a classic token at github.com/settings/tokens/new?scopes=write:packages";
const pullHint = "make a classic token at github.com/settings/tokens/new?scopes=read:packages";

/** The way out at GHCR; elsewhere tokens are made in other places, and rights have other names. */
const at = (registry: string, hint: string, right: string) => (registry === "ghcr.io" ? hint : `give it the right to ${right} at ${registry.split("/")[0]}`);

async function push({ name, settings }: Stack): Promise<Finding> {
    const { imageRegistry: registry, registryUser: user } = settings;
    const verdict = await askRegistry(settings, `hermes-${name}`, settings.registryToken);
    if (!verdict.valid) return failure(`${registry} doesn't take registryToken`, at(registry, pushHint, "push"));
    if (!verdict.rights) return unchecked(`${registry} takes registryToken but doesn't say whether it may push`);
    if (!verdict.rights.push) return failure("registryToken may not push", at(registry, pushHint, "push"));
    const { owner = user } = verdict;
    if (owner.toLowerCase() !== user.toLowerCase()) {
        return warning(
            `registryToken belongs to ${owner} and the images go to ${user}`,
            `set registryUser to ${owner}, unless ${user} is an organization that lets ${owner} push`,
        );
    }
    const more = verdict.rights.more.filter((right) => right !== "push" && right !== "write:packages");
    if (more.length > 0) return warning(`registryToken may do more than push (${more.join(", ")})`, at(registry, pushHint, "push only"));
    return ok(`registryToken may push to ${settings.imageBase}, and nothing more`);
}

async function pull({ name, settings }: Stack): Promise<Finding> {
    const { imageRegistry: registry, registryPullToken, registryToken } = settings;
    const hint = at(registry, pullHint, "pull only");
    if (registryPullToken === registryToken) return warning("registryPullToken isn't set, so Render gets registryToken, which can push", hint);
    const verdict = await askRegistry(settings, `hermes-${name}`, registryPullToken);
    if (!verdict.valid) return failure(`${registry} doesn't take registryPullToken`, hint);
    if (!verdict.rights) return unchecked(`${registry} takes registryPullToken but doesn't say what it may do`);
    const { pull: mayPull, more } = verdict.rights;
    if (!mayPull) return failure("registryPullToken may not pull", hint);
    return more.length > 0 ? warning(`registryPullToken may do more than pull (${more.join(", ")})`, hint) : ok("registryPullToken may pull, and nothing more");
}

/** What can be asked before anything is pushed or pulled. */
export function beforeUp(stack: Stack): Check[] {
    const registry: SettingName[] = ["registryUser", "imageRegistry"];
    return [
        { name: "Registry, push", about: ["registryUser", "registryToken"], run: whenRight(stack, [...registry, "registryToken"], () => push(stack)) },
        { name: "Registry, pull", about: ["registryPullToken"], run: whenRight(stack, [...registry, "registryToken", "registryPullToken"], () => pull(stack)) },
    ];
}
