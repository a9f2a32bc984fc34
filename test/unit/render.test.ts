import { connect } from "node:net";
import { describe, expect, test, vi } from "vitest";
import {
    api,
    apiKey,
    ask,
    changedService,
    create,
    createLive,
    credential,
    credentialId,
    deploy,
    deploysOf,
    disk,
    envVars,
    hold,
    image,
    lastRelease,
    newImage,
    newService,
    ownerId,
    read,
    runtime,
    secret,
    statusesOf,
    token,
    variables,
    type ServiceJson,
} from "../harness/render-client.ts";

describe("a workspace without a payment card", () => {
    // As seen in cloudy-sky-software/pulumi-render#363.
    const message = "Payment information is required to complete this request. To add a card, visit https://dashboard.render.com/billing";

    test("refuses the first registry credential and the first service with 402, and takes both with one", async () => {
        api.workspace.hasCard = false;
        expect(await ask("POST", "/registrycredentials", credential())).toEqual({ status: 402, body: { message } });
        expect(await ask("POST", "/services", newService())).toEqual({ status: 402, body: { message } });
        expect(api.workspace.services.size).toBe(0);
        api.workspace.hasCard = true;
        expect((await ask("POST", "/registrycredentials", credential())).status).toBe(200);
        expect((await ask("POST", "/services", newService())).status).toBe(201);
    });
});

describe("requests", () => {
    test("nothing is done for another bearer", async () => {
        const bearer = "another key";
        expect(await ask("POST", "/registrycredentials", credential(), { bearer })).toMatchObject({ status: 401 });
        expect(await ask("DELETE", `/registrycredentials/${credentialId}`, undefined, { bearer })).toMatchObject({ status: 401 });
        expect([...api.workspace.credentials.keys()]).toEqual([credentialId]);
    });

    test("what it doesn't play is answered with 501 and does nothing", async () => {
        const { id } = await createLive();
        const before = [await read(id), await deploysOf(id), (await ask("GET", `/services/${id}/env-vars`)).body];
        const requests: [method: string, path: string, body?: unknown][] = [
            ["POST", "/services/ID/scale", { numInstances: 2 }],
            ["PUT", "/services/ID", {}],
            ["GET", "/owners"],
            ["GET", "/metrics/cpu?resource=ID"],
            ["GET", "/services?region=oregon"],
            ["GET", "/services/ID/deploys?status=live"],
            ["POST", "/services/ID/deploys", { imageUrl: image }],
            ["PUT", "/services/ID/secret-files", [{ name: "file", content: "text" }]],
            ["PUT", "/services/ID/env-vars", [{ key: "KEY", generateValue: true }]],
            ["PATCH", "/notification-settings/overrides/services/ID", { previewNotificationsEnabled: "none" }],
            ["PATCH", "/services/ID", { serviceDetails: { envSpecificDetails: { dockerCommand: "sh" } } }],
            ["PATCH", "/services/ID", { serviceDetails: { preDeployCommand: "sh" } }],
        ];
        for (const [method, path, body] of requests)
            expect(await ask(method, path.replace("ID", id), body), `${method} ${path}`).toMatchObject({ status: 501 });
        expect([await read(id), await deploysOf(id), (await ask("GET", `/services/${id}/env-vars`)).body]).toEqual(before);
    });

    test("a service of a kind that it doesn't play isn't created", async () => {
        const kinds: [changes: object, details: object][] = [
            [{ type: "web_service" }, {}],
            [{ secretFiles: [{ name: "file", content: "text" }] }, {}],
            [{}, { runtime: "docker" }],
            [{}, { numInstances: 2 }],
        ];
        for (const [changes, details] of kinds) expect(await ask("POST", "/services", newService(changes, details))).toMatchObject({ status: 501 });
        expect(api.workspace.services.size).toBe(0);
    });

    test("a service that isn't there is 404 whatever is asked", async () => {
        const id = "srv-00000000000000000000";
        for (const path of ["", "/env-vars", "/secret-files", "/deploys"]) {
            expect(await ask("GET", `/services/${id}${path}`)).toMatchObject({ status: 404 });
        }
        expect(await ask("GET", `/notification-settings/overrides/services/${id}`)).toMatchObject({ status: 404 });
        expect(await ask("PATCH", `/services/${id}`, changedService())).toMatchObject({ status: 404 });
        expect(await ask("PUT", `/services/${id}/env-vars`, [])).toMatchObject({ status: 404 });
        expect(await ask("PUT", `/services/${id}/secret-files`, null)).toMatchObject({ status: 404 });
        expect(await deploy(id)).toMatchObject({ status: 404 });
        expect(await ask("DELETE", `/services/${id}`)).toMatchObject({ status: 404 });
    });
});

describe("the record of requests", () => {
    test("tells the writes since a mark and the service of each", async () => {
        const { id, diskId } = await createLive();
        await create({ name: "open-webui" });
        const mark = api.calls.length;
        await read(id);
        await ask("PATCH", `/services/${id}`, changedService({ name: "renamed" }));
        await ask("PUT", `/services/${id}/env-vars`, []);
        await ask("PATCH", `/disks/${diskId}`, { sizeGB: 4 });
        await ask("DELETE", `/services/${id}`);
        expect(await ask("POST", "/services", newService())).toMatchObject({ status: 201 });
        expect(api.writes(mark)).toEqual([
            { method: "PATCH", path: `/services/${id}`, service: "hermes", status: 200 },
            { method: "PUT", path: `/services/${id}/env-vars`, service: "renamed", status: 200 },
            { method: "PATCH", path: `/disks/${diskId}`, service: "renamed", status: 400 },
            { method: "DELETE", path: `/services/${id}`, service: "renamed", status: 204 },
            { method: "POST", path: "/services", service: "hermes", status: 201 },
        ]);
    });

    test("has a credential as no service's, and a new disk, also one that failed, as its service's", async () => {
        const { id } = await create({ name: "without a disk" }, { disk: undefined });
        const mark = api.calls.length;
        await ask("POST", "/registrycredentials", credential());
        api.fail({ status: 500, times: 1 });
        await ask("POST", "/disks", { ...disk, serviceId: id });
        await ask("POST", "/disks", { ...disk, serviceId: id });
        expect(api.writes(mark).map(({ service, status }) => [service, status])).toEqual([
            [undefined, 200],
            ["without a disk", 500],
            ["without a disk", 201],
        ]);
    });

    test("has no credential and no value of a variable", async () => {
        const { id } = await create();
        await ask("GET", `/services/${id}/env-vars`);
        await ask("PUT", `/services/${id}/env-vars`, envVars(variables));
        await ask("PATCH", `/registrycredentials/${credentialId}`, credential());
        const record = JSON.stringify(api.calls);
        for (const value of [apiKey, token, secret]) expect(record).not.toContain(value);
    });
});

describe("requests that fail", () => {
    test("the next two that match are answered with the status", async () => {
        const status = 503;
        const { id } = await createLive();
        api.fail({ status, times: 2, method: "PATCH", path: /^\/services\// });
        const patch = () => ask("PATCH", `/services/${id}`, changedService());
        expect((await ask("GET", `/services/${id}`)).status).toBe(200);
        expect((await ask("PATCH", `/notification-settings/overrides/services/${id}`, {})).status).toBe(200);
        expect([(await patch()).status, (await patch()).status]).toEqual([status, status]);
        expect(await read(id)).toMatchObject({ imagePath: image });
        expect((await patch()).status).toBe(200);
        expect(await read(id)).toMatchObject({ imagePath: newImage });
    });

    test("after the effect only the answer is lost", async () => {
        api.fail({ status: 500, times: 1, method: "POST", path: /^\/services$/, afterEffect: true });
        expect((await ask("POST", "/services", newService())).status).toBe(500);
        const service = api.workspace.find("hermes");
        expect(await statusesOf(service?.id ?? "")).toHaveLength(1);
        expect((await ask("POST", "/services", newService())).status).toBe(409);
    });
});

describe("a client that hangs up", () => {
    test("has asked for nothing while its request is under way", async () => {
        const mark = api.calls.length;
        const body = JSON.stringify(newService());
        const socket = connect(Number(new URL(api.url).port), "127.0.0.1");
        socket.write(
            `POST /v1/services HTTP/1.1\r\nHost: render\r\nAuthorization: Bearer ${apiKey}\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, -1)}`,
        );
        await vi.waitFor(() => {
            expect(api.calls).toHaveLength(mark + 1);
        });
        socket.destroy();
        expect((await ask("GET", "/services")).body).toEqual([]);
        expect(api.calls[mark]).toEqual({ method: "POST", path: "/services" });
    });

    test("gets done what it has asked for before", async () => {
        const mark = api.calls.length;
        const registry = hold(runtime.has);
        const killed = new AbortController();
        const request = ask("POST", "/services", newService(), { signal: killed.signal });
        await registry.reached();
        killed.abort();
        await expect(request).rejects.toThrow();
        await ask("GET", "/services");
        registry.end(true);
        await vi.waitFor(() => {
            expect(api.workspace.find("hermes")).toBeDefined();
        });
        await api.workspace.deploys.settled();
        expect(await statusesOf(api.workspace.find("hermes")?.id ?? "")).toEqual(["live"]);
        expect(api.calls[mark]).toEqual({ method: "POST", path: "/services", service: "hermes" });
    });
});

describe("registry credentials", () => {
    test("are created with 200, read without their token, and deleted", async () => {
        const { status, body } = await ask("POST", "/registrycredentials", credential({ registry: "GITLAB" }));
        expect(status).toBe(200);
        const { id } = body as { id: string };
        expect(id).toMatch(/^rgc-[0-9a-v]{20}$/);
        expect(body).toEqual({ id, name: "registry", registry: "GITLAB", username: "Octo-Cat", updatedAt: expect.stringContaining("Z") as string });
        expect(await ask("GET", `/registrycredentials/${id}`)).toEqual({ status: 200, body });
        expect(await ask("DELETE", `/registrycredentials/${id}`)).toEqual({ status: 204 });
        for (const method of ["GET", "DELETE"]) expect(await ask(method, `/registrycredentials/${id}`)).toMatchObject({ status: 404 });
        expect(await ask("PATCH", `/registrycredentials/${id}`, credential())).toMatchObject({ status: 404 });
        expect(await ask("GET", `/registrycredentials/${credentialId}`)).toMatchObject({ status: 200 });
    });

    test("are refused with what Render refuses", async () => {
        const mistakes = [
            { ownerId: "tea-00000000000000000000" },
            { ownerId: undefined },
            { registry: "QUAY" },
            { authToken: "" },
            { username: "" },
            { name: "" },
        ];
        for (const changes of mistakes) expect(await ask("POST", "/registrycredentials", credential(changes))).toMatchObject({ status: 400 });
        expect(api.workspace.credentials.size).toBe(1);
    });

    test("a new token is used from the next deploy on", async () => {
        const { id } = await createLive();
        const { authToken, name, registry, username } = credential({ authToken: "new token" });
        expect(await ask("PATCH", `/registrycredentials/${credentialId}`, { authToken, name, registry, username })).toMatchObject({
            status: 200,
            body: { id: credentialId, username },
        });
        await deploy(id);
        await api.workspace.deploys.settled();
        expect(runtime.pull.mock.calls.map(([{ credential: used }]) => used)).toEqual([
            { username: "Octo-Cat", authToken: token },
            { username: "Octo-Cat", authToken: "new token" },
        ]);
    });

    test("a service whose credential is gone names none and is deployed without", async () => {
        const { id } = await createLive();
        expect((await read(id)).registryCredential).toEqual({ id: credentialId, name: "registry" });
        await ask("DELETE", `/registrycredentials/${credentialId}`);
        expect(await read(id)).not.toHaveProperty("registryCredential");
        await deploy(id);
        await api.workspace.deploys.settled();
        expect(runtime.pull.mock.lastCall).toEqual([{ reference: image, credential: undefined }]);
    });
});

describe("services", () => {
    test("are created, found and read in the shape of Render's", async () => {
        const { status, body } = await ask("POST", "/services", newService());
        expect(status).toBe(201);
        const { deployId, service } = body as { deployId: string; service: ServiceJson };
        expect(service.id).toMatch(/^srv-[0-9a-v]{20}$/);
        expect(service).toMatchObject({
            type: "private_service",
            name: "hermes",
            ownerId,
            imagePath: image,
            registryCredential: { id: credentialId, name: "registry" },
            serviceDetails: {
                disk: { id: expect.stringMatching(/^dsk-/) as string, ...disk },
                env: "image",
                envSpecificDetails: { dockerCommand: "" },
                maxShutdownDelaySeconds: 60,
                numInstances: 1,
                plan: "starter",
                region: "oregon",
                runtime: "image",
                url: `${service.slug}:8642`,
            },
        });
        expect((await deploysOf(service.id)).map(({ id }) => id)).toEqual([deployId]);
        expect(await read(service.id)).toEqual(service);
        const search = (name: string, owner: string, type: string) => ask("GET", `/services?name=${name}&ownerId=${owner}&type=${type}`);
        expect((await search("hermes", ownerId, "private_service")).body).toEqual([{ cursor: expect.any(String) as string, service }]);
        expect((await search("herm", ownerId, "private_service")).body).toEqual([]);
        expect((await search("hermes", "tea-other", "private_service")).body).toEqual([]);
        expect((await search("hermes", ownerId, "web_service")).body).toEqual([]);
        expect((await ask("GET", `/logs/streams/resource/${service.id}`)).status).toBe(404);
        expect(await ask("GET", `/services/${service.id}/secret-files`)).toEqual({ status: 200, body: [] });
        expect(await ask("PUT", `/services/${service.id}/secret-files`, null)).toEqual({ status: 200, body: [] });
        const notifications = { notificationsToSend: "default", previewNotificationsEnabled: "default", serviceId: service.id };
        expect(await ask("GET", `/notification-settings/overrides/services/${service.id}`)).toEqual({ status: 200, body: notifications });
        expect(await ask("PATCH", `/notification-settings/overrides/services/${service.id}`, {})).toEqual({ status: 200, body: notifications });
        const chosen = { ...notifications, notificationsToSend: "failure" };
        for (const body of [{ notificationsToSend: "failure" }, {}])
            expect(await ask("PATCH", `/notification-settings/overrides/services/${service.id}`, body)).toEqual({ status: 200, body: chosen });
    });

    test("what is declared is what runs", async () => {
        const { id, slug, diskId } = await createLive();
        expect(slug).not.toBe("hermes");
        expect(runtime.start.mock.calls.map(([release]) => release)).toEqual([
            {
                serviceId: id,
                slug,
                image: { reference: image, credential: { username: "Octo-Cat", authToken: token } },
                environment: variables,
                disk: { id: diskId, mountPath: "/opt/data", sizeGB: 5 },
                plan: "starter",
                region: "oregon",
                maxShutdownDelaySeconds: 60,
            },
        ]);
    });

    test("Render's defaults hold where nothing is declared", async () => {
        const { id, slug } = await create({ envVars: null }, { disk: undefined, maxShutdownDelaySeconds: undefined });
        await api.workspace.deploys.settled();
        expect(lastRelease()).toMatchObject({ environment: { PORT: "10000" }, disk: undefined, maxShutdownDelaySeconds: 30 });
        expect(await read(id)).toMatchObject({ serviceDetails: { url: `${slug}:10000` } });
        expect((await ask("GET", `/services/${id}/env-vars`)).body).toEqual([]);
    });

    const unknownImage = `ghcr.io/octo-cat/hermes@sha256:${"d".repeat(64)}`;

    test("are refused with what Render refuses", async () => {
        const mistakes: [what: string, changes: object, details: object][] = [
            ["no name", { name: "" }, {}],
            ["another owner", { ownerId: "tea-00000000000000000000" }, {}],
            ["no owner", { ownerId: undefined }, {}],
            ["no image", { image: undefined }, {}],
            ["a variable without a name", { envVars: [{ value: "value" }] }, {}],
            ["no plan", {}, { plan: undefined }],
            ["no region", {}, { region: undefined }],
            ["a region that isn't there", {}, { region: "paris" }],
            ["no time to end", {}, { maxShutdownDelaySeconds: 0 }],
            ["too much time to end", {}, { maxShutdownDelaySeconds: 301 }],
            ["a disk of nothing", {}, { disk: { ...disk, sizeGB: 0 } }],
            ["a disk of a fraction", {}, { disk: { ...disk, sizeGB: 1.5 } }],
            ["a disk without a name", {}, { disk: { ...disk, name: undefined } }],
            ["a disk at no absolute path", {}, { disk: { ...disk, mountPath: "data" } }],
        ];
        for (const [what, changes, details] of mistakes)
            expect(await ask("POST", "/services", newService(changes, details)), what).toMatchObject({ status: 400 });
        expect(api.workspace.services.size).toBe(0);
    });

    test("the registry is asked, and they are refused with an image that it doesn't give out", async () => {
        const { id } = await createLive();
        const sources = [
            { imagePath: image, registryCredentialId: "rgc-00000000000000000000" },
            { imagePath: image },
            { imagePath: unknownImage, registryCredentialId: credentialId },
        ];
        for (const source of sources) {
            expect(await ask("POST", "/services", newService({ name: "open-webui", image: source }))).toMatchObject({ status: 400 });
            expect(await ask("PATCH", `/services/${id}`, changedService({ image: source }))).toMatchObject({ status: 400 });
        }
        expect(api.workspace.services.size).toBe(1);
        expect(await read(id)).toMatchObject({ imagePath: image });
    });

    test("an unknown credential is refused with an image that needs none, too", async () => {
        runtime.has.mockResolvedValue(true);
        expect(await ask("POST", "/services", newService({ image: { imagePath: image } }))).toMatchObject({ status: 201 });
        const source = { imagePath: image, registryCredentialId: "rgc-00000000000000000000" };
        expect(await ask("POST", "/services", newService({ name: "open-webui", image: source }))).toMatchObject({ status: 400 });
    });

    test("a token that the registry doesn't take is refused with the image", async () => {
        await ask("PATCH", `/registrycredentials/${credentialId}`, credential({ authToken: "another token" }));
        expect(await ask("POST", "/services", newService())).toMatchObject({ status: 400 });
    });

    test("a name is given once", async () => {
        await createLive();
        const { id } = await create({ name: "open-webui" });
        expect(await ask("POST", "/services", newService({}, { region: "ohio" }))).toMatchObject({ status: 409 });
        expect(await ask("PATCH", `/services/${id}`, changedService())).toMatchObject({ status: 409 });
        expect(await ask("PATCH", `/services/${id}`, changedService({ name: "open-webui" }))).toMatchObject({ status: 200 });
        expect([...api.workspace.services.values()].map(({ name }) => name)).toEqual(["hermes", "open-webui"]);
    });

    test("of two that ask for a name at once one gets it", async () => {
        const checks = [hold(runtime.has), hold(runtime.has)];
        const requests = checks.map(() => ask("POST", "/services", newService()));
        await vi.waitFor(() => {
            expect(runtime.has).toHaveBeenCalledTimes(2);
        });
        for (const check of checks) check.end(true);
        expect((await Promise.all(requests)).map(({ status }) => status).sort()).toEqual([201, 409]);
        expect(api.workspace.services.size).toBe(1);
    });

    test("an update changes what is given and deploys nothing", async () => {
        const { id, slug } = await createLive();
        const { status, body } = await ask("PATCH", `/services/${id}`, changedService({}, { plan: "standard", maxShutdownDelaySeconds: 90 }));
        expect(status).toBe(200);
        expect(body).toMatchObject({ slug, imagePath: newImage, serviceDetails: { plan: "standard", region: "oregon", maxShutdownDelaySeconds: 90 } });
        expect(await read(id)).toEqual(body);
        await ask("PATCH", `/services/${id}`, { serviceDetails: {} });
        expect(await read(id)).toMatchObject({ name: "hermes", imagePath: newImage, serviceDetails: { plan: "standard", maxShutdownDelaySeconds: 90 } });
        expect(await deploysOf(id)).toHaveLength(1);
        await deploy(id);
        await api.workspace.deploys.settled();
        expect(lastRelease()).toMatchObject({ plan: "standard", maxShutdownDelaySeconds: 90, image: { reference: newImage } });
    });

    test("an update is refused with what Render refuses", async () => {
        const { id } = await createLive();
        const before = await read(id);
        const mistakes = [{ name: "" }, { serviceDetails: { plan: "" } }, { serviceDetails: { maxShutdownDelaySeconds: 301 } }];
        for (const changes of mistakes) expect(await ask("PATCH", `/services/${id}`, changedService(changes))).toMatchObject({ status: 400 });
        expect(await read(id)).toEqual(before);
    });

    test("their variables come in pages of 20, in order, until an empty one", async () => {
        const values = Object.fromEntries(Array.from({ length: 45 }, (_, index) => [`VARIABLE_${index}`, `value ${index}`]));
        const { id } = await create({ envVars: envVars(values) });
        const pages: { envVar: { key: string; value: string }; cursor: string }[][] = [];
        do {
            const cursor = pages.at(-1)?.at(-1)?.cursor;
            pages.push((await ask("GET", `/services/${id}/env-vars${cursor ? `?cursor=${cursor}` : ""}`)).body as (typeof pages)[number]);
        } while (pages.at(-1)?.length);
        expect(pages.map(({ length }) => length)).toEqual([20, 20, 5, 0]);
        expect(pages.flat().map(({ envVar }) => envVar)).toEqual(envVars(values));
        expect((await ask("GET", `/services/${id}/env-vars?limit=30`)).body).toHaveLength(30);
    });

    test("a new list of variables takes the place of the old one and comes back whole", async () => {
        const { id } = await createLive();
        const values = Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`VARIABLE_${index}`, "value"]));
        const { status, body } = await ask("PUT", `/services/${id}/env-vars`, envVars(values));
        expect(status).toBe(200);
        expect((body as { envVar: object }[]).map(({ envVar }) => envVar)).toEqual(envVars(values));
        expect(await deploysOf(id)).toHaveLength(1);
        await deploy(id);
        await api.workspace.deploys.settled();
        expect(lastRelease().environment).toEqual({ PORT: "10000", ...values });
    });

    test("a deleted one is removed with its disk, and its name is free", async () => {
        const { id, slug, diskId } = await createLive();
        expect(await ask("DELETE", `/services/${id}`)).toEqual({ status: 204 });
        expect(await ask("GET", `/services/${id}`)).toMatchObject({ status: 404 });
        expect(await ask("PATCH", `/disks/${diskId}`, disk)).toMatchObject({ status: 404 });
        expect(await create()).not.toMatchObject({ slug });
        await api.workspace.deploys.settled();
        expect(runtime.remove.mock.calls).toEqual([[id]]);
        expect(runtime.removeDisk.mock.calls).toEqual([[diskId]]);
        expect(runtime.remove).toHaveBeenCalledBefore(runtime.removeDisk);
    });
});

test("the end of the server waits for nobody", async () => {
    const start = hold(runtime.start);
    await create();
    await start.reached();
    const registry = hold(runtime.has);
    const request = ask("POST", "/services", newService({ name: "open-webui" }));
    await registry.reached();
    const refused = expect(request).rejects.toThrow();
    await api.close();
    await refused;
});
