import * as pulumi from "@pulumi/pulumi";
import { mistake } from "./mistake.ts";

/**
 * The Render types that a stack may contain: nothing outside reaches them, and they send nothing outside. It is a list
 * of what is allowed rather than of what isn't, so that a type which a later provider brings is refused until somebody
 * has looked at it. WebService and StaticSite are public by nature; Postgres, Keyvalue and Redis become so with an
 * `ipAllowList`; LogStream, MetricsStream and Webhook carry data out.
 */
const privateTypes = ["PrivateService", "BackgroundWorker", "CronJob", "RegistryCredential", "EnvGroup", "EnvGroupLink", "Project"];

/** Why a resource of this type (a Pulumi type token) may not be in the stack; undefined when it may. */
export function refusal(type: string): string | undefined {
    if (!type.startsWith("render:")) return undefined;
    const name = type.slice(type.lastIndexOf(":") + 1);
    if (privateTypes.includes(name)) return undefined;
    return (
        `render.${name} is refused because this stack promises that the internet can't reach it: only ` +
        `${privateTypes.join(", ")} are known to be private. Remove the resource, or keep it in a project of its own.`
    );
}

/**
 * Stops preview and update with one sentence at the first resource that isn't private, before anything is created. Call
 * it before the first resource is declared: only what comes after it is seen.
 */
export function refusePublicResources(): void {
    pulumi.runtime.registerStackTransformation(({ type, name }) => {
        const reason = refusal(type);
        if (reason) throw mistake(`${name}: ${reason}`);
        return undefined;
    });
}
