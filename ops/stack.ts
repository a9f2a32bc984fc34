/** The selected stack, read where `pulumi up` reads it: by the CLI, from the stack's file, ESC and the backend. */
import { readFileSync } from "node:fs";
import { Config } from "@pulumi/pulumi/config.js";
import { setAllConfig } from "@pulumi/pulumi/runtime/config.js";
import { parse } from "yaml";
import { type Complaint, inspectSettings, type SettingName, type Settings } from "../config.ts";
import { getCli } from "./cli.ts";
import { CommandFailed, runCommand } from "./command.ts";
import { type Check, failure, type Finding, ok, unchecked } from "./report.ts";

interface Project {
    name: string;
    config: Record<string, { default?: string | boolean; description: string }>;
}

export const project = parse(readFileSync(new URL("../Pulumi.yaml", import.meta.url), "utf8")) as Project;

export interface Stack {
    /** As `index.ts` writes it into the names at Render. */
    name: string;
    settings: Settings;
    complaints: Complaint[];
    secrets: string[];
    /** Ids of the private services that are in the stack's state; the CLI is asked once. Rejects with `CommandFailed`. */
    serviceIds: () => Promise<string[]>;
}

/** Runs the CLI without questions. Rejects with `CommandFailed`. */
export const pulumiCli = (...args: string[]) => runCommand("pulumi", [...args, "--non-interactive"]);

/** What is stored for a stack. */
export interface Stored {
    /** Name of the stack, as `index.ts` writes it into the names at Render. */
    name: string;
    /** Value by full key, such as private-hermes:registryUser; defaults are not among them. */
    values: Record<string, string>;
    /** Full keys of the values that are secret. */
    secretKeys: string[];
}

/** Reads what is stored for the selected stack, in its file and in ESC. Rejects with `CommandFailed` when the CLI can't. */
export async function readStored(): Promise<Stored> {
    const name = (await pulumiCli("stack", "--show-name")).trim().toLowerCase();
    const stored = JSON.parse(await pulumiCli("config", "--json", "--show-secrets")) as Record<string, { value?: string; secret: boolean }>;
    const defaultOf = (key: string) => (project.config as Partial<Project["config"]>)[key.slice(key.indexOf(":") + 1)]?.default?.toString();
    // The CLI gives the project's defaults, too, as if they were stored.
    const given = Object.entries(stored).flatMap(([key, { value }]) => (value === undefined || value === defaultOf(key) ? [] : [[key, value]]));
    return { name, values: Object.fromEntries(given) as Record<string, string>, secretKeys: Object.keys(stored).filter((key) => stored[key].secret) };
}

/** The stack that has these values and otherwise the project's defaults. */
export function stackOf({ name, values, secretKeys }: Stored): Stack {
    const defaults = Object.entries(project.config).filter(([, { default: value }]) => value !== undefined);
    const all = { ...Object.fromEntries(defaults.map(([key, { default: value }]) => [`${project.name}:${key}`, String(value)])), ...values };
    setAllConfig(all, secretKeys);
    // A secret that somebody keeps in plain text is one all the same.
    const secrets = Object.entries(all)
        .filter(([key]) => secretKeys.includes(key) || /(token|key|secret|password)(id)?$/i.test(key))
        .map(([, value]) => value);
    let ids: Promise<string[]> | undefined;
    return { name, secrets, serviceIds: () => (ids ??= readServiceIds()), ...inspectSettings(new Config(project.name)) };
}

/** Reads the selected stack. Rejects with `CommandFailed` when the CLI can't. */
export const readStack = async (): Promise<Stack> => stackOf(await readStored());

/** What the CLI's refusal to read the stack means to the user. */
export function unreadable(error: unknown): Finding {
    if (!(error instanceof CommandFailed)) throw error;
    if (error.missing) return unchecked("the Pulumi CLI isn't installed");
    const { message } = error;
    if (/passphrase/i.test(message)) {
        return failure(
            "its secrets are encrypted with a passphrase",
            "put it into PULUMI_CONFIG_PASSPHRASE, or the path of a file with it into PULUMI_CONFIG_PASSPHRASE_FILE",
        );
    }
    if (/no stack selected|must supply a stack|no stack named/i.test(message)) {
        return failure("none is selected", "pulumi stack select <name>, or pulumi stack init <name> for a new one");
    }
    if (/does not support environments/.test(message)) {
        return failure(
            "its file names an ESC environment, and only Pulumi Cloud has these",
            "pulumi login, or npm run setup, which takes it out of the file (docs/credentials.md, “Secrets”)",
        );
    }
    if (/\benvironment\b.*not found/i.test(message)) return failure(message, "run npm run setup, which makes the environment that the stack's file names");
    if (/log ?in|PULUMI_ACCESS_TOKEN|credentials/i.test(message)) return failure("the Pulumi CLI isn't logged in", "pulumi login");
    return failure(message, "run `pulumi config` to see all of it");
}

/** The same, for a command that can do nothing without the stack: a CLI that is missing is a failure, too. */
export function withoutStack(error: unknown): Finding {
    const finding = unreadable(error);
    return finding.status === "unchecked" ? failure(finding.message, getCli) : finding;
}

/** The checks of the stack's form: whether it can be read, and a line for each wrong setting. */
export function settingsChecks({ name, complaints }: Stack): Check[] {
    const stack = { name: "Stack", run: () => ok(`${name}, its configuration can be read`) };
    if (complaints.length === 0) return [stack, { name: "Settings", run: () => ok("all there, and of the right form") }];
    // config.ts writes "what is wrong: way out". The first colon that isn't in a quoted value divides the two.
    return [stack, ...complaints.map(({ sentence }) => ({ name: "Settings", run: () => failure(...halves(sentence)) }))];
}

/** A check that is left undone while one of its settings is wrong in form. */
export const whenRight =
    ({ complaints }: Stack, keys: SettingName[], run: () => Finding | Promise<Finding>) =>
    () => {
        const wrong = keys.filter((key) => complaints.some((complaint) => complaint.key === key));
        return wrong.length > 0 ? unchecked(`${wrong.join(" and ")} ${wrong.length > 1 ? "have" : "has"} to be put right first`) : run();
    };

const halves = (sentence: string): [says: string, wayOut: string] => {
    const at = sentence.indexOf(": ");
    return at < 0 ? [sentence, "see README.md"] : [sentence.slice(0, at), sentence.slice(at + 2)];
};

async function readServiceIds(): Promise<string[]> {
    const { deployment } = JSON.parse(await pulumiCli("stack", "export")) as { deployment: { resources?: { type: string; id?: string }[] } };
    return (deployment.resources ?? []).flatMap(({ type, id }) => (type === "render:index/privateService:PrivateService" && id ? [id] : []));
}

/** What `index.ts` exports; all of it undefined before the first `up`. */
export type Outputs = Partial<
    Record<"hermesServiceId" | "openWebUiServiceId" | "hermesInternalUrl" | "openWebUiTailnetUrl" | "openWebUiAdminEmail" | "openWebUiAdminPassword", string>
>;

/** The outputs of the stack, secrets included. */
export const readOutputs = async () => JSON.parse(await pulumiCli("stack", "output", "--json", "--show-secrets")) as Outputs;
