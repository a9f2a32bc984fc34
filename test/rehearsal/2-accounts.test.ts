/** Who may have an account: the admin alone, unless the owner says otherwise. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Testbed, type Session } from "../harness/testbed.ts";

let testbed: Testbed;

beforeAll(async () => {
    testbed = await Testbed.create();
    console.log("Starting Hermes and Open WebUI on new disks");
    await Promise.all([testbed.start("hermes"), testbed.start("open-webui")]);
});
afterAll(() => testbed.remove());

const signUp = (email: string) => testbed.webui("POST", "/api/v1/auths/signup", { body: { name: "Somebody", email, password: randomUUID() } });

describe("Accounts", () => {
    test("the first stranger can't make one", async () => {
        expect((await signUp("first@example.com")).status).toBe(403);
    });

    test("nor after a restart", async () => {
        await testbed.redeploy("open-webui");
        expect((await signUp("second@example.com")).status).toBe(403);
        expect((await testbed.signIn()).role).toBe("admin");
    });

    test("with webuiSignup=true a new one waits for approval, then sees the model and chats", async () => {
        await testbed.configure({ webuiSignup: "true" });
        await testbed.redeploy("open-webui");
        const { status, body } = await signUp("third@example.com");
        expect(status).toBe(200);
        const guest = body as Session;
        expect(guest.role).toBe("pending");
        expect((await testbed.webui("GET", "/api/models", { bearer: guest.token })).status).toBe(401);

        const { token } = await testbed.signIn();
        const approval = await testbed.webui("POST", `/api/v1/users/${guest.id}/update`, {
            bearer: token,
            body: { role: "user", name: "Somebody", email: "third@example.com", profile_image_url: "/user.png" },
        });
        expect(approval.status, JSON.stringify(approval.body)).toBe(200);
        expect(await testbed.models(guest.token)).toEqual([testbed.environment("hermes").API_SERVER_MODEL_NAME]);
        expect(await testbed.sendFromPage(guest.token, "May I?")).toBe("Echo: May I?");
    });
});
