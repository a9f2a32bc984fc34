/** Uploads of documents to Open WebUI, as its page makes them. */
import { readFile } from "node:fs/promises";
import type { StartedTestContainer } from "testcontainers";
import { output, outputOf } from "./docker.ts";
import { socketPath, type Testbed } from "./testbed.ts";

const folder = "/tmp/documents";
/** Open WebUI, from its container. */
const [curl, page] = [["curl", "-sSK-", "--unix-socket", socketPath], "http://localhost"];

/** Writes the documents of documents.py into a container that has Python; gives the folder. */
export async function writeDocuments(container: StartedTestContainer): Promise<string> {
    await outputOf(container, ["python3", "-", folder], await readFile(new URL("documents.py", import.meta.url), "utf8"));
    return folder;
}

interface Upload {
    id: string;
    /** What the page shows when the file can't be read. */
    error?: string;
    /** What the model gets. */
    content: string;
}

/** Documents that documents.py has written into the container of Open WebUI. */
export class Uploads {
    private readonly testbed: Testbed;
    private readonly container: StartedTestContainer;
    private readonly token: string;

    private constructor(testbed: Testbed, container: StartedTestContainer, token: string) {
        this.testbed = testbed;
        this.container = container;
        this.token = token;
    }

    static async create(testbed: Testbed, token: string): Promise<Uploads> {
        const container = testbed.running("open-webui");
        await writeDocuments(container);
        return new Uploads(testbed, container, token);
    }

    /** The SHA-256 of one. */
    async sha256(name: string): Promise<string> {
        return (await output(this.container, "sha256sum", `${folder}/${name}`)).split(" ")[0];
    }

    /** Uploads one, under its own name or another and as what curl takes it for or of another type, and waits until it has been read, as far as it can be. */
    async upload(name: string, as = name, type = ""): Promise<Upload> {
        const headers = `header = "Authorization: Bearer ${this.token}"\n`;
        const said = await outputOf(
            this.container,
            [...curl, "-F", `file=@${folder}/${name};filename="${as.replace(/["\\]/g, "\\$&")}"${type && `;type=${type}`}`, `${page}/api/v1/files/`],
            headers,
        );
        const { id, detail } = JSON.parse(said) as { id: string; detail?: undefined } | { id?: undefined; detail: string };
        if (id === undefined) return { id: "", error: detail, content: "" };
        const events = await outputOf(this.container, [...curl, `${page}/api/v1/files/${id}/process/status?stream=true`], headers);
        const last = JSON.parse(events.trim().split("data: ").at(-1) ?? "") as { error?: string };
        const { body } = await this.testbed.webui("GET", `/api/v1/files/${id}/data/content`, { bearer: this.token });
        return { id, error: last.error, content: (body as { content: string }).content };
    }
}
