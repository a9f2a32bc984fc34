/**
 * Plays the Pulumi CLI for the tests of `npm run setup`: stacks, their configuration and ESC environments, kept in the JSON file
 * that is its first argument, with each command line and what came over standard input. The command lines and what they print
 * are those of pulumi/pulumi (pkg/cmd/pulumi: whoami, stack, config; seen of 3.260.0 as well) and of pulumi/esc (cmd/esc/cli: env ls, env init, env set).
 *
 * What it does not imitate: encryption, organizations beside the user's own, environments that import others, everything else.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const [file, ...line] = process.argv.slice(2);
const state = JSON.parse(readFileSync(file, "utf8"));
const input = readFileSync(0, "utf8");
const args = line.filter((arg) => arg !== "--non-interactive");
state.calls.push({ line: line.join(" "), input });

const stackFile = () => `Pulumi.${state.current}.yaml`;
const imports = () => [...(existsSync(stackFile()) ? readFileSync(stackFile(), "utf8") : "").matchAll(/^ {2}- (.+)$/gm)].map(([, name]) => name);
const full = (name) => (name.split("/").length > 2 ? name : `${state.user}/${name}`);

function save() {
    writeFileSync(file, JSON.stringify(state));
}

function fail(message) {
    save();
    console.error(`error: ${message}`);
    process.exit(255);
}

function needsStack() {
    if (!state.current) fail("no stack selected; please use `pulumi stack select` or `pulumi stack init` to choose one");
    if (state.passphrase !== undefined && process.env.PULUMI_CONFIG_PASSPHRASE === undefined) {
        fail("passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE environment variables");
    }
    if (state.passphrase !== undefined && process.env.PULUMI_CONFIG_PASSPHRASE !== state.passphrase) fail("incorrect passphrase");
}

/** The values of an environment, or of the stack's own configuration. */
async function config() {
    needsStack();
    if (!state.cloud && imports().length > 0) fail("backend file does not support environments");
    const parts = imports().map((name) => state.environments[full(name)] ?? fail(`[404] Not Found: environment ${name} not found`));
    // The CLI gives the project's defaults as if they were stored.
    const { parse } = await import("yaml"); // half of the time that a call takes
    const { config } = parse(readFileSync("Pulumi.yaml", "utf8"));
    const defaults = Object.entries(config).filter(([, { default: value }]) => value !== undefined);
    const given = defaults.map(([key, { default: value }]) => [`private-hermes:${key}`, { value: String(value), secret: false }]);
    return Object.assign(Object.fromEntries(given), ...parts, state.config);
}

const commands = {
    version: () => "v3.265.0",
    "whoami --json": () => JSON.stringify({ user: state.user, url: state.cloud ? `https://app.pulumi.com/${state.user}` : "file://~" }),
    "stack ls --json": () =>
        JSON.stringify(
            state.stacks.map((name) => ({
                name,
                current: name === state.current,
                ...(state.cloud && { url: `https://app.pulumi.com/${state.user}/private-hermes/${name}` }),
            })),
        ),
    "stack --show-name": () => {
        needsStack();
        return state.current;
    },
    "stack export": () => JSON.stringify({ version: 3, deployment: {} }),
    "config --json --show-secrets": async () => JSON.stringify(await config()),
    "config env ls --json": () => {
        needsStack();
        return JSON.stringify(imports());
    },
    "env ls": () =>
        Object.keys(state.environments)
            .map((name) => name.replace(`${state.user}/`, ""))
            .join("\n"),
};

function run() {
    const known = commands[args.join(" ")];
    if (known) return known();
    const command = args.slice(0, 2).join(" ");
    const flags = args.filter((arg) => arg.startsWith("--"));
    const rest = args.filter((arg) => !arg.startsWith("--") && arg !== "-").slice(2);
    if (command === "stack init" || command === "stack select") {
        if (command === "stack init") {
            if (!state.cloud) state.passphrase = process.env.PULUMI_CONFIG_PASSPHRASE ?? fail("passphrase must be set with PULUMI_CONFIG_PASSPHRASE");
            state.stacks.push(rest[0]);
        }
        state.current = rest[0];
        return "";
    }
    if (command === "env init") {
        state.environments[full(rest[0])] = {};
        return `Environment created: ${rest[0]}`;
    }
    if (args.slice(0, 3).join(" ") === "config env add" && flags.includes("--yes")) {
        writeFileSync(stackFile(), `environment:\n  - ${rest[1]}\n`);
        return "";
    }
    if (command === "env set" && args.join(" ").endsWith("--string --file -")) {
        const environment = state.environments[full(rest[0])] ?? fail(`environment ${rest[0]} not found`);
        environment[`private-hermes:${rest[1].replace("pulumiConfig.", "")}`] = { value: input, secret: flags.includes("--secret") };
        return "";
    }
    if (command === "config set") {
        needsStack();
        if (state.full) fail(`writing ${input}: no space left on device`);
        state.config[`private-hermes:${rest[0]}`] = { value: input, secret: flags.includes("--secret") };
        return "";
    }
    return fail(`pulumi ${line.join(" ")}: a test didn't expect this`);
}

const says = await run();
save();
console.log(says);
