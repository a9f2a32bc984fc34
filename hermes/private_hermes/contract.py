"""What both images must have alike. The same file stands in both; a unit test compares them."""

import re
from urllib.parse import quote

# A failure that stands in an answer begins so. By it Hermes takes it out of the history, and the page puts it into the reader's language.
SIGN, NO_ANSWER = "⚠️", "No answer from the model."
FAILURE = f"{SIGN} **{NO_ANSWER}**"
# Behind that, by which Hermes knows which picture to leave out from then on.
REFUSED = (
    "The provider of the model refuses this message, most likely for a picture in it. The next message goes without it. If it is needed, send it as "
    "PNG or JPEG, or smaller."
)

# Pictures that the model is shown with one request, and pixels of their longer side. The page makes larger ones smaller.
MOST_PICTURES, SIDE = 8, 1568

# Bytes of a recording; ten minutes of a browser are smaller. Hermes itself refuses a request over 10 MB.
RECORDING = 9_000_000
RECORDING_TOO_LARGE = f"The recording is over {RECORDING // 1_000_000} MB. Make a shorter one."

# A file in an answer comes from Hermes in parts, and the page puts a link in their place. `source` is what the model wrote: "MEDIA" or
# "sandbox", a colon, and the quoted path. `kind` is that of a picture, or None.
OTHER = "application/octet-stream"
PART = re.compile(
    rf"(!?)\[([^\[\]\n]*)\]\(data:(image/(?:png|jpeg|gif|webp)|{OTHER});name=([^;,()\s]+);source=([^;,()\s]+)"
    r";file=([\w-]+);part=(\d+)/(\d+);base64,([\w+/=]+)\)"
)
LINK = re.compile(r"!?\[([^\[\]\n]*)\]\(/api/v1/files/[\w-]+/content[^\s)#]*#(MEDIA|sandbox):([^\s)]+)\)")


def part_of_file(name, kind, source, id, number, parts, encoded):
    """A part as Hermes writes it: the so many-th, from 1, with its bytes in base64."""
    about = f"{kind or OTHER};name={quote(name, safe='')};source={source};file={id}"
    return f"{'!' if kind else ''}[{name}](data:{about};part={number}/{parts};base64,{encoded})"


def link_of_file(text, is_picture, id, source=None):
    """The link as the page writes it, to the file that it has stored under this id."""
    end = f"#{source}" if source else ""
    return f"{'!' if is_picture else ''}[{text}](/api/v1/files/{id}/content{'' if is_picture else '?attachment=true'}{end})"
