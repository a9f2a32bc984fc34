"""Does on a phone what a new user does first, in Chromium, over the tailnet and with a microphone, for `docker exec`.

Signs in, dictates a message and sends it, reads a table, and finds the first chat again. The microphone hears a file, over and over.

Standard input, as JSON: {"url", "email", "password", "speech": path of that file, a WAV, "table": a message that is answered with a
table, optional, "search": words of the first chat, optional, "call": whether to talk in voice mode, too, "screenshots": folder for PNGs, optional}
Prints as JSON:
  dictated  what stands in the message after the dictation
  refused   what the page says in the place of it, or ""; nothing further is done then
  answer    to it
  table     the cells of each row, and whether all of it can be scrolled into sight, {"rows", "fits"}; or null
  found     what the first chat says when it was found again, or null
  call      {"said": what voice mode has sent as a message, "spoken": what the browser was asked to speak}, or null
  aloud     what the browser was asked to speak by “Read Aloud”

When a step fails it prints {"error": one
sentence, "screenshot": path of a PNG or null} and ends with 1. The password is never printed.
"""

import json
import re
import sys

from browse import PHONE, TIMEOUT, VOICE, Visit, fail, open_browser
from playwright.sync_api import Error, sync_playwright

FITS = """table => {
    let scrolling = table;
    while (getComputedStyle(scrolling).overflowX !== "auto") scrolling = scrolling.parentElement;
    scrolling.scrollLeft = 1e6;
    return document.documentElement.scrollWidth <= innerWidth && table.getBoundingClientRect().right <= innerWidth;
}"""


class Phone(Visit):
    """One person's first minutes."""

    def __init__(self, page, order: dict):
        super().__init__(page, order["url"])
        self.order = order

    def shoot(self, name: str) -> None:
        if folder := self.order.get("screenshots"):
            self.photograph(f"{folder}/{name}.png")

    def dictate(self) -> tuple[str, str]:
        """Gives what stands in the message, or what the page says in its place."""
        self.open_chat()
        self.step = "Dictating"
        self.page.locator("#chat-input").wait_for()
        self.page.locator("#voice-input-button").click(timeout=15_000)  # it comes with the field for the message, or not at all
        confirm = self.page.locator("#confirm-recording-button")
        confirm.wait_for()
        self.page.wait_for_timeout(4000)
        confirm.click()
        written, toast = self.page.locator("#chat-input", has_text=re.compile(r"\w")), self.page.locator("[data-sonner-toast][data-type=error]")
        written.or_(toast).first.wait_for()
        return ("", toast.first.inner_text()) if toast.count() else (written.inner_text().strip(), "")

    def send_it(self) -> str:
        self.step = "Sending what was dictated"
        self.page.locator("#send-message-button").click()
        self.page.locator(".copy-response-button").wait_for()
        return self.answer()

    def table(self, message: str) -> dict:
        self.open_chat()
        self.write(message, typed=False)
        self.step = "Reading the table"
        table = self.page.locator(".chat-assistant table")
        table.wait_for()
        rows = [[text.strip() for text in row.locator("th, td").all_text_contents()] for row in table.locator("tr").all()]
        self.shoot("phone-table")
        return {"rows": rows, "fits": table.evaluate(FITS)}

    def find(self, words: str) -> str:
        self.step = "Finding the first chat again"
        self.page.locator("#sidebar-toggle-button").click()
        self.page.locator("#sidebar-search-button").click()
        self.page.get_by_role("combobox", name="Search your workspace").fill(words)
        result = self.page.locator("[id^=search-result]", has_text=words).first
        result.wait_for()
        self.shoot("phone-search")
        result.click()
        said = self.page.locator(".chat-user", has_text=words)
        said.wait_for()
        return said.inner_text().strip()

    def call(self) -> dict:
        self.open_chat()
        self.step = "Talking in voice mode"
        self.page.get_by_role("button", name="Voice mode").click()
        said = self.page.locator(".chat-user").first
        said.wait_for(state="attached")
        self.page.wait_for_function("window.spoken.length", timeout=TIMEOUT)
        return {"said": said.text_content().strip(), "spoken": " ".join(self.page.evaluate("window.spoken"))}

    def aloud(self) -> str:
        self.step = "Having the answer read aloud"
        self.page.evaluate("window.spoken = []")
        self.page.get_by_role("button", name="Read Aloud").click()
        self.page.wait_for_function("window.spoken.length", timeout=TIMEOUT)
        return " ".join(self.page.evaluate("window.spoken"))


def walk(phone: Phone, order: dict) -> dict:
    phone.open()
    phone.sign_in(order["email"], order["password"])
    dictated, refused = phone.dictate()
    if refused:
        return {"dictated": "", "refused": refused}
    phone.shoot("phone-dictated")
    answer = phone.send_it()
    aloud = phone.aloud()
    table = phone.table(order["table"]) if order.get("table") else None
    found = phone.find(order["search"]) if order.get("search") else None
    call = phone.call() if order.get("call") else None
    return {"dictated": dictated, "refused": "", "answer": answer, "aloud": aloud, "table": table, "found": found, "call": call}


def main() -> int:
    order = json.load(sys.stdin)
    with sync_playwright() as playwright:
        page = open_browser(playwright, PHONE, order["speech"])
        page.add_init_script(f"({VOICE})()")
        phone = Phone(page, order)
        try:
            seen = walk(phone, order)
        except (Error, AssertionError) as error:
            print(json.dumps(fail(phone, error, {**order, "screenshot": order.get("screenshots") and f"{order['screenshots']}/failed.png"})))
            return 1
        finally:
            page.context.browser.close()
    print(json.dumps(seen))
    return 0


sys.exit(main())
