/**
 * Plays Render's SSH with a command `ssh` for the user's PATH, which runs what is asked for in a container on this machine.
 *
 * As render.com/docs/ssh has it: the address srv-…@ssh.<region>.render.com, one shell for each service, as root. As OpenSSH 9.2 does it (seen, and
 * in ssh(1)): the command line goes to the shell of the user there, its exit code comes back, and 255 with a line on stderr means that ssh itself failed. A
 * connection that is lost doesn't end the command: it has no terminal.
 *
 * What it does not imitate: keys, encryption, who knows whose key, a login shell's own words, how long Render lets a session be, what a
 * session costs of the service's memory. The environment is the container's, as Render's tutorial of `render ssh` says.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Container } from "./docker.ts";

const script = `#!/bin/sh
here=$(dirname "$0")
while [ "$1" != "\${1#-}" ]; do [ "$1" = -o ] && shift; shift; done
host=$1; shift
[ -e "$here/$host" ] || { echo "ssh: connect to host \${host#*@} port 22: Connection refused" >&2; exit 255; }
echo "$host $*" >>"$here/calls"
run() { docker exec -i "$(cat "$here/$host")" sh -c "$*"; }
fault=$(cat "$here/fault" 2>/dev/null)
case $* in *"$(cat "$here/of" 2>/dev/null)"*) ;; *) fault= ;; esac
case $fault in
  key) echo "$host: Permission denied (publickey)." >&2; exit 255 ;;
  stranger) echo "Host key verification failed." >&2; exit 255 ;;
  cut*) run "$@" | head -c "\${fault#cut}"; echo "Connection to \${host#*@} closed by remote host." >&2; exit 255 ;;
  *) run "$@" ;;
esac
`;

/** How the connection fails: no key of the user's, a host that isn't Render's, or lost after so many bytes of output. */
type ShellFault = "" | "key" | "stranger" | `cut${number}`;

export class Shell {
    /** For the PATH, in front. */
    readonly folder = mkdtempSync(join(tmpdir(), "private-hermes-ssh-"));

    constructor() {
        writeFileSync(join(this.folder, "ssh"), script);
        chmodSync(join(this.folder, "ssh"), 0o755);
    }

    /** Leads a service's shell to a container; to none while it is away. */
    lead(serviceId: string, region: string, container?: Container): void {
        const path = join(this.folder, `${serviceId}@ssh.${region}.render.com`);
        if (container) writeFileSync(path, container.getId());
        else rmSync(path, { force: true });
    }

    /** Has commands that contain a text fail. */
    fail(fault: ShellFault, of = ""): void {
        writeFileSync(join(this.folder, "of"), of);
        writeFileSync(join(this.folder, "fault"), fault);
    }

    remove(): void {
        rmSync(this.folder, { recursive: true });
    }
}
