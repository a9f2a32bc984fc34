/** Modal speaks gRPC only (github.com/modal-labs/modal-client, modal_proto/api.proto). */
import { readFileSync } from "node:fs";
import { type ServiceError, Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { requestAndLimit, type SettingName } from "../config.ts";
import { Unchecked } from "../http.ts";
import { type Check, failure, type Finding, ok } from "./report.ts";
import { type Stack, whenRight } from "./stack.ts";

/** Of modal, the Python package in the Hermes image; Modal turns away versions that are too old. */
const [, clientVersion = ""] = /^modal==([\w.]+)/m.exec(readFileSync(new URL("../hermes/requirements.txt", import.meta.url), "utf8")) ?? [];
const clientType = "1"; // CLIENT_TYPE_CLIENT

/**
 * Says hello, which is what each client of Modal begins with; gives whether Modal takes the pair, and the client. The address comes from
 * MODAL_SERVER_URL, as it does for Modal's own client. Rejects with `Unchecked` when there is no verdict.
 */
async function askModal(tokenId: string, tokenSecret: string): Promise<"taken" | "refused" | "outdated"> {
    const { protocol, host } = new URL(process.env.MODAL_SERVER_URL ?? "https://api.modal.com");
    const client = new Client(host, protocol === "http:" ? credentials.createInsecure() : credentials.createSsl());
    const metadata = new Metadata();
    const headers = { "client-version": clientVersion, "client-type": clientType, "token-id": tokenId, "token-secret": tokenSecret };
    for (const [key, value] of Object.entries(headers)) metadata.set(`x-modal-${key}`, value);
    const raw = (bytes: Buffer) => bytes; // the question is empty, and what the answer says doesn't matter
    try {
        const error = await new Promise<ServiceError | null>((resolve) => {
            const deadline = new Date(Date.now() + 20_000);
            client.makeUnaryRequest("/modal.client.ModalClient/ClientHello", raw, raw, Buffer.alloc(0), metadata, { deadline }, resolve);
        });
        if (!error) return "taken";
        if (error.code === status.UNAUTHENTICATED || error.code === status.PERMISSION_DENIED) return "refused";
        // modal-client's _utils/grpc_utils.py has the same reading of it.
        if (error.code === status.FAILED_PRECONDITION) return "outdated";
        const unreachable = error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED;
        throw new Unchecked(unreachable ? `${host} doesn't answer` : `${host} answers ${status[error.code]}`);
    } finally {
        client.close();
    }
}

async function tokens({ settings: { modalTokenId, modalTokenSecret } }: Stack): Promise<Finding> {
    const verdict = await askModal(modalTokenId, modalTokenSecret);
    if (verdict === "outdated")
        return failure(
            "Modal doesn't take the version of its client that is in the Hermes image any more",
            "take a newer release of this project, or lock a newer modal in hermes/requirements.in",
        );
    return verdict === "taken"
        ? ok("modalTokenId and modalTokenSecret are a valid pair")
        : failure("Modal doesn't take modalTokenId with modalTokenSecret", "make a new pair at modal.com/settings/tokens and set both");
}

/** Dollars a second that a sandbox costs for a core and for a GiB of memory (modal.com/pricing, November 2026). */
const modalPrices = { core: 0.00003942, gib: 0.00000672 };

/** What a sandbox costs while it runs; nothing is asked. */
function sandboxPrice({ settings: { sandboxCpu, sandboxMemoryMb, sandboxIdleMinutes } }: Stack): Finding {
    const [cores, memory] = [sandboxCpu, sandboxMemoryMb].map((value) => requestAndLimit(value) ?? [NaN, NaN]);
    const second = [0, 1].map((index) => cores[index] * modalPrices.core + (memory[index] / 1024) * modalPrices.gib);
    const [hour, most] = second.map((price) => `$${(price * 3600).toFixed(3)}`);
    const chat = (second[0] * 60 * (Number(sandboxIdleMinutes) + 0.5)).toFixed(4);
    return ok(
        `while one runs it costs ${hour} an hour, at most ${most} with all that it may use, and a chat with one command $${chat}, by Modal's prices of November 2026`,
    );
}

/** What can be asked before the first sandbox is made. */
export function beforeUp(stack: Stack): Check[] {
    const pair: SettingName[] = ["modalTokenId", "modalTokenSecret"];
    const size: SettingName[] = ["sandboxCpu", "sandboxMemoryMb", "sandboxIdleMinutes"];
    return [
        { name: "Modal", about: pair, run: whenRight(stack, pair, () => tokens(stack)) },
        { name: "Sandbox price", about: size, run: whenRight(stack, size, () => Promise.resolve(sandboxPrice(stack))) },
    ];
}
