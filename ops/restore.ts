/**
 * Takes both services back to one moment: lists the backups, shows what would change, asks, and waits until both are as they were then.
 *
 *   npm run restore
 *   npm run restore -- --to FOLDER    without a bucket: where the backups lie on this machine; ~/private-hermes-backups/… by default
 *
 * Nothing is lost: it makes a backup of both first, and what was there stays on each disk, in `.before`. The machine's login stays that of today.
 * The backups of that moment are fetched while both services run; only when both are there, and whole, do both restart with them. One that is cut
 * off goes on when it is run again. Ends with 0 when both services are as they were, or as they are by your wish, with 1 otherwise.
 */
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isCancel, confirm, select } from "@clack/prompts";
import { ask, renderApi } from "../http.ts";
import { giveBack, pullBoth, pulledOnes, pullFolder } from "../pull.ts";
import { askPassword, bothServices, makeBackup, orFailure, passwordOf } from "./backup.ts";
import { optionsOf } from "./options.ts";
import { failure, type Finding, format, ok, runAll } from "./report.ts";
import { backupCommand, inShell, printable, type Running, ShellFailed } from "../shell.ts";
import { project, type Stack } from "./stack.ts";

/** What a service's `backup list` prints (backup.py). Times are in seconds since 1970. */
interface Listed {
    backups: { id: string; at: number; bytes: number }[];
    /** What is fetched to go back to, and how far that is. `moment` is the word that `goBack` has for it in both services. */
    back: { backup: string; at: number; moment: string; step: "wait" | "go" | "out" | "in" } | null;
    /** The word for what it was taken back to the last time. */
    moment: string | null;
    /** Whether what was there before that lies on the disk. */
    before: boolean;
}

/** A moment to which both can go: of each service the newest backup that isn't younger. */
export interface Moment {
    at: number;
    backups: Listed["backups"];
}

/** What is asked of the person. */
export interface Questions {
    /** Gives the index of a choice, or nothing. */
    choose: (question: string, choices: string[]) => Promise<number | undefined>;
    sure: (question: string) => Promise<boolean>;
    /** Of the backups on this machine. */
    password?: () => Promise<string | undefined>;
}

/** Milliseconds between two looks at services that restart, and until they are given up. */
export interface Patience {
    every: number;
    within: number;
}

/** All moments to which both services can go, the newest first. */
export function momentsOf(lists: Pick<Listed, "backups">[]): Moment[] {
    const times = [...new Set(lists.flatMap(({ backups }) => backups.map(({ at }) => at)))].toSorted((a, b) => b - a);
    const moments = times.flatMap((at): Moment[] => {
        const backups = lists.map((list) => list.backups.findLast((each) => each.at <= at));
        return backups.every((each) => each !== undefined) ? [{ at, backups }] : [];
    });
    return moments.filter(({ backups }, index) => index === 0 || backups.some(({ id }, of) => moments[index - 1].backups[of].id !== id));
}

const day = (at: number) => new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** What people call the parts of the disks. */
const parts: Record<string, string> = {
    "webui.db": "accounts and chats",
    "state.db": "what the agent has of its chats",
    "cron/executions.db": "past runs of jobs",
    cron: "jobs",
    tailscale: "the machine's login, which stays that of today",
};

type Counts = Record<string, { goes: number; returns: number; changes: number }>;

/** What would change, as the middle of a sentence. */
export function changesOf(counts: Counts): string {
    const said = Object.entries(counts).map(([name, { goes, returns, changes }]) => {
        if (name in parts) return parts[name];
        const numbers = [goes && `${goes} go`, returns && `${returns} come back`, changes && `${changes} change`].filter(Boolean);
        return `${printable(name)} (${numbers.join(", ")})`;
    });
    return said.length > 0 ? said.join("; ") : "nothing";
}

/** The last line of a command's output that is JSON. */
function json(out: string): unknown {
    const line = out.split("\n").findLast((each) => each.startsWith("{"));
    if (line === undefined) throw new ShellFailed("it gives no answer", "pulumi up, which gives it the image of this release");
    return JSON.parse(line) as unknown;
}

/** What a service's `backup list` says. What of it comes into a command line of the other's shell has to be what it should. */
async function list(service: Running): Promise<Listed> {
    const listed = json((await inShell(service, `${backupCommand} list`)).out) as Listed;
    const words = listed.back ? [listed.back.moment] : [];
    if (!words.every((word) => /^[\d.]+-\d+$/.test(word)) || !listed.backups.every(({ id }) => /^[0-9a-f]{64}$/.test(id))) {
        throw new ShellFailed("its answer isn't what it should be", "look at its log at Render");
    }
    return listed;
}

/** Has Render start a service anew, with the image that it has. */
async function restart({ settings }: Stack, { id, title }: Running): Promise<void> {
    const { status } = await ask(`${renderApi()}/services/${id}/deploys`, { bearer: settings.renderApiKey }, {}, {});
    if (status >= 300) throw new ShellFailed(`Render answers ${status}, and doesn't restart ${title}`, "restart both in its dashboard: they go back then");
}

/** Waits until a service has gone back; while it restarts, its shell can't be reached. */
async function gone(service: Running, word: string, { every, within }: Patience): Promise<void> {
    for (const end = Date.now() + within; ;) {
        const now = await list(service).catch((error: unknown) => {
            if (!(error instanceof ShellFailed)) throw error;
        });
        if (now && now.back === null && now.moment === word) return;
        if (Date.now() > end) throw new ShellFailed(`${service.title} hasn't gone back yet`, "read its log at Render; when it runs, run this again");
        await sleep(every);
    }
}

/** Where backups come from: the bucket, which the services read themselves, or this machine. */
interface Source {
    moments: (lists: Listed[]) => Promise<Moment[]>;
    /** Makes a backup of what is there now; gives why there is none. */
    first: () => Promise<Finding | undefined>;
    /** What would change in a service, as the middle of a sentence. */
    changes: (service: Running, backup: Listed["backups"][number]) => Promise<string>;
    /** Brings a service's backup onto its disk, beside what is there. */
    bring: (service: Running, backup: Listed["backups"][number], word: string) => Promise<void>;
}

const ofBucket = (services: Running[]): Source => ({
    moments: (lists) => Promise.resolve(momentsOf(lists)),
    first: async () => (await Promise.all(services.map((service) => makeBackup(service)))).find(({ status }) => status === "failure"),
    changes: async (service, { id }) => `What changes: ${changesOf(json((await inShell(service, `${backupCommand} compare ${id}`)).out) as Counts)}`,
    bring: async (service, { id }, word) => void (await inShell(service, `${backupCommand} fetch ${id} ${word}`)),
});

const ofMachine = (services: Running[], folder: string, password: string): Source => ({
    moments: async () =>
        (await pulledOnes(folder, password)).toReversed().map(({ id, at, bytes }) => ({ at, backups: services.map(() => ({ id, at, bytes })) })),
    first: async () => void (await pullBoth(services, folder, password)),
    changes: () => Promise.resolve("All that is there now is replaced"),
    bring: (service, { id }, word) => giveBack(service, folder, password, id, word),
});

/** Fetches what isn't there yet, and takes both back; the word stands for this one time. */
async function goBack(
    stack: Stack,
    services: Running[],
    source: Source,
    { at, backups }: Moment,
    lists: Listed[],
    word: string,
    patience: Patience,
): Promise<Finding> {
    const waiting = services.filter((_, index) => lists[index].moment !== word);
    try {
        for (const service of waiting) {
            const index = services.indexOf(service);
            if (lists[index].back?.moment !== word) await source.bring(service, backups[index], word);
        }
    } catch (error) {
        if (!(error instanceof ShellFailed)) throw error;
        await Promise.allSettled(waiting.map((service) => inShell(service, `${backupCommand} drop ${word}`)));
        return failure(`nothing has changed: ${error.message}`, error.fix);
    }
    for (const service of waiting) await inShell(service, `${backupCommand} back ${word}`);
    // The page first: nobody should write there while the agent is of another time.
    for (const service of waiting.toReversed()) await restart(stack, service);
    console.log("What is fetched takes its place at a restart. That takes some minutes.");
    for (const service of waiting) await gone(service, word, patience);
    return ok(`both are as they were on ${day(at)}; what was there lies in .before on each disk, and in the newest backups`);
}

async function restoreBoth(stack: Stack, services: Running[], source: Source, { choose, sure }: Questions, patience: Patience): Promise<Finding> {
    const lists = await Promise.all(services.map(list));
    const moments = await source.moments(lists);
    // What is fetched alone changes nothing: the choice is made anew.
    const begun = lists.find(({ back }) => back && (back.step !== "wait" || lists.some(({ moment }) => moment === back.moment)))?.back;
    if (begun) {
        const moment = moments.find(({ at }) => at === Number.parseFloat(begun.moment));
        if (!moment) return failure("going back was cut off, and that backup isn't there any more", "docs/backups.md, “Go back to an older backup”");
        if (!(await sure(`Going back to ${day(moment.at)} was cut off in the middle. Go on with it?`))) {
            return failure("one service may go back at its next start without the other", "run it again, and go on");
        }
        return goBack(stack, services, source, moment, lists, begun.moment, patience);
    }
    if (moments.length === 0) return failure("there is no backup of both services yet", "npm run backup");
    const titles = moments.map(
        ({ at, backups }) => `${day(at)}  ${services.map(({ title }, index) => `${title} ${(backups[index].bytes / 1e6).toFixed(0)} MB`).join(", ")}`,
    );
    const index = await choose("To which moment should both go back?", titles);
    if (index === undefined) return ok("nothing has changed");
    const moment = moments[index];
    console.log("First a backup is made of what is there now.");
    const unmade = await source.first();
    if (unmade) return failure(`nothing has changed, for there is no backup of today: ${unmade.message}`, unmade.fix ?? "npm run backup");
    for (const [of, service] of services.entries()) {
        const backup = moment.backups[of];
        console.log(`${service.title}, as it was on ${day(backup.at)}. ${await source.changes(service, backup)}.`);
    }
    const before = lists.some((each) => each.before) ? " What lies in .before on the disks, from the last time, goes." : "";
    if (!(await sure(`Take both back to ${day(moment.at)}? They restart, which takes some minutes.${before}`))) return ok("nothing has changed");
    return goBack(stack, services, source, moment, lists, `${moment.at}-${Date.now()}`, patience);
}

/** Reads the selected stack and takes its services back. Gives the exit code. */
export async function restore(questions: Questions, patience: Patience = { every: 5000, within: 900_000 }, to?: string): Promise<number> {
    const found = await bothServices();
    const run = async (): Promise<Finding> => {
        if (!("services" in found)) return found;
        const { stack, services } = found;
        return orFailure(async () => {
            const source = stack.settings.hasBackups
                ? ofBucket(services)
                : ofMachine(services, resolve(to ?? pullFolder(project.name, stack.name)), await passwordOf(stack, questions.password));
            return restoreBoth(stack, services, source, questions, patience);
        });
    };
    const [{ status }] = await runAll([{ name: "Restore", run }], "services" in found ? found.stack.secrets : [], (line) => {
        console.log(format(line));
    });
    return status === "ok" ? 0 : 1;
}

if (import.meta.main) {
    process.exitCode = await restore(
        {
            choose: async (message, choices) => {
                if (!process.stdin.isTTY) return undefined;
                const chosen = await select({ message, options: choices.map((label, value) => ({ value, label })), maxItems: 15 });
                return isCancel(chosen) ? undefined : chosen;
            },
            sure: async (message) => process.stdin.isTTY && (await confirm({ message, initialValue: false })) === true,
            password: askPassword,
        },
        undefined,
        optionsOf({ to: "string" }).to,
    );
}
