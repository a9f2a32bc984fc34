/** Keeps the services where they stand, with their disks, which live and die with them. */
import * as pulumi from "@pulumi/pulumi";
import type * as render from "@pulumi/render";
import { mistake } from "./mistake.ts";

/** What goes with a disk, as the end of a sentence. */
const loss = "with every chat, account and memory on them";

/**
 * Why services don't move to the region that the setting names; undefined when they stand there. Until `replaceData` names it,
 * index.ts has Pulumi ignore a new region, for Render can't move a service: a new one takes its place, and the old one's disk
 * is deleted.
 */
function moveRefusal(regions: Record<string, string>, renderRegion: string): string | undefined {
    const elsewhere = Object.keys(regions).filter((name) => regions[name] !== renderRegion);
    if (elsewhere.length === 0) return undefined;
    const from = regions[elsewhere[0]];
    return (
        `renderRegion is ${renderRegion}, but ${elsewhere.join(" and ")} ${elsewhere.length > 1 ? "stand" : "stands"} in ${from}: ` +
        `a move replaces them and deletes their disks, ${loss}. ` +
        `Set renderRegion back to ${from}, or, if all of it may be lost, run \`pulumi config set replaceData ${renderRegion}\`.`
    );
}

/** Stops preview and update with that sentence once it is known where the services, by their names at Render, stand: nothing has been changed then. */
export function refuseMove(services: Record<string, render.PrivateService>, renderRegion: string): void {
    const regions = Object.fromEntries(Object.entries(services).map(([name, { region }]) => [name, region]));
    void pulumi.output(regions).apply((known) => {
        const reason = moveRefusal(known, renderRegion);
        if (reason) throw mistake(reason); // A logged error alone doesn't end `up`.
    });
}

/** The workspace that the provider had before this preview, if it gets another one. */
let oldOwner: string | undefined;

/**
 * A hook for the provider: notes a new workspace. A warning is enough: a new workspace doesn't replace the
 * services. It isn't refused, because the user may be correcting a wrong id after an `up` that failed.
 */
export const tellOfNewOwner = () =>
    new pulumi.ResourceHook(
        "tell-of-new-owner",
        ({ oldInputs, newInputs }) => {
            const [before, now] = [oldInputs, newInputs].map((inputs) => (inputs as { ownerId?: string } | undefined)?.ownerId ?? "");
            oldOwner = before === now ? undefined : before;
        },
        { onDryRun: true },
    );

/** A preview, so that of `up` as well, warns of a new workspace when a service stands in the old one: only then does it know an id. */
export function tellWhatStays(services: render.PrivateService[], renderOwnerId: string): void {
    if (!pulumi.runtime.isDryRun()) return;
    for (const { id } of services) {
        id.apply(() => {
            if (oldOwner === undefined) return;
            void pulumi.log.warn(
                `renderOwnerId is ${renderOwnerId}, and was ${oldOwner}: services that stand there stay there, with their disks, and only what is made from ` +
                    "now on stands in the new workspace. Set it back, or begin anew there: `pulumi destroy`, which deletes both disks, then `pulumi up`.",
            );
            oldOwner = undefined; // Said once for both.
        });
    }
}

interface WithVariables {
    envVars?: pulumi.Input<Record<string, { value?: string } | undefined>>;
}

/** A hook for Open WebUI: preview and update say it when keys are replaced that earlier releases had made as RandomBytes, in hex. */
export const tellOfNewKeys = () =>
    new pulumi.ResourceHook(
        "tell-of-new-keys",
        ({ oldInputs }) => {
            pulumi.output((oldInputs as WithVariables | undefined)?.envVars).apply((variables) => {
                if (!/^[0-9a-f]{64}$/.test(variables?.WEBUI_SECRET_KEY?.value ?? "")) return;
                void pulumi.log.warn(
                    "Both generated keys are replaced this once, because the stack's state had them in plain text: everybody signs in again. Chats, accounts and memory stay.",
                );
            });
        },
        { onDryRun: true },
    );

interface WithDisk {
    disk?: { sizeGb?: number };
}

/** Why an update of a service may not be: it would delete the disk, or make it smaller, which Render refuses halfway through an update. */
function diskRefusal(name: string, { disk: old }: WithDisk = {}, { disk }: WithDisk = {}): string | undefined {
    if (!old?.sizeGb) return undefined;
    if (!disk) return `${name}'s disk is missing from the program, and would be deleted ${loss}: put it back.`;
    if (!disk.sizeGb || disk.sizeGb >= old.sizeGb) return undefined;
    const setting = name === "hermes" ? "hermesDiskGb" : "webuiDiskGb";
    return `${setting} is ${disk.sizeGb}, but the disk has ${old.sizeGb} GB and can't shrink: run \`pulumi config set ${setting} ${old.sizeGb}\`.`;
}

/** A hook for services: stops preview and update with that sentence, before anything of the service is changed. */
export const keepDisk = () =>
    new pulumi.ResourceHook(
        "keep-disk",
        ({ name, oldOutputs, newInputs }) => {
            const reason = diskRefusal(name, oldOutputs, newInputs);
            if (reason) throw mistake(reason);
        },
        { onDryRun: true },
    );
