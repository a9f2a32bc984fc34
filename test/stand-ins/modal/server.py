"""Plays Modal for the container tests: the calls of its API that the Modal client makes for sandboxes, and real sandboxes.

A sandbox is a process in namespaces of its own (mounts, processes, network, host name) with a disk of its own: an overlay on the
image that the stand-in's own image holds in /image. A snapshot is a copy of its upper folder, which is then one more layer.

The API and the command router are gRPC with TLS on port 443, each with its certificate of /ca, see authority.sh. What the calls mean was
read in the client, modal 1.3.4: modal/sandbox.py, modal/container_process.py, modal/_utils/task_command_router_client.py, modal_proto.

On port 8000 of the loopback, for `docker exec`, in JSON:
  GET    /sandboxes          each sandbox so far: parameters, when and why it ended, commands
  POST   /sandboxes/ID/end   {"why"}: ends it as the provider does
  GET    /images             the snapshots that there are
  GET    /builds             the commands of each image that was asked for
  GET    /calls              how often each call was made; DELETE forgets
  POST   /apps/stop          as "Stop app" at modal.com: ends all sandboxes, and the app is another one from then on
  PUT    /faults             {"latency": seconds for each call, "token": seconds for which a router's token is taken,
                             "calls": {name of a call or *: [gRPC status, message]}, "slow": {name of a call: seconds more},
                             "snapshot": seconds that a snapshot needs, which fails at once where less is allowed for it,
                             "build": what the build of an image on another one fails with}; what is left out is over

Failures that it plays: each gRPC status on each call, a sandbox that ends (killed, idle, at its time limit), a snapshot that is
gone, slow or fails, an image that can't be built, a start that takes long, an app that was stopped, expired tokens of the router, a
token pair that isn't one, latency. A sandbox ends with its first process.

What it does not imitate: the scheduler, cold starts and image builds (their commands are recorded and not run: every image is the same, with git), prices, budgets and quotas other
than by a fault, gVisor, several workers, volumes, tunnels, domains. Memory is limited for each process and not for all together,
and the CPU to whole cores. It is no jail for hostile code. A snapshot's layers stay when a snapshot below is deleted, as docs of Modal promise nothing else. Whether
the real ones end an output when the process ends or when its last child does is unknown: here it is the latter.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import math
import os
import ssl
import subprocess
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from grpclib.server import Server
from modal_proto import api_grpc, api_pb2, task_command_router_grpc
from modal_proto import task_command_router_pb2 as router_pb2

API, ROUTER = "api.modal.com", "command-router.modal.com"
FOLDER = Path("/sandboxes")
RESULT = api_pb2.GenericResult
NETWORK = api_pb2.NetworkAccess

sandboxes = {}
images = {"im-base": ["/image"]}
secrets = {}
calls = {}
builds = []
faults = {}
# How often the app was stopped.
stops = 0
numbers = itertools.count(1)


class Sandbox:
    """One that was asked for; raises CalledProcessError when it can't be started."""

    def __init__(self, definition):
        self.id, self.task = f"sb-{uuid.uuid4().hex[:12]}", f"ta-{uuid.uuid4().hex[:12]}"
        self.definition = definition
        self.started = self.used = time.time()
        self.ended = self.why = None
        self.execs, self.commands = {}, []
        self.folder = FOLDER / self.id
        self.folder.mkdir(parents=True)
        self.layers = images[definition.image_id]
        self.variables = {name: value for id in definition.secret_ids for name, value in find(secrets, id, "Secret").items()}
        resources = definition.resources
        command = [
            "unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "--kill-child",
            "/bin/sh", "/sandbox.sh", str(self.folder), ":".join(self.layers), str(resources.memory_mb_max or 1 << 20),
            *definition.entrypoint_args,
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env={**os.environ, **self.variables})
        self.pid = self.first_process()
        self.connect()

    def first_process(self):
        """Its first process, as this namespace counts; once that runs what it was made for: before that it doesn't have its disk."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        wanted = "".join(f"{argument}\0" for argument in self.definition.entrypoint_args).encode()
        for _ in range(4000):
            pid = children.read_text().strip() if children.exists() else ""
            if pid and Path(f"/proc/{pid}/cmdline").read_bytes() == wanted:
                return pid
            time.sleep(0.005)
        raise RuntimeError("the sandbox didn't start")

    def connect(self):
        """Gives it the network that was asked for: by way of this container, filtered by address."""
        access = self.definition.network_access
        ip = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "ip"]
        subprocess.run([*ip, "link", "set", "lo", "up"], check=True)
        if access.network_access_type == NETWORK.BLOCKED:
            return
        number = next(numbers)
        here, there = (f"172.{16 + number // 256}.{number % 256}.{end}" for end in (1, 2))
        for line in (
            ["ip", "link", "add", f"box{number}", "type", "veth", "peer", "name", "eth0", "netns", self.pid],
            ["ip", "address", "add", f"{here}/30", "dev", f"box{number}"],
            ["ip", "link", "set", f"box{number}", "up"],
            [*ip, "address", "add", f"{there}/30", "dev", "eth0"],
            [*ip, "link", "set", "eth0", "up"],
            [*ip, "route", "add", "default", "via", here],
        ):
            subprocess.run(line, check=True)
        if access.network_access_type == NETWORK.ALLOWLIST:
            allowed = ", ".join(access.allowed_cidrs)
            rules = f"add rule inet modal forward iifname box{number} ip daddr {{ {allowed} }} accept\n" if allowed else ""
            subprocess.run(["nft", "-f", "-"], input=f"{rules}add rule inet modal forward iifname box{number} drop\n", text=True, check=True)

    def command(self, args):
        """That which runs `args` in it."""
        resources = self.definition.resources
        cores = min(os.cpu_count(), math.ceil(resources.milli_cpu_max / 1000) or os.cpu_count())
        memory = resources.memory_mb_max or 1 << 20
        return [
            "prlimit", f"--data={memory << 20}", "taskset", "--cpu-list", f"0-{cores - 1}",
            "nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--uts", "--ipc", "--root",
            "setpriv", "--bounding-set=-sys_admin,-net_admin",
            "env", "--chdir=/root", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
            *(f"{name}={value}" for name, value in self.variables.items()), *args,
        ]

    def end(self, why):
        if self.ended is None:
            self.ended, self.why = time.time(), why
            self.process.kill()
            self.process.wait()

    def result(self):
        if self.ended is None:
            return RESULT()
        status = RESULT.GENERIC_STATUS_TIMEOUT if self.why == "timeout" else RESULT.GENERIC_STATUS_TERMINATED
        return RESULT(status=status, exception=self.why)

    def limits(self):
        """Ends it when its time is over."""
        if self.ended is not None:
            return
        if self.process.poll() is not None:
            return self.end("its command ended")
        now = time.time()
        if any(exec.code is None for exec in self.execs.values()):
            self.used = now
        if self.definition.timeout_secs and now - self.started > self.definition.timeout_secs:
            self.end("timeout")
        elif self.definition.idle_timeout_secs and now - self.used > self.definition.idle_timeout_secs:
            self.end("idle")

    def record(self):
        resources, access = self.definition.resources, self.definition.network_access
        return {
            "id": self.id, "image": self.definition.image_id, "started": self.started, "ended": self.ended, "why": self.why,
            "cpu": [resources.milli_cpu / 1000, resources.milli_cpu_max / 1000], "memory": [resources.memory_mb, resources.memory_mb_max],
            "timeout": self.definition.timeout_secs, "idleTimeout": self.definition.idle_timeout_secs,
            "network": NETWORK.NetworkAccessType.Name(access.network_access_type), "cidrs": list(access.allowed_cidrs),
            "mounts": len(self.definition.mount_ids), "secrets": len(self.definition.secret_ids), "commands": self.commands,
        }


class Exec:
    """A command in a sandbox; what it writes is kept, as the client may ask for it again from any place."""

    def __init__(self, sandbox, request):
        self.sandbox, self.code, self.written = sandbox, None, 0
        self.output = {"stdout": bytearray(), "stderr": bytearray()}
        self.open = {"stdout", "stderr"}
        self.news = asyncio.Event()
        self.request = request

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            *self.sandbox.command(list(self.request.command_args)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, limit=1 << 16,
        )
        for name in list(self.open):
            asyncio.ensure_future(self.collect(name, getattr(self.process, name)))
        asyncio.ensure_future(self.wait())

    def tell(self):
        self.news.set()
        self.news = asyncio.Event()

    async def collect(self, name, stream):
        while data := await stream.read(1 << 16):
            self.output[name] += data
            self.tell()
        self.open.discard(name)
        self.tell()

    async def wait(self):
        self.code = await self.process.wait()
        self.sandbox.used = time.time()
        self.tell()


def jwt(seconds):
    payload = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode()).decode().rstrip("=")
    return f"head.{payload}.signature"


def expired(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"] < time.time()


def find(table, name, what):
    if name not in table:
        raise GRPCError(Status.NOT_FOUND, f"{what} {name} not found")
    return table[name]


def running(task):
    """The sandbox of a task. The real router tells NOT_FOUND of one that has ended (comment in task_command_router_client.py)."""
    for sandbox in sandboxes.values():
        if sandbox.task == task and sandbox.ended is None:
            return sandbox
    raise GRPCError(Status.NOT_FOUND, f"Task {task} not found")


class Service:
    """A gRPC service of modal_proto: each method is one of the subclass, with the record, the latency and the faults before it."""

    def __getattr__(self, name):
        async def unknown(stream):
            raise GRPCError(Status.UNIMPLEMENTED, f"the stand-in doesn't play {name}")

        return unknown

    def __mapping__(self):
        def played(name, method):
            async def play(stream):
                calls[name] = calls.get(name, 0) + 1
                await asyncio.sleep(faults.get("latency", 0) + faults.get("slow", {}).get(name, 0))
                for fault in (name, "*"):
                    if found := faults.get("calls", {}).get(fault):
                        raise GRPCError(Status[found[0]], found[1])
                self.check(stream.metadata)
                await method(stream)

            return play

        handlers = self.base.__mapping__(self).items()
        return {path: handler._replace(func=played(path.rsplit("/", 1)[1], handler.func)) for path, handler in handlers}


class Api(Service):
    base = api_grpc.ModalClientBase

    def check(self, metadata):
        if not (metadata.get("x-modal-token-id", "").startswith("ak-") and metadata.get("x-modal-token-secret", "").startswith("as-")):
            raise GRPCError(Status.UNAUTHENTICATED, "Token ID is malformed")

    async def ClientHello(self, stream):
        await stream.recv_message()
        await stream.send_message(api_pb2.ClientHelloResponse(image_builder_version="2025.06"))

    async def AppGetOrCreate(self, stream):
        request = await stream.recv_message()
        await stream.send_message(api_pb2.AppGetOrCreateResponse(app_id=f"ap-{request.app_name}-{stops}"))

    async def EnvironmentGetOrCreate(self, stream):
        await stream.recv_message()
        settings = api_pb2.EnvironmentSettings(image_builder_version="2025.06")
        metadata = api_pb2.EnvironmentMetadata(name="main", settings=settings)
        await stream.send_message(api_pb2.EnvironmentGetOrCreateResponse(environment_id="en-main", metadata=metadata))

    async def ImageGetOrCreate(self, stream):
        image = (await stream.recv_message()).image
        builds.append(list(image.dockerfile_commands))
        result = RESULT(status=RESULT.GENERIC_STATUS_SUCCESS)
        if image.base_images and "build" in faults:
            result = RESULT(status=RESULT.GENERIC_STATUS_FAILURE, exception=faults["build"])
        await stream.send_message(api_pb2.ImageGetOrCreateResponse(image_id="im-base", result=result))

    async def ImageFromId(self, stream):
        request = await stream.recv_message()
        find(images, request.image_id, "Image")
        await stream.send_message(api_pb2.ImageFromIdResponse(image_id=request.image_id))

    async def ImageDelete(self, stream):
        request = await stream.recv_message()
        find(images, request.image_id, "Image")
        del images[request.image_id]
        await stream.send_message(Empty())

    async def SecretGetOrCreate(self, stream):
        request = await stream.recv_message()
        secrets[id := f"st-{uuid.uuid4().hex[:12]}"] = dict(request.env_dict)
        await stream.send_message(api_pb2.SecretGetOrCreateResponse(secret_id=id))

    async def SandboxCreate(self, stream):
        request = await stream.recv_message()
        find(images, request.definition.image_id, "Image")
        if not request.app_id.endswith(f"-{stops}"):
            raise GRPCError(Status.NOT_FOUND, "App is stopped")
        sandbox = await asyncio.to_thread(Sandbox, request.definition)
        sandboxes[sandbox.id] = sandbox
        await stream.send_message(api_pb2.SandboxCreateResponse(sandbox_id=sandbox.id))

    async def SandboxGetTaskId(self, stream):
        request = await stream.recv_message()
        await stream.send_message(api_pb2.SandboxGetTaskIdResponse(task_id=find(sandboxes, request.sandbox_id, "Sandbox").task))

    async def SandboxWait(self, stream):
        request = await stream.recv_message()
        sandbox, until = find(sandboxes, request.sandbox_id, "Sandbox"), time.time() + request.timeout
        while sandbox.ended is None and time.time() < until:
            await asyncio.sleep(0.05)
        await stream.send_message(api_pb2.SandboxWaitResponse(result=sandbox.result()))

    async def SandboxTerminate(self, stream):
        request = await stream.recv_message()
        find(sandboxes, request.sandbox_id, "Sandbox").end("terminated")
        await stream.send_message(api_pb2.SandboxTerminateResponse())

    async def SandboxSnapshotFs(self, stream):
        request = await stream.recv_message()
        sandbox = find(sandboxes, request.sandbox_id, "Sandbox")
        if sandbox.ended is not None:
            raise GRPCError(Status.FAILED_PRECONDITION, "Sandbox has already finished")
        if faults.get("snapshot", 0) > request.timeout:
            result = RESULT(status=RESULT.GENERIC_STATUS_TIMEOUT, exception="Timed out")
            return await stream.send_message(api_pb2.SandboxSnapshotFsResponse(result=result))
        image, layer = f"im-{uuid.uuid4().hex[:12]}", FOLDER / "layers" / uuid.uuid4().hex[:8]
        layer.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(subprocess.run, ["cp", "-a", str(sandbox.folder / "upper"), str(layer)], check=True)
        images[image] = [str(layer), *sandbox.layers]
        result = RESULT(status=RESULT.GENERIC_STATUS_SUCCESS)
        await stream.send_message(api_pb2.SandboxSnapshotFsResponse(image_id=image, result=result))

    async def TaskGetCommandRouterAccess(self, stream):
        request = await stream.recv_message()
        running(request.task_id)
        access = api_pb2.TaskGetCommandRouterAccessResponse(url=f"https://{ROUTER}", jwt=jwt(faults.get("token", 900)))
        await stream.send_message(access)


class Router(Service):
    base = task_command_router_grpc.TaskCommandRouterBase

    def check(self, metadata):
        if expired(metadata.get("authorization", "").removeprefix("Bearer ")):
            raise GRPCError(Status.UNAUTHENTICATED, "the token has expired")

    def of(self, request):
        return find(running(request.task_id).execs, request.exec_id, "Exec")

    async def TaskExecStart(self, stream):
        request = await stream.recv_message()
        sandbox = running(request.task_id)
        if request.exec_id not in sandbox.execs:
            sandbox.commands.append(" ".join(request.command_args)[:100_000])
            sandbox.execs[request.exec_id] = exec = Exec(sandbox, request)
            await exec.start()
        await stream.send_message(router_pb2.TaskExecStartResponse())

    async def TaskExecStdinWrite(self, stream):
        request = await stream.recv_message()
        exec = self.of(request)
        data = request.data[exec.written - request.offset :]
        exec.written += len(data)
        try:
            exec.process.stdin.write(data)
            await exec.process.stdin.drain()
            if request.eof:
                exec.process.stdin.close()
        except (BrokenPipeError, ConnectionResetError):
            pass
        await stream.send_message(router_pb2.TaskExecStdinWriteResponse())

    async def TaskExecStdioRead(self, stream):
        request = await stream.recv_message()
        exec = self.of(request)
        name = "stderr" if request.file_descriptor == router_pb2.TASK_EXEC_STDIO_FILE_DESCRIPTOR_STDERR else "stdout"
        at = request.offset
        while True:
            news = exec.news
            if data := bytes(exec.output[name][at : at + (1 << 16)]):
                at += len(data)
                await stream.send_message(router_pb2.TaskExecStdioReadResponse(data=data))
            elif exec.sandbox.ended is not None:
                raise GRPCError(Status.NOT_FOUND, "Task not found")
            elif name not in exec.open:
                return
            else:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(news.wait(), 1)

    async def TaskExecWait(self, stream):
        request = await stream.recv_message()
        exec = self.of(request)
        while exec.code is None:
            running(request.task_id)
            await asyncio.sleep(0.02)
        await stream.send_message(router_pb2.TaskExecWaitResponse(**ending(exec.code)))

    async def TaskExecPoll(self, stream):
        request = await stream.recv_message()
        exec = self.of(request)
        await stream.send_message(router_pb2.TaskExecPollResponse(**({} if exec.code is None else ending(exec.code))))


def ending(code):
    return {"code": code} if code >= 0 else {"signal": -code}


class Records(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def send_json(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        tables = {"/builds": builds, "/calls": calls, "/images": sorted(set(images) - {"im-base"}), "/sandboxes": [box.record() for box in sandboxes.values()]}
        path = urlsplit(self.path).path
        self.send_json(200, tables[path]) if path in tables else self.send_json(404, {})

    def do_DELETE(self):
        calls.clear()
        self.send_json(200, {})

    def do_PUT(self):
        body = self.body()
        faults.clear()
        faults.update(body)
        self.send_json(200, {})

    def do_POST(self):
        global stops
        if urlsplit(self.path).path == "/apps/stop":
            stops += 1
            for sandbox in list(sandboxes.values()):
                sandbox.end("app stopped")
            return self.send_json(200, {})
        sandboxes[urlsplit(self.path).path.split("/")[2]].end(self.body()["why"])
        self.send_json(200, {})


async def main():
    FOLDER.mkdir(exist_ok=True)
    subprocess.run(["nft", "-f", "-"], check=True, text=True, input="""
        add table inet modal
        add chain inet modal forward { type filter hook forward priority 0; }
        add chain inet modal out { type nat hook postrouting priority 100; }
        add rule inet modal out ip saddr 172.16.0.0/12 oifname "eth*" masquerade
    """)
    contexts = {host: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for host in (API, ROUTER)}
    for host, context in contexts.items():
        context.load_cert_chain(f"/ca/{host}.crt", f"/ca/{host}.key")
        context.set_alpn_protocols(["h2"])

    def choose(connection, host, _):
        connection.context = contexts.get(host, contexts[ROUTER])

    contexts[ROUTER].sni_callback = choose
    await Server([Api(), Router()]).start("0.0.0.0", 443, ssl=contexts[ROUTER])
    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", 8000), Records).serve_forever, daemon=True).start()
    print("Modal stand-in ready", flush=True)
    while True:
        await asyncio.sleep(1)
        for sandbox in list(sandboxes.values()):
            sandbox.limits()


asyncio.run(main())
