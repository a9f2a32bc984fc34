/**
 * Render, asked by its API at the address that its Pulumi provider takes from RENDER_HOST, too: whether an `up` can put
 * this stack's services there, and what has come of it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { SettingName } from "../config.ts";
import { type Answer, ask, renderApi, Unchecked } from "../http.ts";
import { type Check, failure, type Finding, ok, unchecked, warning } from "./report.ts";
import { type Stack, whenRight } from "./stack.ts";

/** Rejects with `Unchecked` when Render can't be reached. */
export const askRender = (apiKey: string, path: string): Promise<Answer> => ask(`${renderApi()}${path}`, { bearer: apiKey });

const renderKeys = "make a key in Render's dashboard, Account Settings, API Keys";

async function renderOwner({ settings: { renderApiKey, renderOwnerId } }: Stack): Promise<Finding> {
    const { status, body } = await askRender(renderApiKey, `/owners/${renderOwnerId}`);
    if (status === 401) return failure("Render doesn't take renderApiKey", renderKeys);
    if (status === 403 || status === 404) {
        return failure(
            `renderApiKey doesn't belong to the workspace ${renderOwnerId}`,
            "copy renderOwnerId from the URL of the workspace's settings, or make the key as a member of that workspace",
        );
    }
    if (status !== 200) throw new Unchecked(`Render answers ${status}`);
    return ok(`the key opens the workspace “${(body as { name: string }).name}”`);
}

/** Render's API doesn't tell whether a workspace can pay; it takes a service of one that can. */
async function paymentCard({ serviceIds }: Stack): Promise<Finding> {
    if ((await serviceIds()).length > 0) return ok("the workspace has one, for this stack's services run there");
    return unchecked(
        "Render doesn't tell whether the workspace has one, and refuses everything with 402 until it has",
        "add one under Billing in its dashboard",
    );
}

interface ServiceItem {
    service: { id: string; name: string };
}

async function serviceNames({ name, serviceIds, settings: { renderApiKey, renderOwnerId } }: Stack): Promise<Finding> {
    const own = await serviceIds();
    const names = [`hermes-${name}`, `open-webui-${name}`];
    const answers = await Promise.all(
        names.map((each) => askRender(renderApiKey, `/services?${new URLSearchParams({ name: each, ownerId: renderOwnerId }).toString()}`)),
    );
    const refused = answers.find(({ status }) => status !== 200);
    if (refused) throw new Unchecked(`Render answers ${refused.status}`);
    const foreign = answers
        .flatMap(({ body }) => (body as ServiceItem[]).map(({ service }) => service))
        .filter((service) => names.includes(service.name) && !own.includes(service.id));
    if (foreign.length === 0) return ok(`no ${names.join(" or ")} outside this stack`);
    return failure(
        `${foreign.map(({ id, name: taken }) => `${taken} (${id})`).join(" and ")} exists at Render outside this stack`,
        "after an up that was cut off adopt it (docs/recover.md, “An up that was cut off”), otherwise delete it or use a stack of another name",
    );
}

/** What can be asked before this stack's services are made. */
export function beforeUp(stack: Stack): Check[] {
    const credentials: SettingName[] = ["renderApiKey", "renderOwnerId"];
    return [
        { name: "Render", about: credentials, run: whenRight(stack, credentials, () => renderOwner(stack)) },
        { name: "Payment card", run: () => paymentCard(stack) },
        { name: "Service names", run: whenRight(stack, credentials, () => serviceNames(stack)) },
    ];
}

interface Service {
    id: string;
    type: string;
    name: string;
    ownerId: string;
    suspended?: string;
    imagePath?: string;
    registryCredential?: { id: string };
    serviceDetails: { url?: string; disk?: { id: string } };
}

/** Public by nature (render.com/docs/service-types). */
const publicTypes = ["web_service", "static_site"];

/** A deploy's status until it is decided, and when it is fine (api-docs.render.com, "Retrieve deploy"). */
const underWay = ["created", "queued", "build_in_progress", "update_in_progress", "pre_deploy_in_progress"];

export interface DeployedServices {
    apiKey: string;
    ownerId: string;
    /** Of the two services, by what the report calls them. */
    services: Record<string, string>;
    /** Is told what is waited for, at the beginning and at each change. */
    progress?: (what: string) => void;
    /** Seconds between two looks at a deploy that is under way, and until it is given up. */
    poll: { every: number; within: number };
}

function bodyOf({ status, body }: Answer): unknown {
    if (status === 401) throw new Unchecked("Render doesn't take renderApiKey, `npm run preflight` says more");
    if (status !== 200) throw new Unchecked(`Render answers ${status}`);
    return body;
}

const readService = async (apiKey: string, id: string) => bodyOf(await askRender(apiKey, `/services/${id}`)) as Service;

/** All services of the workspace, whatever their type. */
async function allServices(apiKey: string, ownerId: string): Promise<Service[]> {
    const services: Service[] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined;) {
        const parameters: Record<string, string> = { ownerId, limit: "100", ...(cursor && { cursor }) };
        const page = bodyOf(await askRender(apiKey, `/services?${new URLSearchParams(parameters).toString()}`)) as { service: Service; cursor?: string }[];
        services.push(...page.map(({ service }) => service));
        cursor = page.at(-1)?.cursor;
    }
    return services;
}

/** Seconds for which Render keeps logs on its cheapest plan (render.com/docs/logging). Unasked it gives those of the last hour. */
const logsKept = 7 * 24 * 3600;

interface Log {
    message: string;
    timestamp: string;
}

/** The last lines that a service has said, oldest first, all or those with a text. Rejects with `Unchecked` where Render doesn't give them. */
async function logsOf({ apiKey, ownerId }: DeployedServices, id: string, limit: number, text?: string): Promise<Log[]> {
    const startTime = new Date(Date.now() - logsKept * 1000).toISOString();
    const query = new URLSearchParams({ ownerId, resource: id, direction: "backward", limit: String(limit), startTime, ...(text && { text }) });
    const { logs } = bodyOf(await askRender(apiKey, `/logs?${query.toString()}`)) as { logs: Log[] };
    return logs.toSorted((a, b) => a.timestamp.localeCompare(b.timestamp));
}

/**
 * The last thing that a service has said. The entrypoint ends with its reason; where it only says which process ended, that
 * one's last error is the reason.
 */
async function lastWords(target: DeployedServices, id: string): Promise<string | undefined> {
    const messages = (await logsOf(target, id, 50)).map(({ message }) => message.trim()).filter((message) => message !== "");
    const said = messages.filter((message) => !message.startsWith("==> ")); // Render's own lines
    const last = said.findLastIndex((message) => message.startsWith("entrypoint: "));
    if (last < 0 || !said[last].includes(" ended with code ")) return said[last] ?? said.at(-1);
    const before = said.slice(0, last).filter((message) => !message.startsWith("entrypoint: "));
    return before.findLast((message) => /error\b.*: |exception: |can't /i.test(message)) ?? before.at(-1) ?? said[last];
}

/** Waits for the newest deploy of the service that the report calls `name` to end. */
async function deployed(target: DeployedServices, id: string, name: string): Promise<Finding> {
    const { apiKey, poll, progress } = target;
    let seen = "";
    const wayOut = "put right what its log says, then pulumi up; if that changes nothing, Manual Deploy in Render's dashboard";
    for (let waited = 0; ; waited += poll.every) {
        const answer = await askRender(apiKey, `/services/${id}/deploys?limit=1`);
        if (answer.status === 404) return failure(`the service ${id} isn't at Render any more`, "pulumi up --refresh makes it anew, with an empty disk");
        const [item] = bodyOf(answer) as { deploy: { status: string } }[];
        if (!(item as typeof item | undefined)) return failure("it was never deployed", "pulumi up, or Manual Deploy in Render's dashboard");
        const { status } = item.deploy;
        if (status === "live") {
            const { suspended } = await readService(apiKey, id);
            return suspended === "suspended"
                ? failure("it is suspended", "resume it in Render's dashboard; look at the workspace's billing, too")
                : ok("its deploy is live");
        }
        if (!underWay.includes(status)) {
            const words = await lastWords(target, id).catch(() => undefined);
            return failure(`its last deploy is ${status}${words ? `, the last word of its log is “${words}”` : ""}`, wayOut);
        }
        if (status !== seen) progress?.(`${name}: waiting for its deploy, ${status} since ${new Date().toLocaleTimeString()}`);
        seen = status;
        if (waited >= poll.within)
            return unchecked(`its deploy is still ${status} after ${Math.round(waited / 60)} minutes`, "look at its log in Render's dashboard");
        await sleep(poll.every * 1000);
    }
}

/** Whether a service is private, by its type, its address and its domains. */
async function isPrivate({ apiKey }: DeployedServices, id: string): Promise<Finding> {
    const { type, serviceDetails } = await readService(apiKey, id);
    const remove = "delete what isn't private in Render's dashboard, then pulumi up --refresh";
    if (type !== "private_service") return failure(`it is a ${type}, which the internet may reach`, remove);
    const { url = "" } = serviceDetails;
    // A private one has host:port on the private network in this place.
    if (/^https?:|onrender\.com/.test(url)) return failure(`it has a public URL, ${url}`, remove);
    const domains = await askRender(apiKey, `/services/${id}/custom-domains`);
    // Render may refuse the question for a type of service that can't have any.
    const names = domains.status === 200 ? (domains.body as { customDomain: { name: string } }[]).map(({ customDomain }) => customDomain.name) : [];
    if (names.length > 0) return failure(`it has a custom domain, ${names.join(" and ")}`, remove);
    return ok("private, without a public URL or a custom domain");
}

/** Whether something public in the workspace uses an image, a registry credential or a disk of this stack. */
async function noPublicUse({ apiKey, ownerId, services }: DeployedServices): Promise<Finding> {
    const ids = Object.values(services);
    const own = await Promise.all(ids.map((id) => readService(apiKey, id)));
    const others = (await allServices(apiKey, ownerId)).filter(({ id }) => !ids.includes(id));
    const repository = (path = "") => path.replace(/[:@].*$/, "");
    const disks = own.flatMap(({ serviceDetails: { disk } }) => disk?.id ?? []);
    const [credentials, images] = [own.flatMap((each) => each.registryCredential?.id ?? []), own.map((each) => repository(each.imagePath))];
    const uses = others
        .filter(({ type }) => publicTypes.includes(type))
        .flatMap((each) => {
            const what = [
                disks.includes(each.serviceDetails.disk?.id ?? "") && "disk",
                credentials.includes(each.registryCredential?.id ?? "") && "registry credential",
                each.imagePath !== undefined && images.includes(repository(each.imagePath)) && "image",
            ].filter((use) => use !== false);
            return what.length > 0 ? [`${each.name}, a ${each.type}, uses the ${what.join(" and the ")} of this stack`] : [];
        });
    if (uses.length > 0) return failure(uses.join("; "), "delete that service in Render's dashboard, unless you made it on purpose");
    return ok("no public service uses a disk, a registry credential or an image of this stack");
}

interface Metric {
    values: { timestamp: string; value: number }[];
}

/** How full a service's disk is, where Render has figures for it. */
async function diskSpace({ apiKey }: DeployedServices, id: string, name: string): Promise<Finding> {
    const newest = async (metric: string) => {
        const { status, body } = await askRender(apiKey, `/metrics/${metric}?resource=${id}`);
        const values = status === 200 ? (body as Metric[]).flatMap((series) => series.values) : [];
        return values.toSorted((a, b) => a.timestamp.localeCompare(b.timestamp)).at(-1)?.value;
    };
    const [used, capacity] = await Promise.all([newest("disk-usage"), newest("disk-capacity")]);
    if (used === undefined || !capacity) return unchecked("Render has no figures for its disk", "look under Disks in its dashboard");
    const share = Math.round((100 * used) / capacity);
    const setting = name === "Hermes" ? "hermesDiskGb" : "webuiDiskGb";
    const wayOut = `raise ${setting} (it can't shrink again), then pulumi up`;
    if (share >= 95) return failure(`its disk is ${share} % full`, wayOut);
    return share >= 80 ? warning(`its disk is ${share} % full`, wayOut) : ok(`its disk is ${share} % full`);
}

/** What Hermes says of what it couldn't deliver, and of what is delivered again: reports of jobs, and answers on Telegram. */
const undelivered = [
    // hermes/private_hermes/runs.py
    {
        text: "of the scheduled job",
        lost: /A report of the scheduled job (\S+) can't be delivered: (.*)/,
        again: /Reports of the scheduled job (\S+) are delivered again/,
        what: "reports of scheduled jobs",
        wayOut: "knowledge in the shell of the service hermes shows these jobs; ask whoever made one to let it report elsewhere, or remove it",
    },
    // hermes/private_hermes/undelivered.py
    {
        text: "in the chat",
        lost: /An answer in the chat (\S+) can't be delivered: (.*)/,
        again: /Answers in the chat (\S+) are delivered again/,
        what: "answers in chats of Telegram",
        wayOut: "if the bot was blocked or removed there, only they can change that; otherwise ask again there",
    },
];

/** What Hermes has said of that, as long as Render keeps its log. */
async function deliveries(target: DeployedServices): Promise<Finding> {
    const found = await Promise.all(
        undelivered.map(async ({ text, lost: isLost, again: isAgain, what, wayOut }) => {
            const lost = new Map<string, string>();
            for (const { message } of await logsOf(target, target.services.Hermes, 100, text)) {
                const [, to, reason] = isLost.exec(message) ?? [];
                const [, again] = isAgain.exec(message) ?? [];
                if (to) lost.set(to, reason);
                else if (again) lost.delete(again);
            }
            const told = [...lost].map(([to, reason]) => `${to} (${reason.replace(/\.$/, "")})`).join(", ");
            return { lost: told && `${what} couldn't be delivered: ${told}`, wayOut: told && wayOut };
        }),
    );
    const lost = found.filter(({ lost: told }) => told !== "");
    if (lost.length === 0) return ok("Hermes' log tells of no report of a job and no answer on Telegram that couldn't be delivered");
    return warning(lost.map(({ lost: told }) => told).join("; "), lost.map(({ wayOut }) => wayOut).join("; "));
}

/** Whether a service has ended because a loop that it lives by had (loops.py of both images). */
async function restarts(target: DeployedServices, id: string): Promise<Finding> {
    const found = (await logsOf(target, id, 100, "restarts, for")).flatMap(({ message, timestamp }) => {
        const [, what] = /(?:Hermes|Open WebUI) restarts, for (.+)/.exec(message) ?? [];
        return what ? [`${what.replace(/\.$/, "")} (${timestamp.slice(0, 16).replace("T", " ")} UTC)`] : [];
    });
    if (found.length === 0) return ok("its log tells of nothing that it lives by and that has ended");
    const times = found.length === 1 ? "once" : `${found.length} times`;
    return warning(
        `it has restarted itself ${times}, last for ${found.at(-1)}`,
        "once is no harm; if it comes again, look at what its log says before it, and at its disk",
    );
}

/** The checks at Render: those to wait for, and those that make sense when something runs. */
export function afterUp(target: DeployedServices): { deploys: Check[]; others: Check[] } {
    const each = (what: string, run: (target: DeployedServices, id: string, name: string) => Promise<Finding>) =>
        Object.entries(target.services).map(([name, id]) => ({ name: `${name}, ${what}`, run: () => run(target, id, name) }));
    return {
        deploys: each("deploy", deployed),
        others: [
            ...each("privacy", isPrivate),
            { name: "Public services", run: () => noPublicUse(target) },
            ...each("disk", diskSpace),
            ...each("restarts", restarts),
            { name: "Deliveries", run: () => deliveries(target) },
        ],
    };
}
