"""Serves the page's own files compressed, as they were while the image was built, and lets browsers keep them.

Open WebUI compresses each file again for each browser, half of the CPU time of a first load, and says nothing of how long a file
may be kept. What lies in _app/immutable/ has a name that changes with its content; but for the files that page/build.py has changed, of
which a browser asks each time whether they are still the same.

    python3 -m open_webui.private.assets BUILD

compresses those of the page's folder while the image is built: as Brotli, which every browser takes over HTTPS.
"""

import functools
import json
import mimetypes
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import brotli
from open_webui.private.replacing import replaces
from starlette.datastructures import Headers

# Below the folder of the page.
IMMUTABLE = os.path.join("_app", "immutable", "")
# Kinds that get much smaller. The maps beside the scripts are for developers, and no page asks for them.
KINDS = {".css", ".js", ".mjs", ".ttf"}
# The best of Brotli's takes ten times as long, and saves another 8 %.
QUALITY = 9


def is_taken(scope):
    """Whether a browser takes Brotli for the whole of a file."""
    headers = Headers(scope=scope)
    offered = [name.strip() for name in headers.get("accept-encoding", "").split(",")]
    return "br" in offered and "range" not in headers


@functools.cache
def changed(page):
    """The paths of the files that page/build.py has changed, below the page's folder."""
    return {str(Path(page) / path) for path in json.loads((Path(page) / "changed.json").read_text())}


@replaces("open_webui.main:SPAStaticFiles.file_response")
def file_response(original, self, full_path, stat_result, scope, status_code=200):
    if IMMUTABLE not in str(full_path):
        return original(full_path, stat_result, scope, status_code)
    compressed = f"{full_path}.br"
    if is_taken(scope) and os.path.exists(compressed):
        response = original(compressed, os.stat(compressed), scope, status_code)
        response.headers["content-encoding"] = "br"
        kind = mimetypes.guess_type(full_path)[0] or "application/octet-stream"
        response.headers["content-type"] = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
    else:
        response = original(full_path, stat_result, scope, status_code)
    response.headers.add_vary_header("Accept-Encoding")
    response.headers["cache-control"] = "no-cache" if str(full_path) in changed(self.directory) else "public, max-age=31536000, immutable"
    return response


def compress(path):
    """Writes a file beside it; gives the bytes of both."""
    content = path.read_bytes()
    small = brotli.compress(content, quality=QUALITY)
    Path(f"{path}.br").write_bytes(small)
    return len(content), len(small)


if __name__ == "__main__":
    files = [path for path in (Path(sys.argv[1]) / IMMUTABLE).rglob("*") if path.suffix in KINDS]
    if not files:
        sys.exit("The page has no files in _app/immutable/: Open WebUI has moved them")
    with ThreadPoolExecutor() as pool:
        before, after = map(sum, zip(*pool.map(compress, files)))
    print(f"{len(files)} files of the page: {before >> 20} MB, compressed {after >> 20} MB")
