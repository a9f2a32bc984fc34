/** The program's services and settings, and values for these. Without the SDK, which takes half a second to load. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { parse } from "yaml";

/** The private services that the program declares. */
export const serviceNames = ["hermes", "open-webui"] as const;
export type ServiceName = (typeof serviceNames)[number];

interface Declared {
    type: string;
    default?: unknown;
    secret?: boolean;
}

export const project = parse(readFileSync(new URL("../../Pulumi.yaml", import.meta.url), "utf8")) as {
    name: string;
    config: Record<string, Declared>;
};

/** The settings that Pulumi.yaml declares; `pulumi new` adds `pulumi:tags` to them. */
export const declaredSettings = Object.fromEntries(Object.entries(project.config).filter(([key]) => !key.includes(":")));

/** Secret settings: the ones that Pulumi.yaml declares so, and the optional ones that it can't declare. */
export const secretSettings = [
    ...Object.keys(declaredSettings).filter((key) => declaredSettings[key].secret),
    "registryPullToken",
    "backupKeyId",
    "backupKey",
    "backupPassword",
    "exaApiKey",
    "sandboxSecrets",
    "telegramBotToken",
];

const random = (bytes = 20) => randomBytes(bytes).toString("hex");

/** A valid value for each required setting. The credentials are new ones at every call, valid in form only. */
export const requiredSettings = (): Record<string, string> => ({
    registryUser: "Octo-Cat",
    registryToken: `ghp_${random()}`,
    renderApiKey: `rnd_${random()}`,
    renderOwnerId: "tea-c1a2b3c4d5e6f7g8h9i0",
    openrouterApiKey: `sk-or-v1-${random(32)}`,
    modalTokenId: `ak-${random()}`,
    modalTokenSecret: `as-${random()}`,
    tailscaleAuthKey: `tskey-auth-${random()}`,
    tailnetDnsName: "tail1234.ts.net",
});

/** A valid value for each setting that backups need. */
export const backupSettings = () => ({
    backupRepository: "s3:https://bucket.example.com/backups",
    backupKeyId: random(12),
    backupKey: random(),
    backupPassword: random(),
});

/** In the place of `confined` (hermes/confined.py), where the kernel takes no filter: only drops root. The deployed images have no such command. */
export const unconfined = `#!/bin/sh
id=$1
shift
exec setpriv --reuid=$id --regid=$id --clear-groups --no-new-privs -- "$@"
`;
