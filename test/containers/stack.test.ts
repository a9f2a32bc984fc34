/** The main job: a chat from Open WebUI through Hermes to a model and back, and what must stay closed beside it. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Stack } from "./stack";

let stack: Stack;

beforeAll(async () => {
    stack = await Stack.create();
    await stack.start("hermes");
    await stack.start("open-webui");
});
afterAll(() => stack.remove());

describe("a message", () => {
    test("goes from Open WebUI through Hermes to the model and comes back, at the price of one model call", async () => {
        const { token, role } = await stack.signIn();
        expect(role).toBe("admin");
        await stack.forgetCalls();
        expect(await stack.sendFromPage(token, "Is anybody there?")).toBe("Echo: Is anybody there?");
        // Whatever else Open WebUI might ask for comes after the answer; give it the time that a title takes.
        await sleep(3000);
        const calls = await stack.calls();
        expect(calls).toHaveLength(1);
        expect(calls[0]).toMatchObject({
            model: stack.environment("hermes").HERMES_MODEL,
            authorization: `Bearer ${stack.environment("hermes").OPENROUTER_API_KEY}`,
        });
    });

    test("finds the one model that Hermes offers, already chosen", async () => {
        const { token } = await stack.signIn();
        expect(await stack.models(token)).toEqual([stack.environment("hermes").API_SERVER_MODEL_NAME]);
        const { body: config } = await stack.webui("GET", "/api/config", { bearer: token });
        expect((config as { default_models: string }).default_models).toBe(stack.environment("hermes").API_SERVER_MODEL_NAME);
    });
});

describe("who gets in", () => {
    test.for<[method: string, path: string]>([
        ["GET", "/v1/models"],
        ["POST", "/v1/chat/completions"],
        ["GET", "/api/jobs"],
    ])("Hermes refuses %s %s without the key and with a wrong one", async ([method, path]) => {
        expect((await stack.hermes(method, path)).status).toBe(401);
        expect((await stack.hermes(method, path, { bearer: stack.environment("hermes").OPENROUTER_API_KEY })).status).toBe(401);
        expect((await stack.hermes("GET", "/v1/models", { bearer: stack.environment("hermes").API_SERVER_KEY })).status).toBe(200);
    });

    test("Open WebUI refuses a wrong password and a stranger's chat", async () => {
        const { WEBUI_ADMIN_EMAIL: email } = stack.environment("open-webui");
        expect((await stack.webui("POST", "/api/v1/auths/signin", { body: { email, password: "guess" } })).status).toBe(400);
        expect((await stack.webui("POST", "/api/chat/completions", { body: {} })).status).toBe(401);
    });

    test("its cookie is for HTTPS and for its own pages only", async () => {
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_ADMIN_PASSWORD: password } = stack.environment("open-webui");
        const { headers } = await stack.webui("POST", "/api/v1/auths/signin", { body: { email, password } });
        const cookie = Object.entries(headers).find(([name]) => name.toLowerCase() === "set-cookie")?.[1].toLowerCase();
        expect(cookie).toMatch(/^token=/);
        expect(cookie).toContain("secure");
        expect(cookie).toContain("samesite=strict");
        expect(cookie).toContain("httponly");
    });
});

describe("a restart on the same disks", () => {
    test("keeps memory, sessions and accounts", async () => {
        const before = await stack.signIn();
        const fact = `The cat is called ${randomUUID()}`;
        await stack.sendFromPage(before.token, "Will you keep this?");
        const chatsOf = async (token: string) => (await stack.chats(token)).map(({ id }) => id);
        const chats = await chatsOf(before.token);
        expect(chats.length).toBeGreaterThan(0);
        const said = await stack.useTool("memory", { action: "add", target: "user", content: fact });
        expect(said).toMatch(/Tool said: .*success/s);

        await stack.redeploy("hermes");
        await stack.redeploy("open-webui");

        expect(await stack.remembered()).toContain(fact);

        expect((await stack.signIn()).role).toBe("admin");
        // The session of before is still good: its secret is the program's, not made up at boot.
        expect((await stack.webui("GET", "/api/v1/auths/", { bearer: before.token })).status).toBe(200);
        expect(await chatsOf(before.token)).toEqual(chats);
    });
});

test("Open WebUI puts no tools and at most 1 KB around a message", async () => {
    // The model server in the place of Hermes, which would hide what it was sent.
    await stack.redeploy("open-webui", { OPENAI_API_BASE_URL: "http://openrouter.ai:8642/v1" });
    const { token } = await stack.signIn();
    await stack.forgetCalls();
    const message = "How much of this is overhead?";
    await stack.sendFromPage(token, message);
    const [{ bytes, tools }] = await stack.calls();
    expect(tools).toEqual([]);
    expect(bytes - message.length).toBeLessThanOrEqual(1024);
});
