import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import * as render from "@pulumi/render";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { tailnetPort, tailnetTag } from "../../config.ts";
import { refusal } from "../../guard.ts";
import { evaluate, plain, plainStrings, tryProgram, type Program, type Resource } from "../harness/program.ts";
import { environmentOfImage, projectFiles } from "../harness/files.ts";
import { readableIn } from "../harness/forms.ts";
import { backupSettings, declaredSettings, requiredSettings } from "../harness/settings.ts";

const credential = "render:index/registryCredential:RegistryCredential";
const privateService = "render:index/privateService:PrivateService";
const image = "docker-build:index:Image";

const ofType = ({ resources }: Program, type: string) => resources.filter((resource) => resource.type === type);

function service(program: Program, name: string): Resource {
    const found = ofType(program, privateService).find((resource) => resource.name === name);
    if (!found) throw new Error(`the program declares no private service ${name}`);
    return found;
}

const environment = (program: Program, name: string) =>
    Object.fromEntries(
        Object.entries(plain(service(program, name).inputs.envVars) as Record<string, { value: string }>).map(([variable, { value }]) => [variable, value]),
    );

/** The program with nothing but the required settings: evaluated once, for a test only looks at it. */
const standard = await evaluate();

/** What the program warns of. */
async function warnings(...[settings, options]: Parameters<typeof evaluate>): Promise<string[]> {
    const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
    try {
        await evaluate(settings, options);
        return warn.mock.calls.map(([sentence]) => sentence);
    } finally {
        warn.mockRestore();
    }
}

/** Runs hooks as the engine does it, in a preview as well as in an update, with what a resource had and is to have. */
async function update(hooks: pulumi.ResourceHook[], name: string, before: Record<string, unknown>, now: Record<string, unknown>): Promise<void> {
    for (const { opts } of hooks) expect(opts).toEqual({ onDryRun: true });
    for (const { callback } of hooks) await callback({ urn: "", id: "", name, type: "", oldInputs: before, oldOutputs: before, newInputs: now });
}

describe("what the stack consists of", () => {
    test("two private services, two images, a registry credential, three generated secrets, and nothing else", () => {
        const { resources } = standard;
        expect(resources.map(({ type, name }) => `${type} ${name}`).sort()).toEqual([
            "docker-build:index:Image hermes-test",
            "docker-build:index:Image open-webui-test",
            "pulumi:providers:render render",
            "random:index/randomPassword:RandomPassword admin-password",
            "random:index/randomPassword:RandomPassword session-key",
            "random:index/randomPassword:RandomPassword shared-key",
            "render:index/privateService:PrivateService hermes",
            "render:index/privateService:PrivateService open-webui",
            "render:index/registryCredential:RegistryCredential registry",
        ]);
    });

    test("no resource is of a type that the internet reaches", () => {
        const { resources } = standard;
        expect(resources.map(({ type }) => refusal(type)).filter((reason) => reason !== undefined)).toEqual([]);
    });

    test("every Render resource is on the explicit provider", () => {
        const { resources } = standard;
        const elsewhere = resources.filter(({ type, provider }) => type.startsWith("render:") && provider !== "render");
        expect(elsewhere).toEqual([]);
    });

    test("the provider takes key and owner from the configuration and doesn't wait for deploys", async () => {
        const program = await evaluate({ renderApiKey: "rnd_0123456789abcdef", renderOwnerId: "usr-abc123" });
        const [provider] = ofType(program, "pulumi:providers:render");
        expect(plain(provider.inputs)).toMatchObject({
            apiKey: "rnd_0123456789abcdef",
            ownerId: "usr-abc123",
            waitForDeployCompletion: "false",
        });
    });

    test("an image that is replaced stays in the registry: the new one may have the same digest", () => {
        expect(ofType(standard, image).map(({ retainOnDelete }) => retainOnDelete)).toEqual([true, true]);
    });

    test("the registry credential names the registry, the user and the token", async () => {
        const { registryToken } = requiredSettings();
        const [{ inputs }] = ofType(await evaluate({ registryToken }), credential);
        expect(plain(inputs)).toEqual({ name: "private-hermes-test", registry: "GITHUB", username: "Octo-Cat", authToken: registryToken });
    });

    test("Render gets a token after it has pushed both images with it", () => {
        const [{ dependencies }] = ofType(standard, credential);
        expect(dependencies.toSorted()).toEqual(["hermes-test", "open-webui-test"]);
    });

    test("Render gets the read-only token where there is one, and it pushes nothing", async () => {
        const { registryToken } = requiredSettings();
        const registryPullToken = requiredSettings().registryToken;
        const program = await evaluate({ registryToken, registryPullToken });
        expect(plain(ofType(program, credential)[0].inputs.authToken)).toBe(registryPullToken);
        for (const { inputs } of ofType(program, image)) {
            expect(plain(inputs.registries)).toMatchObject([{ password: registryToken }]);
        }
    });

    test.for([
        ["docker.io", "DOCKER", "docker.io/octo-cat"],
        ["registry.gitlab.com/family/agent", "GITLAB", "registry.gitlab.com/family/agent"],
        ["europe-west1-docker.pkg.dev/project/images", "GOOGLE_ARTIFACT", "europe-west1-docker.pkg.dev/project/images"],
    ])("%s is %s to Render", async ([imageRegistry, name, base]) => {
        const program = await evaluate({ imageRegistry });
        expect(plain(ofType(program, credential)[0].inputs.registry)).toBe(name);
        expect(plain(service(program, "hermes").inputs.runtimeSource)).toMatchObject({ image: { imageUrl: `${base}/hermes-test` } });
        for (const { inputs } of ofType(program, image)) {
            expect(plain(inputs.registries)).toMatchObject([{ address: imageRegistry.split("/")[0] }]);
        }
    });
});

describe("the images", () => {
    test.for([
        ["hermes-test", "./hermes"],
        ["open-webui-test", "./openwebui"],
    ])("%s is built from %s for linux/amd64 and pushed", ([name, folder]) => {
        const { inputs } = ofType(standard, image).find((resource) => resource.name === name) as Resource;
        expect(plain(inputs)).toMatchObject({
            context: { location: folder },
            platforms: ["linux/amd64"],
            push: true,
            tags: [`ghcr.io/octo-cat/${name}:latest`],
            registries: [{ address: "ghcr.io", username: "Octo-Cat" }],
        });
        // Build arguments stay readable in the image.
        expect(inputs).not.toHaveProperty("buildArgs");
    });

    test.for(["hermes", "open-webui"])("%s runs the very image that was built, by digest", (name) => {
        const built = ofType(standard, image).find((resource) => resource.name === `${name}-test`) as Resource;
        const { runtimeSource } = service(standard, name).inputs;
        const { image: pulled } = plain(runtimeSource) as { image: Record<string, string> };
        expect(Object.keys(pulled).sort()).toEqual(["digest", "imageUrl", "registryCredentialId"]);
        expect(pulled.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
        expect(`${pulled.imageUrl}:latest`).toBe((plain(built.inputs.tags) as string[])[0]);
        expect(pulled.registryCredentialId).toBe("registry-id");
        expect(service(standard, name).dependencies).toContain(built.name);
    });

    test("their paths are in lower case, whatever the user and the stack are called", async () => {
        const program = await evaluate({ registryUser: "Octo-Cat" }, { stack: "Prod" });
        const paths = ofType(program, image).flatMap(({ inputs }) => plain(inputs.tags) as string[]);
        expect(paths).toEqual(["ghcr.io/octo-cat/hermes-prod:latest", "ghcr.io/octo-cat/open-webui-prod:latest"]);
    });
});

describe("the services", () => {
    test.for([
        ["hermes", { name: "hermes-data", mountPath: "/opt/data", sizeGb: 5 }],
        ["open-webui", { name: "open-webui-data", mountPath: "/app/backend/data", sizeGb: 5 }],
    ] as const)("%s keeps its data on a disk", ([name, disk]) => {
        expect(plain(service(standard, name).inputs.disk)).toEqual(disk);
    });

    test.for(["hermes", "open-webui"])("%s has nothing that a public URL could hang on", (name) => {
        const { inputs } = service(standard, name);
        expect(Object.keys(inputs).sort()).toEqual([
            "disk",
            "envVars",
            "maxShutdownDelaySeconds",
            "name",
            "notificationOverride",
            "plan",
            "region",
            "runtimeSource",
        ]);
    });

    test("both stand in the configured region, with their own plans and time to stop", async () => {
        const program = await evaluate({ renderRegion: "frankfurt", hermesPlan: "pro", webuiPlan: "0.5c-512mb" });
        const shared = { region: "frankfurt", maxShutdownDelaySeconds: 60, notificationOverride: { notificationsToSend: "failure" } };
        expect(plain(service(program, "hermes").inputs)).toMatchObject({ ...shared, name: "hermes-test", plan: "pro" });
        expect(plain(service(program, "open-webui").inputs)).toMatchObject({ ...shared, name: "open-webui-test", plan: "0.5c-512mb" });
    });

    test("both are deleted before they are replaced", () => {
        expect(ofType(standard, privateService).map(({ deleteBeforeReplace }) => deleteBeforeReplace)).toEqual([true, true]);
    });

    test.for<[replaceData: string | undefined, ignored: string[]]>([
        [undefined, ["region"]],
        ["ohio", ["region"]],
        ["frankfurt", []],
    ])("with replaceData=%s a new region is ignored but for the one that it names, and no other change is", async ([replaceData, ignored]) => {
        const program = await evaluate({ renderRegion: "frankfurt", replaceData });
        expect(ofType(program, privateService).map(({ ignoreChanges }) => ignoreChanges)).toEqual([ignored, ignored]);
    });

    test.for<[standing: Record<string, string>, says: string]>([
        [{ hermes: "oregon", "open-webui": "oregon" }, "hermes-test and open-webui-test stand in oregon: "],
        [{ hermes: "oregon" }, "hermes-test stands in oregon: "],
    ])("that stand elsewhere end the program with a sentence, and without a stack trace: %j", async ([standing, says]) => {
        const { failure } = await tryProgram({ renderRegion: "frankfurt" }, { standing });
        expect(pulumi.RunError.isInstance(failure)).toBe(true);
        expect(failure).toMatchObject({ message: expect.stringContaining(`renderRegion is frankfurt, but ${says}`) as string, stack: undefined });
        expect(String(failure)).toMatch(/deletes their disks, .*back to oregon.*`pulumi config set replaceData frankfurt`\.$/);
    });

    const services = { hermes: {}, "open-webui": {} };
    test.for<[what: string, before: Record<string, Record<string, unknown>>, says: RegExp[]]>([
        [
            "a new owner is told of while a service stands in the old workspace",
            { render: { ownerId: "tea-1" }, ...services },
            [/^renderOwnerId is tea-2, and was tea-1: /],
        ],
        ["and not while none does: then a wrong owner is put right", { render: { ownerId: "tea-1" } }, []],
        ["nor when it stays the same", { render: { ownerId: "tea-2", apiKey: "old" }, ...services }, []],
    ])("%s", async ([, before, says]) => {
        expect(await warnings({ ...backupSettings(), renderOwnerId: "tea-2" }, { preview: true, before })).toEqual(
            says.map((sentence) => expect.stringMatching(sentence) as string),
        );
    });

    test("an update that would make a disk smaller, or drop it, is refused before anything is changed, in a preview too", async () => {
        const services = ofType(standard, privateService);
        for (const [name, setting] of Object.entries({ hermes: "hermesDiskGb", "open-webui": "webuiDiskGb" })) {
            const { beforeUpdate = [] } = services.find((found) => found.name === name) ?? {};
            await update(beforeUpdate, name, {}, { disk: { sizeGb: 5 } });
            await update(beforeUpdate, name, { disk: { sizeGb: 5 } }, { disk: { sizeGb: 6 } });
            const refused = async (now: object) => update(beforeUpdate, name, { disk: { sizeGb: 6 } }, { ...now }).catch((thrown: unknown) => thrown);
            const [smaller, none] = [await refused({ disk: { sizeGb: 5 } }), await refused({})];
            expect([smaller, none].map((failure) => pulumi.RunError.isInstance(failure))).toEqual([true, true]);
            expect(String(smaller)).toContain(`${setting} is 5, but the disk has 6 GB`);
            expect(String(none)).toMatch(/disk .*would be deleted/);
        }
    });

    test("each keeps its disk's size", async () => {
        const program = await evaluate({ hermesDiskGb: "10", webuiDiskGb: "20" });
        expect(plain(service(program, "hermes").inputs.disk)).toMatchObject({ sizeGb: 10 });
        expect(plain(service(program, "open-webui").inputs.disk)).toMatchObject({ sizeGb: 20 });
    });

    test("Open WebUI waits for Hermes", () => {
        expect(service(standard, "open-webui").dependencies).toContain("hermes");
    });

    test.for([
        ["false", []],
        ["true", ["hermes", "open-webui"]],
        ["backup", []], // it may go, after a backup
    ] as const)("protectData=%s protects the services", async ([protectData, names]) => {
        const { resources } = await evaluate({ ...backupSettings(), protectData });
        expect(resources.filter(({ protect }) => protect).map(({ name }) => name)).toEqual(names);
    });
});

describe("the environments", () => {
    test("Hermes gets these variables and no others", async () => {
        const settings = requiredSettings();
        const { API_SERVER_KEY, ...others } = environment(await evaluate(settings), "hermes");
        expect(API_SERVER_KEY).toMatch(/^[0-9a-zA-Z]{43}$/);
        expect(others).toEqual({
            PORT: "8642",
            API_SERVER_PORT: "8642",
            API_SERVER_MODEL_NAME: "hermes-agent",
            HERMES_MODEL: "openai/gpt-5.5",
            VOICE_MODEL: "openai/whisper-large-v3-turbo",
            HERMES_TIMEZONE: "UTC",
            SANDBOX_CPU: "0.25-2",
            SANDBOX_MEMORY_MB: "512-4096",
            SANDBOX_IDLE_MINUTES: "4",
            SANDBOX_BACKGROUND_MINUTES: "120",
            SANDBOX_NETWORK: "open",
            SANDBOX_PACKAGES: "apt:curl,apt:git,apt:poppler-utils,pandas,matplotlib,openpyxl",
            FILE_LIMIT_MB: "10",
            SESSION_DAYS: "90",
            JOB_MINUTES: "15",
            JOBS_PER_PERSON: "20",
            JOB_TURNS: "30",
            JOB_TOKENS: "180000",
            OPENROUTER_API_KEY: settings.openrouterApiKey,
            MODAL_TOKEN_ID: settings.modalTokenId,
            MODAL_TOKEN_SECRET: settings.modalTokenSecret,
        });
    });

    test.for([
        [
            "Telegram",
            { telegramBotToken: `123456789:${"A".repeat(35)}`, telegramAllowedUsers: "42,43" },
            { TELEGRAM_BOT_TOKEN: `123456789:${"A".repeat(35)}`, TELEGRAM_ALLOWED_USERS: "42,43", TELEGRAM_HOME_CHANNEL: "42" },
        ],
        ["a key for the web", { exaApiKey: "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9" }, { EXA_API_KEY: "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9" }],
        [
            "what the sandboxes have of the owner's",
            { sandboxSecrets: "KEY=0a1b2c3d,everybody:OTHER=4e5f" },
            { SANDBOX_SECRETS: "KEY=0a1b2c3d,everybody:OTHER=4e5f" },
        ],
    ] as const)("%s reaches Hermes alone", async ([, more, variables]) => {
        const settings = requiredSettings();
        const [before, program] = [await evaluate(settings), await evaluate({ ...settings, ...more })];
        expect(environment(program, "hermes")).toEqual({ ...environment(before, "hermes"), ...variables });
        for (const value of Object.values(variables)) expect(Object.values(environment(program, "open-webui"))).not.toContain(value);
    });

    test("without a bucket a preview says what would be lost", async () => {
        const said = expect.stringMatching(/No backupRepository is set: .* deletes every chat, account and memory/) as string;
        expect(await warnings({}, { preview: true })).toEqual([said]);
        expect(await warnings(backupSettings(), { preview: true })).toEqual([]);
    });

    test("a bucket gives each service a repository of its own, and time for a last backup", async () => {
        const settings = { ...requiredSettings(), ...backupSettings() };
        const program = await evaluate(settings, { stack: "Family" });
        const before = await evaluate(requiredSettings(), { stack: "Family" });
        for (const name of ["hermes", "open-webui"]) {
            const had = Object.keys(environment(before, name));
            const added = Object.entries(environment(program, name)).filter(([variable]) => !had.includes(variable));
            expect(Object.fromEntries(added)).toEqual({
                BACKUP_REPOSITORY: `s3:https://bucket.example.com/backups/private-hermes-family/${name}`,
                BACKUP_KEY_ID: settings.backupKeyId,
                BACKUP_KEY: settings.backupKey,
                BACKUP_PASSWORD: settings.backupPassword,
                BACKUP_MINUTES: "15",
            });
            expect(plain(service(program, name).inputs)).toMatchObject({ maxShutdownDelaySeconds: 120 });
        }
        // Each is told of its own backups, once some are known.
        const [first, second] = ["0a".repeat(32), "1b".repeat(32)];
        const later = await evaluate({ ...settings, backupRepositoryIds: `hermes=${first},open-webui=${second}` }, { stack: "Family" });
        expect(["hermes", "open-webui"].map((name) => environment(later, name).BACKUP_EXPECTS)).toEqual([first, second]);
    });

    test("Open WebUI gets these variables and no others", async () => {
        const settings = requiredSettings();
        const program = await evaluate(settings);
        const { WEBUI_ADMIN_PASSWORD, WEBUI_SECRET_KEY, OPENAI_API_KEY, ...others } = environment(program, "open-webui");
        expect(WEBUI_ADMIN_PASSWORD).toHaveLength(24);
        expect(WEBUI_SECRET_KEY).toMatch(/^[0-9a-zA-Z]{43}$/);
        expect(OPENAI_API_KEY).toBe(environment(program, "hermes").API_SERVER_KEY);
        expect(WEBUI_SECRET_KEY).not.toBe(OPENAI_API_KEY);
        expect(others).toEqual({
            PORT: "8080",
            OPENAI_API_BASE_URL: "http://hermes-test-x7k2:8642/v1",
            DEFAULT_MODELS: environment(program, "hermes").API_SERVER_MODEL_NAME,
            AGENT_NAME: "Hermes",
            VOICE: "true",
            TS_AUTHKEY: settings.tailscaleAuthKey,
            TS_HOSTNAME: "open-webui",
            WEBUI_URL: "https://open-webui.tail1234.ts.net",
            CORS_ALLOW_ORIGIN: "https://open-webui.tail1234.ts.net",
            WEBUI_ADMIN_NAME: "Admin",
            WEBUI_ADMIN_EMAIL: "admin@example.com",
            ENABLE_SIGNUP: "false",
            RAG_FILE_MAX_SIZE: "10",
        });
    });

    test("every setting that belongs into an environment reaches it", async () => {
        const program = await evaluate({
            modelDefault: "anthropic/claude-opus-5",
            voiceModel: "none",
            timezone: "Europe/Zurich",
            fileLimitMb: "1",
            webuiHostname: "chat",
            tailnetDnsName: "cat-crocodile.ts.net",
            webuiSignup: "true",
            webuiAdminEmail: "Owner@GitHub",
            signIn: "tailscale",
        });
        expect(environment(program, "hermes")).toMatchObject({
            HERMES_MODEL: "anthropic/claude-opus-5",
            VOICE_MODEL: "none",
            HERMES_TIMEZONE: "Europe/Zurich",
            FILE_LIMIT_MB: "1",
        });
        expect(environment(program, "open-webui")).toMatchObject({
            TS_HOSTNAME: "chat",
            WEBUI_URL: "https://chat.cat-crocodile.ts.net",
            CORS_ALLOW_ORIGIN: "https://chat.cat-crocodile.ts.net",
            ENABLE_SIGNUP: "true",
            VOICE: "false",
            RAG_FILE_MAX_SIZE: "1",
            WEBUI_ADMIN_EMAIL: "owner@github",
            WEBUI_AUTH_TRUSTED_EMAIL_HEADER: "Tailscale-User-Login",
        });
    });
});

describe("a credential is tried before it is used", () => {
    const { registryToken, renderApiKey } = requiredSettings();
    const basic = (password: string) => `Basic ${Buffer.from(`Octo-Cat:${password}`).toString("base64")}`;
    /** A registry as GHCR is one: it sends everybody to its token endpoint, which takes this token alone. */
    const registry = (url: string, authorization: string) => {
        if (new URL(url).host !== "ghcr.io") return Response.json({});
        if (url.startsWith("https://ghcr.io/token?"))
            return authorization === basic(registryToken) ? Response.json({ token: "pass" }) : new Response("", { status: 403 });
        if (authorization === "Bearer pass") return Response.json({});
        return new Response("", {
            status: 401,
            headers: { "www-authenticate": 'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull"' },
        });
    };
    const atRender = (program: Program) => plain(ofType(program, credential)[0]?.inputs.authToken);

    test("a token that the registry takes reaches Render", async () => {
        expect(atRender(await evaluate({ registryToken }, { answer: registry }))).toBe(registryToken);
    });

    test.for(["registryToken", "registryPullToken"])("a %s that it doesn't take never does, though no image changed, and is named", async (setting) => {
        const { failure, ...program } = await tryProgram({ registryToken, [setting]: requiredSettings().registryToken }, { answer: registry });
        expect((failure as Error).message).toMatch(new RegExp(`^${setting} doesn't open ghcr\\.io/octo-cat/hermes-test`));
        expect(atRender(program)).toBeUndefined();
    });

    test.for<[status: number, says: RegExp]>([
        [401, /renderApiKey isn't taken by Render: /],
        [403, /renderOwnerId tea-\w+ isn't a workspace that renderApiKey opens: /],
        [404, /renderOwnerId tea-\w+ isn't a workspace that renderApiKey opens: /],
    ])("Render's %i names the setting, before an image is built", async ([status, says]) => {
        const answer = (url: string) => new Response("{}", { status: url.includes("api.render.com") ? status : 200 });
        const { failure, resources } = await tryProgram({ renderApiKey }, { answer });
        expect(String(failure)).toMatch(says);
        expect(resources).toEqual([]);
    });

    test("a service that can't be asked is warned of, and stops nothing; a preview asks nobody", async () => {
        const answer = () => Promise.reject(new TypeError("fetch failed", { cause: { code: "ENOTFOUND" } }));
        expect(await warnings({}, { answer })).toEqual([
            expect.stringMatching(/^renderApiKey couldn't be tried, .*ENOTFOUND/),
            expect.stringMatching(/^registryToken couldn't be tried, .*ENOTFOUND/),
        ]);
        expect(await warnings(backupSettings(), { answer, preview: true })).toEqual([]);
    });
});

describe("secrets", () => {
    const withOptionalOnes = () => ({
        ...backupSettings(),
        registryPullToken: requiredSettings().registryToken,
        exaApiKey: requiredSettings().registryToken.slice(4),
        sandboxSecrets: `GITHUB_TOKEN=${requiredSettings().registryToken}`,
        telegramBotToken: `123456789:${requiredSettings().registryToken.slice(4)}`,
        telegramAllowedUsers: "42",
    });

    test("no input of any resource shows a credential", async () => {
        const { resources, secrets } = await evaluate(withOptionalOnes());
        expect(secrets).toHaveLength(16);
        for (const { name, inputs, plainInputs } of resources) {
            const readable = [...plainStrings(inputs), ...plainInputs];
            for (const secret of secrets)
                expect(
                    readable.filter((text) => text.includes(secret)),
                    name,
                ).toEqual([]);
        }
    });

    test("no id, URN or plain input shows one in another form either: the engine encrypts none of them", async () => {
        const { resources, secrets } = await evaluate(withOptionalOnes());
        const named = Object.fromEntries(secrets.map((secret) => [secret, secret]));
        for (const { urn, id, plainInputs } of resources) expect(readableIn([urn, id, ...plainInputs].join("\n"), named), urn).toEqual([]);
    });

    test("whoever had their keys in plain text is told that both are replaced, and nobody else", async () => {
        const had = (value: string) => ({ preview: true, before: { "open-webui": { envVars: { WEBUI_SECRET_KEY: { value } } } } });
        expect(await warnings(backupSettings(), had("0123456789abcdef".repeat(4)))).toEqual([expect.stringContaining("everybody signs in again")]);
        expect(await warnings(backupSettings(), had("0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"))).toEqual([]);
    });

    test("each credential is used by somebody, so that the test above has something to find", async () => {
        const { resources, secrets } = await evaluate(withOptionalOnes());
        const everything = JSON.stringify(resources.map(({ inputs }) => plain(inputs)));
        expect(secrets.filter((secret) => !everything.includes(secret))).toEqual([]);
    });

    test("the admin's password is letters and digits, and enough of them", () => {
        const password = ofType(standard, "random:index/randomPassword:RandomPassword").find(({ name }) => name === "admin-password");
        expect(plain(password?.inputs)).toMatchObject({ length: 24, special: false });
    });

    test("a new keyRotation replaces the shared key on both services and changes nothing else", async () => {
        const settings = requiredSettings();
        const before = await evaluate(settings);
        const after = await evaluate({ ...settings, keyRotation: "2026-12-01" });
        const changed = (name: string) => {
            const [old, now] = [environment(before, name), environment(after, name)];
            return Object.keys(now).filter((variable) => now[variable] !== old[variable]);
        };
        expect(changed("hermes")).toEqual(["API_SERVER_KEY"]);
        expect(changed("open-webui")).toEqual(["OPENAI_API_KEY"]);
        expect(environment(after, "open-webui").OPENAI_API_KEY).toBe(environment(after, "hermes").API_SERVER_KEY);
    });
});

test("the outputs say where things are and how to sign in", () => {
    const password = environment(standard, "open-webui").WEBUI_ADMIN_PASSWORD;
    expect(standard.outputs).toEqual({
        hermesInternalUrl: "http://hermes-test-x7k2:8642",
        openWebUiTailnetUrl: "https://open-webui.tail1234.ts.net",
        openWebUiAdminEmail: "admin@example.com",
        openWebUiAdminPassword: { secret: password },
        hermesServiceId: "hermes-id",
        openWebUiServiceId: "open-webui-id",
        tailnetPolicy: expect.any(String) as string,
    });
});

test("the tailnet's policy grants people HTTPS of the machine with the tag, and nothing else", () => {
    const { outputs } = standard;
    expect(JSON.parse(outputs.tailnetPolicy as string)).toEqual({
        tagOwners: { "tag:hermes": ["autogroup:admin"] },
        grants: [{ src: ["autogroup:member"], dst: ["tag:hermes"], ip: ["tcp:443"] }],
    });
});

test("what the images need to know of the program is the same there", async () => {
    const withBackups = await evaluate(backupSettings());
    const found = (path: string, pattern: RegExp) => pattern.exec(readFileSync(path, "utf8"))?.[1];
    const { maxShutdownDelaySeconds: stopWithBackups } = plain(service(withBackups, "hermes").inputs) as { maxShutdownDelaySeconds: number };
    const { maxShutdownDelaySeconds } = plain(service(standard, "hermes").inputs) as { maxShutdownDelaySeconds: number };
    expect(found("hermes/prove.py", /^SHUTDOWN_SECONDS = (\d+)/m)).toBe(String(maxShutdownDelaySeconds));
    const [, grace, last] = /^GRACE, LAST = (\d+), (\d+)$/m.exec(readFileSync("hermes/backup.py", "utf8")) ?? [];
    expect(Number(grace)).toBe(maxShutdownDelaySeconds);
    expect(Number(grace)).toBeGreaterThan(Number(found("openwebui/entrypoint.sh", /^readonly APP_GRACE=(\d+)/m)) + 6);
    expect(Number(grace) + Number(last) + 10).toBeLessThanOrEqual(stopWithBackups);
    expect(found("openwebui/entrypoint.sh", /^readonly TAG=(\S+)/m)).toBe(tailnetTag);
    expect(found("openwebui/entrypoint.sh", /serve --bg --https=(\d+)/)).toBe(String(tailnetPort));
});

describe("what the program gives the images", () => {
    const everything = {
        ...backupSettings(),
        exaApiKey: "0a1b2c3d-4e5f-6a7b-8c9d",
        sandboxSecrets: "GITHUB_TOKEN=0a1b",
        signIn: "tailscale",
        webuiAdminEmail: "me@github",
    };
    const telegram = { telegramBotToken: `123456789:${"A".repeat(35)}`, telegramAllowedUsers: "42" };
    const read = (path: string) => readFileSync(path, "utf8");
    /** The variables that the head of a file names. */
    const inHead = (path: string) => [...read(path).matchAll(/^(?:# )? {2,}((?:[A-Z][A-Z0-9_]+(?:, )?)+)(?=\s)/gm)].flatMap(([, names]) => names.split(", "));
    const backups = inHead("hermes/backup.py");

    test("is what Hermes' image reads, under the same names", async () => {
        const given = Object.keys(environment(await evaluate({ ...everything, ...telegram }), "hermes")).filter((name) => name !== "PORT");
        const named = inHead("hermes/entrypoint.sh");
        const ofImage = [...Object.keys(environmentOfImage("hermes")).filter((name) => !given.includes(name)), "SSL_CERT_FILE"];
        expect(given.filter((name) => ![...named, ...backups].includes(name))).toEqual([]);
        expect(named.filter((name) => ![...given, ...ofImage].includes(name))).toEqual([]);
    });

    test("is what Open WebUI's image reads, or Open WebUI itself", async () => {
        const given = Object.keys(environment(await evaluate({ ...everything, ...telegram }), "open-webui"));
        const ours = projectFiles("openwebui/*.{py,sh}").map(read).join("\n");
        // https://docs.openwebui.com/reference/env-configuration
        const upstreams = ["CORS_ALLOW_ORIGIN", "ENABLE_SIGNUP", "RAG_FILE_MAX_SIZE"];
        expect(given.filter((name) => !new RegExp(`\\b${name}\\b`).test(ours))).toEqual(upstreams);
    });

    test("has the same defaults there", () => {
        const given = environment(standard, "hermes");
        const defaults = environmentOfImage("hermes");
        const both = Object.keys(given).filter((name) => name in defaults);
        expect(both.length).toBeGreaterThan(13);
        expect(both.map((name) => [name, defaults[name]])).toEqual(both.map((name) => [name, given[name]]));
        const withDefault = [...read("hermes/entrypoint.sh").matchAll(/^# +([A-Z_]+) +\(ENV\)/gm)].map(([, name]) => name);
        expect(withDefault.sort()).toEqual(both.filter((name) => name !== "API_SERVER_PORT").sort());
        const [, minutes] = /environ\.get\("BACKUP_MINUTES"\) or "(\d+)"/.exec(read("hermes/backup.py")) ?? [];
        expect(minutes).toBe(String(declaredSettings.backupEveryMinutes.default));
    });
});

describe("the guard", () => {
    type Constructor = (new (name: string, args: object, options?: pulumi.CustomResourceOptions) => pulumi.Resource) & {
        __pulumiType: string;
    };
    const types = Object.values(render).filter(
        (member): member is typeof member & Constructor => typeof member === "function" && "__pulumiType" in member && member.__pulumiType !== "render",
    ) as unknown as Constructor[];

    const refused = types.filter(({ __pulumiType }) => refusal(__pulumiType));
    const nameOf = ({ __pulumiType }: Constructor) => __pulumiType.split(":").at(-1) ?? "";

    test("lets these types of the SDK pass, which nothing outside reaches, and no other", () => {
        const passing = types.filter((type) => !refused.includes(type)).map(nameOf);
        expect(passing.sort()).toEqual(["BackgroundWorker", "CronJob", "EnvGroup", "EnvGroupLink", "PrivateService", "Project", "RegistryCredential"]);
        expect(refused.map(nameOf)).toEqual(expect.arrayContaining(["WebService", "StaticSite", "Postgres", "Webhook"]));
    });

    test.for(refused.map((Type) => [nameOf(Type), Type] as const))("stops the program at a %s with one sentence", async ([name, Type]) => {
        // An id makes the SDK skip its check of required arguments; the guard comes first either way.
        const { failure } = await tryProgram({}, { also: () => new Type("intruder", {}, { id: "some-id" }) });
        expect(failure).toBeInstanceOf(pulumi.RunError);
        expect((failure as Error).message).toMatch(new RegExp(`^intruder: render\\.${name} is refused because`));
        expect(failure).toHaveProperty("stack", undefined);
    });

    test("stands before the first resource", async () => {
        const seen: string[] = [];
        vi.doMock("../../guard", () => ({
            refusePublicResources: () => {
                pulumi.runtime.registerStackTransformation(({ type }) => {
                    seen.push(type);
                    return undefined;
                });
            },
        }));
        onTestFinished(() => {
            vi.doUnmock("../../guard");
        });
        const { resources } = await evaluate();
        expect(seen.sort()).toEqual(resources.map(({ type }) => type).sort());
    });

    test("lets what isn't Render's pass, and its provider", () => {
        expect(refusal("random:index/randomBytes:RandomBytes")).toBeUndefined();
        expect(refusal("pulumi:providers:render")).toBeUndefined();
    });
});
