/**
 * The deployment on the local Docker engine: the two services with the environment, disks, host names and memory that
 * the program declares, in a private network with the stand-ins for what needs an account. A second private network is
 * the owner's home; only the tailnet joins the two.
 *
 * What it does not imitate: Render itself, which pulls images, restarts what ends, and lets both services out to the
 * internet. Here the stand-ins have an address in the private network instead.
 */
import { randomUUID } from "node:crypto";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { StartedTestContainer } from "testcontainers";
import { evaluate, plain, type Program } from "./program.ts";
import { requiredSettings, serviceNames, type ServiceName, unconfined } from "./settings.ts";
import { requestFrom, type Answer, type RequestOptions } from "./client.ts";
import { hosts as modalHosts, Modal } from "./modal.ts";
import {
    connect,
    createNetwork,
    createVolume,
    createOpenNetwork,
    engine,
    isRunning,
    kill,
    logOf,
    output,
    runToEnd,
    start,
    sweep,
    unique,
    type ContainerSpec,
} from "./docker.ts";

const domain = "tail1234.ts.net";
/** Under this name both networks find the control plane. */
const controlHost = "control";

interface Override {
    environment: Record<string, string>;
    /** IP address by host name. */
    hosts: Record<string, string>;
}

/** Open WebUI's socket. Its folder is a volume, so that the tests reach it, too; in production nothing but tailscaled does. */
export const socketPath = "/var/lib/open-webui/socket";
const socketFolder = dirname(socketPath);

/** All that differs from production, each with its reason. */
const overrides = (loginServer: string, realServices: boolean): Record<ServiceName, Override> => ({
    hermes: {
        environment: {
            SSL_CERT_FILE: "/ca/bundle.pem", // openrouter.ai is a stand-in, with a certificate of the rehearsal's authority
            ...(!realServices && { PRIVATE_NETWORKS: "127.0.0.0/8" }), // Modal is one, at an address of this network
        },
        // It needs the internet. A refused connection is noticed at once, an unknown name only after a minute.
        hosts: realServices ? {} : { "models.dev": "127.0.0.1" },
    },
    "open-webui": {
        environment: {
            TS_EXTRA_ARGS: `--login-server=${loginServer}`, // the tailnet's control plane is a stand-in
            SSL_CERT_FILE: "/ca/bundle.pem", // Let's Encrypt knows no name of this tailnet: its certificate is put on the disk
        },
        hosts: {},
    },
});

/** Memory and CPUs of Render's instance types (render.com/pricing, November 2026). */
const plans: Record<string, { memoryMb: number; cpus: number }> = {
    starter: { memoryMb: 512, cpus: 0.5 },
    standard: { memoryMb: 2048, cpus: 1 },
};

interface Disk {
    name: string;
    mountPath: string;
}

/** A service as it was declared. */
interface Declaration {
    environment: Record<string, string>;
    disk: Disk;
    /** Between SIGTERM and SIGKILL. */
    seconds: number;
    plan: string;
    /** Host name on the private network. */
    host: string;
    /** Its image, where that isn't the one that the test run has built. */
    image?: ContainerSpec["image"];
}

/** What the program declares for a service, when it is evaluated. */
function declared(program: Program, name: ServiceName): Omit<Declaration, "host"> {
    const resource = program.resources.find(({ type, name: found }) => type.endsWith(":PrivateService") && found === name);
    if (!resource) throw new Error(`the program declares no private service ${name}`);
    const inputs = plain(resource.inputs) as {
        envVars: Record<string, { value: string }>;
        disk: Disk;
        maxShutdownDelaySeconds: number;
        plan: string;
    };
    return {
        environment: Object.fromEntries(Object.entries(inputs.envVars).map(([key, { value }]) => [key, value])),
        disk: inputs.disk,
        seconds: inputs.maxShutdownDelaySeconds,
        plan: inputs.plan,
    };
}

/** A node of the tailnet as its control plane lists it. */
interface Machine {
    ID: string;
    /** Full DNS name. */
    Name: string;
    Tags: string[] | null;
}

/** A signed-in account of Open WebUI. */
export interface Session {
    id: string;
    token: string;
    role: string;
}

/** A message as Open WebUI stores it. */
interface StoredMessage {
    role: string;
    content: string;
    done?: boolean;
    /** The lines above an answer. */
    statusHistory?: { description: string; done: boolean }[];
}

/** A message that was sent from the page: where its answer will stand. */
export interface Asked {
    chatId: string;
    answerId: string;
}

/** What goes with a message from the page: the ids of uploads, and the message after whose answer the chat goes on, where it isn't a new one. */
interface Attached {
    files?: string[];
    pictures?: string[];
    after?: Asked;
    /** Where a new chat is made. */
    folder?: string;
    /** Of the page. */
    language?: string;
}

interface Chat {
    chat: { history: { messages: Record<string, StoredMessage> } };
}

export interface Message {
    role: string;
    content: unknown;
}

/** A chat request as it reached the model server. */
interface ModelCall {
    authorization: string;
    host: string;
    cookie?: string;
    bytes: number;
    model: string;
    messages: Message[];
    tools: string[];
    /** What the usage counted, of both directions. */
    tokens: number;
}

/** Credentials of real accounts, which take the place of the stand-in of OpenRouter and open the way to Modal. */
export interface RealServices {
    openrouterApiKey: string;
    modalTokenId: string;
    modalTokenSecret: string;
}

export class Testbed {
    private readonly id = unique();
    /** Render's private network. */
    readonly network = `private-hermes-${this.id}`;
    /** Where the owner's devices are. */
    readonly home = `${this.network}-home`;
    /** Network in which Hermes reaches real services. */
    readonly wayOut = `${this.network}-internet`;
    readonly services: Partial<Record<ServiceName, StartedTestContainer>> = {};
    openRouter!: StartedTestContainer;
    modal!: Modal;
    control!: StartedTestContainer;
    private loginServer = "";
    private filtered = true;
    /** Of the program, besides its defaults. */
    readonly settings: Record<string, string>;
    private readonly declarations = {} as Record<ServiceName, Declaration>;
    /** TCP ports that the policy which the program asks for grants. */
    private granted: number[] = [];

    readonly realServices?: RealServices;

    private constructor(realServices?: RealServices) {
        this.realServices = realServices;
        this.settings = { ...requiredSettings(), tailnetDnsName: domain, ...realServices };
    }

    /** Evaluates the program and starts the stand-ins; no service runs yet. */
    static async create(realServices?: RealServices): Promise<Testbed> {
        const testbed = new Testbed(realServices);
        await testbed.configure();
        for (const network of [testbed.network, testbed.home]) await createNetwork(network);
        if ((await engine().then((docker) => docker.info() as Promise<{ Architecture: string }>)).Architecture !== "x86_64") await testbed.takeFilterAway();
        if (realServices) await createOpenNetwork(testbed.wayOut);
        for (const name of ["ca", "socket"]) await createVolume(testbed.volume(name));
        await testbed.inVolumes(
            { ca: "/ca" },
            `sh /authority.sh openrouter.ai api.telegram.org api.exa.ai bucket.example.com ${modalHosts.join(" ")} ${testbed.host}`,
        );
        for (const name of serviceNames) await testbed.newDisk(name, testbed.declarations[name].disk.name);
        testbed.openRouter = await start({
            image: "internet",
            network: testbed.network,
            aliases: realServices ? [] : ["openrouter.ai"],
            volumes: { [testbed.volume("ca")]: "/ca", [testbed.volume("socket")]: socketFolder },
            ready: /ready/,
        });
        testbed.modal = await Modal.start(testbed.network, testbed.volume("ca"), testbed.volume("sandboxes"), realServices ? [] : undefined);
        testbed.control = await start({
            image: "control",
            network: testbed.network,
            aliases: [controlHost],
            command: [`--domain=${domain}`, `--derp-host=${controlHost}`, `--authkey=${testbed.environment("open-webui").TS_AUTHKEY}`],
            ready: /control plane of/,
        });
        testbed.loginServer = await testbed.tailnet("GET", "/login-server");
        await connect(testbed.control, testbed.home, [controlHost]);
        await testbed.tailnet("PATCH", "/settings", { Ports: testbed.granted });
        return testbed;
    }

    /**
     * Makes both services run without the kernel's filter, by a command in the place of `confined` (confined.py): an emulation of x86-64, as on
     * Apple silicon, takes none. All else is as ever.
     */
    async takeFilterAway(): Promise<void> {
        await this.addVolume("unconfined", `cat >/disk/confined <<'end'\n${unconfined}end\nchmod 755 /disk/confined`);
        this.filtered = false;
    }

    /** Removes all of it, disks included. */
    async remove(): Promise<void> {
        await sweep(this.network);
    }

    /** Evaluates the program with other settings; services that are started from now on have them. */
    async configure(settings: Record<string, string> = {}): Promise<void> {
        const program = await evaluate({ ...this.settings, ...settings });
        const { grants } = JSON.parse(program.outputs.tailnetPolicy as string) as { grants: { ip: string[] }[] };
        this.granted = grants.flatMap(({ ip }) => ip.map((rule) => Number(rule.replace("tcp:", ""))));
        const openWebUi = declared(program, "open-webui");
        this.declare("hermes", { ...declared(program, "hermes"), host: new URL(openWebUi.environment.OPENAI_API_BASE_URL).hostname });
        this.declare("open-webui", { ...openWebUi, host: "open-webui" });
    }

    /** Takes a service's declaration from elsewhere; it has it when it is started the next time. */
    declare(name: ServiceName, declaration: Declaration): void {
        this.declarations[name] = declaration;
    }

    volume(name: string): string {
        return `${this.network}-${name}`;
    }

    /** A new disk; on Open WebUI's the page's certificate lies where tailscaled looks for it. Gives its volume. */
    async newDisk(service: ServiceName, name = unique()): Promise<string> {
        await createVolume(this.volume(name));
        if (service === "open-webui") {
            await this.inVolumes(
                { ca: "/ca", [name]: "/disk" },
                `install -d -m 700 /disk/tailscale /disk/tailscale/certs; install -m 600 /ca/${this.host}.* /disk/tailscale/certs/`,
            );
        }
        return this.volume(name);
    }

    /** The page's certificate, as PEM. */
    async pageCertificate(): Promise<string> {
        return output(this.openRouter, "cat", `/ca/${this.host}.crt`);
    }

    /** That of the authority which signed it. */
    async authority(): Promise<string> {
        return output(this.openRouter, "cat", "/ca/ca.pem");
    }

    /** Address of the page. */
    get url(): string {
        return this.environment("open-webui").WEBUI_URL;
    }

    private get host(): string {
        return new URL(this.url).hostname;
    }

    /** The environment that is declared for a service. */
    environment(name: ServiceName): Record<string, string> {
        return this.declarations[name].environment;
    }

    /** Where a service listens on the private network. */
    address(name: ServiceName): string {
        return `${this.declarations[name].host}:${this.environment(name).PORT}`;
    }

    /**
     * A service as the program declares it, in this network; `changes` are for tests of another setting, and one to
     * `undefined` takes a variable away. On the disk that the program declares, or another volume.
     */
    spec(name: ServiceName, changes: Record<string, string | undefined> = {}, volume?: string): ContainerSpec & { environment: Record<string, string> } {
        const { environment: own, disk, plan, host, image = name === "hermes" ? "hermes" : "openWebUi" } = this.declarations[name];
        const override = overrides(this.loginServer, this.realServices !== undefined)[name];
        const path = this.filtered ? {} : { PATH: "/unconfined:/opt/hermes/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };
        const environment = Object.entries({ ...own, ...override.environment, ...path, ...changes });
        return {
            image,
            network: this.network,
            aliases: [host],
            environment: Object.fromEntries(environment.filter((entry): entry is [string, string] => entry[1] !== undefined)),
            volumes: {
                [volume ?? this.volume(disk.name)]: disk.mountPath,
                [this.volume("ca")]: "/ca",
                ...(name === "open-webui" && { [this.volume("socket")]: socketFolder }),
                ...(!this.filtered && { [this.volume("unconfined")]: "/unconfined" }),
            },
            memoryMb: plans[plan].memoryMb,
            hosts: override.hosts,
        };
    }

    /** Render's instance type of a service. */
    plan(name: ServiceName): string {
        return this.declarations[name].plan;
    }

    /** A service with the CPU of its plan, too. Elsewhere the tests leave it all there is, to be done sooner. */
    onPlan(name: ServiceName): ContainerSpec {
        return { ...this.spec(name), ...plans[this.plan(name)] };
    }

    /** Starts a service; `volumes` are those of `addVolume`, as mount point by name. */
    async start(name: ServiceName, environment: Record<string, string> = {}, volumes: Record<string, string> = {}): Promise<StartedTestContainer> {
        const spec = this.spec(name, environment);
        for (const [volume, path] of Object.entries(volumes)) spec.volumes = { ...spec.volumes, [this.volume(volume)]: path };
        return (this.services[name] = await this.startAndWait(name, spec));
    }

    /** The container of a service; throws when it doesn't run. */
    running(name: ServiceName): StartedTestContainer {
        const container = this.services[name];
        if (!container) throw new Error(`${name} isn't running`);
        return container;
    }

    /** Starts a container in the place of a service and waits until it answers. */
    async startAndWait(name: ServiceName, spec: ContainerSpec): Promise<StartedTestContainer> {
        const container = await start(spec);
        if (name === "hermes" && this.realServices) await connect(container, this.wayOut);
        const ask = () => (name === "hermes" ? this.hermes("GET", "/health") : this.webui("GET", "/ready"));
        for (let tries = 0; tries < 180; tries++) {
            const answer = await ask().catch(() => undefined);
            if (answer?.status === 200) return container;
            if (!(await isRunning(container))) break;
            await sleep(500);
        }
        const log = await logOf(container);
        await container.stop({ remove: true, removeVolumes: false });
        throw new Error(`${name} didn't start:\n${log}`);
    }

    /** A new container on the same disk, as a deploy makes it: the old one has stopped before the new one starts. */
    async redeploy(name: ServiceName, environment: Record<string, string> = {}): Promise<StartedTestContainer> {
        await this.stop(name);
        return this.start(name, environment);
    }

    /** Stops a service and removes its container; its disk stays. */
    async stop(name: ServiceName): Promise<void> {
        await this.services[name]?.stop({ timeout: this.declarations[name].seconds * 1000, remove: true, removeVolumes: false });
        this.services[name] = undefined;
    }

    /** Ends a service as a crash does. */
    async kill(name: ServiceName): Promise<void> {
        await kill(this.running(name));
        await this.stop(name);
    }

    /** The name of the disk that a service has, for `onDisk`. */
    diskOf(service: ServiceName): string {
        return this.declarations[service].disk.name;
    }

    /** A service's disk is a new one when it is started the next time, and as empty as Render's: without the page's certificate. */
    async loseDisk(service: ServiceName): Promise<void> {
        const { disk } = this.declarations[service];
        await createVolume(this.volume(`${disk.name}-next`));
        this.declare(service, { ...this.declarations[service], disk: { ...disk, name: `${disk.name}-next` } });
    }

    /** Runs a shell script as root on a disk, mounted at /disk, while no service uses it. */
    async onDisk(disk: string, script: string): Promise<void> {
        await this.inVolumes({ [disk]: "/disk" }, script);
    }

    /** A volume beside the disks, with what a script puts into /disk. */
    async addVolume(name: string, script: string): Promise<void> {
        await createVolume(this.volume(name));
        await this.onDisk(name, script);
    }

    /** Keeps what is on a service's disk, as Render's snapshot of a day does; gives what puts it back. */
    async snapshot(service: ServiceName): Promise<() => Promise<void>> {
        const [disk, copy] = [this.declarations[service].disk.name, unique()];
        await createVolume(this.volume(copy));
        const both = { [disk]: "/disk", [copy]: "/snapshot" };
        await this.inVolumes(both, "cp -a /disk/. /snapshot/");
        return () => this.inVolumes(both, "find /disk -mindepth 1 -delete; cp -a /snapshot/. /disk/");
    }

    /** The image that a service has when it is started the next time; without one, the image that the test run has built. */
    useImage(service: ServiceName, image?: ContainerSpec["image"]): void {
        this.declare(service, { ...this.declarations[service], image });
    }

    private async inVolumes(mounts: Record<string, string>, script: string): Promise<void> {
        const { code, log } = await runToEnd({
            image: "internet",
            network: this.network,
            command: ["sh", "-euc", script],
            volumes: Object.fromEntries(Object.entries(mounts).map(([name, target]) => [this.volume(name), target])),
        });
        if (code !== 0) throw new Error(`the script on ${Object.keys(mounts).join(" and ")} ended with ${code}: ${log}`);
    }

    /** Sends a request from a third container in the private network. */
    request(method: string, url: string, options?: RequestOptions): Promise<Answer> {
        return requestFrom(this.openRouter, method, url, options);
    }

    hermes(method: string, path: string, options?: RequestOptions): Promise<Answer> {
        return this.request(method, `http://${this.address("hermes")}${path}`, options);
    }

    /** As tailscaled asks it. */
    webui(method: string, path: string, options?: RequestOptions): Promise<Answer> {
        return this.request(method, `http://localhost${path}`, { ...options, socket: socketPath });
    }

    /** Calls the admin API of the control plane, see test/stand-ins/tailscale/api.go. */
    async tailnet(method: string, path: string, body?: unknown): Promise<string> {
        return output(this.control, "/control", "ctl", method, path, ...(body === undefined ? [] : [JSON.stringify(body)]));
    }

    /** The machines that the tailnet's control plane lists. */
    async machines(): Promise<Machine[]> {
        return JSON.parse(await this.tailnet("GET", "/machines")) as Machine[];
    }

    /** Asks Hermes directly, as Open WebUI does; gives the text of its answer. */
    ask(content: string): Promise<string> {
        return this.chat([{ role: "user", content }]);
    }

    /** A chat request as Open WebUI sends it to Hermes; `headers` name the account and the chat. */
    chatRequest(messages: Message[], headers: Record<string, string> = {}): RequestOptions & { body: object } {
        const { API_SERVER_KEY: bearer, API_SERVER_MODEL_NAME: model } = this.environment("hermes");
        return { bearer, headers, body: { model, messages } };
    }

    /** As `ask`, with all that was said before, and with pictures. */
    async chat(messages: Message[], headers?: Record<string, string>): Promise<string> {
        const { status, body } = await this.hermes("POST", "/v1/chat/completions", this.chatRequest(messages, headers));
        if (status !== 200) throw new Error(`Hermes answered ${status}: ${JSON.stringify(body)}`);
        return (body as { choices: { message: { content: string } }[] }).choices[0].message.content;
    }

    /** Makes the agent call a tool; gives what it says of that. */
    useTool(name: string, parameters: object): Promise<string> {
        return this.ask(`CALL ${name} ${JSON.stringify(parameters)}`);
    }

    /** All that a message to the model comes with, what the agent remembers included. */
    async remembered(): Promise<string> {
        await this.forgetCalls();
        await this.ask("What do you know about me?");
        return JSON.stringify((await this.calls())[0].messages);
    }

    /** Signs in as the admin whom the program declares. */
    async signIn(): Promise<Session> {
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_ADMIN_PASSWORD: password } = this.environment("open-webui");
        const { status, body } = await this.webui("POST", "/api/v1/auths/signin", { body: { email, password } });
        if (status !== 200) throw new Error(`Open WebUI answered ${status} to the sign-in: ${JSON.stringify(body)}`);
        return body as Session;
    }

    /** Makes an account, as the admin whose token is given, and signs it in. */
    async addAccount(token: string, { name = unique(), role = "user" } = {}) {
        const account = { name, email: `${name.toLowerCase().replace(" ", "-")}@example.com`, password: randomUUID() };
        const { status, body } = await this.webui("POST", "/api/v1/auths/add", { bearer: token, body: { ...account, role } });
        if (status !== 200) throw new Error(`Open WebUI answered ${status} to a new account: ${JSON.stringify(body)}`);
        return { ...account, ...(body as Session) };
    }

    /** Makes accounts, as the admin whose token is given; gives their tokens. */
    async addAccounts(token: string, count: number): Promise<string[]> {
        const accounts = await Promise.all(Array.from({ length: count }, () => this.addAccount(token)));
        return accounts.map((account) => account.token);
    }

    /** The chats of an account; a title is the first message. */
    async chats(token: string): Promise<{ id: string; title: string }[]> {
        return (await this.webui("GET", "/api/v1/chats/", { bearer: token })).body as { id: string; title: string }[];
    }

    /** The models that an account may use. */
    async models(token: string): Promise<string[]> {
        const { body } = await this.webui("GET", "/api/models", { bearer: token });
        return (body as { data: { id: string }[] }).data.map(({ id }) => id);
    }

    /**
     * Sends a message the way the page does, by default the first of a new chat, with every background task asked for, and waits
     * for the answer to be stored.
     */
    async sendFromPage(token: string, content: string, attached?: Attached): Promise<string> {
        return this.answered(token, await this.askFromPage(token, content, attached));
    }

    /** The first half of `sendFromPage`: the message is on its way. */
    async askFromPage(token: string, content: string, { files = [], pictures = [], after, folder, language }: Attached = {}): Promise<Asked> {
        const parentId = after?.answerId ?? null;
        const [userId, answerId] = [randomUUID(), randomUUID()];
        const model = this.environment("open-webui").DEFAULT_MODELS;
        const uploads = files.map((id) => ({ type: "file", id, url: id, name: id, status: "uploaded", file: { id } }));
        const { status, body } = await this.webui("POST", "/api/chat/completions", {
            bearer: token,
            headers: language ? { "X-Page-Language": language } : {},
            body: {
                model,
                stream: true,
                messages: [{ role: "user", content }],
                files: uploads,
                chat_id: after?.chatId,
                folder_id: folder,
                parent_id: parentId,
                id: answerId,
                session_id: randomUUID(),
                user_message: {
                    ...{ id: userId, parentId, childrenIds: [], role: "user", content, models: [model], timestamp: 1 },
                    files: [...uploads, ...pictures.map((id) => ({ type: "image", id, url: id }))],
                },
                background_tasks: { title_generation: true, tags_generation: true, follow_up_generation: true },
            },
        });
        if (status !== 200) throw new Error(`Open WebUI answered ${status}: ${JSON.stringify(body)}`);
        return { chatId: (body as { chat_id: string }).chat_id, answerId };
    }

    /** The second: the answer, once it is whole. */
    async answered(token: string, asked: Asked): Promise<string> {
        for (;;) {
            const answer = await this.answerTo(token, asked);
            if (answer.done) return answer.content;
            await sleep(500);
        }
    }

    /** The answer to such a message, as the page shows it when the chat is opened. */
    async answerTo(token: string, { chatId, answerId }: Asked): Promise<StoredMessage> {
        const { body } = await this.webui("GET", `/api/v1/chats/${chatId}`, { bearer: token });
        return (body as Chat).chat.history.messages[answerId];
    }

    /** The chat requests that reached the model server since the last `forgetCalls`. */
    async calls(): Promise<ModelCall[]> {
        return (await this.request("GET", "http://127.0.0.1:8000/calls")).body as ModelCall[];
    }

    /** Those that ask about a text, and don't just have it further above. */
    async asked(text: string): Promise<ModelCall[]> {
        return (await this.calls()).filter(({ messages }) => JSON.stringify(messages.at(-1)).includes(text));
    }

    /** Tells the model server how chats fare from now on. */
    async play(chats: { status?: number; reason?: string; counts?: boolean; free?: boolean }): Promise<void> {
        await this.request("POST", "http://127.0.0.1:8000/chats", { body: chats });
    }

    async forgetCalls(): Promise<void> {
        await this.request("DELETE", "http://127.0.0.1:8000/calls");
    }
}

/** Something that nobody has said before. */
export const words = (what: string) => `${what} ${unique()}`;
