import { describe, expect, test, vi } from "vitest";
import {
    api,
    ask,
    changedService,
    create,
    createLive,
    deploy,
    deploysOf,
    disk,
    envVars,
    hold,
    image,
    lastRelease,
    newImage,
    read,
    runtime,
    statusesOf,
    variables,
} from "../harness/render-client.ts";

describe("deploys", () => {
    test("go from queued over build and update to live, and the one before is deactivated", async () => {
        const { id } = await createLive();
        const [pull, start] = [hold(runtime.pull), hold(runtime.start)];
        const { status, body } = await deploy(id);
        expect(status).toBe(201);
        expect(body).toMatchObject({
            id: expect.stringMatching(/^dep-/) as string,
            status: "queued",
            image: { ref: image, sha: image.split("@")[1] },
            finishedAt: null,
        });
        await pull.reached();
        expect(await statusesOf(id)).toEqual(["build_in_progress", "live"]);
        expect(runtime.start).toHaveBeenCalledTimes(1);
        pull.end();
        await start.reached();
        const [running, before] = await deploysOf(id);
        expect(running).toMatchObject({ id: (body as { id: string }).id, status: "update_in_progress", finishedAt: null });
        expect(before).toMatchObject({ status: "live" });
        start.end();
        await api.workspace.deploys.settled();
        expect(await statusesOf(id)).toEqual(["live", "deactivated"]);
        expect((await deploysOf(id))[0].finishedAt).not.toBeNull();
    });

    test("one that is asked for while another runs is answered with 202 and waits for its end", async () => {
        const start = hold(runtime.start);
        const { id } = await create();
        await start.reached();
        await ask("PATCH", `/services/${id}`, changedService());
        expect(await deploy(id)).toEqual({ status: 202 });
        expect(await statusesOf(id)).toEqual(["queued", "update_in_progress"]);
        expect(runtime.pull).toHaveBeenCalledTimes(1);
        start.end();
        await api.workspace.deploys.settled();
        expect(await statusesOf(id)).toEqual(["live", "deactivated"]);
        expect(runtime.start.mock.calls.map(([release]) => release.image.reference)).toEqual([image, newImage]);
        expect((await deploy(id)).status).toBe(201);
    });

    test("those of another service don't wait for it", async () => {
        const start = hold(runtime.start);
        const first = await create();
        await start.reached();
        const second = await create({ name: "open-webui" });
        await vi.waitFor(async () => {
            expect(await statusesOf(second.id)).toEqual(["live"]);
        });
        expect(await statusesOf(first.id)).toEqual(["update_in_progress"]);
        start.end();
    });

    test("each takes the service as it stood when it was asked for", async () => {
        const start = hold(runtime.start);
        const { id } = await create();
        await start.reached();
        await deploy(id);
        await ask("PUT", `/services/${id}/env-vars`, envVars({ PORT: "1" }));
        await ask("PATCH", `/services/${id}`, changedService());
        start.end();
        await api.workspace.deploys.settled();
        expect(lastRelease()).toMatchObject({ environment: variables, image: { reference: image } });
    });

    test.for([
        ["build_failed", "pull"],
        ["update_failed", "start"],
    ] as const)("the first one ends as %s, and the next one brings the service up", async ([status, step]) => {
        const failure = new Error("none of Render's business");
        runtime[step].mockRejectedValueOnce(failure);
        const { id } = await create();
        await api.workspace.deploys.settled();
        expect(await statusesOf(id)).toEqual([status]);
        expect((await deploysOf(id))[0].finishedAt).not.toBeNull();
        expect(api.workspace.service(id).deploys[0].failure).toBe(failure);
        expect(runtime.start).toHaveBeenCalledTimes(step === "pull" ? 0 : 1);
        expect((await deploy(id)).status).toBe(201);
        await api.workspace.deploys.settled();
        expect(await statusesOf(id)).toEqual(["live", status]);
    });

    test("one that fails leaves the one before live", async () => {
        const { id } = await createLive();
        runtime.start.mockRejectedValueOnce(new Error());
        await deploy(id);
        await api.workspace.deploys.settled();
        expect(await statusesOf(id)).toEqual(["update_failed", "live"]);
    });

    test.for(["has heard", "hasn't heard"])("the deletion of their service cancels them, when the runtime %s of it", async (heard) => {
        const start = hold(runtime.start);
        const { id, diskId } = await create();
        await start.reached();
        await deploy(id);
        const signal = runtime.start.mock.lastCall?.[1];
        const { deploys } = api.workspace.service(id);
        expect(signal).toMatchObject({ aborted: false });
        await ask("DELETE", `/services/${id}`);
        expect(signal).toMatchObject({ aborted: true });
        expect(runtime.remove).not.toHaveBeenCalled();
        start.end(heard === "has heard" ? Promise.reject(new Error()) : undefined);
        await api.workspace.deploys.settled();
        expect(deploys.map(({ status }) => status)).toEqual(["canceled", "canceled"]);
        expect(runtime.pull).toHaveBeenCalledTimes(1);
        expect(runtime.start).toHaveBeenCalledTimes(1);
        expect([runtime.remove.mock.calls, runtime.removeDisk.mock.calls]).toEqual([[[id]], [[diskId]]]);
    });

    test("nothing is started of a service that is deleted during its build", async () => {
        const pull = hold(runtime.pull);
        const { id } = await create();
        await pull.reached();
        const { deploys } = api.workspace.service(id);
        await ask("DELETE", `/services/${id}`);
        pull.end();
        await api.workspace.deploys.settled();
        expect(deploys.map(({ status }) => status)).toEqual(["canceled"]);
        expect(runtime.start).not.toHaveBeenCalled();
    });

    test("they have settled when all that was asked for is done", async () => {
        const start = hold(runtime.start);
        const { id } = await create();
        await start.reached();
        await deploy(id);
        const settled = vi.fn();
        const settling = api.workspace.deploys.settled().then(settled);
        await read(id);
        expect(settled).not.toHaveBeenCalled();
        start.end();
        await settling;
        expect(await statusesOf(id)).toEqual(["live", "deactivated"]);
    });

    test.for(["remove", "removeDisk"] as const)("a failure of %s is told once, and what follows is done", async (step) => {
        const failure = new Error("the volume is in use");
        const { id } = await createLive();
        runtime[step].mockRejectedValueOnce(failure);
        await ask("DELETE", `/services/${id}`);
        await create();
        await expect(api.workspace.deploys.settled()).rejects.toMatchObject({ errors: [failure] });
        await expect(api.workspace.deploys.settled()).resolves.toBeUndefined();
        expect(runtime.start).toHaveBeenCalledTimes(2);
    });
});

describe("disks", () => {
    test("grow, keep their id, and never shrink", async () => {
        const { id, diskId } = await createLive();
        const patch = (sizeGB: number) => ask("PATCH", `/disks/${diskId}`, { ...disk, sizeGB });
        expect(await patch(6)).toMatchObject({ status: 200, body: { ...disk, id: diskId, sizeGB: 6, serviceId: id } });
        expect(await patch(5)).toMatchObject({ status: 400 });
        expect(await patch(1001)).toMatchObject({ status: 400 });
        expect(await patch(6)).toMatchObject({ status: 200 });
        expect(await read(id)).toMatchObject({ serviceDetails: { disk: { id: diskId, sizeGB: 6 } } });
        await deploy(id);
        await api.workspace.deploys.settled();
        expect(lastRelease().disk).toEqual({ id: diskId, mountPath: "/opt/data", sizeGB: 6 });
        expect(runtime.removeDisk).not.toHaveBeenCalled();
    });

    test("one that is added is there from the next deploy on", async () => {
        const { id } = await create({}, { disk: undefined });
        await api.workspace.deploys.settled();
        const { status, body } = await ask("POST", "/disks", { ...disk, serviceId: id });
        expect([status, body]).toEqual([
            201,
            {
                ...disk,
                id: expect.stringMatching(/^dsk-/) as string,
                serviceId: id,
                createdAt: expect.any(String) as string,
                updatedAt: expect.any(String) as string,
            },
        ]);
        expect(await read(id)).toMatchObject({ serviceDetails: { disk } });
        expect(runtime.start).toHaveBeenCalledTimes(1);
        await deploy(id);
        await api.workspace.deploys.settled();
        expect(lastRelease().disk).toMatchObject({ id: (body as { id: string }).id });
    });

    test("a service has one, and a disk a service", async () => {
        const { id, diskId } = await createLive();
        expect(await ask("POST", "/disks", { ...disk, serviceId: id })).toMatchObject({ status: 400 });
        expect(await ask("POST", "/disks", disk)).toMatchObject({ status: 404 });
        expect(await ask("DELETE", "/disks/dsk-00000000000000000000")).toMatchObject({ status: 404 });
        expect(await read(id)).toMatchObject({ serviceDetails: { disk: { id: diskId } } });
    });

    test("a deleted one is removed once nothing uses it, and the next deploy is without", async () => {
        const { id, diskId } = await createLive();
        const start = hold(runtime.start);
        await deploy(id);
        await start.reached();
        expect(await ask("DELETE", `/disks/${diskId}`)).toEqual({ status: 204 });
        expect((await read(id)).serviceDetails).not.toHaveProperty("disk");
        await deploy(id);
        expect(runtime.removeDisk).not.toHaveBeenCalled();
        start.end();
        await api.workspace.deploys.settled();
        expect(runtime.start.mock.calls.map(([release]) => release.disk?.id)).toEqual([diskId, diskId, undefined]);
        expect([runtime.remove.mock.calls, runtime.removeDisk.mock.calls]).toEqual([[[id]], [[diskId]]]);
        expect(runtime.remove).toHaveBeenCalledBefore(runtime.removeDisk);
        expect(await statusesOf(id)).toEqual(["live", "deactivated", "deactivated"]);
        await ask("DELETE", `/services/${id}`);
        await api.workspace.deploys.settled();
        expect(runtime.removeDisk).toHaveBeenCalledTimes(1);
    });
});
