/** A device of the owner's on the tailnet, in a network that no service is in: tailscaled, Chromium and curl. See test/stand-ins/laptop/. */
import type { StartedTestContainer } from "testcontainers";
import { addressOf, connect, createOpenNetwork, output, outputOf, portOf, start } from "./docker.ts";
import type { Testbed } from "./testbed.ts";

export const proxyPort = 1055;
/** How curl takes the way over the tailnet, host names included. */
const tailnet = ["--proxy", `socks5h://127.0.0.1:${proxyPort}`];
const authorities = "/ca/bundle.pem";
const screenshot = "/tmp/page.png";
const phone = "/tmp/phone.png";
const phoneFolder = "/tmp/phone";
const speech = "/tmp/speech.wav";

interface Delta {
    choices: { delta: { content?: string } }[];
}

/** What a person does in the browser, see test/stand-ins/laptop/browse.py. */
export interface Visit {
    url: string;
    email: string;
    password: string;
    message: string;
    /** Sent in a new chat. */
    search?: string;
    /** Sent in a new chat and in a temporary one; the answer has a picture and a download. */
    files?: string;
    /** Sent with a PDF that Chromium prints of some HTML, further documents and a photo. */
    uploads?: { message: string; printed: string; paths: string[] };
    /** A command runs for long at it, and Stop is pressed meanwhile. */
    stopped?: string;
    /** The page is left in the middle of its answer, and opened again. */
    long?: string;
    /** Sent in a temporary chat; its answer is made twice. */
    temporary?: string;
}

/** What came of it. */
export interface Visited {
    answer: string;
    /** Whether the page had a websocket that carried something. */
    websocket: boolean;
    /** Hosts other than the page's own that it asked. */
    hosts: string[];
    /** What the page complained about in the console. */
    errors: string[];
    /** What it puts above the settings of the Admin Panel. */
    notice: string;
    /** The answer in the new chat. */
    search: string | null;
    /** What arrived in the new chat, after its reload, and in the temporary one; a picture as its size and its colours, a download in base64. */
    files: { picture: number[]; name: string; content: string }[];
    /** The answer to the message with uploads: its text, the cells of each row of its tables, and the photo's size before, in bytes. */
    uploads: { answer: string; tables: string[][]; photo: number } | null;
    /** The answer while the command runs, after Stop and after a reload: its text, whether Stop is offered, and how many lines shimmer as what isn't done. */
    stopped: { text: string; running: boolean; shimmers: number }[];
    /** The long answer, when the page was left and at the end. */
    long: [left: string, whole: string] | null;
    /** The answers in the temporary chat. */
    temporary: string[];
    /** As the browser verified it. */
    certificate: { issuer: string; subject: string };
}

/** Somebody's way through the whole page, see test/stand-ins/laptop/controls.py. */
export interface Walk {
    url: string;
    email: string;
    password: string;
    /** Of the window, in pixels. */
    width: number;
    suggestions: { title: string[]; content: string }[];
    /** Paths that are opened. */
    addresses: string[];
}

/** What came into sight. */
export interface Walked {
    /** Names by place; under Addresses, those that lead to another. */
    controls: Record<string, string[]>;
    /** What is answered when each suggestion is pressed. */
    suggested: string[];
    /** Of a chat with a wide table, in pixels: widths, how far the table scrolls, and where the input ends. */
    measures: { page: number; table: number; shown: number; scrolled: number; input: number };
}

/** A function of test/stand-ins/laptop/week.py, and what it is given. */
interface Day {
    url: string;
    email: string;
    password: string;
    /** Of the window, in pixels. */
    width?: number;
    /** Of the browser. */
    locale?: string;
    does: string;
    with?: object;
}

/** What a new user does on a phone, see test/stand-ins/laptop/phone.py. */
export interface PhoneWalk {
    url: string;
    email: string;
    password: string;
    /** Answered with a table. */
    table?: string;
    /** Words by which the first chat is found again. */
    search?: string;
    /** Whether to talk in voice mode, too. */
    call?: boolean;
}

/** What came of it; nothing but a reason if the page refuses what was dictated. */
export type PhoneWalked =
    | { dictated: ""; refused: string }
    | {
          dictated: string;
          refused: "";
          answer: string;
          /** What the browser was asked to speak. */
          aloud: string;
          table: { rows: string[][]; fits: boolean } | null;
          found: string | null;
          call: { said: string; spoken: string } | null;
      };

/** What a browser shows that the tailnet has signed in, see test/stand-ins/laptop/signed_in.py. */
interface SignedIn {
    text: string;
    /** Address of the account. */
    account: string | null;
    answer: string | null;
    /** Its cookies and storage. */
    profile: object;
}

export interface Fetched {
    /** 0 when there was no answer that can be trusted. */
    status: number;
    body: string;
    /** Why there was none. */
    reason: string;
}

/** Load on Open WebUI, see test/stand-ins/laptop/load.py. */
interface Load {
    url: string;
    /** Sessions of the accounts that take turns. */
    tokens: string[];
}

export interface Chats extends Load {
    model: string;
    chats: number;
    /** Of each answer. */
    words: number;
    /** How they come: one a second, or as a model writes. */
    pace: "SLOW" | "FAST";
    /** Pages of the account that are open during each chat, and get all that happens to it. */
    tabs?: number;
}

/** What came of a chat; times in seconds since its message was sent. */
export interface Held {
    complete: boolean;
    first: number;
    /** In how many pieces the answer came. */
    updates: number;
    total: number;
    error?: string;
}

export interface Uploads extends Load {
    uploads: number;
    megabytes: number;
}

export class Laptop {
    readonly container: StartedTestContainer;

    private constructor(container: StartedTestContainer) {
        this.container = container;
    }

    /**
     * Starts a laptop and joins it to the tailnet, as the device of a person with this login, or with tags as nobody's. With `published`
     * its SOCKS proxy is on this machine's loopback, too.
     */
    static async join(testbed: Testbed, { published = false, login = "owner@example.com", tags = [] as string[] } = {}): Promise<Laptop> {
        const door = `${testbed.home}-door`;
        if (published) await createOpenNetwork(door);
        const container = await start({
            image: "laptop",
            network: published ? door : testbed.home,
            published: published ? proxyPort : undefined,
            environment: { SSL_CERT_FILE: authorities },
            volumes: { [testbed.volume("ca")]: "/ca" },
            ready: /ready/,
        });
        if (published) await connect(container, testbed.home);
        const key = `tskey-auth-of-${tags.length > 0 ? "nobody" : login.replace(/\W/g, "-")}`;
        await testbed.tailnet("PUT", `/keys/${key}`, { Tags: tags, Login: login, Preapproved: true });
        const server = `http://${await addressOf(testbed.control, testbed.home)}:8080`;
        await outputOf(container, ["tailscale", "up", "--hostname=laptop", `--login-server=${server}`, "--auth-key=file:/dev/stdin", "--timeout=30s"], key);
        return new Laptop(container);
    }

    /** Fetches a URL over the tailnet. */
    async fetch(url: string, { trusting = authorities, seconds = 10 } = {}): Promise<Fetched> {
        return this.curl(url, seconds, ...tailnet, "--cacert", trusting);
    }

    /** Asks over Open WebUI's API, as an app of the owner's might; gives the text as it has come in when the answer ends. */
    async ask(url: string, { token, model, content }: { token: string; model: string; content: string }): Promise<string> {
        const body = JSON.stringify({ model, stream: true, messages: [{ role: "user", content }] });
        const secret = [`header = "Authorization: Bearer ${token}"`, `data-raw = ${JSON.stringify(body)}`].join("\n");
        const flags = ["--silent", "--no-buffer", "--config", "-", "--header", "Content-Type: application/json"];
        const stream = await outputOf(this.container, ["curl", ...flags, ...tailnet, `${url}/api/chat/completions`], secret);
        const events = stream
            .split("\n")
            .filter((line) => line.startsWith("data: {"))
            .map((line) => JSON.parse(line.slice("data: ".length)) as Delta);
        return events.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
    }

    /** Fetches a URL past the tailnet, as anything else in the laptop's network might. */
    async fetchDirectly(url: string): Promise<Fetched> {
        return this.curl(url, 3);
    }

    private async curl(url: string, seconds: number, ...flags: string[]): Promise<Fetched> {
        const { exitCode, stdout, stderr } = await this.container.exec([
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            `${seconds}`,
            "--write-out",
            "\n%{http_code}",
            ...flags,
            url,
        ]);
        const end = stdout.lastIndexOf("\n");
        return { status: exitCode === 0 ? Number(stdout.slice(end + 1)) : 0, body: stdout.slice(0, end), reason: stderr.trim() };
    }

    /** Signs in with a browser, sends a message and reads the answer. */
    async browse(visit: Visit): Promise<Visited> {
        return JSON.parse(await outputOf(this.container, ["python3", "/browse.py"], JSON.stringify({ ...visit, screenshot, phone }))) as Visited;
    }

    /** Opens the page where the tailnet signs people in, with a fresh browser or one that has been elsewhere. */
    async openSignedIn(url: string, more: { message?: string; profile?: object } = {}): Promise<SignedIn> {
        return JSON.parse(await outputOf(this.container, ["python3", "/signed_in.py"], JSON.stringify({ url, ...more }))) as SignedIn;
    }

    /** Lists what a person can press. */
    async walk(walk: Walk): Promise<Walked> {
        return JSON.parse(await outputOf(this.container, ["python3", "/controls.py"], JSON.stringify(walk))) as Walked;
    }

    /** Does one thing of those that people do from day to day, see test/stand-ins/laptop/week.py; gives what that says. */
    async week(day: Day): Promise<unknown> {
        return JSON.parse(await outputOf(this.container, ["python3", "/week.py"], JSON.stringify(day)));
    }

    /** Does on a phone what a new user does first. The microphone hears `heard`, a WAV in base64. */
    async walkOnPhone(walk: PhoneWalk, heard: string): Promise<PhoneWalked> {
        await outputOf(this.container, ["sh", "-c", `mkdir -p ${phoneFolder}; base64 -d >${speech}`], heard);
        const order = { ...walk, speech, screenshots: phoneFolder };
        return JSON.parse(await outputOf(this.container, ["python3", "/phone.py"], JSON.stringify(order))) as PhoneWalked;
    }

    /** What the phone showed on that walk, as PNG by name. */
    async phoneScreenshots(): Promise<Record<string, Buffer>> {
        const names = (await output(this.container, "ls", phoneFolder)).trim().split("\n");
        const pictures = names.map(async (name) => [name, Buffer.from(await output(this.container, "base64", `${phoneFolder}/${name}`), "base64")] as const);
        return Object.fromEntries(await Promise.all(pictures));
    }

    /** Holds chats, all at once. */
    async chats(load: Chats): Promise<Held[]> {
        return (await this.load(load)).chats;
    }

    /** Uploads text files, all at once; gives the HTTP status of each. */
    async uploads(load: Uploads): Promise<{ status: number }[]> {
        return (await this.load(load)).uploads;
    }

    private async load(load: Load) {
        return JSON.parse(await outputOf(this.container, ["python3", "/load.py"], JSON.stringify(load))) as {
            chats: Held[];
            uploads: { status: number }[];
        };
    }

    /** What the browser showed at the answer, or at the end of a visit that failed, as PNG; in a window or on a phone. */
    async screenshot(on: "window" | "phone" = "window"): Promise<Buffer> {
        return Buffer.from(await output(this.container, "base64", on === "phone" ? phone : screenshot), "base64");
    }

    /** The port of this machine's loopback at which the SOCKS proxy is published. */
    proxyPort(): Promise<number> {
        return portOf(this.container, proxyPort);
    }

    /** What runs its `tailscale` from this machine. */
    get tailscale(): string[] {
        return ["docker", "exec", this.container.getId(), "tailscale"];
    }
}
