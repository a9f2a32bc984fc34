"""Reads pictures that a browser can't show, as a TIFF of a fax or a scanner, for documents.py: as JPEG, each of its pages."""

import base64
import io

from common import BROKEN, TOO_MANY_SHOWN, Problem, scan
from contract import MOST_PICTURES, SIDE
from PIL import AvifImagePlugin, Image, ImageOps, ImageSequence, UnidentifiedImageError

# A process here may have no others, and no threads.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
FORMATS = ("TIFF", "BMP", "AVIF", "JPEG2000", "ICO", "PNG", "JPEG", "GIF", "WEBP")


def jpeg(picture):
    """A picture as a JPEG, in base64, no larger than one looks at it."""
    picture.draft("RGB", (SIDE, SIDE))
    picture = ImageOps.exif_transpose(picture)
    picture = picture.convert("RGBA" if "A" in picture.mode or "transparency" in picture.info else "L" if picture.mode in ("1", "L") else "RGB")
    picture.thumbnail((SIDE, SIDE))
    if picture.mode == "RGBA":
        # What can be seen through is seen on white.
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return base64.b64encode(file.getvalue()).decode()


def read(file):
    """A text that tells of the pictures, and these, in base64; raises `Problem`."""
    try:
        picture = Image.open(file, formats=FORMATS)
        # Of what moves, its beginning.
        count = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
        if count > MOST_PICTURES:
            raise Problem(TOO_MANY_SHOWN % count)
        pictures = [jpeg(page) for page, _ in zip(ImageSequence.Iterator(picture), range(count), strict=False)]
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise Problem(BROKEN) from error
    return scan(len(pictures)), pictures
