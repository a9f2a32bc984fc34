/**
 * Evaluates the program under Pulumi's mocks: the same `index.ts` that `pulumi up` runs, without an engine.
 *
 * What it does not imitate: the engine (diffs, state, previews with unknown values), the bridge and the providers'
 * own checks. Values that a provider would invent are made up here, the random ones derived from the resource's name
 * and keepers so that a test can see which of them a change replaces.
 */
import { createHash, randomBytes } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb.js";
import type { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks.js";
import { vi } from "vitest";
import { declaredSettings, project, requiredSettings, secretSettings } from "./settings.ts";

export interface Resource {
    type: string;
    name: string;
    urn: string;
    /** As a provider gives it: it stands in the state in plain text, whatever it is. */
    id: string;
    /** As the program gave them, each secret still marked as one. */
    inputs: Record<string, unknown>;
    /** All strings among the inputs that the program didn't mark secret, each by itself: in `inputs` one secret hides its whole property. */
    plainInputs: string[];
    /** Name of the provider that was passed explicitly, or "". */
    provider: string;
    /** Names of the resources in `dependsOn` and behind the inputs. */
    dependencies: string[];
    protect: boolean;
    deleteBeforeReplace: boolean;
    ignoreChanges: string[];
    retainOnDelete: boolean;
    /** What runs before it is updated. */
    beforeUpdate: pulumi.ResourceHook[];
    /** What runs before it is deleted. */
    beforeDelete: pulumi.ResourceHook[];
}

export interface Program {
    resources: Resource[];
    outputs: Record<string, unknown>;
    /** Every secret value that went into the program or came into being in it. */
    secrets: string[];
}

const isSecret = (value: unknown) => pulumi.runtime.isRpcSecret(value);

/** A value with every secret in it unwrapped. */
export function plain(value: unknown): unknown {
    if (isSecret(value)) return plain(pulumi.runtime.unwrapRpcSecret(value));
    if (Array.isArray(value)) return value.map(plain);
    if (value !== null && typeof value === "object") {
        return Object.fromEntries(Object.entries(value).map(([key, inner]: [string, unknown]) => [key, plain(inner)]));
    }
    return value;
}

/** All strings in a value that are not marked secret. */
export function plainStrings(value: unknown): string[] {
    if (typeof value === "string") return [value];
    if (value === null || typeof value !== "object" || isSecret(value)) return [];
    return Object.values(value).flatMap(plainStrings);
}

/** Nobody who has read this file knows a password of a rehearsal that stays up. */
const salt = randomBytes(20).toString("hex");
const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");

/** What a provider would add to a resource's inputs. */
function invent(type: string, name: string, inputs: Record<string, unknown>, standing: Partial<Record<string, string>> = {}): Record<string, string> {
    const derived = digestOf(`${salt} ${name} ${JSON.stringify(inputs.keepers ?? {})}`);
    switch (type) {
        case "random:index/randomBytes:RandomBytes":
            return { hex: derived.slice(0, 2 * (inputs.length as number)) };
        case "random:index/randomPassword:RandomPassword":
            return { result: derived.slice(0, inputs.length as number) };
        case "docker-build:index:Image":
            return { digest: `sha256:${digestOf(`image ${name}`)}` };
        case "render:index/privateService:PrivateService":
            // The suffix that Render adds to a slug is there so that nobody takes the service's name for its host.
            return { slug: `${inputs.name as string}-x7k2`, url: `${inputs.name as string}-x7k2:10000`, ...(standing[name] && { region: standing[name] }) };
        default:
            return {};
    }
}

// The mocks say that they have hooks, and can't register one. None is called by itself: there is no engine that updates anything.
Object.assign(MockMonitor.prototype, {
    registerResourceHook: (_: unknown, done: (error: null, answer: object) => void) => {
        done(null, {});
    },
});

/** The last segment of a URN is the resource's name. */
const nameOf = (urn: string) => urn.slice(urn.lastIndexOf("::") + 2);

/** What the SDK itself uses to serialise an output; neither is in its public types. */
interface Internals {
    isSecret: Promise<boolean>;
    promise: () => Promise<unknown>;
}

const isOutput = (value: unknown): value is Internals => pulumi.Output.isInstance(value);

/** An output's value and whether it is secret; a plain export as it is. */
async function settle(value: unknown): Promise<unknown> {
    if (!isOutput(value)) return value;
    const settled = await value.promise();
    return (await value.isSecret) ? { secret: settled } : settled;
}

/** All strings in a value of the program that are not in a secret output. */
async function unmarked(value: unknown): Promise<string[]> {
    if (typeof value === "string") return [value];
    if (value === null || typeof value !== "object") return [];
    if (isOutput(value)) return (await value.isSecret) ? [] : unmarked(await value.promise());
    return (await Promise.all(Object.values(value).map(unmarked))).flat();
}

export interface Options {
    /** Runs in the same stack after the program. */
    also?: () => void;
    /** Secret settings that the user stored in plain text. */
    plainText?: string[];
    /** Name of the stack. */
    stack?: string;
    /** A preview: what isn't in `before` has no id yet. */
    preview?: boolean;
    /** Inputs of the resources that stood before, by name: their hooks run, as the engine does it before an update. */
    before?: Partial<Record<string, Record<string, unknown>>>;
    /** What a service answers that the program asks; without it each takes every credential. */
    answer?: (url: string, authorization: string) => Response | Promise<Response>;
    /** Region in which a service stands already, by its name, as the engine tells the program when a change of it is ignored. */
    standing?: Partial<Record<string, string>>;
}

type Overrides = Record<string, string | undefined>;

/** As `run`, but rejects with what the program threw. */
export async function evaluate(overrides: Overrides = {}, options: Options = {}): Promise<Program> {
    const { failure, ...program } = await tryProgram(overrides, options);
    if (failure !== undefined) throw failure as Error;
    return program;
}

/**
 * Runs the program with the required settings, the defaults of Pulumi.yaml and `overrides` on top; an override of
 * `undefined` takes a setting away. `failure` is what the program threw, if it did, also once it knew what a provider answers.
 */
export async function tryProgram(
    overrides: Overrides = {},
    { also, plainText = [], stack = "test", preview = false, before = {}, answer = () => Response.json({}), standing }: Options = {},
): Promise<Program & { failure?: unknown }> {
    const defaults = Object.entries(declaredSettings)
        .filter(([, { default: value }]) => value !== undefined)
        .map(([key, { default: value }]): [string, string] => [key, String(value)]);
    const given: Overrides = { ...Object.fromEntries(defaults), ...requiredSettings(), ...overrides };
    const settings = Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const secretKeys = secretSettings.filter((key) => !plainText.includes(key));
    const secrets = settings.filter(([key]) => secretSettings.includes(key)).map(([, value]) => value);

    const resources: Resource[] = [];
    const written = new Map<string, { props: unknown; beforeUpdate: pulumi.ResourceHook[]; beforeDelete: pulumi.ResourceHook[] }>();
    let failure: unknown;
    // The request that the SDK sends is the only place that shows a resource's options.
    const asked = vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => {
        return answer(url instanceof Request ? url.url : url.toString(), new Headers(init?.headers).get("authorization") ?? "");
    });
    const ids = new Map<string, string>();
    const register = vi.spyOn(MockMonitor.prototype, "registerResource");
    // What an `apply` throws reaches Pulumi's loader so. Vitest's own listener would fail the whole run.
    const listeners = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", (thrown) => (failure ??= thrown));
    vi.resetModules();
    pulumi.runtime.setAllConfig(
        Object.fromEntries(settings.map(([key, value]) => [`${project.name}:${key}`, value])),
        secretKeys.map((key) => `${project.name}:${key}`),
    );
    await pulumi.runtime.setMocks(
        {
            newResource: async ({ type, name, inputs }: { type: string; name: string; inputs: object }) => {
                const hooks = before[name] ? (written.get(`${type} ${name}`)?.beforeUpdate ?? []) : [];
                for (const { callback } of hooks)
                    await callback({ urn: "", id: "", name, type, oldInputs: before[name], oldOutputs: before[name], newInputs: plain(inputs) as object });
                const invented = invent(type, name, plain(inputs) as Record<string, unknown>, standing);
                if (type.startsWith("random:")) secrets.push(...Object.values(invented));
                // A key of RandomBytes is its id, in base64 (pulumi-random, provider/resources.go, computeRandomBytesID); other ids say nothing.
                const id = type.endsWith(":RandomBytes") ? Buffer.from(invented.hex, "hex").toString("base64") : `${name}-id`;
                ids.set(`${type} ${name}`, id);
                return { id: preview && !before[name] ? "" : id, state: { ...inputs, ...invented } };
            },
            call: ({ inputs }) => inputs as Record<string, unknown>,
        },
        project.name,
        stack,
        preview,
    );
    // Pulumi reads the stack of each promise, and Vite then finds the source of each frame: half of what an evaluation takes.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
        let exports: Record<string, unknown> = {};
        // In a root stack, as the engine's loader does it: the guard hangs on that. What the program throws is carried
        // past the stack, which would otherwise reject a second promise that nobody can await.
        await pulumi.runtime.runInPulumiStack(async () => {
            pulumi.runtime.registerStackTransformation(({ type, name, props, opts }) => {
                const { beforeUpdate = [], beforeDelete = [] } = (opts.hooks ?? {}) as Partial<Record<string, pulumi.ResourceHook[]>>;
                written.set(`${type} ${name}`, { props, beforeUpdate, beforeDelete });
                return undefined;
            });
            try {
                exports = await import("../../index.ts");
                also?.();
            } catch (thrown) {
                failure = thrown;
            }
            return {};
        });
        // What fails for good takes the outputs along that are made of it.
        const failed = (thrown: unknown) => void (failure ??= thrown);
        const settled = Object.entries(exports).map(async ([key, value]) => [key, await settle(value).catch(failed)] as const);
        const outputs = Object.fromEntries(await Promise.all(settled));
        await pulumi.runtime.disconnect().catch(failed);
        await nextTurn(); // Node.js tells of a rejection at the end of a turn.
        for (const [request] of register.mock.calls as unknown as [RegisterResourceRequest][]) {
            if (!request.getCustom()) continue;
            const { props, beforeUpdate = [], beforeDelete = [] } = written.get(`${request.getType()} ${request.getName()}`) ?? {};
            const inputs: unknown = pulumi.runtime.deserializeProperties(request.getObject() as Struct);
            resources.push({
                type: request.getType(),
                name: request.getName(),
                urn: `urn:pulumi:${stack}::${project.name}::${request.getType()}::${request.getName()}`,
                id: ids.get(`${request.getType()} ${request.getName()}`) ?? "",
                inputs: inputs as Record<string, unknown>,
                plainInputs: await unmarked(props),
                provider: request.getProvider().split("::").at(-2) ?? "",
                dependencies: request.getDependenciesList().map(nameOf),
                protect: request.getProtect() ?? false,
                deleteBeforeReplace: request.getDeletebeforereplace(),
                ignoreChanges: request.getIgnorechangesList(),
                retainOnDelete: request.getRetainondelete() ?? false,
                beforeUpdate,
                beforeDelete,
            });
        }
        return { resources, outputs, secrets, failure };
    } finally {
        Error.stackTraceLimit = stackTraceLimit;
        register.mockRestore();
        asked.mockRestore();
        process.removeAllListeners("unhandledRejection");
        for (const listener of listeners) process.on("unhandledRejection", listener);
    }
}
