/** Both disks on this machine, without a bucket: pulled over the services' shells, into a restic repository or a folder in open formats. */
import { execFile } from "node:child_process";
import { createReadStream, createWriteStream, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createGunzip, createGzip } from "node:zlib";
import { backupCommand, inShell, type Running, ShellFailed } from "./shell.ts";

/** Where they are kept by default. */
export const pullFolder = (project: string, stack: string) => join(homedir(), "private-hermes-backups", `${project}-${stack}`);

/** restic as both images have it: pulled from Docker Hub where this machine doesn't have it yet. */
export const resticImage = () => /^FROM (restic\/restic:\S+)/m.exec(readFileSync(new URL("hermes/Dockerfile", import.meta.url), "utf8"))?.[1] ?? "";

const execute = promisify(execFile);

/** What this machine can't do, as a sentence in two halves. */
function ofMachine(error: unknown, folder: string): ShellFailed {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOSPC" || code === "EDQUOT")
        return new ShellFailed("this machine's disk is full", `make room where ${folder} is, or take another folder with --to`);
    if (code === "EACCES" || code === "EPERM" || code === "EROFS" || code === "ENOTDIR") {
        return new ShellFailed(`${folder} can't be written (${code})`, "take another folder with --to");
    }
    // gzip's end is missing, or its sum is wrong.
    if (code?.startsWith("Z_")) return new ShellFailed("what came of it isn't whole", "run it again");
    return new ShellFailed(message, "run it again");
}

/** A folder of this run's own, for what is not yet whole; those of runs that were killed go. */
function staging(folder: string): string {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(folder)) {
        const [, pid] = /^\.pull-(\d+)-/.exec(name) ?? [];
        if (pid && !lives(Number(pid))) rmSync(join(folder, name), { recursive: true, force: true });
    }
    return mkdtempSync(join(folder, `.pull-${process.pid}-`));
}

function lives(pid: number): boolean {
    try {
        return process.kill(pid, 0);
    } catch (error) {
        return (error as NodeJS.ErrnoException).code === "EPERM";
    }
}

/** Where a service's archive lies in such a folder, and in a backup below /pull. */
const archiveOf = ({ title }: Running, folder: string) => join(folder, `${title.toLowerCase().replaceAll(" ", "-")}.tar`);

/** What ends a command of somebody's; it leaves nothing readable behind. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Does something with a folder that goes afterwards; what fails of this machine is a sentence. */
async function inStaging<Value>(folder: string, work: (own: string) => Promise<Value>): Promise<Value> {
    let own = "";
    const end = () => {
        if (own) rmSync(own, { recursive: true, force: true });
        process.exit(130);
    };
    for (const signal of signals) process.once(signal, end);
    try {
        own = staging(folder);
        return await work(own);
    } catch (error) {
        // Of a file system, and not of a service.
        throw error instanceof Error && "syscall" in error ? ofMachine(error, folder) : error;
    } finally {
        for (const signal of signals) process.off(signal, end);
        if (own) rmSync(own, { recursive: true, force: true });
    }
}

/** Pulls what a command of both services prints, as archives in a folder; all of it or a rejection with `ShellFailed` that names the service. */
async function pullArchives(services: Running[], command: string, into: string, folder: string): Promise<string[]> {
    const archives: string[] = [];
    for (const service of services) {
        const archive = archiveOf(service, into);
        let own: unknown;
        const take = async (output: NodeJS.ReadableStream) => {
            // gzip's sum at the end tells a whole archive from one that was cut off.
            await pipeline(output, createGunzip(), createWriteStream(archive, { mode: 0o600 })).catch((error: unknown) => {
                own = error;
                throw error;
            });
        };
        try {
            await inShell(service, `${backupCommand} ${command}`, { take });
        } catch (error) {
            const failed = error instanceof ShellFailed ? error : own === error ? ofMachine(error, folder) : undefined;
            if (!failed) throw error;
            throw new ShellFailed(`${service.title}: ${failed.message}`, failed.fix);
        }
        archives.push(archive);
    }
    return archives;
}

interface Repository {
    folder: string;
    password: string;
    /** Of `inStaging`; restic finds it as /pull. */
    own: string;
}

/** Runs restic on the repository in a folder, in a container that has nothing else; gives what it printed and its exit code. */
async function restic({ folder, password, own }: Repository, args: string[]): Promise<{ code: number; out: string; errors: string }> {
    const user = process.getuid && process.getgid ? ["--user", `${process.getuid()}:${process.getgid()}`] : [];
    const volumes = ["--volume", `${folder}:/backups`, "--volume", `${own}:/pull`, "--tmpfs", "/tmp"];
    const run = ["run", "--rm", "--network", "none", ...user, ...volumes, "--env", "RESTIC_PASSWORD", "--env", "RESTIC_REPOSITORY=/backups/repository"];
    try {
        const { stdout, stderr } = await execute("docker", [...run, "--entrypoint", "/usr/bin/restic", resticImage(), "--no-cache", ...args], {
            env: { ...process.env, RESTIC_PASSWORD: password },
            maxBuffer: 64 * 1024 * 1024,
        });
        return { code: 0, out: stdout, errors: stderr };
    } catch (error) {
        const { code, stdout = "", stderr = "" } = error as { code?: number | string; stdout?: string; stderr?: string };
        if (code === "ENOENT") throw new ShellFailed("Docker isn't installed, and restic runs in it", "docs.docker.com/get-docker, or --open");
        if (typeof code !== "number" || code >= 125)
            throw new ShellFailed(`Docker doesn't run restic (${stderr.trim().split("\n").at(-1) ?? ""})`, "start Docker");
        return { code, out: stdout, errors: stderr };
    }
}

function resticFailed({ code, errors }: { code: number; errors: string }): ShellFailed {
    if (code === 12)
        return new ShellFailed("the password isn't that of the backups on this machine", "give the one of before, or take another folder with --to");
    if (/no space left/i.test(errors)) return new ShellFailed("this machine's disk is full", "make room, or take another folder with --to");
    return new ShellFailed(`restic ended with ${code} (${errors.trim().split("\n").at(-1) ?? ""})`, "run it again");
}

/** Pulls both disks into the repository in a folder, as one backup; gives its size in bytes, and what of it is new. Rejects with `ShellFailed`. */
export const pullBoth = (services: Running[], folder: string, password: string): Promise<{ bytes: number; added: number }> =>
    inStaging(folder, async (own) => {
        const repository = { folder, password, own };
        await pullArchives(services, "pull", own, folder);
        const known = await restic(repository, ["cat", "config"]);
        if (known.code !== 0 && known.code !== 10) throw resticFailed(known);
        if (known.code === 10) {
            const made = await restic(repository, ["init"]);
            if (made.code !== 0) throw resticFailed(made);
        }
        const made = await restic(repository, ["backup", "--json", "--host", "laptop", "/pull"]);
        if (made.code !== 0) throw resticFailed(made);
        const lines = made.out.trim().split("\n");
        const { total_bytes_processed: bytes, data_added_packed: added } = JSON.parse(lines.at(-1) ?? "") as Record<string, number>;
        return { bytes, added };
    });

/** A backup on this machine; `at` in seconds since 1970. */
export interface Pulled {
    id: string;
    at: number;
    bytes: number;
}

/** The backups in a folder, oldest first; none where there is no repository. Rejects with `ShellFailed`. */
export const pulledOnes = (folder: string, password: string): Promise<Pulled[]> =>
    inStaging(folder, async (own) => {
        const listed = await restic({ folder, password, own }, ["snapshots", "--no-lock", "--json"]);
        if (listed.code === 10) return [];
        if (listed.code !== 0) throw resticFailed(listed);
        const all = JSON.parse(listed.out) as { id: string; time: string; summary?: { total_bytes_processed: number } }[];
        return all
            .map(({ id, time, summary }) => ({ id, at: Date.parse(time) / 1000, bytes: summary?.total_bytes_processed ?? 0 }))
            .toSorted((a, b) => a.at - b.at);
    });

/** Gives a service what it had in a backup; it takes its place when the service is told to go back (ops/restore.ts). Rejects with `ShellFailed`. */
export const giveBack = (service: Running, folder: string, password: string, id: string, word: string): Promise<void> =>
    inStaging(folder, async (own) => {
        const restored = await restic({ folder, password, own }, ["restore", `${id}:/pull`, "--no-lock", "--target", "/pull"]);
        if (restored.code !== 0) throw resticFailed(restored);
        const archive = archiveOf(service, own);
        // One that was made when the other service was gone already.
        if (!existsSync(archive)) throw new ShellFailed(`this backup has nothing of ${service.title}`, "choose an older one");
        // An end that is missing is noticed there, too: what can't be read to its end isn't taken.
        const give = (input: NodeJS.WritableStream) => void pipeline(createReadStream(archive), createGzip({ level: 1 }), input).catch(() => undefined);
        await inShell(service, `${backupCommand} take ${statSync(archive).size} ${word}`, { give });
    });

/** Pulls what people have in both services into a new folder, in open formats; gives its path. Rejects with `ShellFailed`. */
export const pullOpen = (services: Running[], folder: string): Promise<string> =>
    inStaging(folder, async (own) => {
        const archives = await pullArchives(services, "open", own, folder);
        const target = join(folder, new Date().toISOString().slice(0, 19).replaceAll(":", "-"));
        const unpacked = mkdtempSync(join(own, "open-"));
        // Windows and macOS have a tar, too; what has .. in its name, or a link in its way, it refuses.
        for (const archive of archives) await execute("tar", ["-xf", archive, "-C", unpacked]);
        renameSync(unpacked, target);
        return target;
    });
