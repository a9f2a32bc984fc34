"""Puts this deployment's own scripts into the page of Open WebUI, and a few lines of its own in the place of some of the page's.

    python3 build.py BUILD

Run while the image is built, on the page's folder. connection.js goes into the head of the page, where it is before all else; the other
scripts become static/loader.js, which Open WebUI leaves for that. What is in REPLACED is looked for in all of the page's scripts: the
build ends with a sentence when one isn't there exactly once, as after an upgrade of Open WebUI. The names of variables in the page's
scripts change with each release.

A browser keeps the page's files for a year, by names that change with Open WebUI's content and not with what stands here. So those that
are changed are listed in changed.json, and assets.py makes browsers ask for a newer one.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent

# Of index.html: zooming with two fingers is for everybody, and connection.js takes the place of the script's own line.
LOADER = '<script src="/static/loader.js" defer crossorigin="use-credentials"></script>'
ZOOM = "initial-scale=1, maximum-scale=1, viewport-fit=cover"
# For each of the page's own pieces: what is looked for, and what takes its place.
REPLACED = {
    # The address that somebody comes back to after signing in: that of the chat, also of one which has got its own only here.
    "address": ("=`${S().url.pathname}${S().url.search}`;await Kr(`/auth?redirect=", "=location.pathname+location.search;await Kr(`/auth?redirect="),
    # pictures.js sees each file before the page asks how large it is.
    "pictures": ('if(kr.name,kr.type,kr.size,kr.name.split(".").at(-1),(((Cs=', 'if(kr=await window.readablePicture(kr),(((Cs='),
    # Of the controls of a chat: an admin doesn't see either what Hermes doesn't take.
    "parameters": (
        'return((U=i())==null?void 0:U.role)==="admin"||(((se=(J=i())==null?void 0:J.permissions.chat)==null?void 0:se.params)??!0)',
        "return((se=(J=i())==null?void 0:J.permissions.chat)==null?void 0:se.params)??!0",
    ),
    # “Info” below an answer: what it has cost, in words for people (own.js).
    "usage": ("JSON.stringify(e(r).usage,null,2)", "window.usage(e(r).usage)"),
    # “Export as PDF”: a property of a task list's box that has no value ended it without a word.
    "pdf": ('s=e!==null&&typeof e<"u"?e.toString():A.initialValue;', 's=e!==null&&typeof e<"u"&&e!==""?e.toString():A.initialValue;'),
    # The keys that reload a page (connection.js).
    "reload": ('regenerateResponse:"Cmd+R"', 'regenerateResponse:""'),
    # It waits for diagrams and pictures (pdf.js); the first stands in the chat, the second in the list of chats.
    "pdf of a chat": ('await sr();const G=document.getElementById("full', 'await sr(),await window.drawn();const G=document.getElementById("full'),
    "pdf in the list": ('await wr();const Me=document.getElementById("full', 'await wr(),await window.drawn();const Me=document.getElementById("full'),
}


def as_script(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def imports(script):
    """The scripts that a script of the page's needs before it runs."""
    return {(script.parent / name).resolve() for name in re.findall(r'(?:^|[;}\n])import\s*(?:[^"\'();]*?from)?\s*"(\.[^"]+\.js)"', script.read_text())}


def first_screen(page):
    """The scripts of the first screen and of a chat that aren't preloaded by index.html, below _app/immutable/."""
    root = (page / "_app" / "immutable").resolve()
    [app] = root.glob("entry/app.*.js")
    pages = [re.search(rf'"{route}":\[(\d+),\[(\d+)\]\]', app.read_text()) for route in (r"/\(app\)", r"/\(app\)/c/\[id\]")]
    if None in pages:
        sys.exit("entry/app.*.js doesn't list the first screen and the chat any more as page/build.py reads it")
    waiting, found = [next(root.glob(f"nodes/{number}.*.js")) for numbers in pages for number in numbers.groups()], set()
    while waiting:
        script = waiting.pop()
        if script not in found:
            found.add(script)
            waiting += imports(script)
    known = (page / "index.html").read_text()
    return sorted(str(script.relative_to(root)) for script in found if script.name not in known)


def replace_once(text, old, new, where):
    if text.count(old) != 1:
        sys.exit(f"{where} has {text.count(old)} times, and not once, what page/build.py replaces: {old}")
    return text.replace(old, new)


def build(page):
    scripts = {path: path.read_text() for path in (page / "_app" / "immutable").rglob("*.js")}
    changed = {}
    for name, (old, new) in REPLACED.items():
        found = [path for path, text in scripts.items() if old in text]
        if len(found) != 1:
            sys.exit(f"{len(found)} of the page's scripts have, and not one has, what page/build.py replaces as “{name}”: look at it again")
        scripts[found[0]] = changed[found[0]] = replace_once(scripts[found[0]], old, new, found[0])
    for path, text in changed.items():
        path.write_text(text)
    (page / "changed.json").write_text(json.dumps(sorted(str(path.relative_to(page)) for path in changed)))

    texts = json.loads((HERE / "texts.json").read_text())
    connection = (HERE / "connection.js").read_text()
    for part in ("page", "suggestions"):
        connection = replace_once(connection, f"{{}}; // texts.json: {part}", f"{as_script(texts[part])};", "connection.js")
    connection = replace_once(connection, "[]; // build.py: scripts of the first screen and of a chat", f"{as_script(first_screen(page))};", "connection.js")
    index = (page / "index.html").read_text()
    index = replace_once(index, LOADER, f"<script>\n{connection}</script>\n{LOADER}", "index.html")
    index = replace_once(index, ZOOM, ZOOM.replace("maximum-scale=1, ", ""), "index.html")
    (page / "index.html").write_text(index)
    others = [path.read_text() for path in sorted(HERE.glob("*.js")) if path.name != "connection.js"]
    (page / "static" / "loader.js").write_text("".join(others))


if __name__ == "__main__":
    build(Path(sys.argv[1]))
