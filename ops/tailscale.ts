/** What this device's own Tailscale knows of the tailnet. */
import { existsSync } from "node:fs";
import { type SettingName, tailnetPort, tailnetTag } from "../config.ts";
import { runCommand } from "./command.ts";
import { ask, unexpected } from "../http.ts";
import { type Check, failure, type Finding, ok, unchecked, warning } from "./report.ts";
import { type Stack, whenRight } from "./stack.ts";

/** A machine, as `tailscale status --json` shows it (pkg.go.dev/tailscale.com/ipn/ipnstate, PeerStatus). */
interface Node {
    /** Full, with a dot at its end. */
    DNSName: string;
    Online: boolean;
    Tags?: string[];
    /** Absent for a key that doesn't expire, as those of tagged machines. */
    KeyExpiry?: string;
}

interface Tailnet {
    BackendState: string;
    /** This device. */
    Self?: { UserID: number; Tags?: string[] };
    /** By their id. */
    User?: Record<string, { LoginName: string }> | null;
    CurrentTailnet: { MagicDNSSuffix: string } | null;
    /** Names that this device may have certificates for: none while the tailnet's HTTPS is off. */
    CertDomains: string[] | null;
    Peer: Record<string, Node> | null;
}

/** Where Tailscale lists the machines of a tailnet. */
export const machines = "login.tailscale.com/admin/machines";

/** The app of the Mac App Store puts no command on the PATH. */
const macApp = "/Applications/Tailscale.app/Contents/MacOS/Tailscale";

/** The tailnet that this device is connected to; undefined when it is on none, or without Tailscale. */
export async function readTailnet(): Promise<Tailnet | undefined> {
    try {
        const tailnet = JSON.parse(await runCommand(existsSync(macApp) ? macApp : "tailscale", ["status", "--json"])) as Tailnet;
        return tailnet.BackendState === "Running" ? tailnet : undefined;
    } catch {
        return undefined;
    }
}

/** Who the tailnet takes this device for: a person's login, in lower case as Open WebUI has it, or nobody, for it is tagged; undefined when it doesn't say. */
export type Device = { login: string } | "tagged" | undefined;

function deviceOf(tailnet: Tailnet | undefined): Device {
    const { Self: self, User: users } = tailnet ?? {};
    if (self?.Tags?.length) return "tagged";
    const login = self && users?.[self.UserID]?.LoginName.toLowerCase();
    return login ? { login } : undefined;
}

/** Whose device this is, where the tailnet signs people in and the admin is who has this login. */
export function isAdmins(device: Device, admin: string): Finding {
    if (device === undefined) return unchecked("Tailscale doesn't say whose device this is");
    if (device === "tagged") return unchecked("this device is tagged, and so is nobody's", "run this on a device of the admin's");
    return device.login === admin
        ? ok(`this device is ${admin}'s, the admin's`)
        : warning(
              `the admin is ${admin}, and this device is ${device.login}'s`,
              `set webuiAdminEmail to ${device.login}, or run this on a device of the admin's`,
          );
}

/** What can be said of the tailnet before anything joins it. An auth key can't be asked about without using it. */
export function beforeUp(stack: Stack): Check[] {
    const { tailnetDnsName: name } = stack.settings;
    const tailnet = readTailnet();
    const admin = "login.tailscale.com/admin/dns";
    /** What only a device on that tailnet can see; the settings are those that it takes besides the tailnet's name. */
    const onIt = (settings: SettingName[], judge: (status: Tailnet) => Finding | Promise<Finding>) =>
        whenRight(stack, ["tailnetDnsName", ...settings], async () => {
            const status = await tailnet;
            return status?.CurrentTailnet?.MagicDNSSuffix === name ? judge(status) : unchecked(`this device isn't on ${name}`);
        });
    const adminLogin: Check = {
        name: "Admin's login",
        about: ["signIn", "webuiAdminEmail"],
        run: onIt(["signIn", "webuiAdminEmail"], (status) => isAdmins(deviceOf(status), stack.settings.webuiAdminEmail)),
    };
    return [
        {
            name: "Tailnet name",
            about: ["tailnetDnsName"],
            run: whenRight(stack, ["tailnetDnsName"], async () => {
                const own = (await tailnet)?.CurrentTailnet?.MagicDNSSuffix;
                if (own === undefined) return ok(`${name} looks right, and this device is on no tailnet to compare with`);
                return own === name
                    ? ok(`${name}, which this device is on`)
                    : warning(`tailnetDnsName is ${name} and this device is on ${own}`, `copy the name from ${admin} if that isn't on purpose`);
            }),
        },
        ...(stack.settings.signIn === "tailscale" ? [adminLogin] : []),
        {
            name: "Tailnet HTTPS",
            about: ["tailnetDnsName"],
            run: onIt([], ({ CertDomains }) =>
                CertDomains?.length
                    ? ok("certificates are enabled")
                    : failure("certificates aren't enabled, and without them the page isn't published", `click Enable HTTPS at ${admin}`),
            ),
        },
        {
            name: "Tailscale auth key",
            about: ["tailscaleAuthKey"],
            run: whenRight(stack, ["tailscaleAuthKey"], () =>
                unchecked("tailscaleAuthKey is an auth key by its form, and Tailscale judges the rest when it is first used"),
            ),
        },
        {
            name: "Machine name",
            about: ["webuiHostname"],
            run: onIt(["webuiHostname"], async (status) => {
                const host = `${stack.settings.webuiHostname}.${name}`;
                const taken = Object.values(status.Peer ?? {}).some(({ DNSName }) => DNSName === `${host}.`);
                if (!taken) return ok(`this device sees no machine ${host}`);
                if ((await stack.serviceIds()).length > 0) return ok(`${host} is there, and so are this stack's services`);
                return failure(
                    `a machine ${host} is in the tailnet already, so the one of this stack would get another name and be refused`,
                    `delete the old one with \`npm run tidy\`, or at ${machines}, or set webuiHostname to another name`,
                );
            }),
        },
    ];
}

/** Whether a public resolver has an address for a name: then Funnel is on (tailscale.com/docs/features/tailscale-funnel, "How it works"). */
async function publicAddresses(host: string): Promise<string[]> {
    const records = { A: 1, AAAA: 28 };
    const answers = Object.entries(records).map(async ([type, code]) => {
        const url = `https://cloudflare-dns.com/dns-query?${new URLSearchParams({ name: host, type }).toString()}`;
        const answer = await ask(url, {}, { accept: "application/dns-json" });
        if (answer.status !== 200) throw unexpected(url, answer);
        const { Answer: found = [] } = answer.body as { Answer?: { type: number; data: string }[] };
        return found.filter((record) => record.type === code).map(({ data }) => data);
    });
    return (await Promise.all(answers)).flat();
}

/** Whether this device is on the tailnet that a machine's full name is of. */
const isOn = (tailnet: Tailnet | undefined, host: string): tailnet is Tailnet =>
    tailnet?.CurrentTailnet != null && host.endsWith(`.${tailnet.CurrentTailnet.MagicDNSSuffix}`);

/** The checks of the machine that publishes the page, by its full name; whether this device is on its tailnet, and whose it is there. */
export function afterUp(host: string): { connected: Promise<boolean>; device: Promise<Device>; checks: Check[] } {
    const tailnet = readTailnet();
    const machine = async () => {
        const status = await tailnet;
        if (!isOn(status, host)) return unchecked("this device isn't on its tailnet", "connect Tailscale here and run this again");
        return Object.values(status.Peer ?? {}).find(({ DNSName }) => DNSName === `${host}.`);
    };
    const on = (judge: (node: Node) => Finding) => async () => {
        const found = await machine();
        if (!found) return unchecked(`this device sees no machine ${host}`);
        return "status" in found ? found : judge(found);
    };
    const checks: Check[] = [
        {
            name: "Machine on the tailnet",
            run: async () => {
                const found = await machine();
                if (!found)
                    return failure(
                        `this device sees no machine ${host}`,
                        `is it under ${machines}? Then the policy has to grant this device tcp:${tailnetPort} of its tag; otherwise Open WebUI's log at Render says why, such as an older machine of that name, which npm run tidy removes`,
                    );
                if ("status" in found) return found;
                return found.Online
                    ? ok(`${host} is online`)
                    : failure(
                          `${host} is offline`,
                          "Open WebUI's log at Render says why; if it is the machine of a stack that is gone, npm run tidy removes it",
                      );
            },
        },
        {
            name: "Tag",
            run: on(({ Tags = [] }) =>
                Tags.includes(tailnetTag)
                    ? ok(Tags.join(", "))
                    : failure(
                          `${host} has no ${tailnetTag}, which the policy grants port ${tailnetPort} of`,
                          `tag it under Machines, and make a new auth key with ${tailnetTag}`,
                      ),
            ),
        },
        {
            name: "Key expiry",
            run: on(({ KeyExpiry }) =>
                KeyExpiry === undefined
                    ? ok("its key doesn't expire")
                    : failure(`its key expires on ${KeyExpiry.slice(0, 10)}, and the page is gone then`, `Disable key expiry under ${machines}, or tag it`),
            ),
        },
        {
            name: "Funnel",
            run: async () => {
                const addresses = await publicAddresses(host);
                return addresses.length === 0
                    ? ok(`the public DNS has no address for ${host}`)
                    : failure(
                          `the public DNS has ${addresses.join(", ")} for ${host}, so Funnel publishes it to the internet`,
                          "take nodeAttrs funnel out of the policy, then restart the service",
                      );
            },
        },
    ];
    return { connected: tailnet.then((status) => isOn(status, host)), device: tailnet.then(deviceOf), checks };
}
