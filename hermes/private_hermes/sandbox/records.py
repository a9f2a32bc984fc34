"""What is saved, for each person: sandboxes.json on the disk."""

import json
import os
import threading

from hermes_constants import get_hermes_home

from .modal_client import SandboxError, explained


class Records:
    """sandboxes.json: for each person the ids of the saved disks, the newest first, and of the sandbox that runs."""

    def __init__(self):
        self._lock = threading.Lock()

    @property
    def path(self):
        return get_hermes_home() / "sandboxes.json"

    def all(self):
        """Raises SandboxError when the file can't be read: an empty one in its place would lose every disk."""
        try:
            return json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SandboxError(f"{self.path}, the list of saved sandboxes, can't be read ({error}). No code runs until its owner restores it.") from error

    def of(self, person):
        return self._filled(self.all().get(person, {}))

    def _filled(self, record):
        return {"saved": [], "running": None, "at": None, **record}

    def change(self, person, **more):
        """Raises SandboxError when the file can't be written."""
        with self._lock:
            everybody = self.all()
            everybody[person] = self._filled({**everybody.get(person, {}), **more})
            new = self.path.with_name("sandboxes.json.tmp")
            try:
                with new.open("w") as file:
                    json.dump(everybody, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self.path)
            except OSError as error:
                new.unlink(missing_ok=True)
                raise explained(error) from error


records = Records()
