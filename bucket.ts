/** What lies in the bucket for backups: asked by reads alone, and without restic. */
import { createDecipheriv, scrypt } from "node:crypto";
import { promisify } from "node:util";
import { AwsV4Signer } from "aws4fetch";
import type { Settings } from "./config.ts";
import { type Answer, ask, parsed, Unchecked, unexpected } from "./http.ts";

/** The services that make backups, by the names of their folders, and what people call them. */
export const services = { hermes: "Hermes", "open-webui": "Open WebUI" };
export type Service = keyof typeof services;
export const serviceNames = Object.keys(services) as Service[];

/** Folder of a service's repository below `backupRepository`. */
export const folderOf = (project: string, stack: string, service: string) => `${project}-${stack}/${service}`;

/** The bucket, or what is in it, refuses a setting: a sentence in two halves, what is wrong and the way out. */
export class Refused extends Error {
    readonly fix: string;

    constructor(message: string, fix: string) {
        super(message);
        this.fix = fix;
    }
}

/** What was asked is beyond the rights of the key. */
class Denied extends Refused {}

/** Of s3:https://host/bucket/folders: where its server is, the bucket, and the folders. */
function placeOf({ backupRepository }: Settings): { origin: string; bucket: string; folders: string[] } {
    const { origin, pathname } = new URL(backupRepository.replace(/^s3:/, ""));
    const [, bucket, ...folders] = pathname.split("/");
    return { origin, bucket, folders };
}

/** Asks the bucket's server about a path below it; the query is part of what is signed. Rejects with `Unchecked` or `Refused`. */
async function askBucket(settings: Settings, path: string): Promise<Answer> {
    const { backupKeyId: accessKeyId, backupKey: secretAccessKey } = settings;
    const { origin, bucket } = placeOf(settings);
    const url = `${origin}/${bucket}${path}`;
    const { headers } = await new AwsV4Signer({ url, accessKeyId, secretAccessKey, service: "s3" }).sign();
    const answer = await ask(url, {}, Object.fromEntries(headers));
    // docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    switch (/<Code>(\w+)<\/Code>/.exec(String(answer.body))?.[1]) {
        case "NoSuchBucket":
            throw new Refused(`there is no bucket ${bucket} at ${new URL(origin).host}`, "correct backupRepository");
        case "InvalidAccessKeyId":
        case "SignatureDoesNotMatch":
            throw new Refused("the bucket doesn't know backupKeyId, or backupKey isn't its key", "make a key where the bucket is, for it alone");
        case "AccessDenied":
            throw new Denied("the bucket refuses backupKeyId", "give the key the rights to list, read, write and delete in this bucket");
        case "RequestTimeTooSkewed":
            throw new Unchecked("this machine's clock is wrong by more than 15 minutes");
        default:
            return answer;
    }
}

interface Kept {
    key: string;
    at: number;
    bytes: number;
}

/** All that is below a prefix of the bucket. */
async function objectsOf(settings: Settings, prefix: string): Promise<Kept[]> {
    const objects: Kept[] = [];
    const field = (text: string, name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1] ?? "";
    for (let token = ""; ;) {
        const query = new URLSearchParams({ "list-type": "2", prefix, ...(token && { "continuation-token": token }) });
        const answer = await askBucket(settings, `?${query.toString().replaceAll("+", "%20")}`);
        if (answer.status !== 200) throw unexpected(placeOf(settings).origin, answer);
        const text = String(answer.body);
        for (const [entry] of text.matchAll(/<Contents>.*?<\/Contents>/gs)) {
            objects.push({ key: field(entry, "Key"), at: Date.parse(field(entry, "LastModified")), bytes: Number(field(entry, "Size")) });
        }
        token = field(text, "NextContinuationToken");
        if (!token) return objects;
    }
}

/** restic's key file (restic.readthedocs.io, "Keys, Encryption and MAC"). */
interface KeyFile {
    N: number;
    r: number;
    p: number;
    salt: string;
    data: string;
}

/** What restic has sealed with a key; undefined with another one, for it is JSON then. */
function unsealed(sealed: Buffer, secret: Buffer): unknown {
    const decipher = createDecipheriv("aes-256-ctr", secret, sealed.subarray(0, 16));
    const text = Buffer.concat([decipher.update(sealed.subarray(16, -16)), decipher.final()]).toString();
    const found = parsed(text);
    return typeof found === "object" ? found : undefined;
}

/** The key that a repository is encrypted with, by one of its key files; undefined where the password opens none. */
async function masterKey(settings: Settings, keys: string[]): Promise<Buffer | undefined> {
    const derive = promisify<string, Buffer, number, object, Buffer>(scrypt);
    for (const key of keys) {
        const { body } = await askBucket(settings, `/${key}`);
        const { N, r, p, salt, data } = (typeof body === "string" ? parsed(body) : body) as KeyFile;
        const secret = await derive(settings.backupPassword, Buffer.from(salt, "base64"), 64, { N, r, p, maxmem: 256 * N * r });
        const found = unsealed(Buffer.from(data, "base64"), secret.subarray(0, 32)) as { encrypt: string } | undefined;
        if (found) return Buffer.from(found.encrypt, "base64");
    }
    return undefined;
}

/** The bucket's clock, in milliseconds since 1970. Rejects as `askBucket`. */
export async function clockOf(settings: Settings): Promise<number> {
    const { headers } = await askBucket(settings, "?list-type=2&max-keys=1");
    return Date.parse(headers.get("date") ?? "");
}

export interface LastBackup {
    /** In milliseconds since 1970. */
    at: number;
    /** Of all backups. */
    bytes: number;
    /** Of the repository, as restic made it. */
    id: string;
}

/** The newest backup below a folder of `folderOf`; undefined where there is none. Rejects as `askBucket`. */
export async function lastBackup(settings: Settings, folder: string): Promise<LastBackup | undefined> {
    const prefix = [...placeOf(settings).folders, folder, ""].join("/");
    const objects = await objectsOf(settings, prefix);
    const below = (name: string) => objects.filter(({ key }) => key.startsWith(`${prefix}${name}/`));
    if (objects.length === 0) return undefined;
    const secret = await masterKey(
        settings,
        below("keys").map(({ key }) => key),
    );
    if (!secret) {
        throw new Refused(
            `backupPassword doesn't open the backups in ${folder}`,
            "give the one that they were made with, or name another folder in backupRepository",
        );
    }
    const made = below("snapshots").map(({ at }) => at);
    if (made.length === 0) return undefined;
    const config = await askBucket(settings, `/${prefix}config`);
    const { id } = unsealed(config.bytes, secret) as { id: string };
    return { at: Math.max(...made), bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0), id };
}

/** The id of the repository in which a service is known to have backups; undefined where none is known. */
export function expectedRepository({ backupRepositoryIds }: Settings, service: string): string | undefined {
    const pairs = backupRepositoryIds.split(",").map((pair) => pair.split("="));
    return pairs.find(([name]) => name === service)?.[1];
}

/** Whether the bucket says that it keeps old versions; undefined where the key may not ask. Of what a key may do S3 says nothing. Rejects as `askBucket`. */
export async function keepsVersions(settings: Settings): Promise<boolean | undefined> {
    const answer = await askBucket(settings, "?versioning").catch((error: unknown) => {
        if (!(error instanceof Denied)) throw error;
    });
    if (!answer) return undefined;
    if (answer.status !== 200) throw unexpected(placeOf(settings).origin, answer);
    return /<Status>Enabled<\/Status>/.test(String(answer.body));
}
