"""Modal's client, on a thread of its own, and what its errors mean."""

import asyncio
import errno
import re
import threading

import modal
import modal.exception
from tools import terminal_tool
from tools.environments import modal as hermes_modal

from . import limits
from .settings import network, requested, with_packages

# What Modal's client raises while Modal is down or slow (_STATUS_TO_EXCEPTION in modal/_grpc_client.py). TimeoutError is an OSError.
OUT_OF_REACH = (modal.exception.ConnectionError, modal.exception.ServiceError, modal.exception.InternalError, OSError)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE)


class SandboxError(Exception):
    """A command didn't run, or not to its end; the text is for the model, who tells it the person."""


class Gone(Exception):
    """Modal doesn't have a saved disk any more."""


class Ended(Exception):
    """Modal has ended a sandbox; `began` tells whether the command had begun."""

    def __init__(self, began):
        self.began = began


def explained(error, kept=""):
    """What an error of Modal's client or of the disk means, as a sentence; `kept` tells what is saved."""
    if isinstance(error, SandboxError):
        return error
    said = (str(error).strip().splitlines() or [""])[0][:300]
    if isinstance(error, modal.exception.AuthError):
        text = f"Modal refuses this deployment's token (modalTokenId and modalTokenSecret), so no code runs. Its owner has to set a valid pair. {kept}"
    elif isinstance(error, (modal.exception.ResourceExhaustedError, modal.exception.PermissionDeniedError)):
        text = f"Modal refuses to run code now: “{said}”. Its owner finds the budget and the limits at modal.com/settings. {kept}"
    elif isinstance(error, OSError) and error.errno in FULL:
        text = f"The service hermes can't write to its disk ({error.strerror}). Its owner makes room, or raises hermesDiskGb. {kept}"
    elif isinstance(error, OUT_OF_REACH):
        text = f"Modal, where code runs, can't be reached now. {kept} Try again in a few minutes."
    else:
        text = f"Modal answers with an error: “{said or type(error).__name__}”. {kept}"
    return SandboxError(re.sub("  +", " ", text).strip())


class Client:
    def __init__(self):
        self._loop, self._app, self._lock = None, None, threading.Lock()

    def run(self, coroutine, seconds=limits.CALL):
        """Runs a coroutine; raises what it raises, and TimeoutError after `seconds`."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, daemon=True, name="modal").start()
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise

    async def create(self, image, bare=False, secrets=None):
        """A sandbox of an image's id, or of the image of the configuration without one; a bare one has no packages. `secrets` are variables of it.

        One that begins after nobody waits for it any more is ended. Raises Gone when there is no such image.
        """
        making = asyncio.ensure_future(self._create(image, bare, secrets or {}))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(lambda made: made.exception() or asyncio.ensure_future(made.result().terminate.aio()))
            raise

    async def _create(self, image, bare, secrets):
        known = self._app
        try:
            try:
                made = await self._begin(image, bare, secrets)
            except (modal.exception.NotFoundError, modal.exception.ConflictError, modal.exception.InvalidError):
                # So may Modal answer once the app was stopped.
                if not known:
                    raise
                made = await self._begin(image, bare, secrets)
        except modal.exception.NotFoundError as error:
            raise (Gone(image) if image else error) from error
        try:
            # Until it runs, so that a slow start isn't on a command's time.
            await made._get_task_id.aio()
        except Exception:
            await made.terminate.aio()
            raise
        return made

    async def _begin(self, image, bare, secrets):
        if self._app is None:
            self._app = await modal.App.lookup.aio("hermes-agent", create_if_missing=True)
        if image:
            chosen = modal.Image.from_id(image)
        else:
            chosen = hermes_modal._resolve_modal_image(terminal_tool._get_env_config()["modal_image"])
            chosen = chosen if bare else with_packages(chosen)
        try:
            return await modal.Sandbox.create.aio(
                # A shell as the first process, because it takes up the ends of processes whose parents have gone. It outlives `pkill sleep`.
                "bash", "-c", "while :; do sleep infinity & wait; done",
                app=self._app, image=chosen, timeout=limits.LIFE, idle_timeout=limits.LEFT_ALONE,
                cpu=requested("SANDBOX_CPU", float), memory=requested("SANDBOX_MEMORY_MB", int), **network(),
                # As what Modal calls a secret, and not as its `env`: neither stands on a disk that is saved.
                secrets=[modal.Secret.from_dict(secrets)] if secrets else [],
            )
        except modal.exception.Error:
            self._app = None
            raise


client = Client()
