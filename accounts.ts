/**
 * Credentials, tried before `pulumi up` builds something or hands them on: what is wrong with one then names its setting. A
 * preview changes nothing and asks nobody, so it works without a network. What can't be reached is warned of and stops nothing.
 */
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "./config.ts";
import { type Answer, ask, challenge, registryApi, renderApi, unexpected, Unchecked } from "./http.ts";
import { mistake } from "./mistake.ts";

/** Throws the sentence that the question ends with, if it ends with one. */
async function refuse(what: string, question: () => Promise<string | undefined>): Promise<void> {
    try {
        const reason = await question();
        if (reason) throw mistake(reason);
    } catch (error) {
        if (!(error instanceof Unchecked)) throw error;
        await pulumi.log.warn(`${what} couldn't be tried, and is used as it is: ${error.message}.`);
    }
}

/** Ends `up` before an image is built when Render doesn't take the key, or when the key doesn't open the workspace. */
export async function refuseWrongAccount({ renderApiKey, renderOwnerId }: Settings): Promise<void> {
    if (pulumi.runtime.isDryRun()) return;
    await refuse("renderApiKey", async () => {
        const url = `${renderApi()}/owners/${renderOwnerId}`;
        const answer = await ask(url, { bearer: renderApiKey });
        if (answer.status === 401) return "renderApiKey isn't taken by Render: make a key in its dashboard, Account Settings, API Keys.";
        if (answer.status === 403 || answer.status === 404) {
            return (
                `renderOwnerId ${renderOwnerId} isn't a workspace that renderApiKey opens: copy it from the URL of the workspace's settings, ` +
                "or make the key as a member of that workspace."
            );
        }
        if (answer.status !== 200) throw unexpected(url, answer);
        return undefined;
    });
}

/** What a manifest may be: an image, or an index of images. */
const manifests = ["oci.image.index.v1", "oci.image.manifest.v1", "docker.distribution.manifest.list.v2", "docker.distribution.manifest.v2"]
    .map((type) => `application/vnd.${type}+json`)
    .join();

/** Asks for an image as Docker does (distribution.github.io, "Token Authentication Specification"). */
async function manifestOf(host: string, name: string, digest: string, basic: { user: string; password: string }): Promise<Answer> {
    const url = `${registryApi(host)}${name}/manifests/${digest}`;
    const accept = { accept: manifests };
    const asked = (await ask(url, {}, accept)).headers.get("www-authenticate") ?? "";
    if (!/^Bearer\b/i.test(asked)) return ask(url, { basic }, accept);
    const { realm, service } = challenge(asked);
    const login = new URL(realm);
    login.search = new URLSearchParams({ ...(service && { service }), scope: `repository:${name}:pull` }).toString();
    const answer = await ask(login.href, { basic });
    if (answer.status !== 200) return answer;
    const { token, access_token } = answer.body as { token?: string; access_token?: string };
    return ask(url, { bearer: token ?? access_token }, accept);
}

/**
 * The token that Render pulls with, once it has been seen to open these images (digest by name). docker-build doesn't notice a
 * new token while no image changes, and Render takes any: the next restart would be the first to fail.
 */
export function pullTokenFor(images: Record<string, pulumi.Output<string>>, settings: Settings): pulumi.Output<string> {
    const { imageBase, registryUser, registryPullToken, registryToken } = settings;
    if (pulumi.runtime.isDryRun()) return pulumi.secret(registryPullToken);
    const setting = registryPullToken === registryToken ? "registryToken" : "registryPullToken";
    const [host, ...path] = imageBase.split("/");
    const tried = pulumi.all(images).apply(async (digests) => {
        await refuse(setting, async () => {
            for (const [image, digest] of Object.entries(digests)) {
                const name = [...path, image].join("/");
                const { status } = await manifestOf(host, name, digest, { user: registryUser, password: registryPullToken });
                if (status === 401 || status === 403) {
                    return `${setting} doesn't open ${host}/${name}, so Render couldn't pull it: set one that may, Render keeps the one that it has.`;
                }
                if (status === 404)
                    return `${host} has no ${name}@${digest} any more, or hides it from ${setting}: run \`pulumi up --refresh\`, which pushes it anew.`;
                if (status !== 200) throw unexpected(`https://${host}`, { status });
            }
            return undefined;
        });
        return registryPullToken;
    });
    return pulumi.secret(tried);
}
