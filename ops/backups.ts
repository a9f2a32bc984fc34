/** What lies in the bucket for backups, as findings. */
import { expectedRepository, folderOf, keepsVersions, lastBackup, type LastBackup, Refused, type Service, serviceNames, services } from "../bucket.ts";
import type { SettingName } from "../config.ts";
import { type Check, failure, type Finding, ok, unchecked, warning } from "./report.ts";
import { restoreTest } from "./restored.ts";
import { project, type Stack, whenRight } from "./stack.ts";
import { putBeside } from "./store.ts";

const settingNames: SettingName[] = ["backupRepository", "backupKeyId", "backupKey", "backupPassword"];

const none = (): Finding =>
    warning(
        "none are made: whatever deletes a disk, as `pulumi destroy` does, deletes every chat, account and memory on it",
        "npm run setup, backupRepository, or npm run backup now and then, which pulls both disks to this machine (docs/backups.md)",
    );

/** A refusal is a finding like any other. */
const finding = (look: () => Promise<Finding>) => () =>
    look().catch((error: unknown) => {
        if (error instanceof Refused) return failure(error.message, error.fix);
        throw error;
    });

const lastOf = ({ name, settings }: Stack, service: Service) => lastBackup(settings, folderOf(project.name, name, service));

const minutesSince = (at: number) => Math.max(0, Math.round((Date.now() - at) / 60_000));

/** An age as people say it. */
function age(minutes: number): string {
    if (minutes < 120) return `${minutes} minutes`;
    return minutes < 48 * 60 ? `${Math.round(minutes / 60)} hours` : `${Math.round(minutes / (24 * 60))} days`;
}

/** What is known to have been in the bucket, and isn't there any more: the service refuses it, too (backup.py). */
function whatIsLost({ settings }: Stack, service: Service, last: LastBackup | undefined): Finding | undefined {
    const expected = expectedRepository(settings, service);
    if (expected === undefined || expected === last?.id) return undefined;
    return failure(
        `backupRepository has ${last ? "other backups than before" : "no backups"} of ${services[service]}, so it makes none, and doesn't start on an empty disk`,
        "correct backupRepository, or, to go on without those of before, pulumi config rm backupRepositoryIds (or take it out of ESC), then pulumi up",
    );
}

async function whatComesBack(stack: Stack): Promise<Finding> {
    const said: string[] = [];
    for (const service of serviceNames) {
        const last = await lastOf(stack, service);
        const lost = whatIsLost(stack, service, last);
        if (lost) return lost;
        if (last) said.push(`${services[service]} as it was ${age(minutesSince(last.at))} ago`);
    }
    if (said.length === 0) return ok("the bucket takes the key; it has no backups of this stack, so new services begin empty");
    return ok(`key and password are right; onto an empty disk comes back: ${said.join(", ")}`);
}

async function versions({ settings }: Stack): Promise<Finding> {
    const keeps = await keepsVersions(settings);
    if (keeps === undefined) return unchecked("the key may not ask whether the bucket keeps them", "docs/backups.md, “Set it up”");
    return keeps
        ? ok("the bucket keeps them; its key should not be allowed to delete them")
        : warning("the bucket doesn't say that it keeps them, so whoever takes a service over could destroy its backups", "docs/backups.md, “Set it up”");
}

/** What can be asked before an `up`. */
export function beforeUp(stack: Stack): Check[] {
    // The password alone is that of backups on this machine.
    if (!settingNames.some((name) => name !== "backupPassword" && stack.settings[name])) return [{ name: "Backups", about: settingNames, run: none }];
    return [
        {
            name: "Backups",
            about: settingNames,
            run: whenRight(
                stack,
                [...settingNames, "backupRepositoryIds"],
                finding(() => whatComesBack(stack)),
            ),
        },
        {
            name: "Backups, old versions",
            about: settingNames,
            run: whenRight(
                stack,
                settingNames,
                finding(() => versions(stack)),
            ),
        },
    ];
}

async function howOld(stack: Stack, service: Service, looked: Promise<LastBackup | undefined>): Promise<Finding> {
    const every = Number(stack.settings.backupEveryMinutes);
    const last = await looked;
    const log = `read the log of ${service} at Render`;
    if (!last) return warning("there is none yet; the first comes two minutes after a start", `run this again, and ${log} if it stays so`);
    const says = `the last was made ${age(minutesSince(last.at))} ago; all of them have ${Math.ceil(last.bytes / 1e6)} MB`;
    return minutesSince(last.at) > 2 * every ? warning(says, `${log}: there should be one every ${every} minutes`) : ok(says);
}

/** Stores which repositories have backups, so that the next `up` tells the services to expect them. */
async function remember(stack: Stack, look: (service: Service) => Promise<LastBackup | undefined>): Promise<Finding> {
    const known: string[] = [];
    for (const service of serviceNames) {
        const last = await look(service);
        const lost = whatIsLost(stack, service, last);
        if (lost) return lost;
        if (last) known.push(`${service}=${last.id}`);
    }
    if (known.length === 0) return ok("there are none yet");
    const ids = known.join(",");
    if (ids === stack.settings.backupRepositoryIds) return ok("each start on an empty disk asks for the backups that there are");
    await putBeside("backupRepositoryIds", ids);
    return ok("stored in backupRepositoryIds; from the next `pulumi up` on no service starts empty when they are gone");
}

/** What is to be seen of the backups of services that run; `restores`: also whether the last ones come back. */
export function afterUp(stack: Stack, restores = false): Check[] {
    if (!stack.settings.hasBackups) return [{ name: "Backups", run: none }];
    const looks = new Map<Service, Promise<LastBackup | undefined>>();
    const look = (service: Service) => {
        const found = looks.get(service) ?? lastOf(stack, service);
        looks.set(service, found);
        return found;
    };
    return [
        ...serviceNames.map((service) => ({ name: `${services[service]}, backup`, run: finding(() => howOld(stack, service, look(service))) })),
        { name: "Backups, expected", run: finding(() => remember(stack, look)) },
        ...serviceNames
            .filter(() => restores)
            .map((service) => ({
                name: `${services[service]}, restore`,
                run: finding(async () => ((await look(service)) ? restoreTest(stack, service) : unchecked("there is no backup of it yet"))),
            })),
    ];
}
