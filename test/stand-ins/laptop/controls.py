"""Goes through Open WebUI's page and lists what a person can press or fill in, for `docker exec`.

Standard input, as JSON: {"url", "email", "password", "width": of the window, "suggestions": those of the first
screen, as in openwebui/suggestions.json, "addresses": [path, ...], "screenshots": folder for PNGs, optional}
Prints as JSON:
  controls   by place, {place: [name, ...]}: each that is seen there, isn't covered, and isn't one of the place below it (of a menu,
             the page behind it; of a page, the first screen and the sidebar). A name is what a screen reader says. What differs from
             one person or day to the next stands in brackets. Fields in the Admin Panel's settings are left out. "Addresses" has
             those of the order that lead to another.
  suggested  what is answered when each suggestion is pressed
  measures   of a chat with a wide table: the width of the page, of the table and of what is shown of it, up to where it scrolls, and
             where the input ends

When a step fails it prints {"error": one sentence, "screenshot": path of a PNG or null} and ends with 1. The password is never printed.
"""

import json
import re
import sys

from browse import Visit, fail, open_browser
from playwright.sync_api import Error, TimeoutError, sync_playwright

# Hermes' place is taken by a model that says this back: an answer with all that has buttons of its own.
ROWS = (["column"] * 16, ["---"] * 16, ["something"] * 16)
MESSAGE = "Look:\n\n```python\nprint(1)\n```\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in ROWS)

SEEN = """only => {
    const kinds = "button, a[href], input:not([type=file]), textarea, select, summary, [contenteditable=true], " +
        ["button", "menuitem", "option", "switch", "tab", "checkbox"].map(role => `[role=${role}]`).join();
    const text = id => document.getElementById(id)?.innerText;
    const name = e => [
        e.getAttribute("aria-label"),
        ...(e.getAttribute("aria-labelledby") ?? "").split(" ").map(text),
        e.id && text(e.id.replace(/-control$/, "")) !== e.innerText ? text(e.id.replace(/-control$/, "")) : "",
        e.labels?.[0]?.innerText,
        e.matches("select") ? "" : e.innerText,
        e.title, e.placeholder, e.querySelector("[data-placeholder]")?.dataset.placeholder, e.querySelector("img")?.alt,
    ].find(said => said?.trim())?.trim().replaceAll(/\\s+/g, " ") ?? `(${e.tagName.toLowerCase()} without a name)`;
    const before = window.seenControls ??= new WeakSet();
    const found = [];
    for (const e of document.querySelectorAll(kinds)) {
        if (!e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || e.closest("[data-sonner-toast], .cm-content, [href='#main-content']")) continue;
        if (only === "new" && e.closest("#sidebar")) continue; // It is drawn anew when it likes.
        e.scrollIntoView({ block: "nearest", inline: "nearest" });
        const { x, y, width, height } = e.getBoundingClientRect();
        const hit = document.elementFromPoint(x + width / 2, y + height / 2);
        if (!hit || !e.contains(hit)) continue;
        if (only === "new" && before.has(e)) continue;
        if (only === "mark") before.add(e);
        found.push(e.matches("a[href^='/c/'], [id^=search-result]") ? "(a chat)" : e.closest("tbody") && e.matches("[role=button]") ? "(a person)" : name(e));
    }
    return found;
}"""


# What a place shows only once it has been fetched.
LATE = {"Search": "[id^=search-result]", "Settings, Usage": "text=Weekly"}

# Whether a wide table and the message fit into the window: widths and heights, in pixels.
MEASURES = """() => {
    let scrolling = document.querySelector(".chat-assistant table");
    while (getComputedStyle(scrolling).overflowX !== "auto") scrolling = scrolling.parentElement;
    scrolling.scrollLeft = 1e6;
    const input = document.querySelector("#message-input-container").getBoundingClientRect();
    return {
        page: document.documentElement.scrollWidth,
        table: scrolling.scrollWidth,
        shown: scrolling.clientWidth,
        scrolled: scrolling.scrollLeft + scrolling.clientWidth,
        input: input.bottom,
    };
}"""


class Walk:
    """One person's way through the page, in a window of one width."""

    def __init__(self, visit: Visit, order: dict):
        self.visit, self.page, self.url = visit, visit.page, order["url"]
        self.wide = order["width"] >= 768
        self.screenshots = order.get("screenshots")
        self.found: dict[str, list[str]] = {}
        self.order = order
        self.person = ""

    def seen(self, only: str = "all") -> list[str]:
        """The controls in sight, once they no longer change."""
        last, same = None, 0
        for _ in range(40):
            now = self.page.evaluate(SEEN, only if only == "new" else "all")
            same = same + 1 if now and now == last else 0
            if same == 2:
                break
            last = now
            self.page.wait_for_timeout(300)
        if only == "mark":
            self.page.evaluate(SEEN, "mark")
        names = [self.general(name) for name in last]
        return list(dict.fromkeys(names))

    def general(self, name: str) -> str:
        if self.person and re.fullmatch(rf"{re.escape(self.person)}( \d+)?", name):
            return "(your name)"
        if name in [" ".join(suggestion["title"]) for suggestion in self.order["suggestions"]]:
            return "(a suggestion)"
        if re.match(r"(Ctrl|Shift|Alt|Esc|Unassigned)\b", name):
            return "(a shortcut)"
        return re.sub(r" \d+$", "", name)

    def note(self, place: str, names: list[str]) -> None:
        self.found[place] = names
        if self.screenshots:
            self.page.screenshot(path=f"{self.screenshots}/{place} {self.page.viewport_size['width']}.png")

    def look(self, place: str, path: str, there: str, above: tuple[str, ...] = ()) -> None:
        """Opens a page of the app, and notes what isn't in the places above, too, once something is there."""
        self.visit.step = f"Looking at “{place}”"
        self.go(path)
        self.page.locator(there).first.wait_for()
        known = {name for other in above for name in self.found[other]}
        self.note(place, [name for name in self.seen() if name not in known])

    def open(self, place: str, press) -> None:
        """Notes what has come into sight by a press."""
        self.visit.step = f"Opening “{place}”"
        self.seen("mark")
        press()
        self.wait(place)
        # What is drawn anew when the window changes is no news.
        self.note(place, [name for name in self.seen("new") if name not in self.found["First screen"]])

    def wait(self, place: str) -> None:
        if place in LATE:
            self.page.locator(LATE[place]).first.wait_for()

    def go(self, path: str = "/") -> None:
        self.page.goto(f"{self.url}{path}")
        self.page.locator("#chat-input, #sidebar-toggle-button, [aria-label$='Sidebar'], [role=tab]").first.wait_for()

    def open_sidebar(self) -> None:
        button = self.page.locator("#sidebar-toggle-button") if not self.wide else self.page.get_by_role("button", name="Open Sidebar").first
        if self.wide and self.page.get_by_role("button", name="Close Sidebar").count():
            return
        button.click()
        self.page.get_by_role("button", name="Close Sidebar").wait_for()

    def sidebar(self, *path: str):
        self.go(*path)
        self.open_sidebar()
        return self.page.locator("#sidebar")

    def walk(self, email: str, password: str) -> None:
        page = self.page
        self.visit.open()
        page.locator("input[type=email]").wait_for()
        self.note("Signing in", self.seen())
        self.visit.sign_in(email, password)
        account = page.evaluate("""async () => (await fetch("/api/v1/auths/", {
            headers: { Authorization: `Bearer ${localStorage.token}` } })).json()""")
        self.person = account["name"]

        self.visit.step = "Asking for an answer"
        self.visit.write(MESSAGE, typed=False)
        chat = page.evaluate("location.pathname")

        self.look("First screen", "/", "#chat-input")
        self.visit.step = "Opening “Sidebar”"
        self.sidebar()
        self.note("Sidebar", [name for name in self.seen() if name not in self.found["First screen"] or name == "Search"])
        self.go()
        self.open("+ in the message", lambda: page.locator("#input-menu-button").click())
        self.go()
        self.open("Model", lambda: page.locator("#model-selector-model-button").click())
        self.go()
        self.open("Controls", lambda: page.get_by_role("button", name="Controls").click())
        page.get_by_role("button", name="Close", exact=True).click()  # The page would open it again with each chat.
        self.go()
        self.open("/ in the message", lambda: (page.locator("#chat-input").click(), page.keyboard.type("/")))
        page.keyboard.press("Backspace")  # The page keeps what was begun, and shows no suggestions with it.
        page.wait_for_timeout(1000)
        self.sidebar()
        self.open("Your menu", lambda: page.locator("#sidebar button", has_text=self.person).last.click())
        self.sidebar()
        self.open("Search", lambda: page.locator("#sidebar-search-button").click())
        sidebar = self.sidebar()
        self.open("New Folder", lambda: sidebar.get_by_role("button", name="New Folder").click())

        self.look("A chat", chat, ".copy-response-button", above=("First screen", "Sidebar"))
        self.measures = page.evaluate(MEASURES)
        self.open("Chat actions", lambda: page.locator("#chat-context-menu-button").click())
        self.go(chat)
        page.locator(".copy-response-button").wait_for()
        self.open("Regenerate", lambda: page.get_by_role("button", name="Regenerate").last.click())
        sidebar = self.sidebar(chat)
        page.locator(".copy-response-button").wait_for()
        row = sidebar.locator("a[href^='/c/']").first
        self.open("Chat Menu", lambda: (row.hover(), sidebar.get_by_role("button", name="Chat Menu").first.click(force=True)))
        if page.get_by_role("menuitem", name="Share").count():
            self.open("Share", lambda: page.get_by_role("menuitem", name="Share").click())
        self.settings()
        self.found["Addresses"] = [address for address in self.order["addresses"] if self.leads_away(address)]
        if self.found["Settings of the page"]:  # an admin's
            self.look("Admin Panel", "/admin", "tbody", above=("First screen", "Sidebar"))
            self.look("Groups", "/admin/users/groups", "input[placeholder='Search Groups']", above=("First screen", "Sidebar", "Admin Panel"))

    def leads_away(self, address: str) -> bool:
        self.visit.step = f"Opening {address}"
        self.page.goto(f"{self.url}{address}")
        try:
            self.page.wait_for_function("address => location.pathname !== address", arg=address)
        except TimeoutError:
            return False
        return True

    def suggested(self) -> list[str]:
        """What is answered when each suggestion is pressed."""
        answers = []
        for suggestion in self.order["suggestions"]:
            self.visit.step = f"Pressing “{suggestion['title'][0]}”"
            self.go()
            self.page.get_by_role("button", name=" ".join(suggestion["title"])).click()
            self.page.locator(".copy-response-button").wait_for()
            answers.append(self.visit.answer())
        return answers

    def settings(self) -> None:
        self.visit.step = "Opening “Settings”"
        self.go("/?settings=general")
        tabs = self.page.get_by_role("tab")
        tabs.first.wait_for()
        self.seen("mark")
        names = [name.strip() for name in tabs.all_inner_texts()]
        own = names.index("About") + 1
        self.found["Settings"] = names[:own]
        self.found["Settings of the page"] = names[own:]
        for index, name in enumerate(names[:own]):
            self.page.evaluate("window.seenControls = new WeakSet()")
            self.visit.step = f"Opening the settings “{name}”"
            tabs.nth(index).click()
            self.wait(f"Settings, {name}")
            self.note(f"Settings, {name}", [control for control in self.seen() if control not in names])


def main() -> int:
    order = json.load(sys.stdin)
    with sync_playwright() as playwright:
        page = open_browser(playwright, {"width": order["width"], "height": 800})
        walk = Walk(Visit(page, order["url"]), order)
        try:
            walk.walk(order["email"], order["password"])
            suggested = walk.suggested()
        except (Error, AssertionError) as error:
            print(json.dumps(fail(walk.visit, error, {**order, "screenshot": walk.screenshots and f"{walk.screenshots}/failed.png"})))
            return 1
        finally:
            page.context.browser.close()
    print(json.dumps({"controls": walk.found, "suggested": suggested, "measures": walk.measures}))
    return 0


sys.exit(main())
