/** What the person who started the rehearsal wants of it, told by the environment, see rehearse.ts. */
import { createHash, X509Certificate } from "node:crypto";
import type { Laptop } from "./laptop.ts";
import type { RealServices, Testbed } from "./testbed.ts";

/** Whether the deployment stays up after the proofs. */
export const keep = process.env.REHEARSAL_KEEP === "true";

const { OPENROUTER_API_KEY: openrouterApiKey, MODAL_TOKEN_ID: modalTokenId, MODAL_TOKEN_SECRET: modalTokenSecret } = process.env;

/** The accounts to use in the place of the stand-ins; undefined unless all of their credentials are given. */
export const realServices: RealServices | undefined =
    openrouterApiKey && modalTokenId && modalTokenSecret ? { openrouterApiKey, modalTokenId, modalTokenSecret } : undefined;

/** How to open the page on this machine, as text for a person. */
export async function howToOpen(testbed: Testbed, laptop: Laptop): Promise<string> {
    const { WEBUI_ADMIN_EMAIL, WEBUI_ADMIN_PASSWORD } = testbed.environment("open-webui");
    const certificate = new X509Certificate(await testbed.pageCertificate());
    // Chromium takes this one certificate although this machine doesn't know its authority.
    const key = createHash("sha256")
        .update(certificate.publicKey.export({ type: "spki", format: "der" }))
        .digest("base64");
    return [
        "Open it in Chrome, Chromium or Edge, with a profile of its own:",
        "",
        `  chromium --user-data-dir=/tmp/rehearsal-profile --proxy-server=socks5://127.0.0.1:${await laptop.proxyPort()} \\`,
        `    --ignore-certificate-errors-spki-list=${key} ${testbed.url}`,
        "",
        `  email     ${WEBUI_ADMIN_EMAIL}`,
        `  password  ${WEBUI_ADMIN_PASSWORD}`,
    ].join("\n");
}
