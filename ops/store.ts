/** Where `npm run setup` puts settings: the stack's ESC environment at Pulumi Cloud, the stack's own configuration elsewhere. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseDocument } from "yaml";
import { type SettingName, settingRules } from "../config.ts";
import { runCommand } from "./command.ts";
import { project, pulumiCli } from "./stack.ts";

interface Backend {
    /** Whether it is Pulumi Cloud, which alone has ESC. */
    cloud: boolean;
    user: string;
}

/** Where the CLI is logged in. Rejects with `CommandFailed` when it is nowhere. */
export async function readBackend(): Promise<Backend> {
    const { url, user } = JSON.parse(await pulumiCli("whoami", "--json")) as { url: string; user: string };
    return { cloud: /^https?:/.test(url), user };
}

interface StackSummary {
    /** With the organization in front where that isn't the default one. */
    name: string;
    current: boolean;
    /** At Pulumi Cloud its page, …/<organization>/<project>/<stack>. */
    url?: string;
}

/** The stacks of this project. Rejects with `CommandFailed`. */
export const readStacks = async (): Promise<StackSummary[]> => JSON.parse(await pulumiCli("stack", "ls", "--json")) as StackSummary[];

export interface Store {
    /** Name of the place, for the user. */
    where: string;
    /** Stores a value; a secret one encrypted. It travels over standard input. Rejects with `CommandFailed`. */
    put: (key: SettingName, value: string) => Promise<void>;
}

const secretFlag = (key: SettingName) => (settingRules[key].secret ? ["--secret"] : []);

/** `pulumi config set` reads from its standard input a value that isn't on the command line. */
const putIntoConfig = async (key: SettingName, value: string) => {
    await runCommand("pulumi", ["config", "set", ...secretFlag(key), key, "--non-interactive"], value);
};

/**
 * The store of the selected stack; made, and imported into the stack's file, where it is missing. `tell` gets a sentence for
 * each thing that was made or changed. Rejects with `CommandFailed`.
 */
export async function openStore({ cloud, user }: Backend, tell: (sentence: string) => void): Promise<Store> {
    const stack = (await readStacks()).find(({ current }) => current);
    if (!stack) throw new Error("no stack is selected");
    const name = stack.name.split("/").at(-1) ?? stack.name;
    const file = `Pulumi.${name}.yaml`;
    const document = () => parseDocument(existsSync(file) ? readFileSync(file, "utf8") : "");
    if (!cloud) {
        const content = document();
        // `delete` throws where a file is empty, or has nothing but comments.
        if (content.has("environment")) {
            content.delete("environment");
            writeFileSync(file, content.toString());
            tell(`${file} no longer names an ESC environment: only Pulumi Cloud has these`);
        }
        return { where: `the configuration of the stack ${name}, encrypted`, put: putIntoConfig };
    }

    const imports = JSON.parse(await pulumiCli("config", "env", "ls", "--json")) as string[];
    // The last one wins over those before it.
    const environment = imports.at(-1) ?? `${project.name}/${name}`;
    const organization = stack.url ? (new URL(stack.url).pathname.split("/").at(-3) ?? user) : user;
    // Without the organization the CLI takes the default one, which needn't be the stack's.
    const full = environment.split("/").length > 2 ? environment : `${organization}/${environment}`;
    // `env ls` leaves the organization out where it is the user's own (pulumi/esc, cmd/esc/cli/env_ls.go).
    const existing = (await pulumiCli("env", "ls"))
        .split("\n")
        .map((line) => line.trim())
        .map((line) => (line.split("/").length > 2 ? line : `${user}/${line}`));
    if (!existing.includes(full)) {
        await pulumiCli("env", "init", full);
        tell(`made the ESC environment ${full}`);
    }
    if (imports.length === 0) {
        await pulumiCli("config", "env", "add", environment, "--yes");
        tell(`${file} now names the ESC environment ${environment}`);
    }
    const put = async (key: SettingName, value: string) => {
        // What stands in the stack's file wins over ESC.
        if (document().hasIn(["config", `${project.name}:${key}`])) await putIntoConfig(key, value);
        // --file - is standard input; --string keeps YAML from making something else of it (pulumi/esc, cmd/esc/cli/env_set.go).
        else await runCommand("pulumi", ["env", "set", full, `pulumiConfig.${key}`, ...secretFlag(key), "--string", "--file", "-", "--non-interactive"], value);
    };
    return { where: `the ESC environment ${full}, encrypted`, put };
}

/** Stores a value where the stack's others are: in its ESC environment if it has one, and in its file otherwise. Makes neither. Rejects with `CommandFailed`. */
export async function putBeside(key: SettingName, value: string): Promise<void> {
    const backend = await readBackend();
    const imports = backend.cloud ? (JSON.parse(await pulumiCli("config", "env", "ls", "--json")) as string[]) : [];
    const { put } = imports.length > 0 ? await openStore(backend, () => undefined) : { put: putIntoConfig };
    await put(key, value);
}
