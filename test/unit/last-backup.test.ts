/** `protectData: backup`: no disk goes before both services have made a last backup. Render and the bucket are played. */
import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { backUpBoth, pullBeforeDelete } from "../../backups.ts";
import { serviceNames } from "../../bucket.ts";
import { inspectSettings } from "../../config.ts";
import { evaluate } from "../harness/program.ts";
import { repositoryWith } from "../harness/repository.ts";
import { backupSettings, project, requiredSettings } from "../harness/settings.ts";

const given: Record<string, string> = { ...requiredSettings(), ...backupSettings(), protectData: "backup" };
const patience = { stop: 1, every: 1, within: 100 };

/** What has been asked of Render, as method and path. */
let asked: string[];
/** Services that make a backup when they are suspended. */
let healthy: string[];
/** When the newest backup of each was made. */
let newest: Record<string, number>;
let repository: ReturnType<typeof repositoryWith>;
/** What the bucket refuses everything with. */
let refusal: string | undefined;
let suspendedBefore: string[];

const object = (name: string, at: number) =>
    `<Contents><Key>${name}</Key><LastModified>${new Date(at).toISOString()}</LastModified><Size>1000</Size></Contents>`;

function bucket(url: URL): Response {
    const headers = { date: new Date().toUTCString() };
    if (refusal) return new Response(`<Error><Code>${refusal}</Code></Error>`, { status: 403, headers });
    const prefix = url.searchParams.get("prefix");
    if (url.pathname.includes("/keys/")) return new Response(repository.key, { headers });
    if (url.pathname.endsWith("/config")) return new Response(new Uint8Array(repository.config), { headers });
    const service = serviceNames.find((name) => prefix?.endsWith(`/${name}/`)) ?? "";
    const objects = prefix && newest[service] ? object(`${prefix}keys/1`, 0) + object(`${prefix}snapshots/1`, newest[service]) : "";
    return new Response(`<ListBucketResult>${objects}</ListBucketResult>`, { headers });
}

function render(url: URL, method: string): Response {
    const path = url.pathname.replace("/v1", "");
    asked.push(`${method} ${path}`);
    const named = url.searchParams.get("name");
    if (named) {
        const name = named.replace("-dev", "");
        return Response.json([{ service: { id: `srv-${name}`, name: named, suspended: suspendedBefore.includes(name) ? "suspended" : "not_suspended" } }]);
    }
    const [, name, action] = /srv-(.+)\/(suspend|resume)$/.exec(path) ?? [];
    // The clocks of S3 count seconds.
    if (action === "suspend" && healthy.includes(name)) newest[name] = Date.now() + 2000;
    return new Response(null, { status: 202 });
}

function play(): void {
    vi.spyOn(globalThis, "fetch").mockImplementation((input, init) => {
        const url = new URL(input instanceof Request ? input.url : input.toString());
        return Promise.resolve(url.hostname === "bucket.example.com" ? bucket(url) : render(url, init?.method ?? "GET"));
    });
}

beforeEach(() => {
    asked = [];
    healthy = [...serviceNames];
    newest = Object.fromEntries(serviceNames.map((name) => [name, Date.now() - 60_000]));
    repository = repositoryWith(given.backupPassword, "");
    refusal = undefined;
    suspendedBefore = [];
    play();
});
afterEach(() => {
    vi.restoreAllMocks();
});

function settings() {
    pulumi.runtime.setAllConfig(Object.fromEntries(Object.entries(given).map(([name, value]) => [`${project.name}:${name}`, value])));
    return inspectSettings(new pulumi.Config(project.name)).settings;
}
const lastBackup = () => backUpBoth(settings(), project.name, "dev", patience);
const writes = () => asked.filter((line) => line.startsWith("POST"));

test("both services are stopped, and each has a backup that is newer than that", async () => {
    await lastBackup();
    expect(writes()).toEqual(["POST /services/srv-hermes/suspend", "POST /services/srv-open-webui/suspend"]);
});

test("one that is suspended already has made it", async () => {
    suspendedBefore = ["hermes"];
    await lastBackup();
    expect(writes()).toEqual(["POST /services/srv-open-webui/suspend"]);
});

test("without a bucket, one that is suspended can't be pulled, and so no disk is deleted", async () => {
    suspendedBefore = ["hermes"];
    const error: unknown = await pullBeforeDelete(settings(), project.name, "dev", "/nowhere").catch((thrown: unknown) => thrown);
    expect(pulumi.RunError.isInstance(error)).toBe(true);
    expect(String(error)).toMatch(/No disk is deleted, .*hermes is suspended, and has no shell \(resume it/);
    expect(writes()).toEqual([]);
});

describe("no disk is deleted, and the services run again,", () => {
    const refused = async () => {
        const error: unknown = await lastBackup().catch((thrown: unknown) => thrown);
        expect(pulumi.RunError.isInstance(error)).toBe(true);
        return String(error);
    };

    test("when one of them makes no backup", async () => {
        healthy = ["hermes"];
        expect(await refused()).toMatch(/No disk is deleted: open-webui made no last backup\..*protectData false/);
        expect(writes().slice(2)).toEqual(["POST /services/srv-hermes/resume", "POST /services/srv-open-webui/resume"]);
    });

    test("when the bucket refuses the key, before anything is stopped", async () => {
        refusal = "AccessDenied";
        expect(await refused()).toMatch(/No disk is deleted.*bucket refuses backupKeyId/);
        expect(writes()).toEqual([]);
    });

    test("when the password isn't that of the backups", async () => {
        repository = repositoryWith("another password", "");
        expect(await refused()).toMatch(/No disk is deleted.*backupPassword doesn't open/);
        expect(writes().filter((line) => line.endsWith("resume"))).toHaveLength(2);
    });

    // The engine takes both for a success, and deletes the disk.
    test.for<[what: string, thrown: unknown]>([
        ["a string", "no"],
        ["an error without a message", new Error("")],
    ])("when %s is thrown, with a sentence all the same", async ([, thrown]) => {
        vi.mocked(fetch).mockRejectedValue(thrown);
        expect(await refused()).toMatch(/No disk is deleted, for no last backup could be made/);
        const pulled: unknown = await pullBeforeDelete(settings(), project.name, "dev", "/nowhere").catch((error: unknown) => error);
        expect(String(pulled)).toMatch(/No disk is deleted, for no last backup could be made/);
    });
});

describe("the program", () => {
    const hooksOf = async (protectData: string) => {
        const { resources } = await evaluate({ ...given, protectData }, { stack: "dev" });
        return resources.filter(({ beforeDelete }) => beforeDelete.length > 0).map(({ name, beforeDelete }) => ({ name, hooks: beforeDelete }));
    };

    test("binds one hook to both services, for a preview, too, and to nothing else; without it none", async () => {
        const bound = await hooksOf("backup");
        expect(bound.map(({ name, hooks }) => [name, hooks.length])).toEqual([
            ["hermes", 1],
            ["open-webui", 1],
        ]);
        expect(bound[0].hooks[0]).toBe(bound[1].hooks[0]);
        expect(bound[0].hooks[0].opts).toEqual({ onDryRun: true });
        expect(await hooksOf("true")).toEqual([]);
        expect(await hooksOf("false")).toEqual([]);
    });

    test("makes one backup of both for both deletions, and a preview makes none, and says that the disk goes", async () => {
        suspendedBefore = [...serviceNames];
        const [{ hooks }] = await hooksOf("backup");
        play(); // the program's evaluation has its own
        const call = (name: string) => hooks[0].callback({ name } as pulumi.ResourceHookArgs);
        const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
        const dryRun = vi.spyOn(pulumi.runtime, "isDryRun").mockReturnValue(true);
        await call("open-webui");
        expect(warn.mock.calls).toEqual([[expect.stringMatching(/^open-webui's disk goes\. First both services are stopped/)]]);
        expect(asked).toEqual([]);
        dryRun.mockReturnValue(false);
        await Promise.all([call("open-webui"), call("hermes")]);
        await call("hermes");
        expect(asked).toEqual(["GET /services", "GET /services"]);
    });
});
