import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setDefaultCACertificates } from "node:tls";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { runCommand } from "../../ops/command.ts";
import type { Line } from "../../ops/report.ts";
import { verify } from "../../ops/verify.ts";
import { Commands } from "../harness/commands.ts";
import { completion, makeCertificate, OpenWebUi } from "../stand-ins/open-webui.ts";
import { deployServices, idle } from "../harness/render-services.ts";
import { Accounts, worldWith } from "../stand-ins/accounts.ts";
import { pulumiSays, type StackOptions } from "../harness/pulumi-says.ts";
import { type Case, casesOf, expectLine, printedBy, reportOf, sentence } from "../harness/report.ts";
import { requiredSettings } from "../harness/settings.ts";
import { RenderApi } from "../stand-ins/render/api.ts";
import type { DeployStatus } from "../stand-ins/render/model.ts";

vi.mock(import("../../ops/command.ts"), async (original) => {
    const actual = await original();
    return { ...actual, runCommand: vi.fn(actual.runCommand) };
});
/** Processes for each line of a table would be most of its time. */
const withoutProcesses = () => {
    vi.mocked(runCommand).mockImplementation(commands.run);
};

const host = "open-webui.tail1234.ts.net";
const certificates = {
    good: makeCertificate(host, 90),
    ending: makeCertificate(host, 5),
    foreign: makeCertificate("other.tail1234.ts.net", 90),
    unknown: makeCertificate(host, 90),
};
const adminPassword = `admin-${Math.random()}`;

beforeAll(() => {
    setDefaultCACertificates([certificates.good, certificates.ending, certificates.foreign].map(({ cert }) => cert));
});
afterAll(() => {
    setDefaultCACertificates([]);
});

let settings: Record<string, string>;
let commands: Commands;
let accounts: Accounts;
let render: RenderApi;
let page: OpenWebUi;
/** Ids at Render. */
let hermes: string;
let openWebUi: string;
let outputs: Record<string, string>;

const stack = (options: Partial<StackOptions> = {}) => commands.install("pulumi", pulumiSays({ settings, outputs, ...options }));
const node = (changes = {}) => ({ DNSName: `${host}.`, Online: true, Tags: ["tag:hermes"], ...changes });
const tailnet = (machine: object | undefined, changes = {}) => {
    const status = {
        BackendState: "Running",
        CurrentTailnet: { MagicDNSSuffix: "tail1234.ts.net" },
        CertDomains: [],
        Peer: machine ? { key: machine } : null,
        ...changes,
    };
    return commands.install("tailscale", { "status --json": JSON.stringify(status) });
};

/** The stack has the tailnet sign people in, the owner as admin@example.org, and this device is somebody's. */
function byTailnet(login: string, Tags?: string[]) {
    settings = { ...settings, signIn: "tailscale", webuiAdminEmail: "admin@example.org" };
    outputs.openWebUiAdminEmail = "admin@example.org";
    page.state.byTailnet = true;
    stack();
    return tailnet(node(), { Self: { UserID: 7, Tags }, User: { 7: { LoginName: login } } });
}

async function openPage(certificate = certificates.good): Promise<void> {
    await (page as OpenWebUi | undefined)?.close();
    page = await OpenWebUi.start({ password: adminPassword, health: 200, models: ["hermes-agent"], answer: () => completion("ready") }, certificate);
    vi.stubEnv("ALL_PROXY", page.proxyUrl);
}

beforeEach(async () => {
    settings = requiredSettings();
    commands = new Commands();
    vi.stubEnv("PATH", commands.folder);
    vi.stubEnv("PULUMI_HOME", commands.folder);
    accounts = await Accounts.start(worldWith());
    render = await RenderApi.start(settings.renderApiKey, settings.renderOwnerId, idle);
    vi.stubEnv("RENDER_HOST", render.url);
    ({ hermes, "open-webui": openWebUi } = await deployServices(render, "dev"));
    outputs = {
        hermesServiceId: hermes,
        openWebUiServiceId: openWebUi,
        openWebUiTailnetUrl: `https://${host}`,
        openWebUiAdminEmail: "admin@example.com",
        openWebUiAdminPassword: adminPassword,
        hermesInternalUrl: "http://hermes:8642",
    };
    stack();
    tailnet(node());
    await openPage();
});

afterEach(async () => {
    vi.mocked(runCommand).mockReset();
    vi.unstubAllEnvs();
    await accounts.close();
    await render.close();
    commands.remove();
});
afterAll(() => page.close());

/** No secret is ever part of what it prints. */
function output(json: boolean, modal = false) {
    const secrets = ["registryToken", "renderApiKey", "openrouterApiKey", "modalTokenId", "modalTokenSecret", "tailscaleAuthKey"];
    return printedBy(() => verify({ json, modal, poll: { every: 0.01, within: 0.05 } }), [adminPassword, ...secrets.map((key) => settings[key])]);
}

const run = async ({ modal = false } = {}) => reportOf(await output(true, modal));

const names = [
    "Hermes, deploy",
    "Open WebUI, deploy",
    "Hermes, privacy",
    "Open WebUI, privacy",
    "Public services",
    "Hermes, disk",
    "Open WebUI, disk",
    "Hermes, restarts",
    "Open WebUI, restarts",
    "Deliveries",
    "Machine on the tailnet",
    "Tag",
    "Key expiry",
    "Funnel",
    "Page",
    "Certificate",
    "Other ports",
    "Chat",
    "Backups",
];
const deployOf = (id: string) => render.workspace.service(id).deploys[0];
const become = (id: string, status: DeployStatus) => Object.assign(deployOf(id), { status });
/** What the agent's tool for code would print. */
function runCode(content: string): string {
    const [, word] = /sha256\(b"(\w+)"\)/.exec(content) ?? [];
    return `333833500 ${createHash("sha256").update(word).digest("hex").slice(0, 16)}`;
}

test("with everything in order each check has one line, and all are fine", async () => {
    const { code, lines } = await run();
    expect(lines.map(({ check, status }) => `${check}: ${status}`)).toEqual(names.map((name) => `${name}: ${name === "Backups" ? "warning" : "ok"}`));
    expect(code).toBe(0);
});

test("for people it prints a line for each, with a mark and the way out", async () => {
    become(hermes, "update_failed");
    const { code, printed } = await output(false);
    expect(printed).toMatch(/^✗ Hermes, deploy: its last deploy is update_failed: .*pulumi up.*\.\n✓ Open WebUI, deploy: its deploy is live\.\n/);
    expect(printed).toMatch(/\n\n17 fine, 1 to think about, 0 not checked, 1 wrong$/);
    expect(code).toBe(1);
});

test("nothing is changed at Render", async () => {
    const mark = render.calls.length;
    await run();
    expect(render.writes(mark)).toEqual([]);
});

test("a deploy that is under way is waited for, and all else comes after it", async () => {
    become(openWebUi, "update_in_progress");
    page.state.health = 503;
    const asked = () => render.calls.filter(({ path }) => path === `/services/${openWebUi}/deploys?limit=1`).length;
    const running = run();
    await vi.waitFor(() => {
        expect(asked()).toBeGreaterThan(1);
    });
    expect(render.calls.filter(({ path }) => path.endsWith("/custom-domains"))).toEqual([]);
    page.state.health = 200;
    become(openWebUi, "live");
    const { lines } = await running;
    expect(lines.filter(({ status }) => status !== "ok").map(({ check }) => check)).toEqual(["Backups"]);
});

test("on a terminal it says what it waits for, at each change", async () => {
    become(openWebUi, "update_in_progress");
    const { isTTY } = process.stderr;
    process.stderr.isTTY = true;
    const said = vi.spyOn(console, "error").mockReturnValue();
    onTestFinished(() => {
        process.stderr.isTTY = isTTY;
        said.mockRestore();
    });
    const running = run();
    await vi.waitFor(() => {
        expect(said.mock.calls.flat().join("\n")).toMatch(/Open WebUI: waiting for its deploy, update_in_progress since \d/);
    });
    become(openWebUi, "live");
    await running;
    expect(said.mock.calls.flat().filter((line) => String(line).includes("update_in_progress"))).toHaveLength(1);
});

describe("each failure has its line", () => {
    beforeEach(withoutProcesses);

    const service = (id: string) => render.workspace.service(id);
    const byHand = (id: string, change: object) => Object.assign(service(id), { byHand: change });
    const other = (change: object) => render.workspace.others.push({ id: "srv-other", name: "site", type: "web_service", serviceDetails: {}, ...change });
    const credentialOf = (id: string) => ({ registryCredential: { id: service(id).credentialId } });
    const log = (id: string, ...lines: string[]) => render.workspace.logs.set(id, lines);
    /** The last deploy has failed, after these lines. */
    const failed = (id: string, ...lines: string[]) => [become(id, "update_failed"), log(id, ...lines)];
    const manyOthers = () => {
        for (let count = 0; count < 120; count++) other({ id: `srv-${count}` });
        other({ name: "last", ...credentialOf(hermes) });
    };
    const set = (values: Record<string, string>) => {
        Object.assign(settings, values);
        return stack();
    };
    const report = (job: string) => `ERROR runs: A report of the scheduled job ${job} can't be delivered: Forbidden: bot was blocked by the user`;
    const answerIn = (chat: number) => `ERROR undelivered: An answer in the chat ${chat} can't be delivered: Forbidden: bot was blocked by the user`;
    const ended = (what: string) => `CRITICAL loops: Hermes restarts, for ${what} has ended: OSError(28, 'No space left on device')`;
    const onTailnet = (MagicDNSSuffix: string) => tailnet(node(), { CurrentTailnet: { MagicDNSSuffix } });
    const noTailscale = () => commands.uninstall("tailscale");
    const pageIs = (state: Partial<typeof page.state>) => Object.assign(page.state, state);
    const answers = (answer: { status: number; body: object }) => pageIs({ answer: () => answer });
    const owner = "admin@example.org";
    const appEnded = "entrypoint: Open WebUI ended with code 3: stopping the container.";
    const lastWords = ["entrypoint: published.", "INFO: up", "util.exc.CommandError: Can't locate it", "Exiting.", appEnded, "==> Exited with status 1"];

    const table: Record<string, Case[]> = {
        "Hermes, deploy": [
            [
                "failure",
                "a failed deploy, by its log",
                () => failed(hermes, "booting", "entrypoint: HERMES_MODEL must be an id.", "==> Exited with status 1"),
                /update_failed, .*“entrypoint: HERMES_MODEL must be an id\.”.*pulumi up/,
            ],
            ["unchecked", "a preparation that takes long", () => become(hermes, "pre_deploy_in_progress"), /still pre_deploy_in_progress/],
            ["failure", "a preparation that failed", () => become(hermes, "pre_deploy_failed"), /is pre_deploy_failed/],
            ["failure", "a failed deploy without a log", () => become(hermes, "canceled"), /is canceled: put right/],
            ["unchecked", "a deploy that doesn't end", () => become(hermes, "build_in_progress"), /still build_in_progress.*dashboard/],
            ["failure", "no deploy", () => (service(hermes).deploys.length = 0), /never deployed/],
            ["failure", "a suspended service", () => byHand(hermes, { suspended: "suspended" }), /suspended.*resume/],
            ["failure", "a service that is gone", () => render.workspace.deleteService(hermes), /isn't at Render any more.*pulumi up --refresh/],
            ["unchecked", "a key that Render doesn't take", () => set({ renderApiKey: `rnd_${"0".repeat(20)}` }), /doesn't take renderApiKey/],
        ],
        "Open WebUI, deploy": [
            ["failure", "no sentence of ours", () => failed(openWebUi, "pulling", "unauthorized", ""), /update_failed, .*“unauthorized”/],
            ["failure", "an app that ended without a word", () => failed(openWebUi, appEnded), /“entrypoint: Open WebUI ended with code 3/],
            ["failure", "an app that ended, by its own last error", () => failed(openWebUi, ...lastWords), /“util\.exc\.CommandError: Can't locate it/],
        ],
        "Open WebUI, privacy": [
            ["unchecked", "Render is out of reach", () => vi.stubEnv("RENDER_HOST", "http://127.0.0.1:1/v1"), /doesn't answer/],
            ["failure", "a service of a public type", () => byHand(openWebUi, { type: "web_service" }), /web_service.*internet/],
            ["failure", "a custom domain", () => render.workspace.domains.set(openWebUi, ["chat.example.com"]), /custom domain, chat\.example\.com/],
        ],
        "Hermes, privacy": [
            ["failure", "a public URL", () => byHand(hermes, { serviceDetails: { url: "https://hermes.onrender.com" } }), /public URL, https:\/\/hermes/],
            ["failure", "a public host without a scheme", () => byHand(hermes, { serviceDetails: { url: "hermes.onrender.com:443" } }), /public URL/],
        ],
        "Public services": [
            ["failure", "one with the credential", () => other(credentialOf(hermes)), /site, a web_service, uses the registry credential of this stack/],
            ["failure", "one with the disk", () => other({ serviceDetails: { disk: { id: service(openWebUi).disk?.id } } }), /uses the disk/],
            ["failure", "one from the image", () => other({ imagePath: "ghcr.io/octo-cat/open-webui-dev:latest" }), /uses the image/],
            ["failure", "a static site with the credential", () => other({ type: "static_site", ...credentialOf(hermes) }), /a static_site/],
            ["ok", "one of its own", () => other({ imagePath: "ghcr.io/octo-cat/hermes-dev-docs:latest" }), /./],
            ["ok", "a private one with the credential", () => other({ type: "background_worker", ...credentialOf(hermes) }), /./],
            ["failure", "one on a later page", manyOthers, /last, a web_service/],
        ],
        "Hermes, disk": [
            ["warning", "one that fills", () => render.workspace.diskUse.set(hermes, 0.85), /85 % full.*raise hermesDiskGb/],
            ["unchecked", "no figures", () => render.workspace.diskUse.clear(), /no figures/],
        ],
        "Open WebUI, disk": [["failure", "a full one", () => render.workspace.diskUse.set(openWebUi, 0.96), /96 % full.*raise webuiDiskGb/]],
        Deliveries: [
            [
                "warning",
                "a report of a job that can't be delivered, and one that is delivered again",
                () => log(hermes, report("aaa"), "busy", report("bbb"), "Reports of the scheduled job aaa are delivered again"),
                /^reports [^;]*couldn't be delivered: bbb \(Forbidden: bot was blocked by the user\)[^;]*knowledge/,
            ],
            [
                "warning",
                "an answer on Telegram that can't be delivered, and one in a chat where they are again",
                () => log(hermes, answerIn(1001), answerIn(-42), "busy", "Answers in the chat 1001 are delivered again"),
                /^answers in chats of Telegram couldn't be delivered: -42 \(Forbidden: bot was blocked by the user\)[^;]*blocked or removed/,
            ],
        ],
        "Hermes, restarts": [
            [
                "warning",
                "a service that has restarted because a loop had ended",
                () => log(hermes, ended("scheduled jobs"), "booting", ended("saving the sandboxes")),
                /restarted itself 2 times, last for saving the sandboxes has ended: OSError.*No space left.*UTC.*look at/,
            ],
        ],
        "Machine on the tailnet": [
            ["unchecked", "no Tailscale here", noTailscale, /isn't on its tailnet.*connect/],
            ["failure", "none", () => tailnet(undefined), /sees no machine open-webui\.tail1234\.ts\.net.*tcp:443/],
            ["failure", "one of another name", () => tailnet(node({ DNSName: "open-webui-1.tail1234.ts.net." })), /sees no machine/],
            ["failure", "one that is offline", () => tailnet(node({ Online: false })), /is offline/],
        ],
        Tag: [
            ["failure", "none", () => tailnet(node({ Tags: undefined })), /no tag.*tag:hermes/],
            ["failure", "another one", () => tailnet(node({ Tags: ["tag:server"] })), /no tag:hermes.*auth key with tag:hermes/],
        ],
        "Key expiry": [
            ["unchecked", "another tailnet", () => onTailnet("tail9.ts.net"), /isn't on its tailnet/],
            ["unchecked", "a tailnet whose name ends like this one's", () => onTailnet("l1234.ts.net"), /isn't on its tailnet/],
            ["failure", "a key that expires", () => tailnet(node({ KeyExpiry: "2027-05-23T10:00:00Z" })), /2027-05-23.*Disable key expiry/],
        ],
        Funnel: [
            ["failure", "an address", () => (accounts.world.dns[host] = ["203.0.113.7"]), /203\.0\.113\.7.*Funnel.*nodeAttrs/],
            ["failure", "an address of IPv6", () => (accounts.world.dns[host] = ["2001:db8::7"]), /2001:db8::7/],
            ["ok", "a name that is public without an address", () => (accounts.world.dns[host] = []), /./],
            ["unchecked", "no resolver", () => (accounts.world.failing["cloudflare-dns.com"] = 0), /doesn't answer/],
        ],
        Page: [
            ["failure", "one that isn't well", () => pageIs({ health: 503 }), /health answers 503.*log/],
            ["failure", "none", () => page.unplug(), /doesn't answer.*tcp:443/],
            ["unchecked", "none, and no tailnet", () => [page.unplug(), noTailscale()], /isn't on its tailnet/],
            ["unchecked", "a certificate of nobody known", () => openPage(certificates.unknown), /no certificate that verifies/],
            ["ok", "a proxy that is named in lower case", () => [vi.stubEnv("ALL_PROXY", undefined), vi.stubEnv("all_proxy", page.proxyUrl)], /answers/],
        ],
        Certificate: [
            ["unchecked", "no page", () => page.unplug(), /doesn't answer/],
            ["failure", "of nobody known", () => openPage(certificates.unknown), /doesn't verify \(\w*SELF_SIGNED\w*\).*don't sign in/],
            ["failure", "of another name", () => openPage(certificates.foreign), /ALTNAME/],
            ["warning", "one that ends soon", () => openPage(certificates.ending), /Rehearsal Authority, and ends in [45] days/],
            ["ok", "a good one", () => undefined, /Rehearsal Authority, and ends in (89|90) days/],
        ],
        "Admin's login": [
            ["ok", "the admin's device", () => byTailnet("Admin@Example.org"), /this device is admin@example\.org's/],
            ["warning", "somebody else's device", () => byTailnet("ben@github"), /admin is admin@example\.org, .* is ben@github's.*webuiAdminEmail/],
        ],
        "Other ports": [
            ["warning", "more than the page", () => pageIs({ open: [8080] }), /http:\/\/open-webui\.tail1234\.ts\.net:8080 answers, too.*tailnetPolicy/],
            ["failure", "a way to Hermes", () => pageIs({ open: [8080, 8642] }), /Hermes answers this device at http:\/\/hermes:8642.*subnet router/],
            ["unchecked", "a device that isn't on the tailnet", () => tailnet(undefined, { BackendState: "Stopped" }), /isn't on its tailnet/],
        ],
        Chat: [
            ["unchecked", "no page", () => page.unplug(), /can't be reached/],
            ["ok", "as who the tailnet says", () => byTailnet(owner), /ready/],
            ["unchecked", "somebody else's device, for whom no account is made", () => byTailnet("ben@github"), /this device is ben@github's/],
            ["unchecked", "a tagged device", () => byTailnet(owner, ["tag:server"]), /this device is tagged, and so is nobody's.*admin's/],
            ["failure", "an admin who isn't one", () => [byTailnet(owner), pageIs({ role: "pending" })], /admin@example\.org isn't an admin on the page/],
            ["failure", "passwords still", () => [byTailnet(owner), pageIs({ byTailnet: false })], /doesn't sign admin@.* in by .*answers 400: pulumi up/],
            ["failure", "a changed password", () => pageIs({ password: "another" }), /refuses the sign-in of admin@example\.com.*OPENWEBUI_PASSWORD/],
            ["failure", "the same, told by 401", () => pageIs({ password: "another", refusal: 401 }), /refuses the sign-in/],
            ["failure", "the same, told by 403", () => pageIs({ password: "another", refusal: 403 }), /refuses the sign-in/],
            ["ok", "a password that was given", () => [pageIs({ password: "another" }), vi.stubEnv("OPENWEBUI_PASSWORD", "another")], /ready/],
            ["failure", "no model", () => pageIs({ models: [] }), /offers no model.*Hermes is out of reach/],
            ["failure", "the model's provider fails", () => answers(completion("API call failed: 402", "error")), /API call failed: 402.*preflight/],
            ["failure", "an empty answer", () => answers(completion(" ")), /answers with an error/],
            ["failure", "an answer without choices", () => answers({ status: 200, body: {} }), /answers with an error/],
            ["failure", "an error", () => answers({ status: 500, body: { detail: "Server Connection Error" } }), /500 \("Server Connection Error"\).*Hermes/],
            ["ok", "an answer that tells a secret", () => answers(completion(`the password is ${adminPassword}`)), /\[secret\]/],
        ],
    };

    test.for(casesOf(table))("$check: $situation", async ({ check, ends, arrange, says }) => {
        await arrange();
        // Where the line isn't about the page, TLS to it would be most of the time.
        if (!["Page", "Certificate", "Other ports", "Chat"].includes(check)) page.unplug();
        expectLine((await run()).line(check), ends, says);
    });
});

describe("--modal", () => {
    beforeEach(withoutProcesses);

    test.for<[what: string, answer: (content: string) => string, status: Line["status"], says: RegExp]>([
        ["code that ran", runCode, "ok", /333833500/],
        ["code that ran, in a sentence", (content) => `It prints **${runCode(content).replace("333833500", "333,833,500")}**.`, "ok", /333833500/],
        ["a model that knows the sum", () => "333833500", "failure", /didn't run the code.*modal\.com/],
        ["a model that makes up the rest", () => "333833500 0123456789abcdef", "failure", /didn't run the code/],
        ["a sum that is wrong", (content) => runCode(content).replace("333833500", "333833501"), "failure", /didn't run the code/],
    ])("%s", async ([, answer, status, says]) => {
        page.state.answer = (content) => completion(content.includes("sha256") ? answer(content) : "ready");
        const { line } = await run({ modal: true });
        expectLine(line("Modal run"), status, says);
    });
});

describe("without a deployment it says so in one line", () => {
    beforeEach(withoutProcesses);

    test.for<[what: string, arrange: () => void, says: RegExp]>([
        [
            "nothing deployed",
            () => {
                outputs = {};
                stack();
            },
            /dev isn't deployed.*pulumi up/,
        ],
        ["an up that didn't end", () => stack({ outputs: { hermesServiceId: hermes } }), /didn't end/],
        ["no CLI", () => commands.uninstall("pulumi"), /isn't installed.*pulumi\.com/],
        [
            "no stack",
            () => {
                commands.install("pulumi", {
                    "stack --show-name --non-interactive": { error: "error: no stack selected" },
                    "stack output --json --show-secrets --non-interactive": { error: "error: no stack selected" },
                });
            },
            /none is selected/,
        ],
    ])("%s", async ([, arrange, says]) => {
        arrange();
        const { code, lines } = await run();
        expect(lines).toHaveLength(1);
        expect(sentence(lines[0])).toMatch(says);
        expect(code).toBe(1);
    });
});

test("as a command it knows --modal, prints the report and ends with 1 when something is wrong", { timeout: 30_000 }, () => {
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
    commands.uninstall("pulumi");
    symlinkSync(process.execPath, join(commands.folder, "node"));
    const { stdout, status } = spawnSync("/bin/sh", ["-c", `${scripts.verify} --modal`], { encoding: "utf8", env: { ...process.env, PATH: commands.folder } });
    expect(stdout).toMatch(/^✗ Stack: .*isn't installed/);
    expect(status).toBe(1);
});
