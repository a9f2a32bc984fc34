"""Uses Open WebUI's page as people do from day to day, in Chromium and over the tailnet, for `docker exec`: with a network that comes and
goes, a service that restarts, a session that ends, tabs beside each other, and pictures of all kinds.

Standard input, as JSON: {"url", "email", "password", "width": of the window, "locale": of the browser, "does": the name of a function below or in rows.py, "with": what it is given}
Prints what it gives, as JSON; the functions say what that is. When a step fails it prints {"error": one sentence, "screenshot": path of a
PNG}, and the exit code is 1. The password is never printed.
"""

import base64
import json
import re
import sys
import time
from pathlib import Path

import rows
from browse import TIMEOUT, Visit, fail, open_browser
from playwright.sync_api import Error, Page, expect, sync_playwright

SCREENSHOT = "/tmp/week.png"

# How many pixels of JPEGs, given in base64, have each of some colours; a JPEG's are near those that were drawn.
COLOURS = """async ([jpegs, colours]) => {
    const seen = colours.map(() => 0);
    for (const jpeg of jpegs) {
        const bitmap = await createImageBitmap(await (await fetch(`data:image/jpeg;base64,${jpeg}`)).blob());
        const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        context.drawImage(bitmap, 0, 0);
        const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
        for (let at = 0; at < data.length; at += 4)
            colours.forEach((colour, index) => (seen[index] += colour.every((part, place) => Math.abs(part - data[at + place]) < 12)));
    }
    return seen;
}"""


class Person(Visit):
    """Somebody at the page."""

    def __init__(self, page: Page, order: dict):
        super().__init__(page, order["url"])
        self.email, self.password = order["email"], order["password"]

    @property
    def line(self):
        """What says that something is wrong with the connection."""
        return self.page.locator("#connection")

    @property
    def field(self):
        return self.page.locator("#chat-input")

    def begin(self) -> None:
        self.open()
        self.sign_in(self.email, self.password)

    def is_in(self) -> bool:
        """Whether the page is there, and not the sign-in."""
        self.field.or_(self.page.locator("input[type=password]")).first.wait_for()
        return self.field.count() > 0

    def again(self) -> None:
        """Reloads the page, whether it is there yet or not."""
        try:
            self.page.reload(wait_until="commit")
        except Error:
            # Playwright's own, when the page is being replaced at the moment.
            self.page.wait_for_timeout(100)

    def sign_in_again(self) -> None:
        self.step = "Signing in again"
        self.page.locator("input[type=email]").fill(self.email)
        self.page.locator("input[type=password]").fill(self.password)
        self.page.locator("button[type=submit]").click()

    def beside(self) -> "Person":
        """The same person in another tab."""
        page = self.page.context.new_page()
        page.set_default_timeout(TIMEOUT)
        return Person(page, {"url": self.url, "email": self.email, "password": self.password})


def fails(page: Page, path: str, times: int, how: str) -> None:
    """Lets the next requests for a path fail."""
    left = [times]

    def answer(route):
        left[0] -= 1
        if left[0] < 0:
            route.fallback()
        elif how != "aborted":
            route.fulfill(status=int(how), body="")
        else:
            route.abort()

    page.route(f"**{path}", answer)


def loads(person: Person, path: str) -> dict:
    """The page is loaded while the first requests for a path fail: by how, whether the person is in then, and what was said meanwhile."""
    person.begin()
    seen = {}
    for how in ("aborted", "502", "500"):
        person.step = f"Loading the page while {path} fails ({how})"
        fails(person.page, path, 2, how)
        person.page.goto(person.url, wait_until="commit")
        person.line.wait_for()
        said = person.line.inner_text()
        seen[how] = {"said": said, "in": person.is_in()}
        person.line.wait_for(state="detached")
        person.page.unroute_all()
    return seen


def refused(person: Person, status: int) -> dict:
    """The page is loaded, and the service takes the session no more: where the person is then, and what is left of the session."""
    person.begin()
    person.step = f"Loading the page while the session is refused ({status})"
    person.page.route("**/api/v1/auths/", lambda route: route.fulfill(status=status, json={"detail": "Not authenticated"}))
    person.page.goto(person.url)
    person.page.locator("input[type=password]").wait_for()
    return {"address": person.page.evaluate("location.pathname + location.search"), "token": person.page.evaluate("localStorage.getItem('token')")}


def reloads(person: Person) -> list[bool]:
    """The page is reloaded again and again before it is there, on a slow link: whether the person is in after each round."""
    person.begin()
    devtools = person.page.context.new_cdp_session(person.page)
    devtools.send("Network.emulateNetworkConditions", {"offline": False, "latency": 300, "downloadThroughput": -1, "uploadThroughput": -1})
    seen = []
    for after in (200, 600, 1000, 1400, 1800):
        person.step = f"Reloading the page after {after} ms"
        person.page.goto(person.url, wait_until="commit")
        for _ in range(2):
            person.page.wait_for_timeout(after)
            person.again()
        seen.append(person.is_in())
    devtools.send("Network.emulateNetworkConditions", {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})
    for _ in range(10):
        person.again()
    return [*seen, person.is_in()]


def offline(person: Person, messages: list[str]) -> dict:
    """Messages are sent without a network, in a new chat and in one that is there: what is said, whether a cursor is seen, and what is answered
    when the network is back; the second after the page was closed and opened again."""
    person.begin()
    context = person.page.context
    seen = {}
    person.open_chat()
    person.field.wait_for()
    context.set_offline(True)
    person.step = "Sending a message without a network"
    person.post(messages[0], typed=False)
    person.line.wait_for()
    person.page.wait_for_timeout(4000)
    seen["said"] = person.line.inner_text()
    seen["thinks"] = person.page.locator(".chat-assistant .animate-cursor-pulse").filter(visible=True).count()
    seen["kept"] = person.page.locator(".chat-user").inner_text()
    context.set_offline(False)
    person.step = "Waiting for the answer to what was sent without a network"
    person.page.locator(".copy-response-button").wait_for()
    seen["answer"] = person.answer()
    chat = person.page.evaluate("location.pathname")

    context.set_offline(True)
    person.step = "Sending another message without a network"
    person.post(messages[1], typed=False)
    person.line.wait_for()
    person.page.goto("about:blank")
    context.set_offline(False)
    person.step = "Finding what wasn't sent"
    person.page.goto(f"{person.url}{chat}")
    expect(person.field).to_contain_text(messages[1])
    seen["draft"] = person.field.inner_text().strip()
    seen["told"] = person.line.inner_text()
    person.page.locator("#send-message-button").click()
    person.step = "Sending it once more"
    expect(person.page.locator(".chat-assistant").last).to_contain_text(messages[1], timeout=TIMEOUT)
    person.page.locator(".copy-response-button").last.wait_for()
    person.page.reload()
    person.page.locator(".copy-response-button").last.wait_for()
    seen["chat"] = [said.inner_text().strip() for said in person.page.locator(".chat-user").all()]
    seen["field"] = person.field.inner_text().strip()
    return seen


def session(person: Person, message: str, draft: str, by: str) -> dict:
    """A session ends while a draft stands in a chat: where the person is after the next sign-in, and what stands in the field there. It ends
    by the server's word, or in another tab; or by the server's word to the draft, when that is sent."""
    person.begin()
    person.send(message)
    chat = person.page.evaluate("location.pathname")
    person.field.click()
    person.page.keyboard.insert_text(draft)
    person.step = f"Ending the session ({by})"
    if by == "another tab":
        other = person.beside()
        other.page.goto(person.url)
        other.field.wait_for()
        other.page.evaluate("localStorage.removeItem('token')")
    else:
        # As a session that has run out, or whose account has a new password.
        person.page.route("**/api/**", lambda route: route.fulfill(status=401, json={"detail": "Not authenticated"}) if "authorization" in {name.lower() for name in route.request.headers} else route.fallback())
        if by == "sent":
            person.page.locator("#send-message-button").click()
        else:
            person.page.get_by_role("button", name="Chat actions").click()
            person.page.evaluate("fetch('/api/v1/folders/', { headers: { authorization: `Bearer ${localStorage.token}` } })")
    person.page.locator("input[type=password]").wait_for()
    person.page.unroute_all()
    person.sign_in_again()
    person.step = "Finding the draft after the sign-in"
    expect(person.field).to_contain_text(draft, timeout=TIMEOUT)
    return {"back": person.page.evaluate("location.pathname") == chat, "field": person.field.inner_text().strip()}


def goes_on(person: Person, message: str) -> str:
    """A long answer is stopped and gone on with: what stands there then."""
    person.begin()
    person.open_chat()
    person.post(message, typed=False)
    person.step = "Stopping an answer"
    expect(person.page.locator(".chat-assistant")).to_contain_text("3", timeout=TIMEOUT)
    person.page.get_by_role("button", name="Stop", exact=True).click()
    person.page.get_by_role("button", name="Stop", exact=True).wait_for(state="detached")
    person.step = "Going on with it"
    before = person.answer()
    person.page.get_by_role("button", name="Continue Response").click()
    expect(person.page.locator(".chat-assistant")).not_to_have_text(before, use_inner_text=True, timeout=TIMEOUT)
    person.page.locator(".copy-response-button").wait_for()
    person.page.reload()
    person.page.locator(".copy-response-button").wait_for()
    return person.answer()


def exports(person: Person, message: str, colours: list[list[int]]) -> list[dict]:
    """
    The one chat of this person, with the answer to a message, is exported as a PDF: where it stands open, and then from the list of chats, in
    which nothing of it has been shown, while its pictures come late. The name of each, and how many of its pixels have each colour (red, green, blue).
    """
    page = person.page
    person.begin()
    person.open_chat()
    person.field.wait_for()
    person.write(message, typed=False)

    def exported(press) -> dict:
        with page.expect_download() as download:
            press()
        pages = re.findall(rb"\xff\xd8\xff.*?\xff\xd9(?=\s*endstream)", Path(download.value.path()).read_bytes(), re.DOTALL)
        counts = page.evaluate(COLOURS, [[base64.b64encode(one).decode() for one in pages], colours])
        return {"name": download.value.suggested_filename, "pixels": counts}

    person.step = "Exporting the chat as a PDF"
    page.get_by_role("button", name="Chat actions").click()
    page.get_by_text("Download", exact=True).click()
    seen = [exported(page.get_by_text("PDF document").click)]
    person.step = "Exporting a chat as a PDF that isn't open"
    chat = page.evaluate("location.pathname.split('/').at(-1)")
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    page.goto(person.url)
    rows.open_chat_menu(person, chat)
    page.route("**/api/v1/files/**", lambda route: (time.sleep(1.5), route.fallback()))
    page.get_by_role("menuitem", name="Download").click()
    return [*seen, exported(page.get_by_role("menuitem", name="PDF document").click)]


def fails_to_answer(person: Person, message: str) -> dict:
    """The model fails: what stands in the place of the answer, and what the page says beside."""
    person.begin()
    person.open_chat()
    person.field.wait_for()
    expect(person.page.locator("[data-sonner-toast]")).to_have_count(0, timeout=TIMEOUT)
    person.write(message, typed=False)
    person.page.wait_for_timeout(1000)
    return {"answer": person.answer(), "said": person.page.locator("[data-sonner-toast]").all_inner_texts()}


def speaks(person: Person, works: str, fails: str, file: str) -> dict:
    """What the page suggests, and what it says of a tool that runs, of a model that fails, and of a PDF of this name that is none."""
    person.begin()
    suggestions = person.page.locator("[aria-labelledby='suggestions-heading'] button")
    suggestions.first.wait_for()
    seen = {"suggested": suggestions.all_inner_texts()}
    person.write(works, typed=False)
    seen["line"] = person.page.locator(".chat-assistant .status-description").first.inner_text()
    person.open_chat()
    person.field.wait_for()
    person.write(fails, typed=False)
    seen["failure"] = person.answer()
    person.step = "Choosing a file that can't be read"
    person.open_chat()
    person.field.wait_for()
    person.page.locator("input[type=file][multiple]").first.set_input_files([{"name": file, "mimeType": "application/pdf", "buffer": b"%PDF-"}])
    return {**seen, "refused": person.page.locator("[data-sonner-toast]").filter(has_text=file).inner_text().strip()}


def waits(person: Person, newcomer: dict) -> dict:
    """An admin looks, and somebody signs in on a phone whose account waits, and is approved: what each sees."""
    person.begin()
    mark = person.page.locator("#waiting")
    person.step = "Looking at the mark of accounts that wait"
    mark.wait_for()
    seen = {"mark": mark.inner_text(), "leads": mark.get_attribute("href")}
    context = person.page.context.browser.new_context(viewport={"width": 390, "height": 844}, locale="en-US")
    other = Person(context.new_page(), {"url": person.url, **newcomer})
    other.page.set_default_timeout(TIMEOUT)
    other.open()
    other.sign_in_again()
    person.step = "Waiting for approval"
    about = other.page.get_by_text("Your account status")
    about.wait_for()
    seen["pending"] = other.page.locator("body").inner_text()
    seen["margin"] = about.evaluate("""element => {
        const range = document.createRange();
        range.selectNodeContents(element);
        return range.getBoundingClientRect().left;
    }""")
    account = {"role": "user", "name": newcomer["name"], "email": newcomer["email"], "profile_image_url": "/user.png"}
    person.page.evaluate("""async ([id, account]) => fetch(`/api/v1/users/${id}/update`, {
        method: "POST",
        headers: { Authorization: `Bearer ${localStorage.token}`, "Content-Type": "application/json" },
        body: JSON.stringify(account),
    })""", [newcomer["id"], account])
    person.step = "Being let in"
    other.field.wait_for()
    person.page.reload()
    person.field.wait_for()
    person.page.wait_for_timeout(1500)
    return {**seen, "after": mark.count()}


def violations(person: Person, axe: str) -> list[str]:
    """What axe-core, given as its source, finds in what is seen now against WCAG 2.1 AA, each as its rule and the elements."""
    # What fades in has its colours only then; and so has what is under the pointer.
    person.page.mouse.move(0, 400)
    person.page.wait_for_timeout(1500)
    person.page.evaluate(axe)
    return person.page.evaluate("""() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }).then(
        ({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, html }) => `${target} ${html.slice(0, 160)}`).slice(0, 3).join(" | ")}`))""")


def accessible(person: Person, axe: str, message: str, theme: str = "light") -> dict:
    """What axe-core, given as its source, finds against WCAG 2.1 AA at the sign-in, on the first screen, in a chat with the answer to a message,
    and in the settings: by place, each as its rule and the elements."""
    seen = {}

    def look(place: str) -> None:
        person.step = f"Looking at “{place}” with axe-core"
        seen[place] = violations(person, axe)

    person.open()
    person.page.evaluate("theme => (localStorage.theme = theme)", theme)
    person.page.reload()
    person.page.locator("input[type=password]").wait_for()
    look("Signing in")
    person.sign_in_again()
    person.field.wait_for()
    expect(person.page.locator("[data-sonner-toast]")).to_have_count(0, timeout=TIMEOUT)
    look("First screen")
    person.write(message, typed=False)
    look("A chat")
    for tab in ("general", "interface", "account", "data_controls"):
        person.page.goto(f"{person.url}/?settings={tab}")
        person.page.locator("[role=tabpanel], [id^=tab-]").first.wait_for()
        look(f"Settings, {tab}")
    return seen


def costs(person: Person, message: str) -> dict:
    """What the page says that the answer to a message, and its chat, have cost."""
    page = person.page
    person.begin()
    person.write(message, typed=False)
    person.step = "Looking at what an answer has cost"
    page.get_by_role("button", name="Info").last.hover()
    info = page.locator("[data-tippy-root] pre")
    info.wait_for()
    seen = {"info": info.inner_text()}
    page.mouse.move(0, 400)
    person.step = "Looking at what the chat has cost"
    page.locator("#chat-context-menu-button").click()
    expect(page.locator("#own-cost")).not_to_be_empty(timeout=TIMEOUT)
    return {**seen, "chat": page.locator("#own-cost").inner_text()}


def own(person: Person, axe: str, message: str) -> dict:
    """
    Somebody has the agent remember something, make a skill and a job, by one message; then looks at what that has cost and what the agent keeps of
    them, pauses the job, deletes all, and opens it once more while the agent is away: the texts that are seen, and what axe-core finds.
    """
    page, seen = person.page, costs(person, message)

    dialog = page.locator("#own")
    entries, status = dialog.locator("li"), dialog.locator("[role=status]")

    def open_own() -> None:
        page.goto(person.url)
        person.field.wait_for()
        if not page.get_by_role("button", name="Close Sidebar").count():
            page.locator("#sidebar-toggle-button").or_(page.get_by_role("button", name="Open Sidebar")).first.click()
        page.get_by_role("button", name="Close Sidebar").wait_for()
        page.locator("#sidebar button", has=page.locator("img[alt]")).last.click()
        page.locator("#own-entry").click()
        dialog.wait_for()

    def press(entry, *names: str) -> None:
        for name in names:
            entry.get_by_role("button", name=name, exact=True).click()
        expect(status).to_have_text("Done.", timeout=TIMEOUT)

    person.step = "Opening what the agent keeps"
    open_own()
    expect(entries).to_have_count(3, timeout=TIMEOUT)
    seen["own"] = dialog.inner_text()
    seen["violations"] = violations(person, axe)
    seen["width"] = page.evaluate("[document.documentElement.scrollWidth, document.getElementById('own').scrollWidth, innerWidth]")
    page.screenshot(path=f"/tmp/own-{page.viewport_size['width']}.png")
    person.step = "Pausing a job"
    job = entries.filter(has=page.locator("details")).last
    press(job, "Pause")
    seen["paused"] = job.inner_text()
    person.step = "Deleting what the agent keeps"
    for left in (2, 1, 0):
        press(entries.first, "Delete", "Delete for good?")
        expect(entries).to_have_count(left, timeout=TIMEOUT)
    seen["after"] = dialog.inner_text()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    person.step = "Opening it while the agent is away"
    page.route("**/api/v1/own**", lambda route: route.fulfill(status=502, json={"detail": "the agent can't be reached"}))
    open_own()
    expect(status).to_contain_text("Try again", timeout=TIMEOUT)
    return {**seen, "away": status.inner_text()}


def as_on_a_phone(page: Page):
    """Slows a page down: a network of 150 ms and 3 Mbit/s, as Chromium plays it, and a quarter of the processor."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", {"offline": False, "latency": 150, "downloadThroughput": 375_000, "uploadThroughput": 375_000})
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})


def first_load(person: Person, phone: bool = False) -> dict:
    """The page is opened for the first time, up to the sign-in: the seconds and requests that takes, and how many bytes come."""
    devtools = person.page.context.new_cdp_session(person.page)
    devtools.send("Network.enable")
    sizes = []
    devtools.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    if phone:
        as_on_a_phone(person.page)
    began = time.monotonic()
    person.open()
    person.page.locator("input[type=password]").wait_for()
    address = person.page.evaluate("location.pathname + location.search")
    return {"seconds": time.monotonic() - began, "requests": len(sizes), "bytes": sum(sizes), "address": address}


def comes_back(person: Person, message: str, phone: bool = False) -> dict:
    """Somebody who is signed in opens the page from its icon, and asks for words from 1 on: the seconds until the page takes a message, and from
    Enter until the first word stands there."""
    person.begin()
    person.field.wait_for()
    beside = person.beside()
    beside.step = "Opening the page again"
    if phone:
        as_on_a_phone(beside.page)
    began = time.monotonic()
    beside.page.goto(person.url, wait_until="commit")
    beside.field.wait_for()
    opened = time.monotonic() - began
    beside.field.click()
    beside.page.keyboard.insert_text(message)
    began = time.monotonic()
    beside.page.keyboard.press("Enter")
    beside.page.wait_for_function("() => /^1\\b/.test(document.querySelector('.chat-assistant p')?.textContent ?? '')", polling="raf")
    return {"opened": opened, "word": time.monotonic() - began}


def turns(person: Person, draft: str, other: dict) -> dict:
    """Somebody writes a draft and signs out in another tab, where somebody else signs in: what that one finds in the field of the first."""
    person.begin()
    person.open_chat()
    person.field.click()
    person.page.keyboard.insert_text(draft)
    person.page.wait_for_timeout(1000)
    beside = person.beside()
    beside.page.goto(person.url)
    beside.field.wait_for()
    person.step = "Signing out in another tab"
    beside.page.evaluate("localStorage.removeItem('token')")
    beside.page.goto(f"{person.url}/auth?state=logout")
    person.page.locator("input[type=password]").wait_for()
    beside.email, beside.password = other["email"], other["password"]
    beside.sign_in_again()
    person.step = "Being signed in as somebody else in another tab"
    person.field.wait_for()
    person.page.wait_for_timeout(1000)
    return {"found": person.field.inner_text().strip()}


def pictures(person: Person, message: str, files: list[dict], photo: list[int]) -> dict:
    """Files ({"name", "type", "content": in base64}) and a photo of so many pixels are sent: what stands in the message before that, as names and
    as pictures, and what the page says against a file; then how large the photo was."""
    person.begin()
    person.open_chat()
    person.field.wait_for()
    person.step = "Making a photo"
    made = base64.b64decode(person.page.evaluate("""([width, height]) => {
        const canvas = Object.assign(document.createElement("canvas"), { width, height });
        const context = canvas.getContext("2d");
        const image = context.createImageData(width, height);
        new Uint32Array(image.data.buffer).forEach((_, at, pixels) => (pixels[at] = 0xff000000 | ((at * 2654435761) & 0x7f7f7f)));
        context.putImageData(image, 0, 0);
        return canvas.toDataURL("image/jpeg", 0.9).split(",")[1];
    }""", photo))
    person.step = "Choosing pictures"
    person.page.locator("input[type=file][multiple]").first.set_input_files([
        *({"name": file["name"], "mimeType": file["type"], "buffer": base64.b64decode(file["content"])} for file in files),
        {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": made},
    ])
    chips = person.page.locator("#message-input-container")
    expect(chips.locator("img[src*='/files/']")).to_have_count(sum(file["picture"] for file in files) + 1, timeout=TIMEOUT)
    person.page.wait_for_timeout(1000)
    names = [file["name"] for file in files if chips.get_by_text(file["name"]).count()]
    said = person.page.locator("[data-sonner-toast]").all_inner_texts()
    person.write(message, typed=False)
    return {"documents": names, "said": said, "photo": len(made)}


def hurry(person: Person, messages: list[str], photo: list[int]) -> None:
    """Chooses a photo of so many pixels and sends it in the same moment, once by the button and once by the key."""
    person.begin()
    for message, by_key in zip(messages, (False, True)):
        person.open_chat()
        person.field.wait_for()
        person.step = "Sending a photo at once"
        person.field.click()
        person.page.keyboard.insert_text(message)
        person.page.evaluate("""async ([width, height, byKey]) => {
            const canvas = Object.assign(document.createElement("canvas"), { width, height });
            canvas.getContext("2d").fillRect(0, 0, width, height);
            const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
            const files = new DataTransfer();
            files.items.add(new File([blob], "photo.png", { type: "image/png" }));
            const input = document.querySelector("input[type=file][multiple]");
            input.files = files.files;
            input.dispatchEvent(new Event("change", { bubbles: true }));
            const key = { key: "Enter", code: "Enter", keyCode: 13, bubbles: true, cancelable: true };
            if (byKey) document.querySelector("#chat-input").dispatchEvent(new KeyboardEvent("keydown", key));
            else document.querySelector("#send-message-button").click();
        }""", [*photo, by_key])
        person.step = "Waiting for the answer"
        person.page.locator(".copy-response-button").wait_for(timeout=TIMEOUT)


def main() -> int:
    order = json.load(sys.stdin)
    with sync_playwright() as playwright:
        page = open_browser(playwright, {"width": order.get("width", 1280), "height": 800}, locale=order.get("locale", "en-US"))
        person = Person(page, order)
        try:
            seen = {**vars(rows), **globals()}[order["does"]](person, **order.get("with", {}))
        except (Error, AssertionError) as error:
            print(json.dumps(fail(person, error, {**order, "screenshot": SCREENSHOT})))
            return 1
        finally:
            page.context.browser.close()
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
