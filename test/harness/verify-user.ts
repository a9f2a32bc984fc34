/** Somebody who runs `npm run verify` on a device in the tailnet. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Commands } from "./commands.ts";
import { deployServices, idle } from "./render-services.ts";
import { type Report, runChecks } from "./ops.ts";
import { pulumiSays } from "./pulumi-says.ts";
import { repository } from "./docker.ts";
import type { Laptop } from "./laptop.ts";
import type { Testbed } from "./testbed.ts";
import type { Deployment } from "./deployment.ts";
import { RenderApi } from "../stand-ins/render/api.ts";

/** Where no engine has deployed anything: Render, with both services, and a CLI that tells of them. */
async function withoutEngine(testbed: Testbed, commands: Commands): Promise<RenderApi> {
    const { settings, url } = testbed;
    const render = await RenderApi.start(settings.renderApiKey, settings.renderOwnerId, idle);
    const ids = await deployServices(render, "dev");
    const { WEBUI_ADMIN_EMAIL: openWebUiAdminEmail, WEBUI_ADMIN_PASSWORD: openWebUiAdminPassword } = testbed.environment("open-webui");
    const outputs = {
        hermesServiceId: ids.hermes,
        openWebUiServiceId: ids["open-webui"],
        hermesInternalUrl: `http://${testbed.address("hermes")}`,
        openWebUiTailnetUrl: url,
        openWebUiAdminEmail,
        openWebUiAdminPassword,
    };
    commands.install("pulumi", pulumiSays({ settings, outputs }));
    return render;
}

export class VerifyUser {
    private readonly commands: Commands;
    private readonly project: string;
    private readonly environment: NodeJS.ProcessEnv;
    private readonly ownRender?: RenderApi;

    private constructor(commands: Commands, project: string, environment: NodeJS.ProcessEnv, ownRender?: RenderApi) {
        this.commands = commands;
        this.project = project;
        this.environment = environment;
        this.ownRender = ownRender;
    }

    /** Their Tailscale is the laptop's; the stack is the one that Pulumi has deployed, or the program's as it was evaluated. */
    static async create(testbed: Testbed, laptop: Laptop, deployment?: Deployment): Promise<VerifyUser> {
        const commands = new Commands();
        commands.forward("tailscale", laptop.tailscale);
        const authority = join(commands.makeFolder("ca"), "ca.pem");
        writeFileSync(authority, await testbed.authority());
        const environment = {
            PATH: `${commands.folder}:${process.env.PATH ?? ""}`,
            ALL_PROXY: `socks5h://127.0.0.1:${await laptop.proxyPort()}`,
            NODE_EXTRA_CA_CERTS: authority,
        };
        if (deployment) {
            const {
                pulumi,
                render: { workspace },
            } = deployment;
            for (const id of workspace.services.keys()) workspace.diskUse.set(id, 0.1);
            return new VerifyUser(commands, pulumi.folder("project"), { ...pulumi.variables, ...environment });
        }
        const render = await withoutEngine(testbed, commands);
        return new VerifyUser(commands, repository, { ...process.env, RENDER_HOST: render.url, ...environment }, render);
    }

    verify(changes: NodeJS.ProcessEnv = {}, ...options: string[]): Promise<Report> {
        return runChecks("verify", this.project, { ...this.environment, ...changes }, ...options);
    }

    async close(): Promise<void> {
        await this.ownRender?.close();
        this.commands.remove();
    }
}
