/** Modal speaks gRPC only (github.com/modal-labs/modal-client, modal_proto/api.proto). */
import { readFileSync } from "node:fs";
import { type ServiceError, Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { Unchecked } from "./report.ts";

/** Of modal, the Python package in the Hermes image; Modal turns away versions that are too old. */
const [, clientVersion = ""] = /^modal==([\w.]+)/m.exec(readFileSync(new URL("../hermes/requirements.txt", import.meta.url), "utf8")) ?? [];
const clientType = "1"; // CLIENT_TYPE_CLIENT

/**
 * Says hello, which is what each client of Modal begins with; gives whether Modal takes the pair, and the client. The address comes from
 * MODAL_SERVER_URL, as it does for Modal's own client. Rejects with `Unchecked` when there is no verdict.
 */
export async function askModal(tokenId: string, tokenSecret: string): Promise<"taken" | "refused" | "outdated"> {
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
