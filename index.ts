import * as docker from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as render from "@pulumi/render";
import { pullTokenFor, refuseWrongAccount } from "./accounts.ts";
import { backupBeforeDelete, backupEnvironment, tellOfNoBackups } from "./backups.ts";
import { readSettings, tailnetPort, tailnetTag } from "./config.ts";
import { keepDisk, refuseMove, tellOfNewKeys, tellOfNewOwner, tellWhatStays } from "./data.ts";
import { refusePublicResources } from "./guard.ts";

const settings = readSettings();
refusePublicResources();
await refuseWrongAccount(settings);

// Names at Render are unique within a workspace, and a second stack may stand beside the first. In lower case, as images are named.
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

// No RandomBytes: its id is the secret itself, and ids stand in the state in plain text. 43 letters and digits are 256 bits.
const key = { length: 43, special: false };
/** The bearer key between the two services, and the only thing that `keyRotation` replaces. */
const sharedKey = pulumi.secret(new random.RandomPassword("shared-key", { ...key, keepers: { rotation: settings.keyRotation } }).result);
/** Signs the sessions of Open WebUI: with a new one everybody has to sign in again. */
const sessionKey = pulumi.secret(new random.RandomPassword("session-key", key).result);
/** Letters and digits only: it gets typed on a phone. 24 of them are 142 bits. */
const adminPassword = pulumi.secret(new random.RandomPassword("admin-password", { length: 24, special: false }).result);

// --- Images, built here and pulled by Render ---------------------------------------------------------------------

const image = (name: string) => ({
    platforms: [docker.Platform.Linux_amd64], // All that Render runs, also when the laptop is an ARM one.
    tags: [`${settings.imageBase}/${name}:latest`],
    push: true,
    registries: [{ address: settings.imageRegistry.split("/")[0], username: settings.registryUser, password: pulumi.secret(settings.registryToken) }],
});
// Run with another DOCKER_HOST, docker-build replaces an image: it pushes the same digest once more, and would then
// delete it as the old one's, although Render pulls it at every start.
const keep = { retainOnDelete: true };
const hermesImage = new docker.Image(hermesName, { context: { location: "./hermes" }, ...image(hermesName) }, keep);
const openWebUiImage = new docker.Image(openWebUiName, { context: { location: "./openwebui" }, ...image(openWebUiName) }, keep);

const registryCredential = new render.RegistryCredential(
    "registry",
    {
        name: `private-hermes-${stack}`,
        registry: settings.renderRegistry,
        username: settings.registryUser,
        // Tried first, for Render takes any in the place of one that works.
        authToken: pullTokenFor({ [hermesName]: hermesImage.digest, [openWebUiName]: openWebUiImage.digest }, settings),
    },
    // A registryToken that can't push fails there, and that only when an image changes: docker-build doesn't look at it otherwise.
    { provider, dependsOn: [hermesImage, openWebUiImage] },
);

/** What Render runs: the digest and never a tag, so that it is exactly what was built here. */
const source = (name: string, { digest }: docker.Image) => ({
    image: { imageUrl: `${settings.imageBase}/${name}`, digest, registryCredentialId: registryCredential.id },
});

// --- The two private services: which reaches which, and what each knows; the rest of their settings stands in the images ---

// Render has to be told where they listen, for its default of 10000 can't be used on the private network.
const hermesPort = "8642";
const openWebUiPort = "8080";
/** The id under which Hermes offers itself and Open WebUI selects it; the model behind it is `modelDefault`. */
const modelId = "hermes-agent";

const service = {
    region: settings.renderRegion, // One for both: the private network doesn't cross regions.
    // What a running answer gets to finish (40 s in hermes/config.yaml, 30 s in openwebui/Dockerfile), time to clear up, and a last backup.
    maxShutdownDelaySeconds: settings.hasBackups ? 120 : 60,
    notificationOverride: { notificationsToSend: "failure" }, // A mail to the owner, whatever the workspace's default is.
};
tellOfNoBackups(settings);
const lastBackup = backupBeforeDelete(settings, stack); // Made in any case: a stack that had it bound asks for it.
const serviceOptions = {
    provider,
    // A new region replaces the services, and their disks go with them. Render refuses a second one of the same name.
    ignoreChanges: settings.mayChangeRegion ? [] : ["region"],
    deleteBeforeReplace: true,
    hooks: { beforeUpdate: [keepDisk()], beforeDelete: settings.protectData === "backup" ? [lastBackup] : [] },
    protect: settings.protectData === "true",
};

/** Render's form of an environment. */
const env = (variables: Record<string, pulumi.Input<string>>) => Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, { value }]));

const hermes = new render.PrivateService(
    "hermes",
    {
        ...service,
        name: hermesName,
        plan: settings.hermesPlan,
        runtimeSource: source(hermesName, hermesImage),
        disk: { name: "hermes-data", mountPath: "/opt/data", sizeGb: settings.hermesDiskGb },
        envVars: env({
            PORT: hermesPort,
            API_SERVER_PORT: hermesPort,
            API_SERVER_KEY: sharedKey,
            API_SERVER_MODEL_NAME: modelId,
            HERMES_MODEL: settings.modelDefault,
            VOICE_MODEL: settings.voiceModel,
            HERMES_TIMEZONE: settings.timezone,
            OPENROUTER_API_KEY: pulumi.secret(settings.openrouterApiKey),
            MODAL_TOKEN_ID: pulumi.secret(settings.modalTokenId),
            MODAL_TOKEN_SECRET: pulumi.secret(settings.modalTokenSecret),
            SANDBOX_CPU: settings.sandboxCpu,
            SANDBOX_MEMORY_MB: settings.sandboxMemoryMb,
            SANDBOX_IDLE_MINUTES: settings.sandboxIdleMinutes,
            SANDBOX_BACKGROUND_MINUTES: settings.sandboxBackgroundMinutes,
            SANDBOX_NETWORK: settings.sandboxNetwork,
            SANDBOX_PACKAGES: settings.sandboxPackages,
            FILE_LIMIT_MB: settings.fileLimitMb,
            SESSION_DAYS: settings.sessionDays,
            JOB_MINUTES: settings.jobMinutes,
            JOBS_PER_PERSON: settings.jobsPerPerson,
            JOB_TURNS: settings.jobTurns,
            JOB_TOKENS: settings.jobTokens,
            ...backupEnvironment("hermes", stack, settings),
            ...(settings.exaApiKey && { EXA_API_KEY: pulumi.secret(settings.exaApiKey) }),
            ...(settings.sandboxSecrets && { SANDBOX_SECRETS: pulumi.secret(settings.sandboxSecrets) }),
            ...(settings.telegram && {
                TELEGRAM_BOT_TOKEN: pulumi.secret(settings.telegram.botToken),
                TELEGRAM_ALLOWED_USERS: settings.telegram.allowedUsers,
                TELEGRAM_HOME_CHANNEL: settings.telegram.allowedUsers.split(",")[0], // A private chat has the id of its user.
            }),
        }),
    },
    serviceOptions,
);

// `slug` is the host name on the private network. Render's own `url` carries a port that may change.
export const hermesInternalUrl = pulumi.interpolate`http://${hermes.slug}:${hermesPort}`;
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
            PORT: openWebUiPort,
            // The agent.
            OPENAI_API_BASE_URL: pulumi.interpolate`${hermesInternalUrl}/v1`,
            OPENAI_API_KEY: sharedKey,
            DEFAULT_MODELS: modelId,
            AGENT_NAME: settings.agentName,
            VOICE: String(settings.voiceModel !== "none"), // The agent asks the model.
            // The tailnet.
            TS_AUTHKEY: pulumi.secret(settings.tailscaleAuthKey),
            TS_HOSTNAME: settings.webuiHostname,
            WEBUI_URL: openWebUiTailnetUrl,
            CORS_ALLOW_ORIGIN: openWebUiTailnetUrl,
            // The people.
            WEBUI_SECRET_KEY: sessionKey,
            WEBUI_ADMIN_NAME: "Admin",
            WEBUI_ADMIN_EMAIL: settings.webuiAdminEmail,
            WEBUI_ADMIN_PASSWORD: adminPassword,
            ...(settings.signIn === "tailscale" && { WEBUI_AUTH_TRUSTED_EMAIL_HEADER: "Tailscale-User-Login" }),
            ENABLE_SIGNUP: settings.webuiSignup,
            RAG_FILE_MAX_SIZE: settings.fileLimitMb, // In MB.
            ...backupEnvironment("open-webui", stack, settings),
        }),
    },
    { ...serviceOptions, hooks: { ...serviceOptions.hooks, beforeUpdate: [...serviceOptions.hooks.beforeUpdate, tellOfNewKeys()] } },
);

tellWhatStays([hermes, openWebUi], settings.renderOwnerId);
refuseMove({ [hermesName]: hermes, [openWebUiName]: openWebUi }, settings.renderRegion);

const policy = {
    tagOwners: { [tailnetTag]: ["autogroup:admin"] },
    grants: [{ src: ["autogroup:member"], dst: [tailnetTag], ip: [`tcp:${tailnetPort}`] }],
};
/** What the tailnet has to let through, as its access controls take it: people, to the page, over HTTPS, and nothing else. */
export const tailnetPolicy = JSON.stringify(policy, undefined, 2);
export { adminPassword as openWebUiAdminPassword };
export const openWebUiAdminEmail = settings.webuiAdminEmail;
export const hermesServiceId = hermes.id;
export const openWebUiServiceId = openWebUi.id;
