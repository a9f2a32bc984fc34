/** What `pulumi up` needs of the user's machine. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { getCli } from "./cli.ts";
import { CommandFailed, runCommand } from "./command.ts";
import { ask } from "../http.ts";
import { type Check, failure, type Finding, ok, warning } from "./report.ts";

/** The oldest that this project has run with. */
const testedCli = "3.259.0";

const older = (version: string, than: string) => version.localeCompare(than, "en", { numeric: true }) < 0;

/** The Node.js that `pulumi` runs the program on. This command may run on another, that of node_modules. */
async function node(): Promise<Finding> {
    const { engines } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { engines: { node: string } };
    const least = engines.node.replace(">=", "");
    const wayOut = "install a newer one from nodejs.org, or put npx in front: npx pulumi up";
    try {
        const version = (await runCommand("node", ["--version"])).trim();
        return older(version.replace(/^v/, ""), least)
            ? failure(`the one that pulumi finds is ${version}, and from ${least} on it runs TypeScript by itself`, wayOut)
            : ok(version);
    } catch (error) {
        return failure(`pulumi finds none (${(error as CommandFailed).message})`, wayOut);
    }
}

async function cli(): Promise<Finding> {
    try {
        const version = (await runCommand("pulumi", ["version"])).trim().replace(/^v/, "");
        return older(version, testedCli) ? warning(`${version} is older than ${testedCli}, the oldest that this was tried with`, getCli) : ok(version);
    } catch (error) {
        return failure((error as CommandFailed).message, getCli);
    }
}

interface DockerInfo {
    ServerVersion?: string;
    ServerErrors?: string[];
    Architecture?: string;
    DockerRootDir?: string;
    OperatingSystem?: string;
}

/** What the Docker engine says of itself. Rejects with `CommandFailed`, also when only the client is there. */
async function dockerInfo(): Promise<DockerInfo> {
    const info = JSON.parse(await runCommand("docker", ["info", "--format", "{{json .}}"])) as DockerInfo;
    if (!info.ServerVersion) throw new CommandFailed("docker", Object.assign(new Error(info.ServerErrors?.[0] ?? "no engine answers"), { code: 1 as never }));
    return info;
}

async function docker(): Promise<Finding> {
    try {
        const { ServerVersion = "", Architecture } = await dockerInfo();
        if (Architecture === "x86_64" || Architecture === "amd64") return ok(ServerVersion);
        return warning(`${ServerVersion} on ${Architecture}`, "the images are for amd64, so expect their build to take a few times longer under emulation");
    } catch (error) {
        const { missing, message } = error as CommandFailed;
        return missing
            ? failure(message, "install it from docs.docker.com/get-docker")
            : failure(`no engine answers (${message})`, "start Docker Desktop, or dockerd, and check DOCKER_HOST");
    }
}

interface Builder {
    Name: string;
    Driver: string;
}

/**
 * The builders that Docker's buildx has on record; `@pulumi/docker-build` takes one of these drivers, whether or not the
 * buildx command is installed, and otherwise makes a docker-container one from Docker Hub.
 */
function builders(): Builder[] {
    const folder = join(process.env.BUILDX_CONFIG ?? join(process.env.DOCKER_CONFIG ?? join(homedir(), ".docker"), "buildx"), "instances");
    if (!existsSync(folder)) return [];
    const stored = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as Partial<Builder>);
    return stored.filter((each): each is Builder => ["docker-container", "remote", "kubernetes"].includes(each.Driver ?? ""));
}

async function builder(): Promise<Finding> {
    const [found] = builders();
    if (found as Builder | undefined) return ok(`${found.Name}, driver ${found.Driver}`);
    const image = "moby/buildkit:buildx-stable-1";
    if (
        await dockerInfo()
            .then(() => runCommand("docker", ["image", "inspect", image]))
            .catch(() => undefined)
    )
        return ok(`none yet, the first up makes one from ${image}, which is here`);
    await dockerInfo().catch(() => {
        throw new Error("no Docker engine answers");
    });
    const { status } = await ask("https://registry-1.docker.io/v2/");
    // Docker Hub asks everybody for a token first.
    if (status === 200 || status === 401) return ok("none yet, the first up makes one, with an image from Docker Hub");
    return failure(`none yet, and Docker Hub, where the first up would get one, answers ${status}`, "docker buildx create --use");
}

const gibibyte = 1024 ** 3;
/** Both images, their bases and the builder's cache of them, in GiB. */
const room = { least: 6, better: 12 };

async function space(): Promise<Finding> {
    const { DockerRootDir = "", OperatingSystem } = await dockerInfo().catch(() => {
        throw new Error("no Docker engine answers");
    });
    // Docker Desktop's folder is in its virtual machine: what counts there is the disk that the machine's image grows on.
    const [folder, where] = existsSync(DockerRootDir) ? [DockerRootDir, DockerRootDir] : [homedir(), `this machine, of which ${OperatingSystem} may get less`];
    const { bavail, bsize } = await statfs(folder);
    const free = (bavail * bsize) / gibibyte;
    const says = `${free.toFixed(0)} GiB free on ${where}`;
    const wayOut = "free some, `docker system df` shows what Docker holds";
    if (free < room.least) return failure(`${says}, and the builds need ${room.least}`, wayOut);
    return free < room.better ? warning(`${says}, which the builds nearly fill`, wayOut) : ok(says);
}

/** What can be asked of the machine that `up` runs on. */
export const beforeUp = (): Check[] => [
    { name: "Node.js", run: node },
    { name: "Pulumi CLI", run: cli },
    { name: "Docker", run: docker },
    { name: "Image builder", run: builder },
    { name: "Disk space", run: space },
];
