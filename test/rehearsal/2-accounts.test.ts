/** Who may have an account, and who is who: the admin alone, unless the owner says otherwise, with a password or by the tailnet. */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { logOf, outputOf, repository, type Container } from "../harness/docker.ts";
import { Laptop, proxyPort } from "../harness/laptop.ts";
import { VerifyUser } from "../harness/verify-user.ts";
import { Testbed, words, type Session } from "../harness/testbed.ts";

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

describe("Signed in by the tailnet", () => {
    const [alice, ben] = ["alice@github", "ben@example.com"];
    const before = words("Asked before the switch");
    let laptops: Record<"alice" | "ben" | "tagged", Laptop>;
    /** Ids of the admin before the switch, and of Ben. */
    const ids: Record<string, string> = {};

    /** As tailscaled hands a request of somebody on. */
    const as = (login: string, method: string, path: string, body?: unknown, bearer?: string) =>
        testbed.webui(method, path, { headers: { "Tailscale-User-Login": login }, body, bearer });
    const signInAs = async (login: string) => (await as(login, "POST", "/api/v1/auths/signin", { email: "", password: "" })).body as Session;
    const titles = async (login: string) => {
        const { token } = await signInAs(login);
        return ((await as(login, "GET", "/api/v1/chats/", undefined, token)).body as { title: string }[]).map(({ title }) => title);
    };

    beforeAll(async () => {
        const admin = await testbed.signIn();
        ids.admin = admin.id;
        await testbed.sendFromPage(admin.token, before);
        laptops = {
            alice: await Laptop.join(testbed, { login: alice, published: true }),
            ben: await Laptop.join(testbed, { login: ben }),
            tagged: await Laptop.join(testbed, { tags: ["tag:server"] }),
        };
        Object.assign(testbed.settings, { signIn: "tailscale", webuiAdminEmail: "Alice@GitHub" });
        await testbed.configure();
        await testbed.redeploy("open-webui");
    });

    test("the switch keeps the admin's account, and says so", async ({ annotate }) => {
        const [said] = /entrypoint: The admin's account .*/.exec(await logOf(testbed.running("open-webui"))) ?? [];
        expect(said).toMatch(/admin@example\.com is alice@github from now on, with its chats/);
        await annotate(String(said));
        expect(await signInAs(alice)).toMatchObject({ id: ids.admin, role: "admin" });
        expect(await titles(alice)).toContain(before);
    });

    test("a fresh browser on the owner's device opens the page signed in, as the admin, and chats", async () => {
        const question = words("Who am I?");
        const seen = await laptops.alice.openSignedIn(testbed.url, { message: question });
        expect(seen).toMatchObject({ account: alice, answer: expect.stringContaining(`Echo: ${question}`) as string });
        expect(await titles(alice)).toContain(question);
    });

    test("whose session is over is signed in again without a word", async () => {
        const { profile } = await laptops.alice.openSignedIn(testbed.url);
        const over = JSON.parse(JSON.stringify(profile).replaceAll(/eyJ[\w.-]+/g, (token) => `${token.slice(0, -8)}AAAAAAAA`)) as object;
        expect(over).not.toEqual(profile);
        expect(await laptops.alice.openSignedIn(testbed.url, { profile: over })).toMatchObject({ account: alice });
    });

    test("a second person waits for approval, whatever webuiSignup says, and chats once the admin has approved", async () => {
        const waiting = await laptops.ben.openSignedIn(testbed.url);
        expect(waiting).toMatchObject({ account: ben, text: expect.stringContaining("Account Activation Pending") as string });
        const { id, role, token } = await signInAs(ben);
        ids.ben = id;
        expect(role).toBe("pending");
        expect((await as(ben, "GET", "/api/models", undefined, token)).status).toBe(401);
        const approval = { role: "user", name: "Ben", email: ben, profile_image_url: "/user.png" };
        expect((await as(alice, "POST", `/api/v1/users/${id}/update`, approval, (await signInAs(alice)).token)).status).toBe(200);
        const question = words("And me?");
        const seen = await laptops.ben.openSignedIn(testbed.url, { message: question });
        expect(seen).toMatchObject({ account: ben, answer: expect.stringContaining(`Echo: ${question}`) as string });
        expect(await titles(alice)).not.toContain(question);
    });

    test("somebody else in the same browser isn't the one who was there before", async () => {
        const { profile } = await laptops.alice.openSignedIn(testbed.url);
        expect(await laptops.ben.openSignedIn(testbed.url, { profile })).toMatchObject({ account: ben });
    });

    test("a tagged device reads one sentence, and isn't let in with somebody's session either", async () => {
        const { profile } = await laptops.alice.openSignedIn(testbed.url);
        for (const from of [undefined, profile]) {
            const { text, account } = await laptops.tagged.openSignedIn(testbed.url, { profile: from });
            expect({ text: text.trim(), account }).toEqual({
                text: expect.stringMatching(/^This page signs people in by their Tailscale login, and this device has none.*\.$/) as string,
                account: null,
            });
        }
        const { token } = await signInAs(alice);
        expect((await testbed.webui("GET", "/api/v1/auths/", { bearer: token })).status).toBe(403);
        const upgrade = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" };
        const socket = (headers: Record<string, string>) =>
            testbed.webui("GET", "/ws/socket.io/?EIO=4&transport=websocket", { headers: { Origin: testbed.url, ...upgrade, ...headers } });
        expect((await socket({ "Tailscale-User-Login": alice })).status).toBe(101);
        expect((await socket({})).status).toBe(403);
    });

    test("no forged header makes anybody somebody else: from a device, from a tagged one, from the private network", async ({ annotate }) => {
        const source = await readFile(`${repository}test/harness/forgeries.py`, "utf8");
        const forge = async (from: Container, ...to: string[]) =>
            Object.entries(JSON.parse(await outputOf(from, ["python3", "-", ...to], source)) as Record<string, { statuses: number[]; emails: string[] }>);
        const page = [new URL(testbed.url).hostname, "443", alice, `${proxyPort}`];
        const bens = await forge(laptops.ben.container, ...page);
        expect(bens.filter(([, { emails }]) => emails.some((email) => email !== ben))).toEqual([]);
        // Otherwise they would prove nothing.
        expect(bens.filter(([, { emails }]) => emails.includes(ben)).length).toBeGreaterThan(8);
        const tagged = await forge(laptops.tagged.container, ...page);
        expect(tagged.filter(([, { emails, statuses }]) => emails.length > 0 || statuses.includes(200))).toEqual([]);
        const neighbours = await forge(testbed.openRouter, ...testbed.address("open-webui").split(":"), alice);
        expect(neighbours.filter(([, { statuses }]) => statuses.some((status) => status !== 403))).toEqual([]);
        await annotate(
            `${bens.length} forgeries from each; on Ben's device ${bens.filter(([, { emails }]) => emails.includes(ben)).length} sign Ben in, all others nobody`,
        );
    });

    test("`npm run verify` on the owner's device says that it is the admin's, and chats as the admin", async () => {
        const user = await VerifyUser.create(testbed, laptops.alice);
        const { line } = await user.verify();
        await user.close();
        expect(line("Admin's login")).toMatch(/^ok: this device is alice@github's/);
        expect(line("Chat")).toMatch(/^ok: the agent answered/);
    });

    test("the setting names somebody else: it doesn't start rather than lock the owner out", async () => {
        await testbed.configure({ webuiAdminEmail: "carol@example.com" });
        await testbed.stop("open-webui");
        await expect(testbed.start("open-webui")).rejects.toThrow(
            /webuiAdminEmail is carol@example\.com now, and the admin of this disk is alice@github: set it back/,
        );
    });

    test("back at passwords the admin signs in with the generated one, and accounts and chats are all there", async () => {
        await testbed.configure({ signIn: "password", webuiAdminEmail: "admin@example.com" });
        await testbed.redeploy("open-webui");
        const admin = await testbed.signIn();
        expect(admin).toMatchObject({ id: ids.admin, role: "admin" });
        expect((await testbed.chats(admin.token)).map(({ title }) => title)).toContain(before);
        const { body } = await testbed.webui("GET", "/api/v1/users/all", { bearer: admin.token });
        const users = (body as { users: { id: string; email: string }[] }).users.map(({ id, email }) => ({ id, email }));
        expect(users).toEqual(
            expect.arrayContaining([
                { id: ids.admin, email: "admin@example.com" },
                { id: ids.ben, email: ben },
            ]),
        );
    });
});
