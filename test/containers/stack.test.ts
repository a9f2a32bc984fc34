/** The main job: a chat from Open WebUI through Hermes to a model and back, and what must stay closed beside it. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { engine, sweep } from "./docker";
import { Stack, type Session } from "./stack";

let stack: Stack;

beforeAll(async () => {
    stack = await Stack.create();
    await stack.start("hermes");
    await stack.start("open-webui");
});
afterAll(sweep);

const signUp = (email: string) =>
    stack.webui("POST", "/api/v1/auths/signup", { body: { name: "Somebody", email, password: randomUUID() } });

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
        const { body } = await stack.webui("GET", "/api/models", { bearer: token });
        expect((body as { data: { id: string }[] }).data.map(({ id }) => id)).toEqual([stack.environment("hermes").API_SERVER_MODEL_NAME]);
        const { body: config } = await stack.webui("GET", "/api/config", { bearer: token });
        expect((config as { default_models: string }).default_models).toBe(stack.environment("hermes").API_SERVER_MODEL_NAME);
    });
});

describe("who gets in", () => {
    test("nobody from outside: no port is published, and each container is in the private network alone", async () => {
        const docker = await engine();
        for (const container of [stack.services.hermes, stack.services["open-webui"], stack.openRouter, stack.control]) {
            const { NetworkSettings, HostConfig } = await docker.getContainer(container?.getId() ?? "").inspect();
            expect(Object.keys(NetworkSettings.Networks)).toEqual([stack.network]);
            expect(Object.values(NetworkSettings.Ports).filter((bindings) => bindings as unknown)).toEqual([]);
            expect(HostConfig.PublishAllPorts).toBe(false);
        }
        expect((await docker.getNetwork(stack.network).inspect()).Internal).toBe(true);
    });

    test.for<[method: string, path: string]>([
        ["GET", "/v1/models"],
        ["POST", "/v1/chat/completions"],
        ["GET", "/api/jobs"],
    ])("Hermes refuses %s %s without the key and with a wrong one", async ([method, path]) => {
        expect((await stack.hermes(method, path)).status).toBe(401);
        expect((await stack.hermes(method, path, { bearer: stack.environment("hermes").OPENROUTER_API_KEY })).status).toBe(401);
        expect((await stack.hermes("GET", "/v1/models", { bearer: stack.environment("hermes").API_SERVER_KEY })).status).toBe(200);
    });

    test("Open WebUI refuses a wrong password, a stranger's chat and a page of another origin", async () => {
        const { WEBUI_ADMIN_EMAIL: email, WEBUI_URL } = stack.environment("open-webui");
        expect((await stack.webui("POST", "/api/v1/auths/signin", { body: { email, password: "guess" } })).status).toBe(400);
        expect((await stack.webui("POST", "/api/chat/completions", { body: {} })).status).toBe(401);
        const socket = (Origin: string) =>
            stack.webui("GET", "/ws/socket.io/?EIO=4&transport=websocket", {
                headers: { Origin, Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" },
            });
        expect((await socket(WEBUI_URL)).status).toBe(101);
        expect((await socket("https://evil.example")).status).toBe(403);
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

    test("sign-up is closed", async () => {
        expect((await signUp("first@example.com")).status).toBe(403);
    });
});

describe("a restart on the same disks", () => {
    test("keeps memory, sessions and accounts, and sign-up closed", async () => {
        const before = await stack.signIn();
        const fact = `The cat is called ${randomUUID()}`;
        await stack.sendFromPage(before.token, "Will you keep this?");
        const chatsOf = async (token: string) => ((await stack.webui("GET", "/api/v1/chats/", { bearer: token })).body as { id: string }[]).map(({ id }) => id);
        const chats = await chatsOf(before.token);
        expect(chats.length).toBeGreaterThan(0);
        const said = await stack.ask(`CALL memory ${JSON.stringify({ action: "add", target: "user", content: fact })}`);
        expect(said).toMatch(/Tool said: .*success/s);

        await stack.redeploy("hermes");
        await stack.redeploy("open-webui");

        await stack.forgetCalls();
        await stack.ask("What do you know about me?");
        const [{ messages }] = await stack.calls();
        expect(JSON.stringify(messages)).toContain(fact);

        expect((await stack.signIn()).role).toBe("admin");
        // The session of before is still good: its secret is the program's, not made up at boot.
        expect((await stack.webui("GET", "/api/v1/auths/", { bearer: before.token })).status).toBe(200);
        expect(await chatsOf(before.token)).toEqual(chats);
        expect((await signUp("second@example.com")).status).toBe(403);
    });

    test("sign-up switched on lets people wait for approval, and nothing more", async () => {
        await stack.redeploy("open-webui", { ENABLE_SIGNUP: "true" });
        const { status, body } = await signUp("third@example.com");
        expect(status).toBe(200);
        const guest = body as Session;
        expect(guest.role).toBe("pending");
        expect((await stack.webui("GET", "/api/models", { bearer: guest.token })).status).toBe(401);

        const { token } = await stack.signIn();
        const approval = await stack.webui("POST", `/api/v1/users/${guest.id}/update`, {
            bearer: token,
            body: { role: "user", name: "Somebody", email: "third@example.com", profile_image_url: "/user.png" },
        });
        expect(approval.status, JSON.stringify(approval.body)).toBe(200);
        expect(await stack.sendFromPage(guest.token, "May I?")).toBe("Echo: May I?");
    });
});

test("the tailnet sees one machine, with the tag of its key", async () => {
    const machines = JSON.parse(await stack.tailnet("GET", "/machines")) as { Name: string; Tags: string[] }[];
    expect(machines).toHaveLength(1);
    expect(machines[0]).toMatchObject({ Tags: ["tag:hermes"] });
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
