/** The last backup of a service, restored into a scratch place on this machine and compared with what it says of itself. */
import { createHash, randomUUID } from "node:crypto";
import { existsSync, globSync } from "node:fs";
import { appendFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { folderOf, type Service } from "../bucket.ts";
import { resticImage } from "../pull.ts";
import { CommandFailed, runCommand } from "./command.ts";
import { type Finding, failure, megabytes, ok, unchecked } from "./report.ts";
import { project, type Stack } from "./stack.ts";

/** Where restic runs: its image, and the options of `docker run`; by default the one that the services have, which finds the bucket as this machine does. */
export interface Place {
    image: string;
    options: string[];
}

const ofServices = (): Place => ({ image: resticImage(), options: ["--network", "host"] });

/** In seconds: for a disk that is full, over a slow connection. */
const patience = 3600;

/** A row count of these is said, for people to see whether it is what they have. */
const counted: Record<string, Record<string, string>> = {
    "webui.db": { user: "accounts", chat: "chats", file: "files" },
    "state.db": { sessions: "sessions", messages: "messages" },
};

/** What opens a repository. */
export type Credentials = Pick<Stack["settings"], "backupRepository" | "backupKeyId" | "backupKey" | "backupPassword">;

export interface Restored {
    /** When the backup was made, in milliseconds since 1970. */
    at: number;
    files: number;
    bytes: number;
    databases: { name: string; bytes: number; rows: Record<string, number> }[];
}

/** A backup that doesn't come back as it went in. */
export class Damaged extends Error {}

const lines = (text: string) =>
    text
        .split("\n")
        .filter((line) => line.startsWith("{") || line.startsWith("["))
        .map((line) => JSON.parse(line) as Record<string, unknown>);

/** Puts a database together from its blocks (backup.py), and looks whether it is the one that was cut and is whole. */
async function joined(folder: string, name: string, file: string): Promise<Restored["databases"][number]> {
    const [size, expected] = (await readFile(join(folder, "sum"), "utf8")).trim().split(" ");
    const sum = createHash("sha256");
    let bytes = 0;
    for (const thousand of (await readdir(folder)).filter((entry) => entry !== "sum").sort()) {
        for (const block of (await readdir(join(folder, thousand))).sort()) {
            const content = await readFile(join(folder, thousand, block));
            sum.update(content);
            bytes += content.length;
            await appendFile(file, content);
        }
    }
    if (String(bytes) !== size || sum.digest("hex") !== expected) throw new Damaged(`${name} doesn't come out of it as it went in`);
    // Only here, for it warns that it is new.
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(file, { readOnly: true });
    try {
        const [found] = database.prepare("PRAGMA integrity_check").all() as { integrity_check: string }[];
        if (found.integrity_check !== "ok") throw new Damaged(`${name} is damaged (${found.integrity_check.slice(0, 100)})`);
        const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all() as { name: string }[];
        const count = (table: string) => (database.prepare(`SELECT COUNT(*) AS count FROM "${table}"`).get() as { count: number }).count;
        const rows = Object.entries(counted[name] ?? {}).filter(([table]) => tables.some((each) => each.name === table));
        return { name, bytes, rows: Object.fromEntries(rows.map(([table, called]) => [called, count(table)])) };
    } finally {
        database.close();
    }
}

/**
 * Restores the newest backup below a folder of `folderOf`, in a container that is removed. Each file is compared
 * with the sum that the backup has of it, all of them with the backup's own count, each database with the sum of the one that was cut, and
 * opened. Rejects with `Damaged`, or with `CommandFailed` when there is no Docker or restic fails.
 */
export async function restoreLast({ backupRepository, backupKeyId, backupKey, backupPassword }: Credentials, folder: string, where?: Place): Promise<Restored> {
    const { image, options } = where ?? ofServices();
    const env = {
        AWS_ACCESS_KEY_ID: backupKeyId,
        AWS_SECRET_ACCESS_KEY: backupKey,
        RESTIC_PASSWORD: backupPassword,
        RESTIC_REPOSITORY: `${backupRepository}/${folder}`,
    };
    const name = `private-hermes-restore-${randomUUID()}`;
    const restic = async (...args: string[]) => {
        const command = ["run", "--name", name, ...options, ...Object.keys(env).flatMap((key) => ["--env", key]), image, ...args, "--no-lock", "--json"];
        try {
            return lines(await runCommand("docker", command, "", { env, seconds: patience }));
        } catch (error) {
            // restic says why in JSON, too.
            const { message, error: reason } = (lines((error as Error).message)[0] ?? {}) as { message?: string; error?: { message: string } };
            (error as Error).message = reason?.message ?? message ?? (error as Error).message;
            throw error;
        }
    };
    const remove = () => runCommand("docker", ["rm", "--force", "--volumes", name]);
    const scratch = await mkdtemp(join(tmpdir(), "private-hermes-restore-"));
    try {
        const found = (await restic("snapshots", "--latest", "1")).flat() as unknown as { id: string; time: string; summary: Record<string, number> }[];
        await remove();
        const last = found.toSorted((a, b) => a.time.localeCompare(b.time)).at(-1);
        if (!last) throw new Damaged("it has no backups");
        const done = (await restic("restore", last.id, "--verify", "--target", "/scratch")).find((line) => line.message_type === "summary") ?? {};
        const { total_files_processed: files, total_bytes_processed: bytes } = last.summary;
        if (done.total_bytes !== bytes || done.bytes_restored !== bytes) {
            throw new Damaged(`it has ${String(done.bytes_restored)} bytes, and had ${bytes} when it was made`);
        }
        await runCommand("docker", ["cp", `${name}:/scratch/var/lib/backup/blocks`, scratch], "", { seconds: patience });
        const blocks = join(scratch, "blocks");
        const databases: Restored["databases"] = [];
        for (const sum of existsSync(blocks) ? globSync("**/sum", { cwd: blocks }).sort() : []) {
            const database = sum.slice(0, -"/sum".length).replaceAll("\\", "/");
            // In a folder of its own: SQLite writes files beside it.
            const place = await mkdtemp(join(scratch, "database-"));
            databases.push(await joined(join(blocks, database), database, join(place, "database")));
            await rm(place, { recursive: true });
        }
        return { at: Date.parse(last.time), files, bytes, databases };
    } finally {
        await remove().catch(() => undefined);
        await rm(scratch, { recursive: true, force: true });
    }
}

/** The same as a finding: what was compared, and how it is. */
export async function restoreTest({ name, settings }: Stack, service: Service, where?: Place): Promise<Finding> {
    try {
        const restored = await restoreLast(settings, folderOf(project.name, name, service), where);
        const { at, files, bytes, databases } = restored;
        const ofEach = databases.map((database) => {
            const rows = Object.entries(database.rows).map(([called, count]) => `${count} ${called}`);
            return `${database.name} (${[megabytes(database.bytes), ...rows].join(", ")})`;
        });
        return ok(
            `the backup of ${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC came back: ${files} files, ${megabytes(bytes)}, as many as it says and each with ` +
                `its sum; as they were copied, and whole: ${ofEach.join(", ")}`,
        );
    } catch (error) {
        if (error instanceof Damaged) return failure(`the last backup is damaged: ${error.message}`, "docs/backups.md, “Is it any good?”");
        if (!(error instanceof CommandFailed)) throw error;
        return error.missing
            ? unchecked("Docker isn't installed, and restic runs in it", "docs.docker.com/get-docker")
            : failure(`it can't be brought back: ${error.message}`, "docs/backups.md, “Is it any good?”");
    }
}
