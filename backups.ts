/** Backups, as the program has to do with them: what a service is told of its own (backup.py in both images), and the last one before a disk goes. */
import { setTimeout as sleep } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { clockOf, expectedRepository, folderOf, lastBackup, serviceNames, services as titles } from "./bucket.ts";
import type { Settings } from "./config.ts";
import { ask, reasonOf, renderApi } from "./http.ts";
import { mistake } from "./mistake.ts";
import { pullBoth, pullFolder } from "./pull.ts";
import { type Running, runningService, ShellFailed } from "./shell.ts";

/**
 * The environment of a service, by the name that it has in the program; nothing without a bucket. Each has a repository of its own, so
 * that one can be restored without the other, and so has each stack.
 */
export function backupEnvironment(service: string, stack: string, settings: Settings): Record<string, pulumi.Input<string>> {
    if (!settings.hasBackups) return {};
    const expected = expectedRepository(settings, service);
    return {
        BACKUP_REPOSITORY: `${settings.backupRepository}/${folderOf(pulumi.getProject(), stack, service)}`,
        BACKUP_KEY_ID: pulumi.secret(settings.backupKeyId),
        BACKUP_KEY: pulumi.secret(settings.backupKey),
        BACKUP_PASSWORD: pulumi.secret(settings.backupPassword),
        BACKUP_MINUTES: settings.backupEveryMinutes,
        ...(expected && { BACKUP_EXPECTS: expected }),
    };
}

/** A preview, so that of `up` as well, says what would be lost where no backups are made by themselves. */
export function tellOfNoBackups({ hasBackups }: Settings): void {
    if (hasBackups || !pulumi.runtime.isDryRun()) return;
    void pulumi.log.warn(
        "No backupRepository is set: whatever deletes a disk, as `pulumi destroy` does, deletes every chat, account and memory on it. " +
            "`npm run setup` asks for a bucket, and `npm run backup` pulls both disks to this machine.",
    );
}

/** In milliseconds: what a stop takes at most (maxShutdownDelaySeconds), how often the bucket is looked into, and when it is given up. */
export interface Patience {
    stop: number;
    every: number;
    within: number;
}
const patience: Patience = { stop: 120_000, every: 5_000, within: 300_000 };

const wayOut = "Look into its log at Render; to delete the disks all the same, run `pulumi config set protectData false`, then the command once more";

/** Asks Render about a service of this stack, or has it do something; undefined where there is no such service. */
async function askRender({ renderApiKey: bearer }: Settings, path: string, body?: object): Promise<unknown> {
    const answer = await ask(`${renderApi()}${path}`, { bearer }, {}, body);
    if (answer.status >= 300) throw mistake(`No disk is deleted: Render answers ${answer.status} to ${path}. ${wayOut}.`);
    return answer.body;
}

/** A service of this stack as Render has it; undefined where there is none. */
async function serviceOf(settings: Settings, name: string): Promise<{ id: string; suspended?: string } | undefined> {
    const query = new URLSearchParams({ name, ownerId: settings.renderOwnerId, limit: "20" });
    const found = (await askRender(settings, `/services?${query.toString()}`)) as { service: { id: string; name: string; suspended?: string } }[];
    return found.map(({ service }) => service).find((each) => each.name === name);
}

/** Why no disk goes, as a mistake: the engine takes what has no message for a success. */
function noBackup(error: unknown): pulumi.RunError {
    if (error instanceof pulumi.RunError) return error;
    const reason = error instanceof ShellFailed ? `${error.message} (${error.fix})` : reasonOf(error);
    return mistake(`No disk is deleted, for no last backup could be made: ${reason}. ${wayOut}.`);
}

/**
 * Makes a last backup of both services: suspends them, which stops them, and each makes one when its program has ended. Rejects
 * with a mistake, and then they run again, unless Render itself can't be asked.
 */
export async function backUpBoth(settings: Settings, project: string, stack: string, { stop, every, within }: Patience = patience): Promise<void> {
    const suspended: string[] = [];
    try {
        const begin = await clockOf(settings);
        const waiting = new Set<string>();
        for (const service of serviceNames) {
            const { id, suspended: state } = (await serviceOf(settings, `${service}-${stack}`)) ?? {};
            // One that is suspended has made its last backup.
            if (id === undefined || state === "suspended") continue;
            await askRender(settings, `/services/${id}/suspend`, {});
            suspended.push(id);
            waiting.add(service);
        }
        // One that was being made when they were told to stop isn't the last.
        const end = Date.now() + within;
        if (waiting.size > 0) await sleep(stop);
        while (waiting.size > 0) {
            for (const service of waiting) {
                const last = await lastBackup(settings, folderOf(project, stack, service));
                if (last && last.at > begin) waiting.delete(service);
            }
            if (waiting.size === 0) return;
            if (Date.now() > end) throw mistake(`No disk is deleted: ${[...waiting].join(" and ")} made no last backup. ${wayOut}.`);
            await sleep(every);
        }
    } catch (error) {
        for (const id of suspended) await askRender(settings, `/services/${id}/resume`, {}).catch(() => undefined);
        throw noBackup(error);
    }
}

/** The same without a bucket: both disks are pulled to the machine that Pulumi runs on, while the services run. Rejects with a mistake. */
export async function pullBeforeDelete(settings: Settings, project: string, stack: string, folder = pullFolder(project, stack)): Promise<void> {
    try {
        const services: Running[] = [];
        for (const service of serviceNames) {
            const { id, suspended } = (await serviceOf(settings, `${service}-${stack}`)) ?? {};
            if (suspended === "suspended") throw new ShellFailed(`${service} is suspended, and has no shell`, "resume it at dashboard.render.com");
            if (id !== undefined) services.push(await runningService(settings.renderApiKey, titles[service], id));
        }
        if (services.length > 0) await pullBoth(services, folder, settings.backupPassword);
    } catch (error) {
        throw noBackup(error);
    }
}

/** One backup of both services, before the first of them is deleted. */
let made: Promise<void> | undefined;

/** A hook for services, bound to both by `protectData: backup`: no disk goes before both services have made a last backup. */
export const backupBeforeDelete = (settings: Settings, stack: string) =>
    new pulumi.ResourceHook(
        "last-backup",
        async ({ name }) => {
            if (pulumi.runtime.isDryRun()) {
                const first = settings.hasBackups
                    ? "both services are stopped, and make a last backup; that takes two minutes or more"
                    : "both disks are pulled to this machine";
                await pulumi.log.warn(`${name}'s disk goes. First ${first}.`);
                return;
            }
            await (made ??= (settings.hasBackups ? backUpBoth : pullBeforeDelete)(settings, pulumi.getProject(), stack));
        },
        { onDryRun: true },
    );
