"""Has files that somebody sent read in processes that can do nothing else: what decodes them is large and written in C.

Here one waits for the other, so that they never take more than one's memory.
"""

import base64
import json
import logging
import subprocess
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path

# In seconds; each ends itself earlier.
PATIENCE = 45
# Characters of a text, as documents/documents.py has it: a reader that somebody has taken over says what that one wants.
CHARACTERS = 600_000

log = logging.getLogger(__name__)
one = threading.Lock()


def ask(reader, path, reasons, *arguments):
    """What a reader says of a file: `{"text", "pictures"}`, these as JPEG, or `{"problem"}`. Raises OSError.

    `reasons` are the problems of one that takes too long, takes too much memory, or ends otherwise.
    """
    too_slow, too_large, broken = reasons
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name(reader)), sysconfig.get_path("purelib"), *arguments]
    with one, open(path, "rb") as file, tempfile.TemporaryFile(dir="/tmp") as output:
        try:
            code = subprocess.run(command, stdin=file, stdout=output, stderr=subprocess.DEVNULL, env={}, cwd="/", timeout=PATIENCE).returncode
        except subprocess.TimeoutExpired:
            return {"problem": too_slow}
        output.seek(0)
        if code < 0:
            # A library that gets no memory ends the process, by one signal or another.
            return {"problem": too_slow if code == -14 else too_large}
        try:
            said = json.load(output)
            if problem := said.get("problem"):
                return {"problem": str(problem)}
            # What is half a character, a database doesn't take.
            text = str(said.get("text", ""))[:CHARACTERS].encode(errors="replace").decode()
            return {"text": text, "pictures": [base64.b64decode(each) for each in said["pictures"]]}
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("%s ended with code %s", reader, code)
            return {"problem": broken}
