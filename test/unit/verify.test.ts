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

const stack = (options: Partial<StackOptions> = {}) => {
    commands.install("pulumi", pulumiSays({ settings, outputs, ...options }));
};
const node = (changes = {}) => ({ DNSName: `${host}.`, Online: true, Tags: ["tag:hermes"], ...changes });
const tailnet = (machine: object | undefined, changes = {}) => {
    const status = {
        BackendState: "Running",
        CurrentTailnet: { MagicDNSSuffix: "tail1234.ts.net" },
        CertDomains: [],
        Peer: machine ? { key: machine } : null,
        ...changes,
    };
    commands.install("tailscale", { "status --json": JSON.stringify(status) });
};

/** The stack has the tailnet sign people in, the owner as admin@example.org, and this device is somebody's. */
function byTailnet(login: string, Tags?: string[]): void {
    settings = { ...settings, signIn: "tailscale", webuiAdminEmail: "admin@example.org" };
    outputs.openWebUiAdminEmail = "admin@example.org";
    page.state.byTailnet = true;
    stack();
    tailnet(node(), { Self: { UserID: 7, Tags }, User: { 7: { LoginName: login } } });
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

async function output(json: boolean, modal: boolean): Promise<{ code: number; printed: string }> {
    const log = vi.spyOn(console, "log").mockReturnValue();
    const code = await verify({ json, modal, poll: { every: 0.01, within: 0.05 } });
    const printed = log.mock.calls.map(([line]) => line as string).join("\n");
    log.mockRestore();
    const secrets = ["registryToken", "renderApiKey", "openrouterApiKey", "modalTokenId", "modalTokenSecret", "tailscaleAuthKey"].map((key) => settings[key]);
    for (const secret of [...secrets, adminPassword]) expect(printed).not.toContain(secret);
    return { code, printed };
}

async function run({ modal = false } = {}): Promise<{ code: number; lines: Line[]; line: (check: string) => Line }> {
    const { code, printed } = await output(true, modal);
    const { ok, checks } = JSON.parse(printed) as { ok: boolean; checks: Line[] };
    expect(ok).toBe(code === 0);
    expect(code).toBe(checks.some(({ status }) => status === "failure") ? 1 : 0);
    return { code, lines: checks, line: (name) => checks.find(({ check }) => check === name) ?? expect.unreachable(`no line about ${name}`) };
}

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
    const { code, printed } = await output(false, false);
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

    const byHand = (id: string, change: object) => Object.assign(render.workspace.service(id), { byHand: change });
    const other = (change: object) => render.workspace.others.push({ id: "srv-other", name: "site", type: "web_service", serviceDetails: {}, ...change });
    const service = (id: string) => render.workspace.service(id);

    test.for<[what: string, arrange: () => unknown, check: string, status: Line["status"], says: RegExp]>([
        [
            "a failed deploy, by its log",
            () => {
                become(hermes, "update_failed");
                render.workspace.logs.set(hermes, ["booting", "entrypoint: HERMES_MODEL must be an id.", "==> Exited with status 1"]);
            },
            "Hermes, deploy",
            "failure",
            /update_failed, .*“entrypoint: HERMES_MODEL must be an id\.”.*pulumi up/,
        ],
        [
            "a failed deploy, by another log",
            () => {
                become(openWebUi, "build_failed");
                render.workspace.logs.set(openWebUi, ["pulling", "unauthorized", ""]);
            },
            "Open WebUI, deploy",
            "failure",
            /build_failed, .*“unauthorized”/,
        ],
        [
            "an app that ended, by its own last error",
            () => {
                become(openWebUi, "update_failed");
                render.workspace.logs.set(openWebUi, [
                    "entrypoint: Open WebUI is published at https://x, for the tailnet only.",
                    "INFO: starting",
                    "alembic.util.exc.CommandError: Can't locate revision identified by 'c0ffee'",
                    "Exiting.",
                    "entrypoint: Open WebUI ended with code 3: stopping the container.",
                    "==> Exited with status 1",
                ]);
            },
            "Open WebUI, deploy",
            "failure",
            /“alembic\.util\.exc\.CommandError: Can't locate revision/,
        ],
        [
            "an app that ended without a word",
            () => {
                become(openWebUi, "update_failed");
                render.workspace.logs.set(openWebUi, ["entrypoint: Open WebUI ended with code 3: stopping the container."]);
            },
            "Open WebUI, deploy",
            "failure",
            /“entrypoint: Open WebUI ended with code 3/,
        ],
        [
            "a deploy whose preparation takes long",
            () => become(hermes, "pre_deploy_in_progress"),
            "Hermes, deploy",
            "unchecked",
            /still pre_deploy_in_progress/,
        ],
        ["a deploy whose preparation failed", () => become(hermes, "pre_deploy_failed"), "Hermes, deploy", "failure", /is pre_deploy_failed/],
        ["a failed deploy without a log", () => become(hermes, "canceled"), "Hermes, deploy", "failure", /is canceled: put right/],
        ["a deploy that doesn't end", () => become(hermes, "build_in_progress"), "Hermes, deploy", "unchecked", /still build_in_progress.*dashboard/],
        ["no deploy", () => (service(hermes).deploys.length = 0), "Hermes, deploy", "failure", /never deployed/],
        ["a suspended service", () => byHand(hermes, { suspended: "suspended" }), "Hermes, deploy", "failure", /suspended.*resume/],
        ["a service that is gone", () => render.workspace.deleteService(hermes), "Hermes, deploy", "failure", /isn't at Render any more.*pulumi up --refresh/],
        [
            "a key that Render doesn't take",
            () => {
                settings.renderApiKey = `rnd_${"0".repeat(20)}`;
                stack();
            },
            "Hermes, deploy",
            "unchecked",
            /doesn't take renderApiKey/,
        ],
        ["Render is out of reach", () => vi.stubEnv("RENDER_HOST", "http://127.0.0.1:1/v1"), "Open WebUI, privacy", "unchecked", /doesn't answer/],

        ["a service of a public type", () => byHand(openWebUi, { type: "web_service" }), "Open WebUI, privacy", "failure", /web_service.*internet/],
        [
            "a public URL",
            () => byHand(hermes, { serviceDetails: { url: "https://hermes.onrender.com" } }),
            "Hermes, privacy",
            "failure",
            /public URL, https:\/\/hermes\.onrender\.com/,
        ],
        [
            "a public host without a scheme",
            () => byHand(hermes, { serviceDetails: { url: "hermes.onrender.com:443" } }),
            "Hermes, privacy",
            "failure",
            /public URL/,
        ],
        [
            "a custom domain",
            () => render.workspace.domains.set(openWebUi, ["chat.example.com"]),
            "Open WebUI, privacy",
            "failure",
            /custom domain, chat\.example\.com/,
        ],
        [
            "a public service with the credential",
            () => other({ registryCredential: { id: service(hermes).credentialId } }),
            "Public services",
            "failure",
            /site, a web_service, uses the registry credential of this stack/,
        ],
        [
            "a public service with the disk",
            () => other({ serviceDetails: { disk: { id: service(openWebUi).disk?.id } } }),
            "Public services",
            "failure",
            /uses the disk/,
        ],
        [
            "a public service from the image",
            () => other({ imagePath: "ghcr.io/octo-cat/open-webui-dev:latest" }),
            "Public services",
            "failure",
            /uses the image/,
        ],
        [
            "a static site with the credential",
            () => other({ type: "static_site", registryCredential: { id: service(hermes).credentialId } }),
            "Public services",
            "failure",
            /a static_site/,
        ],
        ["a public service of its own", () => other({ imagePath: "ghcr.io/octo-cat/hermes-dev-docs:latest" }), "Public services", "ok", /./],
        [
            "a private service with the credential",
            () => other({ type: "background_worker", registryCredential: { id: service(hermes).credentialId } }),
            "Public services",
            "ok",
            /./,
        ],
        [
            "one on a later page",
            () => {
                for (let count = 0; count < 120; count++) other({ id: `srv-${count}` });
                other({ name: "last", registryCredential: { id: service(hermes).credentialId } });
            },
            "Public services",
            "failure",
            /last, a web_service/,
        ],
        ["a disk that fills", () => render.workspace.diskUse.set(hermes, 0.85), "Hermes, disk", "warning", /85 % full.*raise hermesDiskGb/],
        [
            "a report of a job that can't be delivered, and one that is delivered again",
            () => {
                const lost = (job: string) => `ERROR runs: A report of the scheduled job ${job} can't be delivered: Forbidden: bot was blocked by the user`;
                render.workspace.logs.set(hermes, [lost("aaa"), "busy", lost("bbb"), "Reports of the scheduled job aaa are delivered again"]);
            },
            "Deliveries",
            "warning",
            /^reports [^;]*couldn't be delivered: bbb \(Forbidden: bot was blocked by the user\)[^;]*knowledge/,
        ],
        [
            "an answer on Telegram that can't be delivered, and one in a chat where they are again",
            () => {
                const lost = (chat: number) => `ERROR undelivered: An answer in the chat ${chat} can't be delivered: Forbidden: bot was blocked by the user`;
                render.workspace.logs.set(hermes, [lost(1001), lost(-42), "busy", "Answers in the chat 1001 are delivered again"]);
            },
            "Deliveries",
            "warning",
            /^answers in chats of Telegram couldn't be delivered: -42 \(Forbidden: bot was blocked by the user\)[^;]*blocked or removed/,
        ],
        [
            "a service that has restarted because a loop had ended",
            () => {
                const ended = (what: string) => `CRITICAL loops: Hermes restarts, for ${what} has ended: OSError(28, 'No space left on device')`;
                render.workspace.logs.set(hermes, [ended("scheduled jobs"), "booting", ended("saving the sandboxes")]);
            },
            "Hermes, restarts",
            "warning",
            /restarted itself 2 times, last for saving the sandboxes has ended: OSError.*No space left.*UTC.*look at/,
        ],
        ["a full disk", () => render.workspace.diskUse.set(openWebUi, 0.96), "Open WebUI, disk", "failure", /96 % full.*raise webuiDiskGb/],
        ["a disk without figures", () => render.workspace.diskUse.clear(), "Hermes, disk", "unchecked", /no figures/],

        ["no Tailscale here", () => commands.uninstall("tailscale"), "Machine on the tailnet", "unchecked", /isn't on its tailnet.*connect/],
        ["another tailnet", () => tailnet(node(), { CurrentTailnet: { MagicDNSSuffix: "tail9.ts.net" } }), "Key expiry", "unchecked", /isn't on its tailnet/],
        ["no machine", () => tailnet(undefined), "Machine on the tailnet", "failure", /sees no machine open-webui\.tail1234\.ts\.net.*tcp:443/],
        [
            "a machine of another name",
            () => tailnet(node({ DNSName: "open-webui-1.tail1234.ts.net." })),
            "Machine on the tailnet",
            "failure",
            /sees no machine/,
        ],
        ["a machine that is offline", () => tailnet(node({ Online: false })), "Machine on the tailnet", "failure", /is offline/],
        ["a machine without a tag", () => tailnet(node({ Tags: undefined })), "Tag", "failure", /no tag.*tag:hermes/],
        ["a machine with another tag", () => tailnet(node({ Tags: ["tag:server"] })), "Tag", "failure", /no tag:hermes.*auth key with tag:hermes/],
        [
            "a tailnet whose name ends like this one's",
            () => tailnet(node(), { CurrentTailnet: { MagicDNSSuffix: "l1234.ts.net" } }),
            "Key expiry",
            "unchecked",
            /isn't on its tailnet/,
        ],
        ["a key that expires", () => tailnet(node({ KeyExpiry: "2027-05-23T10:00:00Z" })), "Key expiry", "failure", /2027-05-23.*Disable key expiry/],
        ["Funnel", () => (accounts.world.dns[host] = ["203.0.113.7"]), "Funnel", "failure", /203\.0\.113\.7.*Funnel.*nodeAttrs/],
        ["Funnel over IPv6", () => (accounts.world.dns[host] = ["2001:db8::7"]), "Funnel", "failure", /2001:db8::7/],
        ["a name that is public without an address", () => (accounts.world.dns[host] = []), "Funnel", "ok", /./],
        ["no resolver", () => (accounts.world.failing["cloudflare-dns.com"] = 0), "Funnel", "unchecked", /doesn't answer/],

        ["a page that isn't well", () => (page.state.health = 503), "Page", "failure", /health answers 503.*log/],
        ["no page", () => page.unplug(), "Page", "failure", /doesn't answer.*tcp:443/],
        ["no page, and its certificate", () => page.unplug(), "Certificate", "unchecked", /doesn't answer/],
        ["no page, and the chat", () => page.unplug(), "Chat", "unchecked", /can't be reached/],
        [
            "no page, and no tailnet",
            () => {
                page.unplug();
                commands.uninstall("tailscale");
            },
            "Page",
            "unchecked",
            /isn't on its tailnet/,
        ],
        [
            "a certificate of nobody known",
            () => openPage(certificates.unknown),
            "Certificate",
            "failure",
            /doesn't verify \(\w*SELF_SIGNED\w*\).*don't sign in/,
        ],
        ["such a certificate, and the page", () => openPage(certificates.unknown), "Page", "unchecked", /no certificate that verifies/],
        ["a certificate of another name", () => openPage(certificates.foreign), "Certificate", "failure", /ALTNAME/],
        ["a certificate that ends soon", () => openPage(certificates.ending), "Certificate", "warning", /Rehearsal Authority, and ends in [45] days/],
        ["a certificate", () => undefined, "Certificate", "ok", /Rehearsal Authority, and ends in (89|90) days/],

        [
            "people who sign in by the tailnet, on the admin's device",
            () => byTailnet("Admin@Example.org"),
            "Admin's login",
            "ok",
            /this device is admin@example\.org's/,
        ],
        ["a chat as who the tailnet says", () => byTailnet("admin@example.org"), "Chat", "ok", /ready/],
        [
            "somebody else's device",
            () => byTailnet("ben@github"),
            "Admin's login",
            "warning",
            /the admin is admin@example\.org, and this device is ben@github's.*webuiAdminEmail/,
        ],
        ["somebody else's device, where no account is made for the chat", () => byTailnet("ben@github"), "Chat", "unchecked", /this device is ben@github's/],
        ["a tagged device", () => byTailnet("admin@example.org", ["tag:server"]), "Chat", "unchecked", /this device is tagged, and so is nobody's.*admin's/],
        [
            "an admin who isn't one on the page",
            () => {
                byTailnet("admin@example.org");
                page.state.role = "pending";
            },
            "Chat",
            "failure",
            /admin@example\.org isn't an admin on the page/,
        ],
        [
            "a page that still asks for passwords",
            () => {
                byTailnet("admin@example.org");
                page.state.byTailnet = false;
            },
            "Chat",
            "failure",
            /doesn't sign admin@example\.org in by the tailnet, it answers 400: pulumi up/,
        ],
        [
            "a policy that grants more than the page",
            () => (page.state.open = [8080]),
            "Other ports",
            "warning",
            /http:\/\/open-webui\.tail1234\.ts\.net:8080 answers, too.*tailnetPolicy/,
        ],
        [
            "a way to Hermes",
            () => (page.state.open = [8080, 8642]),
            "Other ports",
            "failure",
            /Hermes answers this device at http:\/\/hermes:8642.*subnet router/,
        ],
        ["a device that isn't on the tailnet", () => tailnet(undefined, { BackendState: "Stopped" }), "Other ports", "unchecked", /isn't on its tailnet/],
        [
            "a password that was changed",
            () => (page.state.password = "another"),
            "Chat",
            "failure",
            /refuses the sign-in of admin@example\.com.*OPENWEBUI_PASSWORD/,
        ],
        [
            "a password that was changed, told by 401",
            () => {
                page.state.password = "another";
                page.state.refusal = 401;
            },
            "Chat",
            "failure",
            /refuses the sign-in/,
        ],
        [
            "a password that was changed, told by 403",
            () => {
                page.state.password = "another";
                page.state.refusal = 403;
            },
            "Chat",
            "failure",
            /refuses the sign-in/,
        ],
        [
            "a proxy that is named in lower case",
            () => {
                vi.stubEnv("ALL_PROXY", undefined);
                vi.stubEnv("all_proxy", page.proxyUrl);
            },
            "Page",
            "ok",
            /answers/,
        ],
        [
            "a password that was given",
            () => {
                page.state.password = "another";
                vi.stubEnv("OPENWEBUI_PASSWORD", "another");
            },
            "Chat",
            "ok",
            /ready/,
        ],
        ["no model", () => (page.state.models = []), "Chat", "failure", /offers no model.*Hermes is out of reach/],
        [
            "the model's provider fails",
            () => (page.state.answer = () => completion("API call failed: 402", "error")),
            "Chat",
            "failure",
            /API call failed: 402.*preflight/,
        ],
        ["an empty answer", () => (page.state.answer = () => completion(" ")), "Chat", "failure", /answers with an error/],
        ["an answer without choices", () => (page.state.answer = () => ({ status: 200, body: {} })), "Chat", "failure", /answers with an error/],
        [
            "an error of Open WebUI",
            () => (page.state.answer = () => ({ status: 500, body: { detail: "Server Connection Error" } })),
            "Chat",
            "failure",
            /500 \("Server Connection Error"\).*Hermes/,
        ],
        ["an answer that tells a secret", () => (page.state.answer = () => completion(`the password is ${adminPassword}`)), "Chat", "ok", /\[secret\]/],
    ])("%s", async ([, arrange, check, status, says]) => {
        await arrange();
        // Where the line isn't about the page, TLS to it would be most of the time.
        if (!["Page", "Certificate", "Other ports", "Chat"].includes(check)) page.unplug();
        const { line } = await run();
        expect(line(check)).toMatchObject({ status });
        expect(`${line(check).message}: ${line(check).fix ?? ""}`).toMatch(says);
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
        expect(line("Modal run")).toMatchObject({ status });
        expect(`${line("Modal run").message}: ${line("Modal run").fix ?? ""}`).toMatch(says);
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
        expect(`${lines[0].message}: ${lines[0].fix ?? ""}`).toMatch(says);
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
