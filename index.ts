import * as docker from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as render from "@pulumi/render";
import { readSettings } from "./config";
import { keepDisk, moveRefusal, tellOfNewOwner } from "./data";
import { refusePublicResources } from "./guard";

const settings = readSettings();
refusePublicResources();

// Names at Render are unique within a workspace: the stack's name lets a second stack stand beside the first. In lower
// case, because the images are named so, too.
const stack = pulumi.getStack().toLowerCase();
const hermesName = `hermes-${stack}`;
const openWebUiName = `open-webui-${stack}`;

const provider = new render.Provider(
    "render",
    {
        apiKey: pulumi.secret(settings.renderApiKey),
        ownerId: settings.renderOwnerId,
        // With `true`, a first deploy that fails leaves a service that Pulumi doesn't know and the next `up` collides with.
        waitForDeployCompletion: false,
    },
    { hooks: { beforeUpdate: [tellOfNewOwner()] } },
);

// --- Secrets that nobody has to invent ---------------------------------------------------------------------------

/** The bearer key between the two services, and the only thing that `keyRotation` replaces. */
const sharedKey = pulumi.secret(
    new random.RandomBytes("shared-key", { length: 32, keepers: { rotation: settings.keyRotation } }).hex,
);
/** Signs the sessions of Open WebUI: with a new one everybody has to sign in again. */
const sessionKey = pulumi.secret(new random.RandomBytes("session-key", { length: 32 }).hex);
/** Letters and digits only: it gets typed on a phone. 24 of them are 142 bits. */
const adminPassword = pulumi.secret(new random.RandomPassword("admin-password", { length: 24, special: false }).result);

// --- Images, built here and pulled by Render ---------------------------------------------------------------------

/** Builds a folder of this repository and pushes it; the digest changes with the folder's content. */
const image = (name: string, folder: string) =>
    new docker.Image(
        name,
        {
            context: { location: folder },
            platforms: ["linux/amd64"], // All that Render runs, also when the laptop is an ARM one.
            tags: [`${settings.imageBase}/${name}:latest`],
            push: true,
            registries: [
                {
                    address: settings.imageRegistry.split("/")[0],
                    username: settings.ghcrUser,
                    password: pulumi.secret(settings.ghcrToken),
                },
            ],
        },
        // Run with another DOCKER_HOST, docker-build replaces an image: it pushes the same digest once more, and would
        // then delete it as the old one's, although Render pulls it at every start.
        { retainOnDelete: true },
    );

const hermesImage = image(hermesName, "./hermes");
const openWebUiImage = image(openWebUiName, "./openwebui");

const registryCredential = new render.RegistryCredential(
    "registry",
    {
        name: `private-hermes-${stack}`,
        registry: settings.renderRegistry,
        username: settings.ghcrUser,
        authToken: pulumi.secret(settings.ghcrPullToken),
    },
    // A mistyped token then fails at the push, before Render has it in the place of one that works.
    { provider, dependsOn: [hermesImage, openWebUiImage] },
);

/** What Render runs: the digest and never a tag, so that it is exactly what was built here. */
const source = (name: string, { digest }: docker.Image) => ({
    image: { imageUrl: `${settings.imageBase}/${name}`, digest, registryCredentialId: registryCredential.id },
});

// --- The two private services ------------------------------------------------------------------------------------

const service = {
    region: settings.renderRegion, // One for both: the private network doesn't cross regions.
    // What a running answer gets to finish (40 s in hermes/config.yaml, UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN below) and
    // time to clear up.
    maxShutdownDelaySeconds: 60,
};
const serviceOptions = {
    provider,
    // A new region replaces the services, and their disks go with them. Render refuses a second one of the same name.
    ignoreChanges: settings.mayChangeRegion ? [] : ["region"],
    deleteBeforeReplace: true,
    hooks: { beforeUpdate: [keepDisk()] },
    protect: settings.protectData,
};

/** Render's form of an environment. */
const env = (variables: Record<string, pulumi.Input<string>>) =>
    Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, { value }]));

/** The id under which Hermes offers itself and Open WebUI selects it; the model behind it is `modelDefault`. */
const modelId = "hermes-agent";

const hermes = new render.PrivateService(
    "hermes",
    {
        ...service,
        name: hermesName,
        plan: settings.hermesPlan,
        runtimeSource: source(hermesName, hermesImage),
        disk: { name: "hermes-data", mountPath: "/opt/data", sizeGb: settings.hermesDiskGb },
        envVars: env({
            PORT: "8642", // Render's default of 10000 can't be used on the private network.
            API_SERVER_ENABLED: "true",
            API_SERVER_HOST: "0.0.0.0",
            API_SERVER_PORT: "8642",
            API_SERVER_KEY: sharedKey,
            API_SERVER_MODEL_NAME: modelId,
            HERMES_MODEL: settings.modelDefault,
            HERMES_TIMEZONE: settings.timezone,
            OPENROUTER_API_KEY: pulumi.secret(settings.openrouterApiKey),
            MODAL_TOKEN_ID: pulumi.secret(settings.modalTokenId),
            MODAL_TOKEN_SECRET: pulumi.secret(settings.modalTokenSecret),
            ...(settings.telegram && {
                TELEGRAM_BOT_TOKEN: pulumi.secret(settings.telegram.botToken),
                TELEGRAM_ALLOWED_USERS: settings.telegram.allowedUsers,
                // Where scheduled jobs report to: a private chat has the id of its user.
                TELEGRAM_HOME_CHANNEL: settings.telegram.allowedUsers.split(",")[0],
            }),
        }),
    },
    serviceOptions,
);

// `slug` is the host name on the private network. Render's own `url` carries a port that may change.
export const hermesInternalUrl = pulumi.interpolate`http://${hermes.slug}:8642`;
export const openWebUiTailnetUrl = `https://${settings.webuiHostname}.${settings.tailnetDnsName}`;

const openWebUi = new render.PrivateService(
    "open-webui",
    {
        ...service,
        name: openWebUiName,
        plan: settings.webuiPlan,
        runtimeSource: source(openWebUiName, openWebUiImage),
        disk: { name: "open-webui-data", mountPath: "/app/backend/data", sizeGb: settings.webuiDiskGb },
        envVars: env({
            HOST: "0.0.0.0", // Render wants one port bound on all interfaces; the private network is all there is.
            PORT: "8080",

            // Hermes, and nothing else, as the model provider.
            OPENAI_API_BASE_URL: pulumi.interpolate`${hermesInternalUrl}/v1`,
            OPENAI_API_KEY: sharedKey,
            DEFAULT_MODELS: modelId,
            ENABLE_OLLAMA_API: "false",

            // The tailnet, and nothing else, as the way in.
            TS_AUTHKEY: pulumi.secret(settings.tailscaleAuthKey),
            TS_HOSTNAME: settings.webuiHostname,
            WEBUI_URL: openWebUiTailnetUrl,
            CORS_ALLOW_ORIGIN: openWebUiTailnetUrl,
            FORWARDED_ALLOW_IPS: "127.0.0.1",
            WEBUI_SESSION_COOKIE_SECURE: "true",
            WEBUI_SESSION_COOKIE_SAME_SITE: "strict",
            JWT_EXPIRES_IN: "7d",

            // Accounts. What is stored would win over the environment, and a setting changed by a click would outlive
            // every `up`: so nothing is stored.
            ENABLE_PERSISTENT_CONFIG: "false",
            WEBUI_SECRET_KEY: sessionKey,
            WEBUI_ADMIN_NAME: "Admin",
            WEBUI_ADMIN_EMAIL: settings.webuiAdminEmail,
            WEBUI_ADMIN_PASSWORD: adminPassword,
            ENABLE_SIGNUP: settings.webuiSignup,
            DEFAULT_USER_ROLE: "pending",
            BYPASS_MODEL_ACCESS_CONTROL: "true", // Otherwise only the admin sees the model.

            // One agent run for each message: each of these would ask Hermes once more, at the price of a whole run.
            ENABLE_TITLE_GENERATION: "false",
            ENABLE_TAGS_GENERATION: "false",
            ENABLE_FOLLOW_UP_GENERATION: "false",
            ENABLE_AUTOCOMPLETE_GENERATION: "false",
            ENABLE_SEARCH_QUERY_GENERATION: "false",
            ENABLE_RETRIEVAL_QUERY_GENERATION: "false",
            DEFAULT_MODEL_METADATA: JSON.stringify({ capabilities: { builtin_tools: false } }),

            // Code runs in Modal. Plugins are Python that an admin session could run beside the tailnet's keys.
            ENABLE_PLUGINS: "false",
            ENABLE_CODE_EXECUTION: "false",
            ENABLE_CODE_INTERPRETER: "false",

            // Uploads go to the model as text; there is no embedding model here to index them.
            BYPASS_EMBEDDING_AND_RETRIEVAL: "true",
            RAG_FILE_MAX_SIZE: settings.uploadLimitMb, // In MB.
            OFFLINE_MODE: "true",
            ENABLE_COMMUNITY_SHARING: "false",

            // Half the memory under load, and a stop within the shutdown delay.
            DATABASE_POOL_SIZE: "8",
            DATABASE_SQLITE_PRAGMA_CACHE_SIZE: "-2000",
            DATABASE_SQLITE_PRAGMA_MMAP_SIZE: "0",
            UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN: "30",
        }),
    },
    { ...serviceOptions, dependsOn: hermes },
);

// Said once both are known, and by the preview of `up`: nothing has been changed then.
void pulumi.all([hermes.region, openWebUi.region]).apply(([hermesRegion, openWebUiRegion]) => {
    const reason = moveRefusal({ [hermesName]: hermesRegion, [openWebUiName]: openWebUiRegion }, settings.renderRegion);
    // A logged error alone doesn't end `up`, and of one that is thrown here Pulumi would print the stack, if it had one.
    if (reason) throw Object.assign(new pulumi.RunError(reason), { stack: undefined });
});

export const openWebUiAdminEmail = settings.webuiAdminEmail;
export const openWebUiAdminPassword = adminPassword;
export const hermesServiceId = hermes.id;
export const openWebUiServiceId = openWebUi.id;
