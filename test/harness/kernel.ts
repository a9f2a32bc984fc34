/** What the kernel says of the processes of a container, and one that knows no filter. */
import { expect } from "vitest";
import { type Container, runToEnd } from "./docker.ts";

/** As the emulation of x86-64 on Apple silicon: PR_SET_SECCOMP is refused. */
const refusing = { names: ["prctl"], action: "SCMP_ACT_ERRNO", errnoRet: 22, args: [{ index: 0, value: 22, op: "SCMP_CMP_EQ" }] };
export const takesNoFilter = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [refusing] };

/** What Python prints beside a container, in its process namespace, with the right to look into every process; SOUGHT is `input`. */
export async function observe(container: Container, network: string, script: string, input = ""): Promise<string> {
    const { code, log } = await runToEnd({
        image: "internet",
        network,
        observes: container,
        environment: { SOUGHT: input },
        command: ["python3", "-c", script],
    });
    expect(code, log).toBe(0);
    return log;
}

/**
 * The processes of some users in a container, by their names: those with a filter beside what Docker gives all of the container, and those
 * without. That `Seccomp` is 2 says nothing, for Docker's own filter makes it so.
 */
export async function filteredOf(container: Container, network: string, users: number[]): Promise<Record<"filtered" | "free", string[]>> {
    const script = `
import glob, json, os, re
def read(folder, *names):
    status = open(f"{folder}/status").read()
    return [re.search(rf"^{name}:.(\\S+)", status, re.M)[1] for name in names]
[own] = read("/proc/1", "Seccomp_filters")
found = {"filtered": set(), "free": set()}
for folder in glob.glob("/proc/[0-9]*"):
    try:
        name, user, filters = read(folder, "Name", "Uid", "Seccomp_filters")
    except (FileNotFoundError, ProcessLookupError):
        continue  # It has ended.
    if user in os.environ["SOUGHT"].split():
        found["filtered" if int(filters) > int(own) else "free"].add(name)
print(json.dumps({kind: sorted(names) for kind, names in found.items()}))`;
    return JSON.parse(await observe(container, network, script, users.join(" "))) as Record<"filtered" | "free", string[]>;
}

/** Who has sockets of the internet in a container, as "user: command", sorted. */
export async function socketOwners(container: Container, network: string): Promise<string[]> {
    const script = `
import glob, json, os, re
names = {line.split(":")[2]: line.split(":")[0] for line in open("/proc/1/root/etc/passwd")}
inodes = {line.split()[9] for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6") for line in open(f"/proc/1/net/{name}").readlines()[1:]}
owners = set()
for path in glob.glob("/proc/[0-9]*/fd/*"):
    try:
        found = re.match(r"socket:\\[(\\d+)\\]", os.readlink(path))
        if found and found[1] in inodes:
            status = open(f"/proc/{path.split('/')[2]}/status").read()
            owners.add(f"{names[re.search(r'^Uid:.([0-9]+)', status, re.M)[1]]}: {re.search(r'^Name:.(.*)', status, re.M)[1]}")
    except FileNotFoundError:
        pass  # It has ended.
print(json.dumps(sorted(owners)))`;
    return JSON.parse(await observe(container, network, script)) as string[];
}
