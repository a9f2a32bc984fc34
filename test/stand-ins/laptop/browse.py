"""Uses Open WebUI as a person does, in Chromium and over the tailnet, for `docker exec`.

Signs in with a fresh profile, sends one message in a new chat, waits for the whole answer, reloads the page and looks
for the conversation there. Then it opens the first settings of the Admin Panel, and, if asked to, sends a message in a new chat; one
whose answer has a picture and a download, in another new chat that is reloaded then, and in a temporary one; one with documents and a
photo; one at which a command runs for long, and presses Stop meanwhile; one with a long answer, in the middle of which the page is
left, and opened again; and another in a temporary chat, which the page alone keeps, and has its answer made again.

Standard input, as JSON: {"url", "email", "password", "message", "search": the message of the new chat, optional, "files": that
about files, optional, "uploads": optional, {"message", "printed": HTML that Chromium prints as a PDF, "paths": of further documents},
"stopped": the message at which a command runs for long, optional, "long": that with a long answer, optional, "temporary": the last message, optional, "screenshot": path of a PNG, optional,
"phone": path of another, optional}
Prints as JSON:
  answer       what stands in the answer's place, as text
  websocket    whether the answer came over a websocket: one to /ws/socket.io that carried frames both ways, events of
               the chat among them
  hosts        every host that the pages asked for something, the URL's own left out; what the page's policy blocks asks nobody
  errors       what the pages wrote to the console as errors, and exceptions that nobody caught
  notice       what the page puts above these settings
  search       what stands in the place of its answer, or null
  files        of the new chat, of that after the reload, and of the temporary one: {"picture": its width and its height, and red,
               green and blue of each of its pixels, as the browser shows it; "name", "content": of the download, in base64}
  uploads      the answer to the message with uploads: {"answer": its text, "tables": the cells of each row of its tables, "photo":
               bytes of the photo as it was before}, or null
  stopped      the answer while the command runs, after Stop, and after a reload: {"text", "running": whether the page offers Stop,
               "shimmers": how many of its lines do, as those of what isn't done yet}
  long         the long answer: what stood there when the page was left, and at the end; or null
  temporary    what stands in the place of the last message's answer, at first and when it was made again
  certificate  {"issuer", "subject", "validTo"} of the page's certificate, which Chromium has verified; times in s
               since 1970
The screenshots show the answer, in a window and on a phone. When a step fails the first shows that moment, the exit code is 1, and
what is printed is {"error": one sentence, "screenshot": its path or null}. The password is never printed.
"""

import base64
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Error, Page, Playwright, expect, sync_playwright

PROXY = "socks5://127.0.0.1:1055"  # tailscaled's
FLAGS = [
    # What Playwright's flags and policy.json leave of Chromium's own traffic goes to a port where nobody listens.
    "--gaia-url=http://127.0.0.1:9",
    "--component-updater=url-source=http://127.0.0.1:9",
]
WINDOW = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
TIMEOUT = 60_000  # ms; for one step. A new browser's first page takes seconds on a slow machine.


# Chromium has no voice of its own here, so there are two: what they are asked to speak, and how fast, is noted, and taken for spoken.
VOICE = """() => {
    window.spoken = [];
    window.utterances = [];
    const voices = [["Near", true], ["Far", false]].map(([name, localService]) => (
        { voiceURI: name, name, lang: "en-US", localService, default: localService }));
    const speak = utterance => {
        window.spoken.push(utterance.text);
        window.utterances.push([utterance.text, utterance.voice?.name, utterance.rate]);
        utterance.onstart?.();
        setTimeout(() => utterance.onend?.(), 100);
    };
    const synthesis = { getVoices: () => voices, speak, cancel() {}, pause() {}, resume() {}, addEventListener() {}, removeEventListener() {} };
    Object.defineProperty(window, "speechSynthesis", { value: synthesis });
    window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
}"""


class Visit:
    """What one page does from the first request on, and the step that is under way."""

    def __init__(self, page: Page, url: str):
        self.page = page
        self.url = url
        self.step = "Starting"
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self.sent = self.received = self.events = 0
        page.on("requestfinished", lambda request: self.see(request.url))
        page.on("requestfailed", self.fail)
        page.on("websocket", self.listen)
        page.on("console", lambda line: line.type == "error" and self.errors.append(f"{line.text} ({line.location['url']})"))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def see(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob"):
            self.hosts.add(parts.netloc)

    def fail(self, request) -> None:
        """What the page's own policy blocks has asked nobody; everything else that failed may have."""
        if "csp" not in (request.failure or "").lower():
            self.see(request.url)

    def listen(self, websocket) -> None:
        self.see(websocket.url)
        if urlsplit(websocket.url).path.startswith("/ws/socket.io"):
            websocket.on("framesent", lambda _: self.count(sent=1))
            websocket.on("framereceived", lambda frame: self.count(received=1, events=is_event(frame)))

    def count(self, sent: int = 0, received: int = 0, events: int = 0) -> None:
        self.sent += sent
        self.received += received
        self.events += events

    def open(self) -> dict:
        self.step = "Opening the page"
        response = self.page.goto(self.url)
        details = response.security_details() or {}
        return {
            "issuer": details.get("issuer"),
            "subject": details.get("subjectName"),
            "validTo": details.get("validTo"),
        }

    def sign_in(self, email: str, password: str) -> None:
        self.step = "Signing in"
        self.page.locator("input[type=email]").fill(email)
        self.page.locator("input[type=password]").fill(password)
        self.page.locator("button[type=submit]").click()
        refusal = self.page.locator("[data-sonner-toast][data-type=error]").or_(self.page.get_by_text("Account Activation Pending"))
        self.page.locator("#chat-input").or_(refusal).first.wait_for()
        if refusal.count():
            raise Error(f"the page says: {refusal.first.inner_text()}")

    def send(self, message: str) -> str:
        self.step = "Sending the message"
        self.write(message)
        return self.answer()

    def open_chat(self, place: str = "/") -> None:
        self.step = "Opening a new chat"
        self.page.goto(f"{self.url}{place}")

    def post(self, message: str, typed: bool = True) -> None:
        self.page.locator("#chat-input").click()
        # While code is typed, the page makes typographic signs of quotation marks, and of an x behind a number.
        (self.page.keyboard.type if typed else self.page.keyboard.insert_text)(message)
        self.page.locator("#send-message-button").click()

    def write(self, message: str, typed: bool = True) -> None:
        self.post(message, typed)
        self.step = "Waiting for the answer"
        self.page.locator(".copy-response-button").wait_for()  # the page offers to copy an answer once it is complete

    def answer(self) -> str:
        return self.page.locator(".chat-assistant").inner_text().strip()

    def photograph(self, path: str) -> None:
        """Takes the screenshot once the notices in the corner are gone."""
        self.step = "Taking the screenshot"
        expect(self.page.locator("[data-sonner-toast]")).to_have_count(0, timeout=TIMEOUT)
        self.page.screenshot(path=path, animations="disabled")

    def reload(self, message: str, answer: str) -> None:
        self.step = "Finding the conversation after a reload"
        self.page.reload()
        expect(self.page.locator(".chat-user")).to_contain_text(message, timeout=TIMEOUT)
        expect(self.page.locator(".chat-assistant")).to_have_text(answer, use_inner_text=True, timeout=TIMEOUT)

    def notice(self) -> str:
        self.step = "Opening the settings of the Admin Panel"
        self.page.goto(f"{self.url}/?settings=admin%3Ageneral")
        panel = self.page.locator("#tab-admin-general")
        panel.wait_for()
        return panel.evaluate("panel => getComputedStyle(panel.parentElement, '::before').content.slice(1, -1)")

    def search(self, message: str) -> str:
        self.open_chat()
        self.write(message)
        return self.answer()

    def files(self, message: str) -> list[dict]:
        seen = []
        for place in ("/", "/?temporary-chat=true"):
            self.open_chat(place)
            self.write(message, typed=False)
            seen.append(self.arrived())
            if place == "/":
                self.step = "Reloading the chat with files"
                self.page.reload()
                seen.append(self.arrived())
        return seen

    def arrived(self) -> dict:
        self.step = "Looking at the picture"
        picture = self.page.locator(".chat-assistant img[src*='/api/v1/files/']")
        picture.wait_for()
        shown = picture.evaluate("""async picture => {
            await picture.decode();
            const canvas = Object.assign(document.createElement("canvas"), { width: picture.naturalWidth, height: picture.naturalHeight });
            const context = canvas.getContext("2d");
            context.drawImage(picture, 0, 0);
            const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data.filter((_, index) => index % 4 < 3);
            return [canvas.width, canvas.height, ...pixels];
        }""")
        self.step = "Downloading the file"
        link = self.page.locator(".chat-assistant a[href*='/api/v1/files/']")
        with self.page.expect_download() as download:
            link.click()
        content = Path(download.value.path()).read_bytes()
        return {"picture": shown, "name": download.value.suggested_filename, "content": base64.b64encode(content).decode()}

    def uploads(self, message: str, printed: str, paths: list[str]) -> dict:
        """Sends a PDF, further documents and a photo of 12 megapixels with a message in a new chat."""
        self.step = "Making a PDF and a photo"
        other = self.page.context.browser.new_page()
        other.set_content(printed)
        pdf = other.pdf()
        photo = base64.b64decode(other.evaluate("""() => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 4000, height: 3000 });
            const context = canvas.getContext("2d");
            const image = context.createImageData(4000, 3000);
            new Uint32Array(image.data.buffer).forEach((_, at, pixels) => (pixels[at] = 0xff000000 | ((at * 2654435761) & 0x3f3f3f)));
            context.putImageData(image, 0, 0);
            return canvas.toDataURL("image/jpeg", 0.9).split(",")[1];
        }"""))
        other.close()
        self.open_chat()
        self.page.locator("#chat-input").wait_for()
        self.step = "Uploading"
        self.page.locator("input[type=file][multiple]").first.set_input_files([
            {"name": "printed.pdf", "mimeType": "application/pdf", "buffer": pdf},
            *({"name": Path(path).name, "mimeType": "", "buffer": Path(path).read_bytes()} for path in paths),
            {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo},
        ])
        self.write(message, typed=False)
        rows = self.page.locator(".chat-assistant table tr")
        tables = [[text.strip() for text in row.locator("th, td").all_text_contents()] for row in rows.all()]
        return {"answer": self.answer(), "tables": tables, "photo": len(photo)}

    def stopped(self, message: str) -> list[dict]:
        self.open_chat()
        self.post(message, typed=False)
        self.step = "Waiting for the line of a command that runs"
        stop = self.page.get_by_role("button", name="Stop", exact=True)
        line = self.page.locator(".chat-assistant .status-description")
        line.wait_for()

        def look() -> dict:
            shimmers = self.page.locator(".chat-assistant .shimmer").count()
            return {"text": self.answer(), "running": stop.count() > 0, "shimmers": shimmers}

        seen = [look()]
        self.step = "Stopping an answer"
        stop.click()
        stop.wait_for(state="detached")
        seen.append(look())
        self.page.reload()
        line.wait_for()
        return [*seen, look()]

    def long(self, message: str) -> list[str]:
        self.open_chat()
        self.post(message)
        self.step = "Waiting for the beginning of a long answer"
        expect(self.page.locator(".chat-assistant")).to_contain_text("2", timeout=TIMEOUT)
        left, chat = self.answer(), self.page.url
        self.page.goto("about:blank")
        self.page.wait_for_timeout(5000)
        self.step = "Waiting for the end of a long answer"
        self.page.goto(chat)
        self.page.locator(".copy-response-button").wait_for()
        return [left, self.answer()]

    def temporary(self, message: str) -> list[str]:
        self.open_chat("/?temporary-chat=true")
        self.write(message)
        answers = [self.answer()]
        self.step = "Having the answer made again"
        # As the page's own shortcut does: the button that is seen opens a menu first.
        self.page.locator(".regenerate-response-button").last.dispatch_event("click")
        # Both answers stay, and the page counts them.
        self.page.get_by_text("2/2").wait_for()
        self.page.locator(".copy-response-button").wait_for()
        return [*answers, self.answer()]


def is_event(frame: str | bytes) -> bool:
    """Whether a frame is a socket.io event of a chat."""
    return isinstance(frame, str) and frame.startswith('42["events"')


def fail(visit: Visit, error: Exception, order: dict) -> dict:
    """Playwright's messages go on with a log that can hold what was typed; the first line says enough."""
    path = order.get("screenshot")
    if path:
        visit.page.screenshot(path=path)
    first = str(error).splitlines()[0].rstrip(".")
    return {"error": f"{visit.step} failed: {first}.".replace(order["password"], "***"), "screenshot": path}


def open_browser(playwright: Playwright, viewport: dict, speech: str | None = None, locale: str = "en-US") -> Page:
    """The one page of a browser with a fresh profile and a language, whose way is the tailnet. A microphone, which may be used, hears a WAV if there is one."""
    hearing = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={speech}"] if speech else []
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS + hearing, proxy={"server": PROXY})
    page = browser.new_context(viewport=viewport, color_scheme="light", locale=locale).new_page()
    page.set_default_timeout(TIMEOUT)
    return page


def main() -> int:
    order = json.load(sys.stdin)
    with sync_playwright() as playwright:
        page = open_browser(playwright, WINDOW)
        visit = Visit(page, order["url"])
        try:
            certificate = visit.open()
            visit.sign_in(order["email"], order["password"])
            answer = visit.send(order["message"])
            if order.get("screenshot"):
                visit.photograph(order["screenshot"])
            if order.get("phone"):
                page.set_viewport_size(PHONE)
                visit.photograph(order["phone"])
                page.set_viewport_size(WINDOW)
            visit.reload(order["message"], answer)
            notice = visit.notice()
            search = visit.search(order["search"]) if order.get("search") else None
            files = visit.files(order["files"]) if order.get("files") else []
            uploads = visit.uploads(**order["uploads"]) if order.get("uploads") else None
            stopped = visit.stopped(order["stopped"]) if order.get("stopped") else []
            long = visit.long(order["long"]) if order.get("long") else None
            temporary = visit.temporary(order["temporary"]) if order.get("temporary") else []
        except (Error, AssertionError) as error:
            print(json.dumps(fail(visit, error, order)))
            return 1
        finally:
            page.context.browser.close()
    print(json.dumps({
        "answer": answer,
        "websocket": min(visit.sent, visit.received, visit.events) > 0,
        "hosts": sorted(visit.hosts - {urlsplit(order["url"]).netloc}),
        "errors": visit.errors,
        "notice": notice,
        "search": search,
        "files": files,
        "uploads": uploads,
        "stopped": stopped,
        "long": long,
        "temporary": temporary,
        "certificate": certificate,
    }))
    return 0


if __name__ == "__main__":
    sys.exit(main())
