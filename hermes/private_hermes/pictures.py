"""Makes of a picture that somebody sent what models take, as the page does: JPEG, no larger than one looks at it, of a TIFF each page.

A TIFF, BMP, AVIF or HEIC is none of the kinds that models take, and a provider refuses a photo of 48 megapixels. picture_reader.py reads
one, in a process that can do nothing else (readers.py).
"""

from . import readers

REASONS = "it takes too long to read", "it has too many pixels; send it smaller, or as a photo", "it can't be read"


class Unreadable(Exception):
    """A picture isn't shown; says why, as the end of a sentence."""


def jpegs(path):
    """The pictures of a file, as JPEG. Raises Unreadable and OSError."""
    said = readers.ask("picture_reader.py", path, REASONS)
    if problem := said.get("problem"):
        raise Unreadable(problem)
    return said["pictures"]
