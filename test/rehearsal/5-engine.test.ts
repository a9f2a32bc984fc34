/** What Pulumi's engine, the providers and BuildKit make of the program: `pulumi up` to `pulumi destroy`, at a stand-in of Render. */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join, relative } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { pulledOnes } from "../../pull.ts";
import { Bucket } from "../harness/bucket.ts";
import { runChecks } from "../harness/ops.ts";
import { output, repository } from "../harness/docker.ts";
import { Laptop } from "../harness/laptop.ts";
import { Testbed } from "../harness/testbed.ts";
import { readableIn } from "../harness/forms.ts";
import { Deployment } from "../harness/deployment.ts";
import { cliVersion, stackName } from "../harness/pulumi.ts";
import { Registry } from "../harness/registry.ts";
import { backupSettings, project, requiredSettings, secretSettings, serviceNames, type ServiceName } from "../harness/settings.ts";
import { Shell } from "../harness/shell.ts";
import type { Failure } from "../stand-ins/render/api.ts";
import { median } from "../harness/median.ts";

const cli = await cliVersion();
if (!cli) console.warn("Skipped: the lines about Pulumi's engine, which need a Pulumi CLI.");

let testbed: Testbed;
let laptop: Laptop;
let deployment: Deployment;

beforeAll(async () => {
    if (!cli) return;
    testbed = await Testbed.create();
    console.log(`Preparing a stack for pulumi ${cli}, a registry, a builder and the laptop`);
    [deployment, laptop] = await Promise.all([Deployment.create(testbed), Laptop.join(testbed)]);
});
beforeEach(({ skip }) => {
    skip(!cli, "needs a Pulumi CLI");
});
afterEach(() => {
    if (cli) deployment.forget();
});
afterAll(async () => {
    if (!cli) return;
    await deployment.close();
    await testbed.remove();
});

/** Asks over the tailnet, as the owner does; gives the answer. */
async function chat(content: string): Promise<string> {
    const { token } = await testbed.signIn();
    return (await laptop.ask(testbed.url, { token, model: testbed.environment("open-webui").DEFAULT_MODELS, content })).trim();
}

const containerIds = () => serviceNames.map((name) => testbed.running(name).getId());
const statuses = () => serviceNames.map((name) => deployment.service(name).deploys[0].status);
const disks = () => serviceNames.map((name) => deployment.service(name).disk?.id);
const regions = () => serviceNames.map((name) => deployment.service(name).region);

/** Leaves something on both disks that only a disk of the same name has. */
async function mark(): Promise<void> {
    for (const name of serviceNames) await output(testbed.running(name), "sh", "-c", `echo ${name} >"$0"/kept`, mountPath(name));
}
const marks = () => Promise.all(serviceNames.map((name) => output(testbed.running(name), "cat", `${mountPath(name)}/kept`)));
const mountPath = (name: ServiceName) => deployment.service(name).disk?.mountPath ?? "";

const seconds = async (work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    return (performance.now() - start) / 1000;
};

/** The line of the CLI's output that tells what went wrong. */
const reason = (said: string) =>
    said
        .split("\n")
        .findLast((line) => line.includes("error:") && !/(update|preview) failed/.test(line))
        ?.trim() ?? said;

/** The last line of a log that is in an error. */
const lastLine = (failure: unknown) => String(failure).trim().split("\n").at(-1) ?? "";

const urn = (type: string, name: string) => `urn:pulumi:${stackName}::private-hermes::${type}::${name}`;

/** What a new workspace is warned of. */
const staysThere = "services that stand there stay there, with their disks";

const preflight = () => runChecks("preflight", deployment.pulumi.folder("project"), deployment.pulumi.variables);

/** As docs/recover.md says it, with the id that Render's dashboard shows. */
const adopt = (name: ServiceName) =>
    deployment.pulumi.run([
        ...["import", "render:index/privateService:PrivateService", name, deployment.service(name).id, "--generate-code=false", "--protect=false"],
        ...["--provider", `render=${urn("pulumi:providers:render", "render")}`, "--yes"],
    ]);

/** The provider asks this right after Render has made a service. */
const afterCreation: Failure = { status: 500, times: 1, method: "PATCH", path: /^\/notification-settings/ };

/** The files in a folder by their path, without what is built from them. */
async function textsIn(folder: string): Promise<Record<string, string>> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => relative(folder, join(parentPath, name)));
    const own = paths.filter((path) => !/\/(bin|node_modules)\//.test(path));
    return Object.fromEntries(await Promise.all(own.map(async (path) => [path, await readFile(join(folder, path), "utf8")] as const)));
}

/** All that Render is told when a service changes. */
const updateOf = (name: ServiceName) => [
    `PATCH /services/${name}-${stackName}`,
    `PUT /services/${name}-${stackName}/env-vars`,
    `PUT /services/${name}-${stackName}/secret-files`,
    `PATCH /disks/${name}-${stackName}`,
    `PATCH /notification-settings/overrides/services/${name}-${stackName}`,
    `POST /services/${name}-${stackName}/deploys`,
];

type StoredVariables = Record<string, { value: { ciphertext?: string } }>;

/**
 * What nobody may read where the engine writes in plain text: each credential, and each value of an environment, by name. What
 * stands in an output or a resource's name anyway isn't among them.
 */
async function secretsOf(): Promise<Record<string, string>> {
    const { resources } = await exportedState();
    const known = new Set(
        resources.flatMap(({ urn, type, outputs }) => [urn.split("::").at(-1), ...(type === "pulumi:pulumi:Stack" ? Object.values<unknown>(outputs) : [])]),
    );
    const values = serviceNames
        .flatMap((name) => Object.entries(deployment.service(name).environment))
        .filter(([, value]) => value.length > 6 && !known.has(value));
    const credentials = secretSettings.map((key) => [key, testbed.settings[key]]).filter(([, value]) => value as unknown);
    return Object.fromEntries([...values, ...credentials]) as Record<string, string>;
}

/** Without the values of settings that aren't secret: commands list these. */
async function withoutSettings(secrets: Record<string, string>): Promise<Record<string, string>> {
    const settings = Object.values(JSON.parse(await deployment.pulumi.must("config", "--json")) as Record<string, { value?: string }>);
    return Object.fromEntries(Object.entries(secrets).filter(([, value]) => !settings.some((setting) => setting.value === value)));
}

const exportedState = async () => (JSON.parse(await deployment.pulumi.must("stack", "export")) as { deployment: { resources: StoredResource[] } }).deployment;

/** What can be read of secrets in what these commands print, which is all that the engine shows of a stack. */
async function readableAfter(secrets: Record<string, string>, ...commands: string[]): Promise<string[]> {
    const found = [];
    for (const command of commands) {
        const { code, output: said } = await deployment.pulumi.run(command.split(" "));
        if (code !== 0) throw new Error(`pulumi ${command} ended with ${code}:\n${said}`);
        found.push(...readableIn(said, secrets).map((name) => `${name} in ${command}`));
    }
    return found;
}

interface StoredResource {
    urn: string;
    type: string;
    inputs: { envVars?: StoredVariables };
    outputs: { envVars?: StoredVariables } & Record<string, unknown>;
}

describe("The engine, from nothing", () => {
    test("`pulumi up` creates everything, and the page answers over the tailnet", async ({ annotate }) => {
        const took = await seconds(async () => {
            expect(await deployment.up()).toEqual({ create: 10 });
            expect((await laptop.fetch(testbed.url)).status).toBe(200);
        });
        expect(statuses()).toEqual(["live", "live"]);
        const { notifications } = deployment.render.workspace;
        expect(serviceNames.map((name) => notifications.get(deployment.service(name).id))).toEqual(["failure", "failure"]);
        expect(await chat("Who made you?")).toBe("Echo: Who made you?");
        expect((await deployment.pulumi.must("stack", "output", "openWebUiTailnetUrl")).trim()).toBe(testbed.url);
        await mark();
        await annotate(`pulumi ${cli}: ${took.toFixed(0)} s to a page, both images built and pushed included`);
    });

    test("`npm run preflight` reads this stack, and finds all of it in order that can be asked here", async ({ annotate }) => {
        const { statuses, line } = await preflight();
        const here = ["Node.js", "Pulumi CLI", "Docker", "Image builder", "Stack", "Settings", "Render", "Payment card", "Service names"];
        expect(here.filter((check) => statuses[check] !== "ok").map(line)).toEqual([]);
        expect(Object.entries(statuses).filter(([, status]) => status === "failure")).toEqual([]);
        await annotate(
            `asked elsewhere: ${Object.keys(statuses)
                .filter((check) => statuses[check] === "unchecked")
                .join(", ")}`,
        );
    });

    test("and names each setting that is wrong", async () => {
        await deployment.set({ modelDefault: "gpt-5.5", tailscaleAuthKey: testbed.settings.modalTokenId });
        const { line, code } = await preflight();
        await deployment.set({ modelDefault: "openai/gpt-5.5", tailscaleAuthKey: testbed.settings.tailscaleAuthKey });
        expect(line("Settings").split("\n")).toEqual([
            expect.stringMatching(/^failure: tailscaleAuthKey is a Modal token id/),
            expect.stringMatching(/^failure: modelDefault "gpt-5\.5" isn't/),
        ]);
        expect(code).toBe(1);
    });

    test("the images were built and pushed by the engine, and pulled by digest with the registry credential", async ({ annotate }) => {
        const { registry, render } = deployment;
        const { registryUser: username, registryToken: authToken } = testbed.settings;
        const pushed = await registry.contents();
        for (const name of serviceNames) {
            const { imagePath, credentialId = "" } = deployment.service(name);
            const path = `family/agent/${name}-${stackName}`;
            expect(imagePath).toBe(`${Registry.host}/${path}@${pushed.find((found) => found.name === path)?.tags.latest}`);
            expect(render.workspace.credentials.get(credentialId)).toMatchObject({ registry: "GITLAB", username, authToken });
            expect(await registry.has(imagePath, { username, authToken })).toBe(true);
            expect(await registry.has(imagePath, { username, authToken: "guessed" })).toBe(false);
            expect(await registry.has(imagePath)).toBe(false);
            await annotate(imagePath);
        }
    });

    test("`pulumi install` generates the SDK that is committed, to the byte", async ({ annotate }) => {
        const generated = await textsIn(deployment.pulumi.file("sdks"));
        expect(generated).toEqual(await textsIn(`${repository}sdks`));
        await annotate(`${Object.keys(generated).length} files`);
    });

    test("a second `up` changes nothing, and neither does `refresh`", async () => {
        const before = containerIds();
        expect(await deployment.up()).toEqual({ same: 10 });
        await deployment.pulumi.must("refresh", "--yes");
        expect((await deployment.pulumi.lastUpdate()).resourceChanges).toEqual({ same: 10 });
        expect(await deployment.up()).toEqual({ same: 10 });
        expect(deployment.writes()).toEqual([]);
        expect(containerIds()).toEqual(before);
    });

    test("a preview of what stands shows no change; what it takes beside one of an empty program", async ({ annotate }) => {
        const empty = await deployment.pulumi.emptyProject();
        const took = { own: [] as number[], empty: [] as number[] };
        for (let round = 0; round < 3; round++) {
            took.own.push(await seconds(() => deployment.pulumi.must("preview", "--expect-no-changes")));
            took.empty.push(await seconds(() => empty.must("preview")));
        }
        const [own, other] = [median(took.own), median(took.empty)];
        await annotate(`${own.toFixed(1)} s against ${other.toFixed(1)} s, ${(own / other).toFixed(1)} times (medians of 3 previews in turn)`);
    });

    test("neither the exported state nor what commands show of it holds a credential or a value of an environment, in whatever form", async ({ annotate }) => {
        const { resources } = await exportedState();
        const services = resources.filter(({ type }) => type.endsWith(":PrivateService"));
        expect(services).toHaveLength(2);
        for (const variables of services.flatMap(({ inputs, outputs }) => [inputs.envVars, outputs.envVars])) {
            const plain = Object.entries(variables ?? {}).filter(([, { value }]) => !value.ciphertext);
            expect([variables && Object.keys(variables).length > 8, plain.map(([name]) => name)]).toEqual([true, []]);
        }
        const secrets = await secretsOf();
        expect(await readableAfter(secrets, "stack export", "stack --show-ids", "stack output --json", "destroy --preview-only --diff")).toEqual([]);
        expect(await readableAfter(await withoutSettings(secrets), "stack history --json", "destroy --preview-only --json")).toEqual([]);
        await annotate(`${Object.keys(secrets).length} values looked for, each as it is, in hex, base64, base64url and URL-encoded`);
    });
});

describe("A change", () => {
    test("of a file in openwebui/ updates that service alone", async () => {
        const [hermes] = containerIds();
        await deployment.pulumi.edit("openwebui/entrypoint.sh", (text) => `${text}\n# changed\n`);
        expect(await deployment.up()).toEqual({ same: 8, update: 2 });
        expect(deployment.writes()).toEqual(updateOf("open-webui"));
        expect(statuses()).toEqual(["live", "live"]);
        expect(await output(testbed.running("open-webui"), "tail", "-n", "1", "/usr/local/bin/entrypoint.sh")).toBe("# changed\n");
        expect(testbed.running("hermes").getId()).toBe(hermes);
        expect(await marks()).toEqual(["hermes\n", "open-webui\n"]);
    });

    test("of keyRotation replaces the key that both share, and chat works", async () => {
        const key = testbed.environment("hermes").API_SERVER_KEY;
        const before = await secretsOf();
        await deployment.set({ keyRotation: "2" });
        // Both have the key in hand that is to go, while it is live.
        expect(await readableAfter(await withoutSettings(before), "preview --json", "preview --diff", "up --yes --diff")).toEqual([]);
        await deployment.settled();
        expect(await readableAfter({ ...before, ...(await secretsOf()) }, "stack export")).toEqual([]);
        expect(testbed.environment("hermes").API_SERVER_KEY).not.toBe(key);
        expect(testbed.environment("open-webui").OPENAI_API_KEY).toBe(testbed.environment("hermes").API_SERVER_KEY);
        expect((await testbed.hermes("GET", "/v1/models", { bearer: key })).status).toBe(401);
        expect(await chat("Still there?")).toBe("Echo: Still there?");
    });

    test("of openrouterApiKey reaches Hermes, and Hermes alone", async () => {
        const openrouterApiKey = requiredSettings().openrouterApiKey;
        await deployment.set({ openrouterApiKey });
        await deployment.up();
        expect(deployment.writes()).toEqual(updateOf("hermes"));
        await testbed.forgetCalls();
        await chat("On a new key?");
        expect((await testbed.calls()).map(({ authorization }) => authorization)).toEqual([`Bearer ${openrouterApiKey}`]);
    });

    const exaApiKey = randomUUID();
    test.for<[what: string, settings: Record<string, string>, variables: Partial<Record<ServiceName, Record<string, string>>>]>([
        ["exaApiKey and sandboxPackages", { exaApiKey, sandboxPackages: "pandas" }, { hermes: { EXA_API_KEY: exaApiKey, SANDBOX_PACKAGES: "pandas" } }],
        ["agentName", { agentName: "Ada" }, { "open-webui": { AGENT_NAME: "Ada" } }],
        ["fileLimitMb", { fileLimitMb: "5" }, { hermes: { FILE_LIMIT_MB: "5" }, "open-webui": { RAG_FILE_MAX_SIZE: "5" } }],
        ["voiceModel", { voiceModel: "some/ears" }, { hermes: { VOICE_MODEL: "some/ears" } }],
        ["voiceModel", { voiceModel: "none" }, { hermes: { VOICE_MODEL: "none" }, "open-webui": { VOICE: "false" } }],
    ])("of %s updates the services that use it, in place, and no other; no value of it is in the state", async ([, settings, variables]) => {
        const names = serviceNames.filter((name) => variables[name]);
        await deployment.set(settings);
        expect(await deployment.up()).toEqual({ same: 10 - names.length, update: names.length });
        expect(deployment.writes().toSorted()).toEqual(names.flatMap(updateOf).toSorted());
        for (const name of names) expect(testbed.environment(name)).toMatchObject(variables[name] ?? {});
        expect(statuses()).toEqual(["live", "live"]);
        const { resources } = await exportedState();
        // Without ids: that of a RandomPassword is "none".
        const exported = JSON.stringify(resources, (key, value: unknown) => (key === "id" ? undefined : value));
        expect(Object.values(settings).filter((value) => exported.includes(`"${value}"`))).toEqual([]);
    });

    test("of backupRepository and its keys has both services make backups, in place; without them they stop it", async () => {
        const settings = backupSettings();
        await Bucket.open(testbed, settings);
        await deployment.set(settings);
        expect(await deployment.up()).toEqual({ same: 8, update: 2 });
        expect(deployment.writes().toSorted()).toEqual(serviceNames.flatMap(updateOf).toSorted());
        for (const name of serviceNames) {
            expect(deployment.service(name).maxShutdownDelaySeconds).toBe(120);
            await output(testbed.running(name), "backup", "now");
            expect(JSON.parse(await output(testbed.running(name), "backup", "list"))).toMatchObject({ backups: [{}] });
        }
        expect(await readableAfter(await secretsOf(), "stack export")).toEqual([]);
        for (const key of Object.keys(settings)) await deployment.pulumi.must("config", "rm", key);
        expect(await deployment.up()).toEqual({ same: 8, update: 2 });
        for (const name of serviceNames) expect(Object.keys(deployment.service(name).environment).filter((key) => key.startsWith("BACKUP_"))).toEqual([]);
        expect(statuses()).toEqual(["live", "live"]);
    });
});

describe("What was changed by hand at Render", () => {
    test("an environment variable is put back by `up --refresh`", async () => {
        const service = deployment.service("hermes");
        const before = { ...service.environment };
        service.environment = { ...before, HERMES_MODEL: "somebody/else", ADDED: "by hand" };
        await deployment.up("--refresh");
        expect(deployment.service("hermes").environment).toEqual(before);
        expect(testbed.environment("hermes")).toEqual(before);
        expect(deployment.writes()).toEqual(updateOf("hermes"));
    });

    test("a deleted service is made again by `up --refresh`, on a new disk: the old one went with it", async () => {
        deployment.render.workspace.deleteService(deployment.service("hermes").id);
        await deployment.settled();
        await deployment.up("--refresh");
        expect(statuses()).toEqual(["live", "live"]);
        expect(await chat("Are you back?")).toBe("Echo: Are you back?");
        await mark();
    });

    test("a deleted registry credential is made again by `up --replace`", async () => {
        const { workspace } = deployment.render;
        for (const id of workspace.credentials.keys()) workspace.deleteCredential(id);
        await deployment.up("--replace", urn("render:index/registryCredential:RegistryCredential", "registry"));
        const [id] = workspace.credentials.keys();
        expect(serviceNames.map((name) => deployment.service(name).credentialId)).toEqual([id, id]);
        expect(statuses()).toEqual(["live", "live"]);
    });
});

describe("A disk", () => {
    test("grows by its setting, and keeps what is on it", async () => {
        const before = disks();
        await deployment.set({ hermesDiskGb: "6" });
        await deployment.up();
        expect(deployment.service("hermes").disk).toMatchObject({ id: before[0], sizeGB: 6 });
        expect(await marks()).toEqual(["hermes\n", "open-webui\n"]);
    });

    test.for([
        ["hermesDiskGb", "5", "6"],
        ["webuiDiskGb", "4", "5"],
    ])("doesn't shrink: %s=%s is refused before anything is changed", async ([setting, less, size], { annotate }) => {
        await deployment.set({ [setting]: less });
        const { output: said } = await deployment.failingUp();
        await annotate(reason(said));
        expect(said).toContain(`${setting} is ${less}, but the disk has ${size} GB and can't shrink`);
        await deployment.set({ [setting]: size });
        expect(await deployment.up()).toEqual({ same: 10 });
        expect(deployment.writes()).toEqual([]);
    });

    test("that is taken out of the program stays, with what is on it", async () => {
        onTestFinished(await deployment.pulumi.edit("index.ts", (text) => text.replace(/ {8}disk: \{ name: "hermes-data".*\n/, "")));
        expect((await deployment.failingUp()).output).toContain("hermes's disk is missing from the program");
        expect(deployment.writes()).toEqual([]);
    });
});

describe("A new region or workspace", () => {
    test("isn't moved to: `up` says where both services stand, what would be lost and the way out, and touches nothing", async ({ annotate }) => {
        const before = [...containerIds(), ...disks()];
        const says = /stand in oregon: .*deletes their disks.*replaceData frankfurt/;
        await deployment.set({ renderRegion: "frankfurt" });
        const { output: said } = await deployment.failingUp();
        await annotate(reason(said));
        expect(said).toMatch(says);
        // As after the preview of deploy.yml, and with one service alone.
        for (const flag of ["--skip-preview", `--target=${urn("render:index/privateService:PrivateService", "hermes")}`]) {
            const { code, output: again } = await deployment.pulumi.run(["up", "--yes", flag]);
            expect([code === 0, again]).toEqual([false, expect.stringMatching(says)]);
        }
        await deployment.settled();
        await deployment.set({ renderRegion: "oregon" });
        expect(await deployment.up()).toEqual({ same: 10 });
        expect(deployment.writes()).toEqual([]);
        expect([...containerIds(), ...disks()]).toEqual(before);
    });

    test("is warned of when it is a workspace: what stands in the old one stays", async () => {
        const before = [...containerIds(), ...disks()];
        await deployment.set({ renderOwnerId: "tea-b0b0b0b0b0b0b0b0b0b0" });
        expect(await deployment.pulumi.must("preview")).toContain(staysThere);
        const { output: said } = await deployment.failingUp();
        expect(reason(said)).toContain("renderOwnerId tea-b0b0b0b0b0b0b0b0b0b0 isn't a workspace that renderApiKey opens");
        await deployment.set({ renderOwnerId: testbed.settings.renderOwnerId });
        expect(await deployment.up()).toEqual({ same: 10 });
        expect(deployment.writes()).toEqual([]);
        expect([...containerIds(), ...disks()]).toEqual(before);
    });

    test("is refused in spite of replaceData while protectData is on, as `destroy` is", async () => {
        await deployment.set({ protectData: "true" });
        await deployment.up();
        deployment.forget();
        const before = containerIds();
        await deployment.set({ renderRegion: "frankfurt", replaceData: "frankfurt" });
        expect((await deployment.failingUp()).output).toContain("unable to replace resource");
        const { code, output: said } = await deployment.pulumi.run(["destroy", "--yes"]);
        expect(code).not.toBe(0);
        expect(said).toContain("it is protected");
        expect(deployment.writes()).toEqual([]);
        expect(containerIds()).toEqual(before);
        expect(await marks()).toEqual(["hermes\n", "open-webui\n"]);
    });

    test("that replaceData names replaces both services without a clash of names", async ({ annotate }) => {
        const before = disks();
        await deployment.set({ protectData: "false" });
        // The new disk has no login, and the old machine would hold the name.
        await testbed.tailnet("DELETE", "/machines/open-webui");
        await deployment.up();
        expect(regions()).toEqual(["frankfurt", "frankfurt"]);
        expect(statuses()).toEqual(["live", "live"]);
        expect(disks().filter((id) => before.includes(id))).toEqual([]);
        expect(await chat("Where are you?")).toBe("Echo: Where are you?");
        await annotate("the disks are new, and the machine of before had to be deleted from the tailnet first");
    });

    test("cut off after the new service was made: it is deleted by hand, and one more `up` ends the move", async () => {
        await deployment.set({ renderRegion: "ohio", replaceData: "ohio" });
        await testbed.tailnet("DELETE", "/machines/open-webui");
        deployment.render.fail(afterCreation);
        await deployment.failingUp();
        expect((await adopt("hermes")).output).toContain("already exists");
        deployment.render.workspace.deleteService(deployment.service("hermes").id);
        await deployment.up();
        expect(regions()).toEqual(["ohio", "ohio"]);
        expect(statuses()).toEqual(["live", "live"]);
        expect(await deployment.up()).toEqual({ same: 10 });
    });
});

describe("Trouble with what stands: one more `up` repairs it, and both disks are kept", () => {
    let rotation = 10;

    beforeAll(async () => {
        if (cli) await mark();
    });
    afterEach(async () => {
        if (!cli) return;
        expect(statuses()).toEqual(["live", "live"]);
        expect(testbed.environment("open-webui").OPENAI_API_KEY).toBe(testbed.environment("hermes").API_SERVER_KEY);
        expect([...deployment.render.workspace.services.values()]).toHaveLength(2);
        expect(await marks()).toEqual(["hermes\n", "open-webui\n"]);
    });

    const deploysOf = (name: ServiceName) => new RegExp(`/${deployment.service(name).id}/deploys`);

    test.for<[what: string, failure: () => Failure]>([
        ["a 500 in the middle of an update", () => ({ status: 500, times: 1, method: "PUT", path: /env-vars/ })],
        ["a 500 whose request had its effect", () => ({ status: 500, times: 1, method: "PATCH", path: /^\/services/, afterEffect: true })],
        ["a 500 in the place of the first service's deploy", () => ({ status: 500, times: 1, method: "POST", path: deploysOf("hermes") })],
        ["a 429 on a write", () => ({ status: 429, times: 1, method: "PATCH", path: /^\/services/ })],
        ["a 429 on the second service's deploy", () => ({ status: 429, times: 1, method: "POST", path: deploysOf("open-webui") })],
    ])("%s", async ([, failure], { annotate }) => {
        await deployment.set({ keyRotation: String(++rotation) });
        deployment.render.fail(failure());
        const { output: said } = await deployment.failingUp();
        await annotate(reason(said));
        await deployment.up();
        expect(await chat("Again?")).toBe("Echo: Again?");
    });

    test.for(["registryToken", "registryPullToken"])(
        "a %s that the registry doesn't take never reaches Render, though no image has changed",
        async (setting, { annotate }) => {
            await deployment.set({ [setting]: "guessed-by-nobody" });
            const { output: said } = await deployment.failingUp();
            await annotate(reason(said));
            expect(reason(said)).toContain(`${setting} doesn't open ${Registry.host}/`);
            expect(deployment.writes()).toEqual([]);
            await deployment.set({ [setting]: testbed.settings.registryToken });
            await deployment.up();
        },
    );

    test("a wrong password of the registry", async ({ annotate }) => {
        await deployment.pulumi.edit("hermes/entrypoint.sh", (text) => `${text}\n# changed\n`);
        await deployment.set({ registryToken: "guessed-by-nobody" });
        const { output: said } = await deployment.failingUp();
        await annotate(reason(said));
        expect(deployment.writes()).toEqual([]);
        await deployment.set({ registryToken: testbed.settings.registryToken });
        await deployment.up();
        expect(await output(testbed.running("hermes"), "tail", "-n", "1", "/usr/local/bin/hermes-entrypoint")).toBe("# changed\n");
    });

    test("no Docker daemon", async ({ annotate }) => {
        await deployment.pulumi.edit("hermes/entrypoint.sh", (text) => `${text}\n# changed again\n`);
        const nothing = deployment.pulumi.folder("nothing");
        const { output: said } = await deployment.failingUp({ environment: { DOCKER_HOST: `unix://${nothing}`, BUILDX_CONFIG: nothing } });
        await annotate(reason(said));
        expect(deployment.writes()).toEqual([]);
        await deployment.up();
        expect(await output(testbed.running("hermes"), "tail", "-n", "1", "/usr/local/bin/hermes-entrypoint")).toBe("# changed again\n");
        const { registryUser: username, registryToken: authToken } = testbed.settings;
        for (const name of serviceNames) expect(await deployment.registry.has(deployment.service(name).imagePath, { username, authToken }), name).toBe(true);
    });

    test("a CLI that is killed in the middle, then `pulumi cancel`", async () => {
        await deployment.set({ keyRotation: String(++rotation) });
        await deployment.failingUp({ killWhen: deployment.seen("PATCH", /^\/services/) });
        expect((await deployment.failingUp()).output).toContain("locked");
        await deployment.pulumi.must("cancel", "--yes");
        await deployment.up();
        expect(await chat("Alive?")).toBe("Echo: Alive?");
    });
});

// Which types those are, and that each is refused: unit/program.test.ts.
test("A public type of Render is refused, and nothing is created", async () => {
    // An id makes the SDK skip its check of required arguments.
    onTestFinished(await deployment.pulumi.edit("index.ts", (text) => `${text}\nnew render.WebService("intruder", {} as never, { id: "some-id" });\n`));
    expect((await deployment.failingUp()).output).toContain("intruder: render.WebService is refused");
    expect(deployment.writes()).toEqual([]);
});

/** Expects that Render has no service, disk or credential of this stack. */
function expectNothingAtRender(): void {
    const { services, credentials } = deployment.render.workspace;
    expect([...services.values(), ...credentials.values()].map(({ name }) => name)).toEqual([]);
    expect(testbed.services).toEqual({});
    // What the stand-in doesn't know it would have answered so.
    expect(deployment.render.calls.filter(({ status }) => status === 501)).toEqual([]);
}

describe("`protectData: backup`", () => {
    let shell: Shell;
    const backupPassword = randomUUID();
    beforeAll(() => {
        shell = new Shell();
    });
    beforeEach(({ skip }) => {
        skip(process.platform === "win32", "plays ssh by a shell script");
    });
    afterAll(() => {
        shell.remove();
    });

    /** The home of the one who runs Pulumi, where what is pulled lies. */
    const home = () => deployment.pulumi.folder("home");
    /** Runs Pulumi where the shells are played, and `shell` says to where they lead. */
    const run = async (...args: string[]) => {
        await mkdir(home(), { recursive: true });
        const { PATH = "", PULUMI_HOME = join(homedir(), ".pulumi") } = deployment.pulumi.variables;
        const ended = await deployment.pulumi.run(args, { environment: { HOME: home(), PULUMI_HOME, PATH: [shell.folder, PATH].join(delimiter) } });
        await deployment.settled();
        return ended;
    };
    const pulled = () => pulledOnes(join(home(), "private-hermes-backups", `${project.name}-${stackName}`), backupPassword);

    test("is no change of what stands, and from then on no disk goes without a last backup: by `destroy`, or by a move", async ({ annotate }) => {
        const [region] = regions();
        await deployment.set({ protectData: "backup", backupPassword });
        expect(await deployment.up()).toEqual({ same: 10 });
        const before = [...containerIds(), ...disks()];
        for (const [command, says, renderRegion] of [
            ["destroy --yes", "--run-program", region],
            ["destroy --yes --run-program", "No disk is deleted, for no last backup could be made", region],
            ["up --yes", "No disk is deleted, for no last backup could be made", "singapore"],
        ]) {
            await deployment.set({ renderRegion, replaceData: renderRegion });
            const { code, output: said } = await run(...command.split(" "));
            expect([code === 0, said]).toEqual([false, expect.stringContaining(says)]);
            await annotate(reason(said));
        }
        await deployment.set({ renderRegion: region, replaceData: region });
        expect(await deployment.up()).toEqual({ same: 10 });
        expect(deployment.writes()).toEqual([]);
        expect([...containerIds(), ...disks()]).toEqual(before);
    });

    test("`destroy --run-program` pulls both disks to this machine, once, and then leaves nothing at Render", async () => {
        for (const name of serviceNames) shell.lead(deployment.service(name).id, deployment.service(name).region, testbed.running(name));
        const { code, output: said } = await run("destroy", "--yes", "--run-program");
        expect([code, said]).toEqual([0, expect.stringContaining("disk goes. First both disks are pulled to this machine")]);
        expect(await pulled()).toHaveLength(1);
        expectNothingAtRender();
    });

    test("`protectData false` is the way out when none can be made", async () => {
        await testbed.tailnet("DELETE", "/machines/open-webui");
        await deployment.up();
        await deployment.pulumi.must("config", "set", "protectData", "false");
        const { code, output: said } = await run("destroy", "--yes", "--run-program");
        expect([code, said]).toEqual([0, expect.not.stringContaining("last backup")]);
        expect(await pulled()).toHaveLength(1);
        expectNothingAtRender();
    });
});

describe("`pulumi destroy`", () => {
    test("what stays: in the registry, and on the tailnet", async ({ annotate }) => {
        const repositories = await deployment.registry.contents();
        expect(repositories.map(({ name }) => name).toSorted()).toEqual(serviceNames.map((name) => `family/agent/${name}-${stackName}`));
        for (const { name, digests } of repositories) await annotate(`${Registry.host}/${name}: ${digests.length} versions`);
        expect((await testbed.machines()).map(({ Name }) => Name)).toContain(new URL(testbed.url).hostname);
        await annotate(`the machine ${new URL(testbed.url).hostname}`);
    });
});

describe("Trouble with the first `up`", () => {
    beforeEach(async () => {
        if (!cli) return;
        await deployment.destroy();
        expectNothingAtRender();
        await testbed.tailnet("DELETE", "/machines/open-webui");
        deployment.forget();
    });
    afterEach(async () => {
        if (!cli) return;
        expect(statuses()).toEqual(["live", "live"]);
        expect([...deployment.render.workspace.services.values()]).toHaveLength(2);
        expect(deployment.render.workspace.credentials.size).toBe(1);
        expect(await deployment.up()).toEqual({ same: 10 });
        expect(await chat("And now?")).toBe("Echo: And now?");
    });

    test("a first deploy that fails: `up` doesn't notice it, and the next one with the mistake put right repairs it", async ({ annotate }) => {
        const right = testbed.settings.tailscaleAuthKey;
        await deployment.set({ tailscaleAuthKey: requiredSettings().tailscaleAuthKey });
        await deployment.up();
        expect(statuses()).toEqual(["live", "update_failed"]);
        const before = [deployment.service("open-webui").id, ...disks()];
        await annotate(`the service's log: ${lastLine(deployment.service("open-webui").deploys[0].failure)}`);
        await deployment.set({ tailscaleAuthKey: right });
        await deployment.up();
        expect([deployment.service("open-webui").id, ...disks()]).toEqual(before);
    });

    test.for([
        ["renderApiKey", "rnd_guessed-by-nobody"],
        ["renderOwnerId", "tea-b0b0b0b0b0b0b0b0b0b0"],
    ])("a wrong %s: `up` names it before anything is made, and putting it right warns of no services that stay elsewhere", async ([setting, value]) => {
        await deployment.set({ [setting]: value });
        const { output: said } = await deployment.failingUp();
        expect(reason(said)).toContain(`error: ${setting} `);
        expect(deployment.writes()).toEqual([]);
        await deployment.set({ [setting]: testbed.settings[setting as "renderApiKey"] });
        expect(await deployment.pulumi.must("up", "--yes")).not.toContain(staysThere);
        await deployment.settled();
    });

    test("a misspelled setting: `preview` and `up` name it, and the nearest that exists", async ({ annotate }) => {
        await deployment.set({ modelDefalt: "openai/gpt-5.5" });
        for (const command of ["preview", "up --yes"]) {
            const { code, output: said } = await deployment.pulumi.run(command.split(" "));
            expect([code === 0, said]).toEqual([false, expect.stringContaining("modelDefalt isn't a setting: set modelDefault")]);
            await annotate(command);
        }
        await deployment.pulumi.must("config", "rm", "modelDefalt");
        await deployment.up();
    });

    test("no payment card, at the registry credential and at a service: one more `up` once there is one", async ({ annotate }) => {
        const { workspace } = deployment.render;
        onTestFinished(() => {
            workspace.hasCard = true;
        });
        workspace.hasCard = false;
        const { output: atCredential } = await deployment.failingUp();
        await annotate(reason(atCredential));
        expect(reason(atCredential)).toContain("402");
        workspace.hasCard = true;
        void deployment.seen("POST", /^\/registrycredentials$/).then(() => {
            workspace.hasCard = false;
        });
        const { output: atService } = await deployment.failingUp();
        await annotate(reason(atService));
        expect(reason(atService)).toContain("Payment information is required");
        workspace.hasCard = true;
        await deployment.up();
    });

    test("a 500 in the place of a service: one more `up`", async () => {
        deployment.render.fail({ status: 500, times: 1, method: "POST", path: /^\/services$/ });
        await deployment.failingUp();
        await deployment.up();
    });

    test("a 500 after the service was made: it is adopted, with its disk, by `pulumi import`", async () => {
        deployment.render.fail(afterCreation);
        await deployment.failingUp();
        const { id, disk } = deployment.service("hermes");
        expect((await deployment.failingUp()).output).toContain("already in use");
        expect((await preflight()).line("Service names")).toMatch(new RegExp(`^failure: hermes-${stackName} \\(${id}\\) exists .* adopt it`));
        await adopt("hermes");
        await deployment.pulumi.must("refresh", "--clear-pending-creates", "--yes");
        // An adopted service stays where it is, too.
        const { region } = deployment.service("hermes");
        await deployment.set({ renderRegion: "singapore" });
        expect((await deployment.failingUp()).output).toContain(`but hermes-${stackName} stands in ${region}`);
        await deployment.set({ renderRegion: region });
        await deployment.up();
        expect(deployment.service("hermes")).toMatchObject({ id, disk: { id: disk?.id } });
    });

    test("a CLI that is killed while it makes a service: `pulumi cancel`, and the same", async () => {
        await deployment.failingUp({ killWhen: deployment.seen("POST", /^\/services$/) });
        const { id, disk } = deployment.service("hermes");
        await deployment.pulumi.must("cancel", "--yes");
        await adopt("hermes");
        await deployment.pulumi.must("refresh", "--clear-pending-creates", "--yes");
        await deployment.up();
        expect(deployment.service("hermes")).toMatchObject({ id, disk: { id: disk?.id } });
    });
});
