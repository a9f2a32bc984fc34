/** Where the agent's code runs: the Hermes image with Modal's real client, and the stand-in of Modal. */
import { createHash, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { addressOf, logOf, output } from "../harness/docker.ts";
import { Person } from "../harness/person.ts";
import { Testbed } from "../harness/testbed.ts";

let testbed: Testbed;

beforeAll(async () => {
    testbed = await Testbed.create();
    await testbed.start("hermes");
});
afterAll(() => testbed.remove());
afterEach(() => testbed.modal.play({}));

/** Somebody who isn't known yet. */
const somebody = () => new Person(testbed);

/** Lists what runs in a sandbox. */
const processes = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '";
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Runs a program in a process of its own with a home of its own, as somebody in two chats; gives what it prints. */
async function alone(program: string): Promise<string> {
    const lines = program.split("\n").map((line) => line.replace(/^ {12}/, ""));
    const whole = [
        "import io, logging, os, threading, time",
        "logging.disable()",
        "from private_hermes import way_out",
        "way_out.lead()",
        "from private_hermes.sandbox import everybody, limits",
        "from private_hermes.sandbox.environment import ChatEnvironment",
        "from private_hermes.sandbox.everybody import sandbox_of",
        "from private_hermes.sandbox.modal_client import SandboxError, client",
        "from private_hermes.sandbox.records import records",
        "here, there = [ChatEnvironment(f'person-{os.getpid()}/{chat}') for chat in ('here', 'there')]",
        "mine = here.sandbox",
        "def run(command, chat=here, **more): return chat.execute(command, bounded_capture=True, **more)['output'].strip()",
        "def at_once(*tasks):",
        "    threads = [threading.Thread(target=task) for task in tasks]",
        "    for thread in threads: thread.start()",
        "    for thread in threads: thread.join()",
        ...lines,
        "for left in everybody.sandboxes.values(): left.rest(at_once=True)",
    ].join("\n");
    // On a disk in memory, which may be filled. Modal is where it is for Hermes, see start_hermes in the entrypoint.
    const modal = "SSL_CERT_FILE=$HERMES_WAY/authorities.pem MODAL_SERVER_URL=http://api.modal.com:80";
    const environment = `HERMES_HOME=$home HERMES_TIMEZONE=Asia/Tokyo TERMINAL_ENV=modal TERMINAL_MODAL_IMAGE=python:3.13-slim ${modal}`;
    const command = `home=$(mktemp -d /dev/shm/alone.XXXXXX) && ${environment} /opt/hermes/bin/python -c "$0" 2>&1; rm -rf /dev/shm/*`;
    return (await output(testbed.running("hermes"), "sh", "-c", command, whole)).trimEnd();
}

describe("a chat without code", () => {
    test("makes no sandbox and asks Modal nothing, not even when ten begin at once", async () => {
        const people = Array.from({ length: 10 }, () => somebody());
        await Promise.all(people.map((person) => person.ask("Good morning!")));
        expect(await testbed.modal.sandboxes()).toEqual([]);
        expect(await testbed.modal.calls()).toEqual({});
    });
});

describe("what a sandbox has besides Python", () => {
    test("is installed when its image is built, and the model knows of it", async () => {
        const person = somebody();
        await testbed.forgetCalls();
        await person.run("true");
        expect(await testbed.modal.builds()).toContainEqual([
            "FROM base",
            "RUN apt-get update && apt-get install -y --no-install-recommends curl git poppler-utils && rm -rf /var/lib/apt/lists/*",
            "RUN python -m pip install --no-cache-dir --root-user-action=ignore pandas matplotlib openpyxl",
        ]);
        const [{ messages }] = await testbed.calls();
        expect(JSON.stringify(messages[0])).toContain("curl, git, poppler-utils, pandas, matplotlib, openpyxl");
    });

    test("is missing where it can't be installed: code runs all the same, and the model is told once", async () => {
        await testbed.modal.play({ build: "E: Unable to locate package" });
        const person = somebody();
        const { output: first } = await person.run("echo here");
        expect(first).toContain("here");
        expect(first).toMatch(/packages of this sandbox couldn't be installed.*sandboxPackages/);
        expect((await person.run("echo again")).output).toBe("again");
    });
});

describe("the tools that work in the sandbox", () => {
    let person: Person;

    beforeAll(() => {
        person = somebody();
    });

    test("the terminal: the output, the exit code, the folder and what was exported", async () => {
        expect(await person.run("python3 -c 'print(sum(i*i for i in range(1, 1001)))'")).toMatchObject({ output: "333833500", exit_code: 0 });
        expect(await person.run("echo to stderr >&2; exit 3")).toMatchObject({ output: "to stderr", exit_code: 3 });
        await person.run("export ANIMAL=cat; mkdir -p /root/work; cd /root/work");
        // What Modal sets is another one in the next sandbox, and isn't kept.
        await person.run("export MODAL_TASK_ID=old");
        expect((await person.run("echo [$MODAL_TASK_ID]")).output).toBe("[]");
        expect(await person.run("pwd; echo $ANIMAL; uname -n")).toMatchObject({ output: "/root/work\ncat\nmodal" });
        // Done where the test thinks.
        const [sandbox] = await person.sandboxes();
        expect(sandbox.commands.join("\n")).toContain("range(1, 1001)");
        expect(sandbox).toMatchObject({ mounts: 0, secrets: 0 });
    });

    test("files are written and changed byte for byte, whatever their size", async () => {
        const line = "Zeile mit Ümläuten, $HOME, `x`, 'y' and \\n\n";
        for (const size of [0, 1, 70_000, 3_000_000]) {
            const content = line.repeat(Math.ceil(size / line.length)).slice(0, size);
            const path = `/root/files/${size}.txt`;
            expect((await person.use("write_file", { path, content })).error, `${size}`).toBeUndefined();
            expect((await person.run(`sha256sum < ${path}`)).output, `${size}`).toContain(sha256(content));
        }
        const path = "/root/files/old.txt";
        // Latin-1, and without a line break at its end.
        await person.run(`mkdir -p /root/files; printf 'caf\\351 = 1\\nend' > ${path}`);
        expect((await person.use("patch", { mode: "replace", path, old_string: "= 1", new_string: "= 2" })).error).toBeFalsy();
        expect((await person.run(`od -An -c ${path} | tr -d ' '`)).output).toBe("caf351=2\\nend");
        expect((await person.use("read_file", { path })).content).toContain("caf\ufffd = 2");
        await person.run("head -c 5000 /dev/urandom > /root/files/some.bin");
        expect((await person.use("read_file", { path: "/root/files/some.bin" })).error).toMatch(/binary/i);
        expect(JSON.stringify(await person.use("search_files", { pattern: "Ümläuten", path: "/root/files" }))).toContain("70000.txt");
    });

    test("one answer may take several of them, each after the other's", async () => {
        const steps: [string, object][] = [
            ["write_file", { path: "/root/steps.py", content: "print(6 * 7)\n" }],
            ["terminal", { command: "python3 /root/steps.py > /root/steps.txt" }],
            ["read_file", { path: "/root/steps.txt" }],
        ];
        const said = await person.ask(steps.map(([tool, parameters]) => `CALL ${tool} ${JSON.stringify(parameters)}`).join(" THEN "));
        expect(said.match(/^Tool said: /gm), said).toHaveLength(3);
        expect(said.split("\n").at(-1)).toContain("42");
    });

    test("code runs, and may use the other tools", async () => {
        const code = 'from hermes_tools import terminal\nprint(6 * 7, terminal("echo from the sandbox")["output"])';
        expect(await person.use("execute_code", { code })).toMatchObject({
            status: "success",
            output: expect.stringMatching(/^42 from the sandbox/) as string,
        });
    });

    test("a process in the background is started, asked for and ended, with all of its children", async () => {
        const { session_id } = await person.run("trap '' TERM; sleep 300 & echo begun; sleep 301", { background: true });
        await sleep(3000);
        // Somebody else's isn't there.
        for (const action of ["poll", "log", "wait", "kill"])
            expect(await somebody().use("process", { action, session_id, timeout: 1 }), action).toMatchObject({ status: "not_found" });
        expect(await person.use("process", { action: "poll", session_id })).toMatchObject({
            status: "running",
            output_preview: expect.stringContaining("begun") as string,
        });
        await person.use("process", { action: "kill", session_id });
        expect((await person.run(processes)).output).not.toMatch(/sleep 30[01]/);
        const quick = await person.run("echo done; exit 4", { background: true });
        expect(await person.use("process", { action: "wait", session_id: quick.session_id, timeout: 20 })).toMatchObject({ exit_code: 4 });
    });

    test("long commands, long outputs, and outputs that aren't text", async () => {
        expect(await person.run(`: ${"x".repeat(100_000)}; echo long`)).toMatchObject({ output: "long" });
        const memory = async () =>
            Number(
                /VmHWM:\s+(\d+)/.exec(
                    await output(testbed.running("hermes"), "sh", "-c", "cat /proc/[0-9]*/status 2>/dev/null | grep -A30 '^Name:.hermes' | grep VmHWM"),
                )?.[1],
            ) / 1024;
        const before = await memory();
        const { output: long, exit_code } = await person.run("echo first; head -c 200000000 /dev/zero | tr '\\0' a; echo; echo last");
        expect(long).toMatch(/^first\na+\n\n\[… The middle of a long output was left out here\.[^\n]*\n\na+\nlast$/);
        expect(exit_code).toBe(0);
        const printed = await person.use("execute_code", { code: "print('first'); print('a' * 50_000_000); print('last')" });
        expect(printed.output).toMatch(/^first\na+\n\n\[… The middle[^\n]*\n\na+\nlast\n?$/);
        expect((await memory()) - before).toBeLessThan(50);
        expect((await person.run("printf 'na\\357ve \\377'")).output).toBe("na\ufffdve \ufffd");
    });
});

describe("nobody hurts another", () => {
    test("what one exports, writes and runs is not in another's sandbox; the chats of one person share theirs", async () => {
        const [anna, ben] = [somebody(), somebody()];
        await anna.run("export SECRET=annas; echo hers > /root/note");
        await anna.run("sleep 200", { background: true });
        const seen = await ben.run(`echo [$SECRET]; ls /root; ${processes}`);
        expect(seen.output).toMatch(/^\[\]/);
        expect(seen.output).not.toMatch(/note|sleep 200/);
        expect(await anna.elsewhere().run("cat /root/note; echo [$SECRET]")).toMatchObject({ output: "hers\n[]" });
        const [hers, his] = [await anna.sandboxes(), await ben.sandboxes()];
        expect([hers.length, his.length]).toEqual([1, 1]);
        expect(hers[0].id).not.toBe(his[0].id);
    });

    test("Stop, or a time-out, ends that command and no other", async () => {
        const anna = somebody();
        const elsewhere = anna.elsewhere();
        await anna.run("true");
        const other = elsewhere.run("sleep 12; echo whole");
        await anna.stopAfter(4, `CALL terminal ${JSON.stringify({ command: "sleep 111" })}`);
        expect(await anna.run("sleep 112", { timeout: 3 })).toMatchObject({ exit_code: 124, output: expect.stringContaining("timed out after 3s") as string });
        await expect.poll(async () => (await anna.run(processes)).output, { timeout: 15_000 }).not.toMatch(/sleep 11[12]/);
        expect(await other).toMatchObject({ output: "whole", exit_code: 0 });
        expect(await anna.sandboxes()).toHaveLength(1);
    });

    test("two people who begin with the same words have a session each, and a chat keeps its own", async () => {
        const [anna, ben] = [somebody(), somebody()];
        const id = (person: Person) => person.session("hi");
        const first = await id(anna);
        expect(first).toBeTruthy();
        expect(await id(ben)).not.toBe(first);
        expect(await id(anna.elsewhere())).not.toBe(first);
        expect(await id(anna)).toBe(first);
    });
});

describe("nothing is lost", () => {
    test("a sandbox that has ended is said once and replaced by one with the files that were saved", async () => {
        const anna = somebody();
        await anna.run("echo kept > /root/a");
        const [{ id }] = await anna.sandboxes();
        await testbed.modal.end(id);
        const after = await anna.run("ls /root; echo ran");
        expect(after).toMatchObject({
            exit_code: 0,
            output: expect.stringMatching(/^\[The sandbox had ended\. This is a new one, with no files[^\n]*\]\nran$/) as string,
        });
        expect((await anna.run("echo again")).output).toBe("again");
        // While it runs.
        const [{ id: second }] = (await anna.sandboxes()).filter(({ ended }) => ended === null);
        const dying = anna.run("sleep 20");
        await sleep(2500);
        await testbed.modal.end(second);
        expect(await dying).toMatchObject({
            exit_code: 1,
            output: expect.stringMatching(/^The sandbox ended while this ran\. The next command gets a new one/) as string,
        });
        // A tool for files has no place for the sentence but its error.
        expect(JSON.stringify(await anna.use("read_file", { path: "/root/a" }))).toMatch(/The sandbox had ended/);
    });

    test("a redeploy saves and ends every sandbox, and the files are back at the next command", async () => {
        const people = [somebody(), somebody()];
        for (const person of people) await person.run(`echo ${person.id} > /root/mine`);
        await testbed.redeploy("hermes");
        expect(await testbed.modal.running()).toEqual([]);
        for (const person of people) expect((await person.run("cat /root/mine")).output).toBe(person.id);
        for (let times = 0; times < 3; times++) {
            await testbed.redeploy("hermes");
            expect((await people[0].run("cat /root/mine")).output).toBe(people[0].id);
        }
        const records = JSON.parse(await output(testbed.running("hermes"), "cat", "/opt/data/sandboxes.json")) as Record<string, { saved: string[] }>;
        for (const { saved } of Object.values(records)) expect(saved.length).toBeLessThanOrEqual(2);
        expect((await testbed.modal.saved()).toSorted()).toEqual(
            Object.values(records)
                .flatMap(({ saved }) => saved)
                .toSorted(),
        );
    });

    test("what a killed gateway leaves behind is saved and ended at the next start", async () => {
        const anna = somebody();
        await anna.run("echo before > /root/mine");
        await testbed.kill("hermes");
        expect(await testbed.modal.running()).not.toEqual([]);
        await testbed.start("hermes");
        await expect.poll(() => testbed.modal.running(), { timeout: 30_000, interval: 1000 }).toEqual([]);
        expect((await anna.run("cat /root/mine")).output).toBe("before");
    });

    test("a list of saves that can't be read is said, and not written over", async () => {
        const anna = somebody();
        await anna.run("echo old > /root/mine");
        await testbed.redeploy("hermes");
        await testbed.onDisk("hermes-data", "cd /disk && cp -p sandboxes.json kept && echo cut-off > sandboxes.json");
        expect(await anna.run("echo ran")).toMatchObject({
            exit_code: 1,
            output: expect.stringMatching(/sandboxes\.json, the list of saved sandboxes, can't be read/) as string,
        });
        await testbed.onDisk("hermes-data", "mv /disk/kept /disk/sandboxes.json");
        expect((await anna.run("cat /root/mine")).output).toBe("old");
    });

    test("a sandbox that nears the longest life that Modal gives is exchanged, with its files and what was exported", async () => {
        // In a process of its own, for which a second is nearly a day.
        const said = await alone(`
            limits.EXCHANGE = 1
            run('echo kept > /root/mine; export ANIMAL=cat')
            first = mine.id
            time.sleep(1.5)
            print(run('cat /root/mine; echo $ANIMAL'), mine.id != first)`);
        expect(said).toContain("kept\ncat True");
        expect((await testbed.modal.running()).filter(({ commands }) => commands.some((command) => command.includes("ANIMAL=cat")))).toEqual([]);
    });

    test("an error of Modal's when a disk is restored gives one sentence, and the disk is back once that is over", async () => {
        const anna = somebody();
        await anna.run("echo kept > /root/mine");
        await testbed.redeploy("hermes");
        const faults: [string, string, RegExp][] = [
            ["UNAUTHENTICATED", "Token not found", /Modal refuses this deployment's token \(modalTokenId/],
            ["RESOURCE_EXHAUSTED", "Workspace budget exceeded", /Modal refuses to run code now: “Workspace budget exceeded”/],
            ["UNAVAILABLE", "try later", /Modal, where code runs, can't be reached now/],
            ["INTERNAL", "oops", /can't be reached now/],
            ["FAILED_PRECONDITION", "odd", /Modal answers with an error: “odd”/],
        ];
        for (const [status, message, sentence] of faults) {
            await testbed.modal.play({ calls: { SandboxCreate: [status, message] } });
            const { output: said, exit_code } = await anna.run("cat /root/mine");
            expect(said, status).toMatch(sentence);
            expect(said, status).not.toMatch(/Traceback|\n/);
            expect(exit_code, status).toBe(1);
            for (const [tool, parameters] of [
                ["read_file", { path: "/root/mine" }],
                ["execute_code", { code: "print(1)" }],
                ["terminal", { command: "true", background: true }],
            ] as const) {
                expect(JSON.stringify(await anna.use(tool, parameters)), `${status} ${tool}`).toMatch(sentence);
            }
        }
        await testbed.modal.play({});
        expect((await anna.run("cat /root/mine")).output).toBe("kept");
    });

    test("with Modal out of order while a sandbox runs each command says so in a sentence, and the same sandbox goes on afterwards", async () => {
        const anna = somebody();
        await anna.run("echo kept > /root/mine; export ANIMAL=cat");
        for (const [status, message, sentence] of [
            ["UNAVAILABLE", "try later", /^Modal, where code runs, can't be reached now\./],
            ["UNAUTHENTICATED", "Token not found", /^Modal refuses this deployment's token/],
        ] as const) {
            await testbed.modal.play({ calls: { "*": [status, message] } });
            const { output: said, exit_code } = await anna.run("cat /root/mine");
            expect(said, status).toMatch(sentence);
            expect(exit_code, status).toBe(1);
        }
        await testbed.modal.play({});
        expect((await anna.run("cat /root/mine; echo $ANIMAL")).output).toBe("kept\ncat");
        expect(await anna.sandboxes()).toHaveLength(1);
    });

    test("a saved disk is there however long Modal takes to save it; one that can't be saved is said once, and what is said to be kept is", async () => {
        await testbed.modal.play({ snapshot: 300 });
        expect(await alone("run('echo kept > /root/mine'); mine.rest(); print(mine.id, run('cat /root/mine'))")).toBe("None kept");
        await testbed.modal.play({ calls: { SandboxSnapshotFs: ["FAILED_PRECONDITION", "odd"] } });
        const said = await alone(`
            run('echo new > /root/mine'); mine.rest(); print(run('echo fine')); mine.rest(); print(run('echo told')); mine.rest(); print(run('echo once'))
            # After a job nobody asks.
            import private_hermes; private_hermes.install()
            from hermes_cli import plugins
            mine._failed = 1; mine.rest()
            ends = lambda: plugins.invoke_hook('transform_llm_output', platform='cron', response_text='Report', session_id=mine.person)
            print(ends(), ends())
            client.run(mine._sandbox.terminate.aio())
            print(run('cat /root/mine'))`);
        expect(said).toMatch(
            /^fine\n\[The files of this sandbox can't be saved now\. None of the sandbox's files is saved yet\.[^\n]*“odd”[^\n]*\]\ntold\nonce\n\["Report\\n\\n\[The files of this[^\n]*"\] \[\]\n\[The sandbox had ended\. This is a new one, with no files/,
        );
    });

    test("the first save is due within the first minute, and the gateway's stop waits for none where chats run", async () => {
        const said = await alone(`
            run('echo kept > /root/mine')
            # As if that had been 45 s ago.
            mine._created = mine._saved = mine._tried = time.time() - 45
            mine.keep()
            for _ in range(50): time.sleep(0 if records.of(mine.person)['saved'] else 0.1)
            print(len(records.of(mine.person)['saved']))`);
        expect(said).toBe("1");
        await testbed.modal.play({ slow: { SandboxSnapshotFs: 4 } });
        const stopped = await alone(`
            run('true')
            running = lambda: bool(records.of(mine.person)['running'])
            everybody.rest_all()
            print(running(), run('echo lost'))
            limits.STOP_WITHIN = 1
            everybody.wait_until_rested()
            print(running())
            limits.STOP_WITHIN = 60
            everybody.wait_until_rested()
            print(running())`);
        expect(stopped).toBe("True The agent is about to restart. Try again in a minute.\nTrue\nFalse");
    });

    test("a file of an answer that is an older one is said to be", async () => {
        const said = await alone(`
            from private_hermes import files
            give = files.for_chat(mine.person)
            run('echo one > /root/mine'); mine._save(mine._sandbox)
            run('echo two > /root/mine')
            print(give('/root/mine', 'MEDIA'))
            client.run(mine._sandbox.terminate.aio())
            print(give('/root/mine', 'MEDIA'))`);
        expect(said).toMatch(/^\['MEDIA:[^\n]*\n\['\[mine: The sandbox had ended\. This is a new one, with the files as they were at \d\d:\d\d;/);
    });

    test("what a command does to the sandbox's processes costs no file", async () => {
        const anna = somebody();
        await anna.run("echo kept > /root/mine; kill -9 -1");
        expect((await anna.run("cat /root/mine")).output).toBe("kept");
    });

    test("with the disk full no sandbox and no save is left over, and the disk is named", async () => {
        // The gateway saves those of other tests whenever it's their time.
        await testbed.modal.stopApp();
        const before = await testbed.modal.saved();
        const said = await alone(`
            run('echo kept > /root/mine')
            def fill():
                try:
                    with open('/dev/shm/full', 'wb', buffering=0) as file:
                        while True: file.write(bytes(1 << 12))
                except OSError as error: pass
            fill()
            mine.rest(); mine.rest()
            print(run('cat /root/mine'))
            for other in range(2): print(run('true', ChatEnvironment(f'person-other-{os.getpid()}/{other}')))
            os.remove('/dev/shm/full')
            mine.rest()
            print(mine.id, run('cat /root/mine'))
            mine.rest()
            for image in records.of(mine.person)['saved']: mine._delete(image)`);
        const disk = "The service hermes can't write to its disk \\(No space left on device\\)\\. Its owner makes room, or raises hermesDiskGb\\.";
        expect(said).toMatch(new RegExp(`^\\[The files of this sandbox can't be saved now[^\\n]*${disk}\\]\\nkept\\n${disk}\\n${disk}\\nNone kept$`));
        expect(await testbed.modal.saved()).toEqual(before);
        expect(await testbed.modal.running()).toEqual([]);
    });

    test("a sandbox that starts too slowly is ended, whether or not anybody waits", async () => {
        await testbed.modal.stopApp();
        await testbed.modal.play({ slow: { SandboxGetTaskId: 3 } });
        const said = await alone("limits.START = 1\nprint(run('true')); print(run('true')); time.sleep(8)");
        expect(said).toMatch(/^(Modal, where code runs, can't be reached now\.[^\n]*\n?){2}$/);
        expect(await testbed.modal.running()).toEqual([]);
    });

    test("after the app was stopped at Modal the next command works", async () => {
        const anna = somebody();
        await anna.run("echo kept > /root/mine");
        await testbed.modal.stopApp();
        expect((await anna.run("echo ran")).output).toMatch(/^\[The sandbox had ended[^\n]*\]\nran$/);
    });

    test("an error of the sandbox's own way in isn't laid to the token", async () => {
        const anna = somebody();
        await anna.run("true");
        await testbed.modal.play({ calls: { TaskExecStart: ["UNAUTHENTICATED", "no"] } });
        expect((await anna.run("true")).output).toBe("The connection to the sandbox was refused. Try again.");
    });

    test("a token of the command router that expires is renewed, and a saved disk that Modal has lost is said", async () => {
        const anna = somebody();
        await testbed.modal.play({ token: 2 });
        await anna.run("echo kept > /root/mine");
        await sleep(3000);
        expect((await anna.run("cat /root/mine")).output).toBe("kept");
        await testbed.redeploy("hermes");
        await testbed.modal.play({ calls: { ImageFromId: ["NOT_FOUND", "Image not found"] } });
        expect((await anna.run("echo ran")).output).toMatch(/^\[Modal doesn't have the files any more[^\n]*\]\nran$/);
    });
});

describe("two things at once", () => {
    test("first commands at once make one sandbox", async () => {
        await testbed.modal.play({ slow: { SandboxCreate: 1 } });
        await testbed.modal.forgetCalls();
        const said = await alone(`
            said = []
            at_once(*[lambda chat=chat: said.append(run('echo ran', chat)) for chat in (here, there, here, there)])
            print(said)`);
        expect(said).toBe("['ran', 'ran', 'ran', 'ran']");
        expect(await testbed.modal.calls()).toMatchObject({ SandboxCreate: 1, SandboxSnapshotFs: 1 });
    });

    test("a chat's folder, exports and programs are its own, whatever ends there or elsewhere", async () => {
        const anna = somebody();
        const elsewhere = anna.elsewhere();
        await anna.run("mkdir -p /root/a/bin /root/b; cd /root/a; printf '#!/bin/sh\\necho annas' > bin/tool; chmod +x bin/tool");
        await anna.run("export PATH=/root/a/bin:$PATH ANIMAL=cat");
        const holds = async (after: string) => {
            expect((await anna.run("pwd; echo $ANIMAL; tool")).output, after).toBe("/root/a\ncat\nannas");
        };
        const other = elsewhere.run("cd /root/b; export ANIMAL=dog; sleep 4");
        for (const command of ["exit 2", "set -e; false", "kill -9 $$", "export MORE=1; exit 0"]) {
            await anna.run(command);
            await holds(command);
        }
        expect((await anna.run("echo $MORE")).output).toBe("1");
        await other;
        await holds("another chat");
        await anna.run("sleep 30", { timeout: 1 });
        await anna.use("execute_code", { code: "import os; os.chdir('/tmp')" });
        await anna.run("exit 1");
        await holds("code");
        await anna.use("write_file", { path: "relative.txt", content: "here" });
        expect((await anna.run("cat /root/a/relative.txt")).output).toBe("here");
        expect((await elsewhere.run("pwd; echo $ANIMAL")).output).toBe("/root/b\ndog");
        for (const [more, folder] of [
            [{}, "/root/a"],
            [{ workdir: "/root/b" }, "/root/b"],
        ] as const) {
            const { session_id } = await anna.run("pwd; tool", { background: true, ...more });
            expect((await anna.use("process", { action: "wait", session_id, timeout: 20 })).output).toBe(`${folder}\nannas\n`);
        }
        await holds("the background");
    });

    test("a file that doesn't come holds up nobody else's", async () => {
        const said = await alone(`
            run('echo here > /root/mine')
            other = sandbox_of('person-other')
            other.wait_until_ready = lambda: None
            other.run = lambda *_: threading.Event().wait()
            threading.Thread(target=other.read_file, args=('/root/mine', 100, io.BytesIO()), daemon=True).start()
            time.sleep(0.5)
            file = io.BytesIO()
            mine.read_file('/root/mine', 100, file)
            print(file.getvalue())`);
        expect(said).toBe("b'here\\n'");
    });
});

describe("right to the last byte", () => {
    test("the end of a long output, a time-out that ends all of a command, and nothing of the runner", async () => {
        const said = await alone(`
            whole = []
            other = threading.Thread(target=lambda: whole.append(run('sleep 9; echo whole', there)))
            other.start()
            print(run('seq 1 8000; sleep 221 & echo end')[-8:])
            print(repr(run('kill -9 $$')), run('set -x; true'), run('date +%Z'), run('echo x\ud83dy'))
            print(run('timeout 222 sleep 222 & trap "" TERM; echo part; while :; do sleep 223; done', timeout=2))
            print(run("cat /proc/[0-9]*/cmdline 2>/dev/null | tr -c a-z0-9 ' ' | grep -o 'sleep 22[0-9]' | sort -u"))
            other.join()
            print(whole)`);
        expect(said).toBe("8000\nend\n'' ++ true JST x\ufffdy\npart\n\n[Command timed out after 2s]\nsleep 221\n['whole']");
    });

    test("the file tools: one home, through links, never onto a folder, and all places of a large file", async () => {
        const anna = somebody();
        await anna.use("write_file", { path: "~/t.txt", content: "one" });
        expect((await anna.run("cd /root; cat ~/t.txt; ln -s t.txt link; mkdir folder; yes 'a b c' | head -c 2000000 > large")).output).toBe("one");
        const patch = (parameters: object) => anna.ask(`CALL patch ${JSON.stringify({ mode: "replace", ...parameters })}`);
        await patch({ path: "/root/link", old_string: "one", new_string: "two" });
        expect((await anna.run("readlink link; cat t.txt")).output).toBe("t.txt\ntwo");
        expect(await anna.ask(`CALL write_file ${JSON.stringify({ path: "/root/folder", content: "x" })}`)).toMatch(/this is a folder/);
        expect((await anna.run("ls -A folder")).output).toBe("");
        await patch({ path: "/root/large", old_string: "b", new_string: "bb", replace_all: true });
        expect((await anna.run("grep -c 'a bb c' large")).output).toBe("333333");
    });
});

describe("what goes in and out", () => {
    const disk = () => output(testbed.running("hermes"), "sh", "-c", "cd /opt/data && find skills memories sandboxes.json -type f | sort | xargs sha256sum");

    test("nothing of the gateway's disk goes in, not even what a skill asks for; nothing written there changes it", async () => {
        const anna = somebody();
        const asks = ["state.db", "../../etc/hermes/.env", "memories/USER.md", "cache/documents/hers.txt", "skills/greedy/link"];
        const content = `---\nname: greedy\ndescription: Takes all\nrequired_credential_files:\n${asks.map((path) => `  - ${path}`).join("\n")}\n---\n\nRead them.\n`;
        await anna.use("skill_manage", { action: "create", name: "greedy", content });
        await anna.use("memory", { action: "add", target: "user", content: "Likes cats." });
        const planted =
            "cd /opt/data && mkdir -p cache/documents && echo another-persons-upload > cache/documents/hers.txt && ln -s /opt/data/state.db skills/greedy/link";
        await testbed.running("hermes").exec(["sh", "-c", planted], { user: "10000:10000" });
        await anna.use("skill_view", { name: "greedy" });
        // The sandbox begins after that.
        const { output: files } = await anna.run("find /root /tmp /opt /home /srv -type f");
        expect(files?.split("\n").filter((path) => !/^\/root\/\.(bashrc|profile)$|^\/tmp\/\.hermes\//.test(path))).toEqual([]);
        const [{ commands, mounts, secrets }] = await anna.sandboxes();
        expect({ mounts, secrets }).toEqual({ mounts: 0, secrets: 0 });
        const { OPENROUTER_API_KEY, API_SERVER_KEY, MODAL_TOKEN_SECRET } = testbed.environment("hermes");
        for (const secret of [OPENROUTER_API_KEY, API_SERVER_KEY, MODAL_TOKEN_SECRET, "Likes cats", "another-persons-upload"])
            expect(commands.join()).not.toContain(secret);
        expect((await anna.run("env; cat /proc/*/environ")).output).not.toMatch(/OPENROUTER|API_SERVER|MODAL_TOKEN/);

        const before = await disk();
        const evil =
            "for home in /root/.hermes /opt/data; do mkdir -p $home/skills/greedy $home/memories; echo evil | tee $home/skills/greedy/SKILL.md $home/skills/new.md $home/memories/USER.md $home/config.yaml; done";
        await anna.run(evil);
        await testbed.redeploy("hermes");
        await anna.run("true");
        const lines = (text: string) => text.split("\n").filter((line) => !line.endsWith("sandboxes.json"));
        expect(lines(await disk())).toEqual(lines(before));
    });
});

describe("a scheduled job", () => {
    test("runs in the sandbox of the person who made it, and finds what it kept, over runs and redeploys", async () => {
        const anna = somebody();
        const script = [
            "import json, pathlib",
            "file = pathlib.Path('/root/seen.json')",
            "seen = json.loads(file.read_text()) if file.exists() else []",
            "file.write_text(json.dumps([*seen, len(seen)]))",
        ].join("\n");
        const prompt = `CALL terminal ${JSON.stringify({ command: `python3 -c "${script}"` })}`;
        const { job_id } = await anna.use("cronjob", { action: "create", name: "news", schedule: "every 24h", prompt });
        expect(job_id).toBeTruthy();
        const runs = async (times: number) => {
            for (let time = 0; time < times; time++) await anna.use("cronjob", { action: "run", job_id });
        };
        await runs(2);
        await testbed.redeploy("hermes");
        await runs(2);
        await testbed.kill("hermes");
        await testbed.start("hermes");
        await runs(1);
        expect((await anna.run("cat /root/seen.json")).output).toBe("[0, 1, 2, 3, 4]");
        expect((await somebody().run("ls /root")).output).not.toContain("seen.json");
    });
});

describe("what is set", () => {
    afterAll(() => testbed.redeploy("hermes"));

    test("a sandbox that was idle is saved and ended, and its files are back; while one works, it is saved all the same", async () => {
        await testbed.redeploy("hermes", { SANDBOX_IDLE_MINUTES: "0" });
        const anna = somebody();
        // A server that a script leaves behind keeps none up.
        await anna.run("echo idle > /root/mine; export ANIMAL=cat; echo 'sleep 600 &' > /root/start.sh; bash /root/start.sh");
        await expect.poll(() => testbed.modal.running(), { timeout: 30_000, interval: 1000 }).toEqual([]);
        expect(await anna.run("cat /root/mine; echo $ANIMAL")).toMatchObject({ output: "idle\ncat" });
        await expect.poll(() => testbed.modal.running(), { timeout: 30_000, interval: 1000 }).toEqual([]);
        const before = await testbed.modal.saved();
        const working = anna.run("echo busy > /root/mine; sleep 120");
        await expect.poll(() => testbed.modal.saved(), { timeout: 100_000, interval: 1000 }).not.toEqual(before);
        for (const { id } of await testbed.modal.running()) await testbed.modal.end(id);
        expect((await working).exit_code).toBe(1);
        expect((await anna.run("cat /root/mine")).output).toMatch(/^\[The sandbox had ended[^\n]*the files as they were at \d\d:\d\d[^\n]*\]\nbusy$/);
    });

    test("a process in the background keeps a sandbox up for so long, and then it is said", async () => {
        const said = await alone(`
            os.environ.update(SANDBOX_IDLE_MINUTES='0', SANDBOX_BACKGROUND_MINUTES='0.15')
            import private_hermes; private_hermes.install()
            from tools.process_registry import process_registry
            process = process_registry.spawn_via_env(here, 'echo begun; sleep 300', cwd='/root')
            time.sleep(5)
            mine.keep()
            print(mine.id is not None, process.exited)
            for _ in range(60):
                if not process.exited: mine.keep(); time.sleep(0.5)
            print(process.output_buffer)
            print(run('echo ran'))`);
        expect(said).toMatch(
            /True False\nbegun\n\n\[Nobody used the sandbox for 0\.15 minutes, so it was ended \(sandboxBackgroundMinutes\), and this process with it\.\]\n\[Nobody used[^\n]*\]\nran$/,
        );
    });

    test("the limits of a sandbox are those of the settings", async () => {
        await testbed.redeploy("hermes", { SANDBOX_CPU: "0.125-1", SANDBOX_MEMORY_MB: "256-512" });
        const anna = somebody();
        expect((await anna.run("nproc")).output).toBe("1");
        expect((await anna.run("python3 -c 'bytearray(600 << 20)'")).output).toMatch(/MemoryError/);
        const [sandbox] = await anna.sandboxes();
        expect(sandbox).toMatchObject({ cpu: [0.125, 1], memory: [256, 512], network: "OPEN", idleTimeout: 900, timeout: 86_400 });
    });

    test("what sandboxSecrets has for the owner stands in the owner's sandboxes alone, and nowhere else", async () => {
        const [token, shared] = [sha256(randomUUID()), sha256(randomUUID())];
        await testbed.redeploy("hermes", { SANDBOX_SECRETS: `REVIEW_TOKEN=${token},everybody:WEATHER_KEY=${shared}` });
        await testbed.forgetCalls();
        const [owner, anna] = [somebody(), somebody()];
        const both = 'printf %s "$REVIEW_TOKEN" | sha256sum; printf %s "$WEATHER_KEY" | sha256sum';
        const hashes = (...values: string[]) => values.map((value) => `${sha256(value)}  -`).join("\n");
        expect((await owner.run(`touch /root/mine; ${both}`)).output).toBe(hashes("", shared));
        // As Open WebUI says it; what is in the sandbox stays.
        const { API_SERVER_KEY: bearer } = testbed.environment("hermes");
        expect((await testbed.hermes("GET", `/v1/reports?owner=${owner.id}`, { bearer })).status).toBe(200);
        expect((await owner.run(`ls /root; ${both}`)).output).toBe(`mine\n${hashes(token, shared)}`);
        expect((await anna.run(both)).output).toBe(hashes("", shared));

        // In each kind of work; what is exported under its name isn't kept.
        await owner.run("export REVIEW_TOKEN=another ANIMAL=cat");
        const code = "import hashlib, os; print(hashlib.sha256(os.environ['REVIEW_TOKEN'].encode()).hexdigest(), os.environ['ANIMAL'])";
        expect((await owner.run(`python3 -c "${code}"`)).output).toBe(`${sha256(token)} cat`);
        expect((await owner.use("execute_code", { code: code.replace(", os.environ['ANIMAL']", "") })).output).toContain(sha256(token));
        const { job_id } = await owner.use("cronjob", {
            action: "create",
            schedule: "every 24h",
            prompt: `CALL terminal ${JSON.stringify({ command: both })}`,
        });
        await owner.use("cronjob", { action: "run", job_id });
        expect(JSON.stringify((await testbed.calls()).filter(({ tools }) => !tools.includes("cronjob")))).toContain(hashes(token, shared).split("\n")[0]);
        const argv =
            "import glob, os; print(any(os.environ['REVIEW_TOKEN'] in open(path, errors='replace').read() for path in glob.glob('/proc/[0-9]*/cmdline')))";
        expect((await owner.run(`python3 -c "${argv}"`)).output).toBe("False");
        // The next sandbox after one that was lost, and one that begins with what was saved.
        await testbed.modal.end((await owner.sandboxes())[0].id);
        expect((await owner.run(`export ANIMAL=cat; ${both}`)).output).toContain(hashes(token, shared));
        await testbed.redeploy("hermes", { SANDBOX_SECRETS: `REVIEW_TOKEN=${token},everybody:WEATHER_KEY=${shared}` });
        expect((await owner.run(`${both}; echo $ANIMAL`)).output).toBe(`${hashes(token, shared)}\ncat`);

        const found = async () => {
            const texts = {
                "requests to the model": JSON.stringify(await testbed.calls()),
                commands: JSON.stringify(await testbed.modal.sandboxes()),
                log: await logOf(testbed.running("hermes")),
                "Hermes' disk": await output(testbed.running("hermes"), "sh", "-c", `cat $(grep -rlaE '${token}|${shared}' /opt/data /tmp) </dev/null`),
                "Hermes' processes": await output(testbed.running("hermes"), "sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null || true"),
                "saved disks": await output(testbed.modal.container, "sh", "-c", `cat $(grep -rlaE '${token}|${shared}' /sandboxes) </dev/null`),
            };
            return Object.entries(texts).flatMap(([name, text]) => (text.includes(token) || text.includes(shared) ? [name] : []));
        };
        expect(await found()).toEqual([]);
        // The search would find what the agent writes on purpose.
        await owner.run('echo "$REVIEW_TOKEN" | tee /root/leak');
        expect(await found()).toEqual(["requests to the model", "Hermes' disk", "saved disks"]);
    });

    test("the network is open, none, or what is listed; what is refused doesn't get out", async () => {
        const reach = (host: string, port: number) => `python3 -c "import socket; socket.create_connection(('${host}', ${port}), 3); print('reached')"`;
        const [listed, other] = await Promise.all([testbed.openRouter, testbed.control].map((container) => addressOf(container, testbed.network)));
        const tried = async (SANDBOX_NETWORK: string) => {
            await testbed.redeploy("hermes", { SANDBOX_NETWORK });
            const anna = somebody();
            const said = [await anna.run(reach(listed, 443)), await anna.run(reach(other, 8080))];
            return said.map(({ output: text }) => text === "reached");
        };
        expect(await tried("open")).toEqual([true, true]);
        expect(await tried("none")).toEqual([false, false]);
        expect(await tried(`192.0.2.0/24,${listed}/32`)).toEqual([true, false]);
    });
});
