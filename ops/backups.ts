/** What lies in the bucket for backups, as findings. */
import { folderOf, keepsVersions, lastBackup, Refused, type Service, serviceNames, services } from "../bucket.ts";
import type { SettingName } from "../config.ts";
import { type Check, failure, type Finding, ok, warning } from "./report.ts";
import { project, type Stack, whenRight } from "./stack.ts";

const settingNames: SettingName[] = ["backupRepository", "backupKeyId", "backupKey", "backupPassword"];

const none = (): Finding =>
    warning(
        "none are made: whatever deletes a disk, as `pulumi destroy` does, deletes every chat, account and memory on it",
        "npm run setup, backupRepository (docs/backups.md)",
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

async function whatComesBack(stack: Stack): Promise<Finding> {
    const said: string[] = [];
    for (const service of serviceNames) {
        const last = await lastOf(stack, service);
        if (last) said.push(`${services[service]} as it was ${age(minutesSince(last.at))} ago`);
    }
    if (said.length === 0) return ok("the bucket takes the key; it has no backups of this stack, so new services begin empty");
    return ok(`key and password are right; onto an empty disk comes back: ${said.join(", ")}`);
}

async function versions({ settings }: Stack): Promise<Finding> {
    return (await keepsVersions(settings))
        ? ok("the bucket keeps them; its key should not be allowed to delete them")
        : warning("the bucket doesn't say that it keeps them, so whoever takes a service over could destroy its backups", "docs/backups.md, “Set it up”");
}

/** What can be asked before an `up`. */
export function beforeUp(stack: Stack): Check[] {
    if (!settingNames.some((name) => stack.settings[name])) return [{ name: "Backups", about: settingNames, run: none }];
    return [
        {
            name: "Backups",
            about: settingNames,
            run: whenRight(
                stack,
                settingNames,
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

async function howOld(stack: Stack, service: Service): Promise<Finding> {
    const every = Number(stack.settings.backupEveryMinutes);
    const last = await lastOf(stack, service);
    const log = `read the log of ${service} at Render`;
    if (!last) return warning("there is none yet; the first comes two minutes after a start", `run this again, and ${log} if it stays so`);
    const says = `the last was made ${age(minutesSince(last.at))} ago; all of them have ${Math.ceil(last.bytes / 1e6)} MB`;
    return minutesSince(last.at) > 2 * every ? warning(says, `${log}: there should be one every ${every} minutes`) : ok(says);
}

/** What is to be seen of the backups of services that run. */
export function afterUp(stack: Stack): Check[] {
    if (!stack.settings.hasBackups) return [{ name: "Backups", run: none }];
    return serviceNames.map((service) => ({ name: `${services[service]}, backup`, run: finding(() => howOld(stack, service)) }));
}
