/** Backups, as the program has to do with them: what a service is told of its own (backup.py in both images), and the last one before a disk goes. */
import { setTimeout as sleep } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { clockOf, expectedRepository, folderOf, lastBackup, serviceNames } from "./bucket.ts";
import type { Settings } from "./config.ts";
import { ask, reasonOf, renderApi } from "./http.ts";
import { mistake } from "./mistake.ts";

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

/** The id of a service of this stack that runs; undefined where there is none, or it is suspended, and so has made its last backup. */
async function runningService(settings: Settings, name: string): Promise<string | undefined> {
    const query = new URLSearchParams({ name, ownerId: settings.renderOwnerId, limit: "20" });
    const found = (await askRender(settings, `/services?${query.toString()}`)) as { service: { id: string; name: string; suspended?: string } }[];
    const service = found.map((each) => each.service).find((each) => each.name === name);
    return service?.suspended === "suspended" ? undefined : service?.id;
}

/**
 * Has both services of a stack make a last backup: they are suspended, and so stopped, and make one when their program has ended. Rejects
 * with a mistake, and then they run again, unless Render itself can't be asked.
 */
export async function backUpBoth(settings: Settings, project: string, stack: string, { stop, every, within }: Patience = patience): Promise<void> {
    const suspended: string[] = [];
    try {
        const begin = await clockOf(settings);
        const waiting = new Set<string>();
        for (const service of serviceNames) {
            const id = await runningService(settings, `${service}-${stack}`);
            if (id === undefined) continue;
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
        // The engine takes what has no message for a success.
        throw error instanceof pulumi.RunError ? error : mistake(`No disk is deleted, for no last backup could be made: ${reasonOf(error)}. ${wayOut}.`);
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
                await pulumi.log.warn(`${name}'s disk goes. First both services are stopped, and make a last backup; that takes two minutes or more.`);
                return;
            }
            await (made ??= backUpBoth(settings, pulumi.getProject(), stack));
        },
        { onDryRun: true },
    );
