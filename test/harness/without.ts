/** Both images as they would be without the way out: each process asks for itself, and Hermes has the credentials. For measurements alone. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildFrom, type ContainerSpec, imageOfRun, repository } from "./docker.ts";
import type { ServiceName } from "./settings.ts";

/** In the place of confined.py: drops root. Modal's client takes no authorities but certifi's. */
const free = `#!/bin/sh
id=$1
shift
unset MODAL_SERVER_URL HERMES_CA_BUNDLE
[ ! -e /opt/hermes ] || cat "$SSL_CERT_FILE" >/opt/hermes/lib/python3.11/site-packages/certifi/cacert.pem
exec setpriv --reuid=$id --regid=$id --clear-groups --no-new-privs -- "$@"
`;

/** In the place of HAProxy: says that it is there. */
const asleep = "setsid sh -c 'touch $HERMES_WAY/out/routers; exec sleep infinity' &";

/** What is another file, or another line, by its path. */
const changes: Record<ServiceName, Record<string, string | [old: string, new_: string]>> = {
    hermes: {
        "confined.py": free,
        "launcher.py": ["way_out.lead()\n", ""],
        "entrypoint.sh": ["PATH=$PATH:/usr/sbin setsid haproxy -db -f /etc/egress/haproxy.cfg &", asleep],
    },
    "open-webui": {
        "confined.py": free,
        "seams.py": [
            `        ("aiohttp.connector:TCPConnector._create_connection", "1fc9f0b5725d", "way_out", "The app reaches Hermes alone, by a Unix socket."),\n`,
            "",
        ],
        "way_out.py": ['@replaces("aiohttp.connector:TCPConnector._create_connection")\n', ""],
        "entrypoint.sh": ['as_nobody relay.py "$HERMES_SOCKET" "${BASH_REMATCH[@]:1}" &', "sleep infinity &"],
    },
};

/** Builds both; rejects when a line isn't there any more. */
export async function buildWithout(): Promise<Record<ServiceName, ContainerSpec["image"]>> {
    const build = async (name: ServiceName) => {
        const folder = await mkdtemp(join(tmpdir(), "private-hermes-without-"));
        try {
            await cp(`${repository}${name.replace("-", "")}`, folder, { recursive: true });
            for (const [path, change] of Object.entries(changes[name])) {
                const text = await readFile(join(folder, path), "utf8");
                if (typeof change !== "string" && !text.includes(change[0])) throw new Error(`${name}'s ${path} hasn't ${JSON.stringify(change[0])} any more`);
                await writeFile(join(folder, path), typeof change === "string" ? change : text.replace(change[0], () => change[1]));
            }
            const reference = imageOfRun(`${name}-without`);
            await buildFrom(folder, reference, folder);
            return { reference };
        } finally {
            await rm(folder, { recursive: true });
        }
    };
    return { hermes: await build("hermes"), "open-webui": await build("open-webui") };
}
