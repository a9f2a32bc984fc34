/** Each credential against its service, by the cheapest question that changes nothing. */
import * as backups from "./backups.ts";
import * as exa from "./exa.ts";
import * as modal from "./modal.ts";
import * as openRouter from "./openrouter.ts";
import * as registry from "./registry.ts";
import * as render from "./render.ts";
import type { Check } from "./report.ts";
import type { Stack } from "./stack.ts";
import * as tailscale from "./tailscale.ts";
import * as telegram from "./telegram.ts";

/** The checks at every service that can be asked before the first `up`. */
export const credentialChecks = (stack: Stack): Check[] =>
    [render, registry, openRouter, modal, exa, telegram, tailscale, backups].flatMap((service) => service.beforeUp(stack));
