/** Open WebUI's page, asked from this device over the tailnet, and a chat through it. */
import { createHash, randomBytes } from "node:crypto";
import { request as plainRequest } from "node:http";
import { request } from "node:https";
import { type PeerCertificate, TLSSocket } from "node:tls";
import { SocksProxyAgent } from "socks-proxy-agent";
import { tailnetPort, tailnetTag } from "../config.ts";
import { parsed, reasonOf, Unchecked } from "../http.ts";
import { type Device, isAdmins } from "./tailscale.ts";
import { type Check, failure, type Finding, ok, unchecked, warning } from "./report.ts";

interface PageAnswer {
    status: number;
    /** Parsed where it is JSON. */
    body: unknown;
    certificate: PeerCertificate;
}

/** Why there is no answer: nothing listens or resolves, or what answers has no certificate that verifies. */
class PageFailed extends Error {
    readonly certificate: boolean;

    constructor(error: unknown) {
        super(reasonOf(error));
        // OpenSSL's names of verification errors, and Node's own for a wrong name.
        this.certificate = /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(this.message);
    }
}

// A Tailscale in userspace mode lets programs in by a SOCKS proxy only (tailscale.com/docs, "Userspace networking mode").
function socksProxy(): SocksProxyAgent | undefined {
    const proxy = process.env.ALL_PROXY ?? process.env.all_proxy;
    return proxy?.startsWith("socks") ? new SocksProxyAgent(proxy) : undefined;
}

/** Sends a request, as JSON where it has a body. Rejects with `PageFailed`. The agent may take minutes for an answer. */
async function askPage(url: string, { bearer, body, seconds = 30 }: { bearer?: string; body?: unknown; seconds?: number } = {}): Promise<PageAnswer> {
    const data = body === undefined ? undefined : JSON.stringify(body);
    const headers = { ...(bearer && { authorization: `Bearer ${bearer}` }), ...(data && { "content-type": "application/json" }) };
    const agent = socksProxy();
    try {
        return await new Promise((resolve, reject) => {
            const asked = request(
                url,
                { method: data === undefined ? "GET" : "POST", headers, agent, signal: AbortSignal.timeout(seconds * 1000) },
                (response) => {
                    const { socket } = response;
                    if (!(socket instanceof TLSSocket)) {
                        reject(new Error("not HTTPS"));
                        return;
                    }
                    const certificate = socket.getPeerCertificate();
                    const chunks: Buffer[] = [];
                    response.on("data", (chunk: Buffer) => chunks.push(chunk));
                    response.on("error", reject);
                    response.on("end", () => {
                        resolve({ status: response.statusCode ?? 0, body: parsed(Buffer.concat(chunks).toString()), certificate });
                    });
                },
            );
            asked.on("error", reject);
            asked.end(data);
        });
    } catch (error) {
        throw new PageFailed(error);
    }
}

/** Whether anything answers there, over plain HTTP. What a policy keeps out is dropped without a word. */
const answers = (url: string) =>
    new Promise<boolean>((resolve) => {
        const asked = plainRequest(url, { agent: socksProxy(), signal: AbortSignal.timeout(5000) }, (response) => {
            response.destroy();
            resolve(true);
        });
        asked.on("error", () => {
            resolve(false);
        });
        asked.end();
    });

interface Page {
    url: string;
    /** Where Hermes listens on Render's private network. */
    hermesUrl: string;
    email: string;
    password: string;
    /** Whether this device is on the page's tailnet. */
    connected: Promise<boolean>;
    /** Whose it is there; undefined where people sign in with a password. */
    device?: Promise<Device>;
}

const notHere = `does the policy grant this device tcp:${tailnetPort} of ${tailnetTag}? Otherwise Open WebUI's log at Render says why`;

async function health({ url, connected }: Page): Promise<Finding> {
    try {
        const { status, body } = await askPage(`${url}/health`);
        const healthy = status === 200 && (body as { status?: boolean }).status === true;
        return healthy ? ok(`${url} answers`) : failure(`${url}/health answers ${status}`, "Open WebUI's log at Render says why");
    } catch (error) {
        const { certificate, message } = error as PageFailed;
        // What is wrong with the certificate is the next line's.
        if (certificate) return unchecked(`${url} has no certificate that verifies`);
        return (await connected)
            ? failure(`${url} doesn't answer (${message})`, notHere)
            : unchecked("this device isn't on its tailnet", "connect Tailscale here and run this again");
    }
}

const day = 24 * 60 * 60 * 1000;

async function certificate({ url }: Page): Promise<Finding> {
    try {
        const {
            certificate: { issuer, valid_to: end },
        } = await askPage(`${url}/health`);
        const days = Math.floor((Date.parse(end) - Date.now()) / day);
        const says = `it verifies, by ${[issuer.O, issuer.CN].flat().filter(Boolean).join(" ")}, and ends in ${days} days`;
        // Tailscale renews it when a third of its life is left, at the next visit.
        return days < 7 ? warning(says, "open the page once, and look into Open WebUI's log at Render if that doesn't renew it") : ok(says);
    } catch (error) {
        const { certificate: isReason, message } = error as PageFailed;
        if (!isReason) throw new Unchecked(`${url} doesn't answer`);
        return failure(
            `it doesn't verify (${message})`,
            "right after the first start wait a minute, otherwise don't sign in there: something else may answer under this name",
        );
    }
}

/** What this device reaches besides the page: the port that Render waits for, and Hermes, which isn't on the tailnet. */
async function others({ url, hermesUrl, connected }: Page): Promise<Finding> {
    if (!(await connected)) return unchecked("this device isn't on its tailnet", "connect Tailscale here and run this again");
    const stub = `http://${new URL(url).hostname}:8080`;
    const [reachesStub, reachesHermes] = await Promise.all([answers(stub), answers(hermesUrl)]);
    if (reachesHermes) {
        return failure(
            `Hermes answers this device at ${hermesUrl}`,
            "only Render's private network should reach it: take the subnet router or the proxy away that leads there",
        );
    }
    return reachesStub
        ? warning(
              `${stub} answers, too: the policy grants this device more than port ${tailnetPort}`,
              "nothing private listens there, but grant no more than `pulumi stack output tailnetPolicy` says, at login.tailscale.com/admin/acls",
          )
        : ok(`neither port 8080 there nor Hermes answers this device`);
}

/** A token of Open WebUI for the admin; why there is none, otherwise. Where the tailnet signs people in, it makes no account for somebody else. */
async function signIn({ url, email, password, device }: Page): Promise<string | Finding> {
    const whose = device && isAdmins(await device, email);
    if (whose && whose.status !== "ok") return unchecked(whose.message, whose.fix);
    const { status, body } = await askPage(`${url}/api/v1/auths/signin`, { body: { email, password } });
    const { token, role } = body as { token: string; role: string };
    if (status === 200 && role === "admin") return token;
    if (status === 200) return failure(`${email} isn't an admin on the page`, "restart Open WebUI's service at Render, and look into its log");
    if (device) return failure(`Open WebUI doesn't sign ${email} in by the tailnet, it answers ${status}`, "pulumi up, if signIn was changed");
    if (status === 400 || status === 401 || status === 403) {
        return failure(
            `Open WebUI refuses the sign-in of ${email}`,
            "if you have changed the password on the page, put it into OPENWEBUI_PASSWORD for this command",
        );
    }
    throw new Unchecked(`Open WebUI answers ${status} to the sign-in`);
}

interface Completion {
    choices?: { finish_reason?: string; message: { content: string } }[];
    detail?: unknown;
}

/** Asks the agent as the admin and judges its answer. */
async function chat({ url }: Page, token: string | Finding, content: string, judge: (answer: string) => Finding): Promise<Finding> {
    if (typeof token !== "string") return token;
    const models = await askPage(`${url}/api/models`, { bearer: token });
    const model = (models.body as { data?: { id: string }[] }).data?.at(0);
    const hermes = "Hermes is out of reach, or its key differs: look into both services' logs at Render, then pulumi up";
    if (!model) return failure("Open WebUI offers no model", hermes);
    const body = { model: model.id, stream: false, messages: [{ role: "user", content }] };
    const { status, body: answer } = await askPage(`${url}/api/chat/completions`, { bearer: token, body, seconds: 300 });
    const { choices, detail } = answer as Completion;
    const choice = choices?.at(0);
    const text = choice?.message.content ?? "";
    if (status !== 200) return failure(`the chat ends with ${status}${detail ? ` (${JSON.stringify(detail)})` : ""}`, hermes);
    // Hermes answers 200 when the model's provider has failed; what it says then is the reason.
    if (choice?.finish_reason === "error" || text.trim() === "") {
        return failure(
            `the agent answers with an error${text ? `, “${text.slice(0, 200)}”` : ""}`,
            "`npm run preflight` checks OpenRouter's key, credit and model",
        );
    }
    return judge(text);
}

/**
 * Asks the agent to run code. The digest can't be made up: a model may know or compute the sum, but not the SHA-256 of a
 * word that is new each time.
 */
async function modalRun(page: Page, token: string | Finding): Promise<Finding> {
    const word = randomBytes(8).toString("hex");
    const digest = createHash("sha256").update(word).digest("hex").slice(0, 16);
    const question =
        "Run this in your sandbox with the tool for code and reply with exactly what it prints: " +
        `import hashlib; print(sum(i*i for i in range(1, 1001)), hashlib.sha256(b"${word}").hexdigest()[:16])`;
    return chat(page, token, question, (answer) => {
        const sum = answer.replace(/(?<=\d)[,. _](?=\d{3})/g, "").includes("333833500");
        if (sum && answer.includes(digest)) return ok("code ran in the sandbox, and the sum of i*i for i from 1 to 1000 is 333833500");
        return failure(
            `the agent didn't run the code, it says “${answer.slice(0, 200)}”`,
            "look under Apps at modal.com, and check the workspace's budget and the token pair with `npm run preflight`",
        );
    });
}

/** The checks of the page. Only with `modal` a sandbox is started, which costs a little. */
export function afterUp(target: Page, { modal }: { modal: boolean }): Check[] {
    const { device } = target;
    let token: Promise<string | Finding> | undefined;
    const signedIn = async () => {
        try {
            return await (token ??= signIn(target));
        } catch (error) {
            throw error instanceof PageFailed ? new Unchecked(`${target.url} can't be reached from here`) : error;
        }
    };
    const checks: Check[] = [
        { name: "Page", run: () => health(target) },
        { name: "Certificate", run: () => certificate(target) },
        { name: "Other ports", run: () => others(target) },
        ...(device ? [{ name: "Admin's login", run: async () => isAdmins(await device, target.email) }] : []),
        {
            name: "Chat",
            run: async () =>
                chat(target, await signedIn(), "Reply with one word: ready", (answer) => ok(`the agent answered the admin, “${answer.slice(0, 60)}”`)),
        },
    ];
    if (modal) checks.push({ name: "Modal run", run: async () => modalRun(target, await signedIn()) });
    return checks;
}
