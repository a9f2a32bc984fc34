"""Makes of a picture that somebody sends what models take, as the page does: JPEG, no larger than one looks at it, of a TIFF each page.

A TIFF, BMP, AVIF or HEIC is none of the kinds that models take, and a provider refuses a photo of 48 megapixels. picture_reader.py reads
one, in a process that can do nothing else; here one waits for the other, so that they never take more than one's memory.
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

# In seconds; it ends itself earlier.
PATIENCE = 45
TOO_SLOW = "it takes too long to read"
TOO_LARGE = "it has too many pixels; send it smaller, or as a photo"
BROKEN = "it can't be read"

log = logging.getLogger(__name__)
one = threading.Lock()


class Unreadable(Exception):
    """A picture isn't shown; says why, as the end of a sentence."""


def jpegs(path):
    """The pictures of a file, as JPEG. Raises Unreadable and OSError."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("picture_reader.py")), sysconfig.get_path("purelib")]
    with one, open(path, "rb") as picture, tempfile.TemporaryFile(dir="/tmp") as said:
        try:
            code = subprocess.run(command, stdin=picture, stdout=said, stderr=subprocess.DEVNULL, env={}, cwd="/", timeout=PATIENCE).returncode
        except subprocess.TimeoutExpired:
            raise Unreadable(TOO_SLOW) from None
        said.seek(0)
        if code < 0:
            # A library that gets no memory ends the process, by one signal or another.
            raise Unreadable(TOO_SLOW if code == -14 else TOO_LARGE)
        try:
            answer = json.load(said)
            if problem := answer.get("problem"):
                raise Unreadable(problem)
            return [base64.b64decode(each) for each in answer["pictures"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("the reader of pictures ended with code %s", code)
            raise Unreadable(BROKEN) from None
