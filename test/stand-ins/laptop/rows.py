"""Does what rows of docs/page.md say that works, and tells what came of it: a part of week.py, with the same Person.

What is stored is read from Open WebUI's API, as the page's own session.
"""

import json
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from browse import TIMEOUT, VOICE
from playwright.sync_api import Error, expect

ASK = """async ([method, path, body]) => {
    const headers = { Authorization: `Bearer ${localStorage.token}`, "Content-Type": "application/json" };
    return (await fetch(path, { method, headers, body: body && JSON.stringify(body) })).json();
}"""


def ask(person, path: str, method: str = "GET", body: dict | None = None):
    """What Open WebUI's API answers to this person."""
    return person.page.evaluate(ASK, [method, path, body])


def begin(person) -> None:
    person.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=person.url)
    person.begin()


def open_sidebar(person) -> None:
    page = person.page
    person.field.wait_for()
    if not page.get_by_role("button", name="Close Sidebar").count():
        page.locator("#sidebar-toggle-button").or_(page.get_by_role("button", name="Open Sidebar")).first.click()
    page.get_by_role("button", name="Close Sidebar").wait_for()


def open_chat_menu(person, chat: str) -> None:
    """Opens the menu of a chat in the list."""
    open_sidebar(person)
    row = person.page.locator(f"[data-sidebar-chat-id='{chat}']").first
    row.hover()
    row.get_by_role("button", name="Chat Menu").click(force=True)


def chat_menu(person, chat: str, name: str) -> None:
    """Chooses something in the menu of a chat in the list."""
    person.step = f"Choosing “{name}” in the menu of a chat"
    person.page.goto(person.url)
    open_chat_menu(person, chat)
    person.page.get_by_role("menuitem", name=name).click()


def downloaded(person, press) -> tuple[str, bytes]:
    """Name and content of what a press downloads."""
    with person.page.expect_download() as download:
        press()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def copied(person, press) -> str:
    """What is on the clipboard once a press has put something there."""
    page = person.page
    page.evaluate("navigator.clipboard.writeText('nothing')")
    press()
    for _ in range(TIMEOUT // 100):
        text = page.evaluate("navigator.clipboard.readText()")
        if text != "nothing":
            return text
        page.wait_for_timeout(100)
    raise AssertionError("nothing was copied")


def chat_rows(person, message: str) -> dict:
    """What is in the menus of a chat is chosen, with a chat of one message: what each has done."""
    page, seen = person.page, {}
    begin(person)
    person.open_chat()
    person.write(message, typed=False)
    address = page.evaluate("location.pathname")
    chat = address.split("/")[-1]

    def stored() -> dict:
        return ask(person, f"/api/v1/chats/{chat}")

    def act(*names: str) -> None:
        person.step = f"Choosing {names} in the actions of a chat"
        # A menu that was open before takes a moment to go.
        page.goto(f"{person.url}{address}")
        page.locator(".copy-response-button").wait_for()
        page.get_by_role("button", name="Chat actions").click()
        expect(page.locator("#own-cost")).not_to_be_empty(timeout=TIMEOUT)
        for name in names:
            page.locator("button", has_text=name).last.click()

    act()
    seen["copied"] = copied(person, page.locator("#chat-copy-button").click)
    act("Download")
    seen["text"] = downloaded(person, lambda: page.locator("button", has_text="Plain text").last.click())[1].decode()
    act("Download")
    seen["json"] = [one["title"] for one in json.loads(downloaded(person, lambda: page.locator("button", has_text="Export chat").last.click())[1])]
    act()
    page.get_by_placeholder("Add a tag...").fill("boats")
    with page.expect_response(lambda response: response.request.method == "POST" and "/tags" in response.url):
        page.keyboard.press("Enter")
    seen["tags"] = [tag["name"] for tag in ask(person, f"/api/v1/chats/{chat}/tags")]

    chat_menu(person, chat, "Rename")
    page.locator(f"#chat-title-input-{chat}").fill("A new name")
    page.keyboard.press("Enter")
    page.locator("#sidebar").get_by_text("A new name").wait_for()
    seen["renamed"] = stored()["title"]
    with page.expect_response(lambda response: response.request.method == "POST" and chat in response.url):
        chat_menu(person, chat, "Mark as unread")
    seen["unread"] = [one["last_read_at"] for one in ask(person, "/api/v1/chats/?page=1") if one["id"] == chat]
    for name, key in (("Pin", "pinned"), ("Archive", "archived")):
        with page.expect_response(lambda response: response.request.method == "POST" and chat in response.url):
            chat_menu(person, chat, name)
        seen[key] = stored()[key]

    person.step = "Bringing an archived chat back"
    page.goto(f"{person.url}/?settings=archived_chats")
    page.get_by_role("button", name="Actions").first.click()
    page.get_by_text("Unarchive All").last.click()
    with page.expect_response(lambda response: response.request.method == "POST" and "unarchive" in response.url):
        page.get_by_role("button", name="Unarchive All").last.click()
    seen["back"] = stored()["archived"]
    with page.expect_response(lambda response: response.request.method == "POST" and "/clone" in response.url) as clone:
        chat_menu(person, chat, "Clone")
    seen["clone"] = clone.value.json()["title"]
    chat_menu(person, chat, "Delete")
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.get_by_role("button", name="Confirm").click()
    seen["deleted"] = "title" not in stored()
    return seen


def message_rows(person, message: str) -> dict:
    """The buttons of a message and of its answer are pressed: what is answered then, and what is copied and forked."""
    page, seen = person.page, {}
    begin(person)
    person.open_chat()
    person.write(message, typed=False)
    made = 1

    def again(press) -> str:
        nonlocal made
        made += 1
        person.step = f"Having an answer made again ({made})"
        page.get_by_role("button", name="Regenerate").last.click()
        press()
        page.get_by_text(f"{made}/{made}").wait_for()
        page.locator(".copy-response-button").last.wait_for()
        return person.answer()

    seen["Add Details"] = again(lambda: page.get_by_text("Add Details").click())
    seen["More Concise"] = again(lambda: page.get_by_text("More Concise").click())
    seen["suggested"] = again(lambda: (page.get_by_placeholder("Suggest a change").fill("As a poem"), page.get_by_role("button", name="Submit suggestion").click()))
    seen["Try Again"] = again(lambda: page.get_by_text("Try Again").click())

    person.step = "Copying an answer"
    seen["copied"] = copied(person, page.locator(".copy-response-button").last.click)
    person.step = "Going on in a fork"
    with page.expect_response(lambda response: response.request.method == "POST" and "/chats/" in response.url) as fork:
        page.get_by_role("button", name="Fork chat").last.click()
    seen["fork"] = fork.value.json()["title"]

    person.step = "Sending a message anew"
    page.goto(f"{person.url}/c/{fork.value.json()['id']}")
    page.locator(".copy-response-button").last.wait_for()
    page.locator(".chat-user").last.hover()
    page.get_by_role("button", name="Edit").first.click()
    page.locator(".chat-user textarea, textarea[id^=message-edit]").last.fill("Count seas")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".chat-assistant").last).to_contain_text("seas", timeout=TIMEOUT)
    seen["edited"] = person.answer()
    return seen


def prompt_rows(person, prompts: dict, messages: dict) -> list[str]:
    """A message is sent with each kind of system prompt: of a chat, of a folder, and of all chats of a person. What the console says of refused requests."""
    page = person.page
    begin(person)
    person.open_chat()
    person.step = "Writing the system prompt of a chat"
    # What is written before the first screen is there goes with what was there before.
    person.field.wait_for()
    page.get_by_role("button", name="Controls").click()
    page.get_by_placeholder("Enter system prompt").fill(prompts["chat"])
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Close", exact=True).click()
    person.write(messages["chat"], typed=False)

    person.step = "Making a folder"
    person.open_chat()
    open_sidebar(person)
    page.locator("#sidebar").get_by_role("button", name="New Folder").click()
    page.locator("#folder-name").fill("Boats")
    page.get_by_placeholder("Write your model system prompt").fill(prompts["folder"])
    with page.expect_response(lambda response: response.request.method == "POST" and "/folders" in response.url) as folder:
        page.get_by_role("button", name="Save", exact=True).click()
    page.goto(f"{person.url}/folders/{folder.value.json()['id']}")
    person.field.wait_for()
    person.write(messages["folder"], typed=False)

    person.step = "Writing the system prompt of a person"
    page.goto(f"{person.url}/?settings=general")
    page.get_by_placeholder("Enter system prompt here").fill(prompts["person"])
    with page.expect_response(lambda response: "settings/update" in response.url):
        page.get_by_role("button", name="Save", exact=True).click()
    person.open_chat()
    person.write(messages["person"], typed=False)
    return [error for error in person.errors if "status of 40" in error]


def setting_rows(person) -> dict:
    """Each switch of the settings of the interface is turned over: how many there are, and which are as they were after a reload."""
    page = person.page
    begin(person)
    place = f"{person.url}/?settings=interface"

    def switches() -> dict:
        page.goto(place)
        page.locator("[role=switch]").first.wait_for()
        return dict(page.locator("[role=switch]").evaluate_all("""all => all.map(one => [
            document.getElementById(one.id.replace(/-control$/, ""))?.innerText ?? one.getAttribute("aria-label"), one.getAttribute("aria-checked")])"""))

    before = switches()
    person.step = "Turning over each switch"
    for name in page.locator("[role=switch]:not([disabled])").evaluate_all("all => all.map(({ id }) => id)"):
        # Some are there only while another one is on.
        switch = page.locator(f"[id='{name}']")
        if switch.count():
            # Each is saved by itself; of two that are saved in the same moment Open WebUI may forget one.
            with page.expect_response(lambda response: "settings/update" in response.url):
                switch.click()
    after = switches()
    return {"switches": len(before), "same": [name for name, on in before.items() if after.get(name) == on]}


def data_rows(person, message: str, note: str) -> dict:
    """All chats are exported, deleted and imported; a file with a note is got back and deleted; and the account gets another name: what is there then."""
    page, seen = person.page, {}
    begin(person)
    person.open_chat()
    person.write(message, typed=False)

    def titles() -> list[str]:
        return [chat["title"] for chat in ask(person, "/api/v1/chats/")]

    def press(tab: str, name: str) -> None:
        person.step = f"Pressing “{name}” in the settings"
        page.goto(f"{person.url}/?settings={tab}")
        page.get_by_role("button", name=name, exact=True).click()

    _, export = downloaded(person, lambda: press("data_controls", "Export Chats"))
    press("data_controls", "Delete All Chats")
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.get_by_role("button", name="Confirm").click()
    seen["deleted"] = titles()
    person.step = "Importing chats"
    page.goto(f"{person.url}/?settings=data_controls")
    with page.expect_response(lambda response: response.request.method == "POST" and "/chats/" in response.url), page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import Chats", exact=True).click()
        chooser.value.set_files({"name": "export.json", "mimeType": "application/json", "buffer": export})
    seen["imported"] = titles()
    press("data_controls", "Archive All Chats")
    with page.expect_response(lambda response: response.request.method == "POST" and "/archive" in response.url):
        page.get_by_role("button", name="Confirm").click()
    seen["archived"] = titles()

    page.evaluate(UPLOAD, ["notes.txt", note])
    press("data_controls", "Manage Files")
    files = page.get_by_role("dialog", name="Files")

    def act(name: str) -> None:
        files.get_by_role("button", name="Actions for notes.txt").click()
        page.get_by_role("menu").get_by_role("button", name=name).click()

    seen["file"] = downloaded(person, lambda: act("Download"))[1].decode()
    act("Delete")
    with page.expect_response(lambda response: response.request.method == "DELETE" and "/files/" in response.url):
        page.get_by_role("button", name="Delete", exact=True).last.click()
    expect(files.get_by_text("notes.txt")).to_have_count(0, timeout=TIMEOUT)
    seen["files"] = ask(person, "/api/v1/files/")["total"]

    person.step = "Changing the account"
    page.goto(f"{person.url}/?settings=account")
    # The form has what is there a moment later.
    expect(page.get_by_label("Name", exact=True)).not_to_have_value("", timeout=TIMEOUT)
    page.get_by_label("Name", exact=True).fill("Another name")
    with page.expect_response(lambda response: response.request.method == "POST" and "/auths/update/profile" in response.url):
        page.get_by_role("button", name="Save", exact=True).click()
    seen["name"] = ask(person, "/api/v1/auths/")["name"]
    return seen


def share_rows(person, message: str, others: list[dict]) -> dict:
    """A chat is shared with the first of two other accounts ({"name", "token"}), and then no more: the link, and whether each of them finds the message there; and the first afterwards."""
    page = person.page
    begin(person)
    person.open_chat()
    person.write(message, typed=False)
    chat_menu(person, page.evaluate("location.pathname.split('/').at(-1)"), "Share")
    person.step = "Sharing a chat"
    page.get_by_role("button", name="Add Access").click()
    page.get_by_placeholder("Search").last.fill(others[0]["name"])
    page.get_by_role("dialog").last.get_by_text(others[0]["name"]).last.click()
    with page.expect_response(lambda response: response.request.method == "POST" and "/access" in response.url):
        page.get_by_role("button", name="Add", exact=True).click()
    link = copied(person, page.locator("#copy-and-share-chat-button").click)

    def finds(other: dict) -> bool:
        person.step = "Opening a shared chat"
        tab = page.context.browser.new_context(locale="en-US").new_page()
        tab.add_init_script(f"localStorage.token = {json.dumps(other['token'])}")
        tab.goto(link)
        said = tab.locator(".chat-user").or_(tab.locator("#chat-input"))
        said.first.wait_for()
        found = tab.get_by_text(message).count() > 0
        tab.context.close()
        return found

    found = [finds(other) for other in others]
    person.step = "Sharing a chat no more"
    page.goto(f"{person.url}/?settings=data_controls")
    page.get_by_role("button", name="Shared Chats").click()
    shared = page.get_by_role("dialog").last
    shared.get_by_text(message).wait_for()
    with page.expect_response(lambda response: response.request.method == "DELETE" and "/share" in response.url):
        shared.get_by_role("button", name="Unshare Chat").click()
    return {"link": link, "found": found, "after": finds(others[0])}


# In the place of the screen, which Chromium has none of here: one that is red, where a person would be asked which to show.
SCREEN = """navigator.mediaDevices.getDisplayMedia = async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
    const context = canvas.getContext("2d");
    const draw = () => { context.fillStyle = "red"; context.fillRect(0, 0, 320, 240); };
    setInterval(draw, 50);
    return canvas.captureStream(20);
}"""

UPLOAD = """async ([name, text]) => {
    const form = new FormData();
    form.append("file", new File([text], name, { type: "text/plain" }));
    await fetch("/api/v1/files/?process_in_background=false", { method: "POST", body: form, headers: { Authorization: `Bearer ${localStorage.token}` } });
}"""


def plus(person, *names: str) -> None:
    """Chooses something below the + in the message, where the page is in the menu that it was in before."""
    person.step = f"Choosing {names} in the message"
    person.page.locator("#input-menu-button").click()
    for name in names:
        person.page.get_by_role("menuitem", name=name).click()


def compare(person, text: str) -> str:
    """Compares a text with another in the dialog that is open, and takes it for the message: what is said of them."""
    dialog = person.page.get_by_role("dialog", name="Compare text")
    dialog.get_by_role("textbox", name="Original").fill("A boat")
    dialog.get_by_role("textbox", name="Proposed revision").fill(text)
    dialog.get_by_role("button", name="Compare", exact=True).click()
    said = dialog.get_by_role("status").filter(has_text="Change").first.inner_text()
    dialog.get_by_role("button", name="Use in prompt").click()
    expect(person.field).to_contain_text("boats", timeout=TIMEOUT)
    return said


def compose_rows(person, messages: dict, note: str) -> dict:
    """
    What the sign-in, the message and its menus offer is used, in a window or on a phone: the password is made visible; an earlier upload, another chat and a
    picture of the screen or from the camera are sent with messages["all"]; texts are compared; each command behind / is given; a model is looked for.
    """
    page, seen = person.page, {}
    phone = page.viewport_size["width"] < 768
    # By this the page tells a phone.
    page.add_init_script("Object.defineProperty(navigator, 'userAgent', { value: 'Mozilla/5.0 (Linux; Android 16)' })" if phone else SCREEN)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=person.url)
    person.open()
    person.step = "Making a password visible"
    password, visible = page.locator("#password"), page.get_by_role("button", name="Make password visible")
    password.fill("seen")
    visible.click()
    seen["password"] = password.get_attribute("type")
    visible.click()
    person.sign_in(person.email, person.password)

    person.write(messages["chat"], typed=False)
    page.evaluate(UPLOAD, ["notes.txt", note])
    person.open_chat()
    person.field.wait_for()
    plus(person, "Attach Files")
    page.get_by_role("menu").get_by_role("button", name="notes.txt").click()
    plus(person, "Files", "Reference Chats")
    page.get_by_role("menu").get_by_role("button", name=messages["chat"]).click()
    if phone:
        with page.expect_file_chooser() as chooser:
            plus(person, "Chats", "Capture")
        chooser.value.set_files({"name": "photo.png", "mimeType": "image/png", "buffer": page.screenshot()})
    else:
        plus(person, "Chats", "Capture")
    page.locator("#message-input-container img[src*='/files/']").wait_for()
    person.write(messages["all"], typed=False)

    person.open_chat()
    person.field.wait_for()
    plus(person, "Compare text")
    seen["compared"] = [compare(person, "Two boats"), person.field.inner_text().strip()]

    for name, arrive in {
        "Temporary": lambda: page.wait_for_url("**/?temporary-chat=true"),
        "Model": page.get_by_role("combobox", name="Search In Models").wait_for,
        "Settings": page.locator("#tab-general").wait_for,
        "Compare text": page.get_by_role("dialog", name="Compare text").wait_for,
    }.items():
        person.step = f"Giving the command “{name}”"
        person.open_chat()
        person.field.wait_for()
        command = page.get_by_role("button", name=re.compile(f"^{name}")).last
        for _ in range(10):
            person.field.fill("")
            person.field.click()
            page.keyboard.type("/")
            # The page makes its field anew while it loads; what was typed by then is gone.
            with suppress(Error):
                command.wait_for(timeout=5000)
                break
        command.click()
        arrive()

    person.step = "Looking for a model"
    person.open_chat()
    person.field.wait_for()
    page.locator("#model-selector-model-button").click()
    models = page.get_by_role("option", name=re.compile("^Select .* model$"))
    models.wait_for()
    page.get_by_role("combobox", name="Search In Models").fill("another")
    expect(models).to_have_count(0, timeout=TIMEOUT)
    page.get_by_role("combobox", name="Search In Models").fill("hermes")
    models.wait_for()
    return seen


def find_rows(person, message: str, code: str) -> dict:
    """
    A folder is made with a picture, and a chat in it whose answer has code, of which `code` is the last line, and a table: what becomes of both by
    their buttons. Then the chat is looked for among others, with the filters of the search, and looked at before it is opened.
    """
    page, seen = person.page, {}
    begin(person)
    person.open_chat()
    person.write(f"{message} elsewhere", typed=False)
    person.step = "Making a folder with a picture"
    person.open_chat()
    open_sidebar(person)
    page.locator("#sidebar").get_by_role("button", name="New Folder").click()
    page.locator("#folder-name").fill("Boats")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("dialog").get_by_role("button", name="Upload", exact=True).click()
    chooser.value.set_files({"name": "picture.png", "mimeType": "image/png", "buffer": page.screenshot()})
    page.get_by_role("dialog").get_by_role("button", name="Reset").wait_for()
    with page.expect_response(lambda response: response.request.method == "POST" and "/folders" in response.url) as folder:
        page.get_by_role("button", name="Save", exact=True).click()
    page.goto(f"{person.url}/folders/{folder.value.json()['id']}")
    page.locator("[style*='background-image: url(\"data:image/png']").wait_for(state="attached")
    person.write(f"{message}:\n\n```python\n{code}\n```\n\n| a | b |\n|---|---|\n| 1, x | 2 |\n", typed=False)

    person.step = "Pressing the buttons of code"
    answer = page.locator(".chat-assistant")
    lines = answer.locator(".cm-content")
    answer.get_by_role("button", name="Collapse").click()
    expect(lines).to_have_count(0, timeout=TIMEOUT)
    answer.get_by_role("button", name="Expand").click()
    lines.click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" # more")
    with page.expect_response(lambda response: response.request.method == "POST" and "/chats/" in response.url):
        answer.get_by_role("button", name="Save", exact=True).click()
    page.reload()
    answer.locator(".cm-content").wait_for()
    seen["saved"] = answer.locator(".cm-content").inner_text()
    person.step = "Pressing the buttons of a table"
    answer.locator("table").hover()
    seen["copied"] = copied(person, answer.locator("[aria-label=Copy]:near(table)").first.click)
    seen["table"] = downloaded(person, answer.get_by_role("button", name="Export to CSV").click)[1].decode("utf-8-sig")

    dialog, results = page.get_by_role("dialog", name="Search workspace"), page.locator("[id^=search-result]")

    def found(kind: str, name: str) -> list[str]:
        person.open_chat()
        person.step = f"Searching with “{name}”"
        open_sidebar(person)
        page.locator("#sidebar-search-button").click()
        results.first.wait_for()
        dialog.get_by_role("button", name="Filters").click()
        with page.expect_response(lambda response: "/api/v1/search" in response.url):
            page.get_by_role("button", name=re.compile(f"^{kind}")).last.click()
            page.get_by_role("button", name=name, exact=True).last.click()
        dialog.locator("[aria-busy=false]").wait_for()
        return [text.splitlines()[0] for text in results.all_inner_texts()]

    seen["shared"] = found("View", "Shared with you")
    seen["created"] = found("View", "Created by you")
    seen["folder"] = found("Location", "Boats")
    person.step = "Looking at a chat that was found"
    preview = dialog.get_by_role("region", name="Result preview")
    if page.viewport_size["width"] >= 1024:
        # There it is open from the beginning.
        preview.wait_for()
        dialog.get_by_role("button", name="Preview").press("Enter")
        preview.wait_for(state="detached")
    dialog.get_by_role("button", name="Preview").press("Enter")
    seen["preview"] = preview.get_by_text(f"Echo: {message}").inner_text()
    dialog.get_by_role("button", name="Open ↵").click()
    page.wait_for_url("**/c/*")
    return seen


def account_rows(person, profile: dict, prompt: str, message: str, password: str) -> dict:
    """
    Somebody looks for a page of the settings, and at where Open WebUI's own links lead; then they fill in their account ({"bio", "gender", "birth", "variable": of a prompt}), and sends a message with a system
    prompt that names all of that; then they change their password and sign in with it: what was found, and each picture and the account as they are then.
    """
    page, seen = person.page, {}
    begin(person)
    person.field.wait_for()
    person.step = "Looking for a page of the settings"
    page.goto(f"{person.url}/?settings=general")
    page.locator("#tab-general").wait_for()
    search, tabs = page.locator("#search-input-settings-modal"), page.get_by_role("tab")
    if not search.count():
        page.get_by_role("button", name="Search", exact=True).last.click()
    search.fill("birth")
    expect(tabs).to_have_count(1, timeout=TIMEOUT)
    seen["found"] = tabs.inner_text().strip()

    person.step = "Looking at what Open WebUI says of itself"
    page.goto(f"{person.url}/?settings=about")
    page.get_by_role("button", name="See what's new").click()
    page.get_by_role("dialog").get_by_text("Release Notes").first.wait_for()
    seen["links"] = page.locator("#tab-about a").evaluate_all("all => all.map(({ href, target }) => `${target} ${href}`)")
    page.goto(f"{person.url}/?settings=account")
    person.step = "Changing the picture of the account"
    account, picture = page.locator("#tab-account"), page.locator("#tab-account img[alt=profile]")
    expect(page.get_by_label("Name", exact=True)).not_to_have_value("", timeout=TIMEOUT)
    for name, source in {"Initials": r"^data:image/png", "Remove": r"/user\.png$", "Upload Photo": r"^data:image/"}.items():
        if name == "Upload Photo":
            with page.expect_file_chooser() as chooser:
                account.get_by_role("button", name=name).click()
            chooser.value.set_files({"name": "me.png", "mimeType": "image/png", "buffer": page.screenshot()})
        else:
            account.get_by_role("button", name=name, exact=True).click()
        expect(picture).to_have_attribute("src", re.compile(source), timeout=TIMEOUT)
    person.step = "Filling in the account"
    page.get_by_label("Bio", exact=True).fill(profile["bio"])
    page.get_by_label("Gender", exact=True).select_option(profile["gender"])
    page.get_by_label("Birth Date", exact=True).fill(profile["birth"])
    account.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Variable key").fill("boat")
    page.get_by_label("Variable value").fill(profile["variable"])
    page.get_by_role("button", name="Done", exact=True).click()
    with page.expect_response(lambda response: response.request.method == "POST" and "/user/variables/update" in response.url):
        page.get_by_role("button", name="Save", exact=True).click()
    stored = ask(person, "/api/v1/auths/")
    seen["picture"] = stored["profile_image_url"][:11]
    person.step = "Writing a system prompt with what is in the account"
    page.goto(f"{person.url}/?settings=general")
    page.get_by_placeholder("Enter system prompt here").fill(prompt)
    with page.expect_response(lambda response: "settings/update" in response.url):
        page.get_by_role("button", name="Save", exact=True).click()
    person.open_chat()
    person.write(message, typed=False)

    person.step = "Changing the password"
    page.goto(f"{person.url}/?settings=account")
    page.get_by_role("button", name="Change Password").click()
    page.get_by_placeholder("Enter your current password").fill(person.password)
    for field in ("Enter your new password", "Confirm your new password"):
        page.get_by_placeholder(field).fill(password)
    page.get_by_role("button", name="Update password").click()
    page.locator("input[type=email]").wait_for()
    person.password = password
    person.sign_in_again()
    person.field.wait_for()
    return seen


def admin_rows(person, newcomers: list[dict], message: str) -> dict:
    """
    An admin writes a message, adds two accounts ({"name", "email", "password"}), downloads what is in the database, looks for them and into the chat of the first, sorts them, gives one another role and
    another name, has them in a group for a while, takes a permission from all for as long, and deletes them: what is there after each.
    """
    page, seen = person.page, {}
    begin(person)
    person.open_chat()
    person.write(message, typed=False)
    table, dialog = page.locator("tbody tr"), page.get_by_role("dialog")
    word = newcomers[0]["name"].split()[0]

    def search() -> None:
        page.goto(f"{person.url}/admin/users/overview")
        page.get_by_placeholder("Search", exact=True).fill(word)
        expect(table).to_have_count(len(newcomers), timeout=TIMEOUT)

    def save(path: str) -> None:
        with page.expect_response(lambda response: response.request.method == "POST" and path in response.url):
            dialog.get_by_role("button", name="Save", exact=True).click()
        dialog.wait_for(state="detached")

    def confirm(method: str, path: str) -> None:
        with page.expect_response(lambda response: response.request.method == method and path in response.url):
            page.get_by_role("button", name="Confirm", exact=True).click()

    page.goto(f"{person.url}/admin/users/overview")
    for one in newcomers:
        person.step = "Adding an account"
        page.get_by_role("button", name="Add User").click()
        for label, key in {"Enter Your Full Name": "name", "Enter Your Email": "email", "Enter Your Password": "password"}.items():
            dialog.get_by_placeholder(label).fill(one[key])
        save("/auths/add")
    # Elsewhere: here the cookie of the admin's session would become theirs.
    elsewhere = page.context.browser.new_context().new_page()
    elsewhere.goto(f"{person.url}/manifest.json")
    seen["added"] = []
    for one in reversed(newcomers):
        account = elsewhere.evaluate(ASK, ["POST", "/api/v1/auths/signin", {key: one[key] for key in ("email", "password")}])
        elsewhere.evaluate("token => (localStorage.token = token)", account.get("token"))
        elsewhere.evaluate(ASK, ["POST", "/api/v1/chats/new", {"chat": {"title": f"Of {one['name']}", "history": {"messages": {}}}}])
        seen["added"].append(account.get("role"))
    person.step = "Downloading what is in the database"
    page.goto(f"{person.url}/?settings=admin%3Adb")
    exports = page.locator("#tab-admin-db")
    _, database = downloaded(person, exports.get_by_role("button", name="Database", exact=True).click)
    file = Path(f"/tmp/webui-{page.viewport_size['width']}.db")
    file.write_bytes(database)
    with closing(sqlite3.connect(file)) as tables:
        seen["database"] = [name for (name,) in tables.execute("SELECT name FROM user WHERE name LIKE ? ORDER BY name", [f"{word}%"])]
    _, users = downloaded(person, exports.get_by_role("button", name="Users", exact=True).click)
    seen["users"] = users.decode().count(word)
    _, chats = downloaded(person, exports.get_by_role("button", name="All Chats", exact=True).click)
    seen["chats"] = message in chats.decode()
    person.step = "Looking for accounts"
    search()
    first, second = (one["name"] for one in newcomers)
    person.step = "Looking at somebody's card and chats"
    table.filter(has_text=first).get_by_role("button", name=first).hover()
    card = page.locator("[data-link-preview-content]")
    seen["card"] = {"name": card.get_by_text(first).inner_text(), "buttons": card.get_by_role("button").count()}
    table.filter(has_text=first).get_by_role("button", name="Chats").click()
    dialog.get_by_text(f"Of {first}").wait_for()
    seen["theirs"] = dialog.get_by_text(re.compile("^Of ")).all_inner_texts()
    person.step = "Giving an account another role and another name"
    search()
    row = table.filter(has_text=second)
    row.get_by_role("button", name="Change User Role").click()
    dialog.get_by_label("Role").select_option("admin")
    save("/update")
    row.get_by_role("button", name="Edit User").click()
    dialog.get_by_label("Role").select_option("pending")
    dialog.get_by_placeholder("Enter Your Name").fill(f"{second} Z")
    save("/update")
    seen["edited"] = [[user["name"], user["role"]] for user in ask(person, f"/api/v1/users/?query={word}")["users"] if user["name"] != first]
    seen["sorted"] = {}
    for head in ("Name", "Role", "Email"):
        person.step = f"Sorting accounts by “{head}”"
        seen["sorted"][head] = []
        for _ in range(2):
            with page.expect_response(lambda response: "order_by" in response.url) as sorting:
                page.locator("thead").get_by_role("button", name=head, exact=True).click()
            order = [user["name"] for user in sorting.value.json()["users"]]
            expect(table.first).to_contain_text(order[0], timeout=TIMEOUT)
            seen["sorted"][head].append(order)
    seen["timed"] = {}
    for head, key in {"Last Active": "last_active_at", "Created at": "created_at"}.items():
        person.step = f"Sorting accounts by “{head}”"
        seen["timed"][head] = {}
        for _ in range(2):
            with page.expect_response(lambda response: f"order_by={key}" in response.url) as sorting:
                page.locator("thead").get_by_role("button", name=head, exact=True).click()
            down = "direction=desc" in sorting.value.url
            times = [user[key] for user in sorting.value.json()["users"]]
            seen["timed"][head]["down" if down else "up"] = times == sorted(times, reverse=down)

    def permissions() -> None:
        """Turns over what all may do by themselves; notes whether the first account may then."""
        page.get_by_role("button", name="Default permissions").click()
        dialog.get_by_role("switch", name="Allow Chat Export").click()
        save("/default/permissions")
        seen["may"].append(elsewhere.evaluate(ASK, ["GET", "/api/v1/auths/", None])["permissions"]["chat"]["export"])

    person.step = "Changing the default permissions"
    page.goto(f"{person.url}/admin/users/groups")
    seen["may"] = []
    permissions()
    permissions()
    elsewhere.context.close()

    person.step = "Making a group"
    page.goto(f"{person.url}/admin/users/groups")
    page.get_by_role("button", name="New Group").click()
    dialog.get_by_placeholder("Group Name").fill(word)
    save("/groups/create")
    groups = page.get_by_role("group")
    page.get_by_placeholder("Search Groups").fill("another")
    expect(groups.filter(has_text=word)).to_have_count(0, timeout=TIMEOUT)
    page.get_by_placeholder("Search Groups").fill(word)
    group = groups.filter(has_text=word)
    group.get_by_role("button").first.click()
    dialog.get_by_role("button", name="Users", exact=True).click()
    dialog.get_by_placeholder("Search").fill(word)
    with page.expect_response(lambda response: response.request.method == "POST" and "/users/add" in response.url):
        dialog.get_by_role("checkbox", name=first).click()
    seen["members"] = [one["member_count"] for one in ask(person, "/api/v1/groups/") if one["name"] == word]
    dialog.get_by_role("button", name="General", exact=True).click()
    dialog.get_by_role("button", name="Delete", exact=True).click()
    confirm("DELETE", "/groups/")
    expect(group).to_have_count(0, timeout=TIMEOUT)
    search()
    for one in newcomers:
        person.step = "Deleting an account"
        row = table.filter(has_text=one["email"])
        row.get_by_role("button", name="Delete User").click()
        confirm("DELETE", "/users/")
        expect(row).to_have_count(0, timeout=TIMEOUT)
    seen["left"] = ask(person, f"/api/v1/users/?query={word}")["users"]
    return seen


# What the page would show or play beside itself is noted; and it takes itself for one in the background while window.away is set.
ALERTS = """() => {
    window.alerts = [];
    window.Notification = class {
        static permission = "granted";
        static requestPermission = async () => "granted";
        constructor(title, { body }) { window.alerts.push(`${title}: ${body}`); }
    };
    // The page has a silence of its own, by which it gets leave to play.
    HTMLMediaElement.prototype.play = async function () { if (!this.src.startsWith("data:")) window.alerts.push(this.src.split("/").at(-1)); };
    Object.defineProperty(document, "visibilityState", { get: () => (window.away ? "hidden" : "visible") });
}"""

# In the place of a microphone, one that hears a tone.
TONE = """navigator.mediaDevices.getUserMedia = async () => {
    const context = new AudioContext();
    const [tone, heard] = [context.createOscillator(), context.createMediaStreamDestination()];
    tone.connect(heard);
    tone.start();
    return heard.stream;
}"""


def turn(person, *names: str) -> None:
    """Turns over switches of the settings that are open, by their names."""
    for name in names:
        # Each is saved by itself; of two that are saved in the same moment Open WebUI may forget one.
        with person.page.expect_response(lambda response: "settings/update" in response.url):
            person.page.get_by_role("switch", name=name, exact=True).click()


def alert_rows(person, messages: list[str]) -> list[list[str]]:
    """Messages are sent whose answers come while the page is in the background: what it shows and plays then, with notifications and the sound switched on, and without both."""
    page, seen = person.page, []
    page.add_init_script(f"({ALERTS})()")
    begin(person)
    for message, switches in zip(messages, (["Browser Notifications"], ["Browser Notifications", "Notification Sound"])):
        person.step = f"Turning over {switches}"
        page.goto(f"{person.url}/?settings=notifications")
        turn(person, *switches)
        person.open_chat()
        person.field.wait_for()
        # The sound comes only to somebody who has done something on the page.
        person.post(message, typed=False)
        page.evaluate("window.away = true")
        person.step = "Waiting for an answer in the background"
        page.locator("[data-sonner-toast]", has_text=message).wait_for()
        seen.append(sorted(page.evaluate("window.alerts")))
    return seen


def listen_rows(person) -> dict:
    """Each choice for speech is made, and a message dictated: it is sent by itself, and the answer spoken by itself: what is asked to be spoken, by which voice, and how fast."""
    page = person.page
    page.add_init_script(f"({VOICE})(); {TONE}")
    begin(person)
    person.field.wait_for()
    person.step = "Choosing how speech is heard and spoken"
    page.goto(f"{person.url}/?settings=audio")
    voice = page.get_by_label("Voice", exact=True)
    expect(voice.locator("option")).to_have_count(2, timeout=TIMEOUT)
    turn(person, "Instant Auto-Send After Voice Transcription", "Auto-Playback Response")
    page.get_by_role("switch", name="Allow non-local voices").click()
    voice.select_option("Far")
    page.get_by_label("Speech-to-Text Language").fill("de")
    page.get_by_label("Speech Playback Speed").fill("1.5")
    with page.expect_response(lambda response: "settings/update" in response.url):
        page.get_by_role("button", name="Save", exact=True).click()
    person.open_chat()
    person.step = "Dictating"
    page.locator("#voice-input-button").click()
    page.locator("#confirm-recording-button").wait_for()
    page.wait_for_timeout(2000)  # of speech
    page.locator("#confirm-recording-button").click()
    person.step = "Waiting for the answer, and for it to be spoken"
    page.locator(".copy-response-button").wait_for()
    page.wait_for_function("window.utterances.length")
    [[text, by, rate]] = page.evaluate("window.utterances")
    return {"sent": page.locator(".chat-user").inner_text().split("\n")[0], "spoken": text, "by": by, "rate": rate}


def keyboard_rows(person, message: str) -> dict:
    """Each shortcut is pressed in a chat, one gets other keys and then its own again, and all are switched off: what two of them copy, and whether one does something at the end."""
    page, seen = person.page, {}
    page.add_init_script(TONE)
    begin(person)
    person.open_chat()
    person.write(message, typed=False)
    chat = page.evaluate("location.pathname")
    search = page.get_by_role("dialog", name="Search workspace")

    def press(keys: str) -> None:
        page.goto(f"{person.url}{chat}")
        page.locator(".copy-response-button").last.wait_for()
        person.step = f"Pressing {keys}"
        page.keyboard.press(keys)

    for keys in ("Control+Shift+C", "Control+Shift+;"):
        seen[keys] = copied(person, lambda keys=keys: press(keys))
    for keys, arrive in {
        "Control+Shift+O": lambda: page.wait_for_url(f"{person.url}/"),
        "Control+Shift+'": page.get_by_text("Temporary Chat", exact=True).first.wait_for,
        "Control+Shift+M": page.get_by_role("combobox", name="Search In Models").wait_for,
        "Control+Shift+L": page.locator("#confirm-recording-button").wait_for,
        "Control+Shift+S": page.get_by_role("button", name="Close Sidebar").wait_for,
        "Control+Shift+Backspace": page.get_by_role("button", name="Confirm", exact=True).wait_for,
        "Control+k": search.wait_for,
        "Control+.": page.get_by_role("dialog", name="Settings").wait_for,
        "Control+/": page.locator("#tab-shortcuts").wait_for,
        "Shift+Escape": lambda: expect(person.field).to_be_focused(timeout=TIMEOUT),
    }.items():
        press(keys)
        arrive()
    page.keyboard.press("ArrowUp")
    page.locator("textarea[id^=message-edit]").wait_for()
    # What reloads the page is left to the browser, also where somebody has kept Open WebUI's own keys.
    ask(person, "/api/v1/users/user/settings/update", "POST", {"keybindings": {"regenerateResponse": "Cmd+R"}})
    press("Shift+Escape")
    seen["Control+r"] = page.evaluate("""() => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "r", ctrlKey: true, bubbles: true, cancelable: true }))""")
    ask(person, "/api/v1/users/user/settings/update", "POST", {"keybindings": {"regenerateResponse": "Cmd+Alt+U"}})
    press("Shift+Escape")
    page.keyboard.press("Control+Alt+u")
    page.get_by_text("2/2").wait_for()
    page.locator(".copy-response-button").wait_for()

    def settings():
        person.step = "Changing shortcuts"
        page.goto(f"{person.url}/?settings=shortcuts")
        return page.locator("#tab-shortcuts")

    settings().get_by_role("button", name="Ctrl+K", exact=True).click()
    with page.expect_response(lambda response: "settings/update" in response.url):
        page.keyboard.press("Control+Alt+J")
    press("Control+Alt+j")
    search.wait_for()
    with page.expect_response(lambda response: "settings/update" in response.url):
        settings().get_by_role("button", name="Reset Defaults").click()
    seen["defaults"] = ask(person, "/api/v1/users/user/settings")["keybindings"]["regenerateResponse"]
    press("Control+k")
    search.wait_for()
    settings()
    turn(person, "Enable Keyboard Shortcuts")
    press("Control+k")
    page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    return {**seen, "off": search.count()}


# What a chat looks like, by the switch that changes it.
LOOKS = """() => {
    const one = (selector) => document.querySelector(selector);
    const sandbox = (word) => one("iframe").sandbox.contains(`allow-${word}`);
    return {
        "UI Scale": one("html").style.getPropertyValue("--app-text-scale"),
        "Font Family": getComputedStyle(document.body).fontFamily.split(",")[0],
        "Accessibility Mode": one("html").classList.contains("high-contrast"),
        "Display Chat Title in Tab": document.title,
        "Chat Direction": one(".chat-user [dir]").dir,
        "Chat Bubble UI": Boolean(one(".chat-user .rounded-3xl.bg-gray-50")),
        "Widescreen Mode": getComputedStyle(one(".chat-assistant").closest(".mx-auto")).maxWidth,
        "Render Markdown in User Messages": Boolean(one(".chat-user strong")),
        "Always Collapse Code Blocks": !one(".chat-assistant .cm-content"),
        "Always Expand Details": one(".chat-assistant").innerText.includes("Folded"),
        "Show Formatting Toolbar": Boolean(one("[aria-label=Bold]")),
        "iframe Sandbox Allow Scripts": sandbox("scripts"),
        "iframe Sandbox Allow Same Origin": sandbox("same-origin"),
        "iframe Sandbox Allow Forms": sandbox("forms"),
        "iframe Sandbox Allow Downloads": sandbox("downloads"),
    };
}"""


# What interface_rows turns over before it looks again.
SWITCHES = (
    "Accessibility Mode", "Display Chat Title in Tab", "Haptic Feedback (Android)", "Copy Formatted Text", "Enable Message Queue", "Chat Bubble UI",
    "Widescreen Mode", "Fade Effect for Streaming Text", "Render Markdown in User Messages", "Auto-Copy Response to Clipboard",
    "Insert Suggestion Prompt to Input", "Regenerate Menu", "Always Collapse Code Blocks", "Always Expand Details", "Stylized PDF Export",
    "Chat Hover Previews", "Floating Quick Actions", "Show Formatting Toolbar", "Paste Large Text as File", "iframe Sandbox Allow Scripts",
    "iframe Sandbox Allow Same Origin", "iframe Sandbox Allow Forms", "iframe Sandbox Allow Downloads",
)


def interface_rows(person, message: str) -> dict:
    """
    A chat is looked at and used, most of the interface is set otherwise, and it is looked at and used again: by the name of each setting, what is seen before
    and after that; of what would be the same as in another test before it, after it alone.
    """
    page = person.page
    page.add_init_script("navigator.vibrate = () => (window.vibrated = true)")
    begin(person)
    answer, again = page.locator(".chat-assistant").last, page.get_by_text("2/2")
    markdown = f"{message} **bold**\n\n```html\n<p>Hello</p>\n```\n\n<details>\n<summary>Sum</summary>\nFolded\n</details>"

    def settings(*names: str) -> None:
        page.goto(f"{person.url}/?settings=interface")
        page.locator("[role=switch]").first.wait_for()
        person.step = f"Setting {names}"
        turn(person, *names)

    def change(name: str) -> None:
        """Chooses the next of what a button of the settings goes through."""
        person.step = f"Setting “{name}”"
        with page.expect_response(lambda response: "settings/update" in response.url):
            page.locator("#tab-interface").get_by_role("button", name=name).click()

    def look(chat: str, on: bool) -> dict:
        page.goto(chat)
        page.locator(".copy-response-button").last.wait_for()
        person.step = "Looking at a chat"
        if page.viewport_size["width"] < 768:
            # There what is made of HTML opens at a press alone.
            answer.get_by_role("button", name="Preview", exact=True).click()
        page.locator("iframe").wait_for(state="attached")
        seen = page.evaluate(LOOKS)
        page.goto(chat)
        page.locator(".copy-response-button").last.wait_for()
        copied(person, page.locator(".copy-response-button").last.click)
        seen["Copy Formatted Text"] = page.evaluate("navigator.clipboard.read().then(([item]) => item.types.includes('text/html'))")
        explain = page.get_by_role("button", name="Explain", exact=True)
        answer.locator("p").first.click(click_count=3)
        if not on:
            explain.wait_for()
        seen["Floating Quick Actions"] = explain.count() > 0
        page.get_by_role("button", name="Regenerate").last.click()
        page.get_by_text("Try Again").or_(again).first.wait_for()
        seen["Regenerate Menu"] = again.count() == 0
        person.open_chat()
        person.field.wait_for()
        # In its other mode the field is at the bottom, as in a chat.
        seen["Landing Page Mode"] = person.field.bounding_box()["y"] > 0.7 * page.viewport_size["height"]
        person.step = "Sending a message while another is answered"
        person.post(f"{message} SLOW 60", typed=False)
        expect(answer).to_contain_text("1 2", timeout=TIMEOUT)
        seen["Fade Effect for Streaming Text"] = answer.locator(".fade-in-token").count() > 0
        seen["Haptic Feedback (Android)"] = page.evaluate("Boolean(window.vibrated)")
        page.evaluate("navigator.clipboard.writeText('nothing')")
        person.post(f"{message} at once", typed=False)
        waits, answered = page.get_by_role("button", name="Send now"), answer.get_by_text(f"Echo: {message} at once")
        waits.or_(answered).first.wait_for()
        seen["Enable Message Queue"] = waits.count() > 0
        if on:
            page.locator(".copy-response-button").last.wait_for()
            page.wait_for_function("navigator.clipboard.readText().then((text) => text !== 'nothing')")
            seen["Auto-Copy Response to Clipboard"] = page.evaluate("navigator.clipboard.readText()")
        else:
            page.get_by_role("button", name="Stop", exact=True).click()
        return seen

    def hover(on: bool) -> bool:
        person.step = "Pointing at a chat in the list"
        page.goto(chat)
        open_sidebar(person)
        page.locator(f"[data-sidebar-chat-id='{chat.split('/')[-1]}']").first.hover()
        preview = page.locator("[data-link-preview-content]", has_text=message)
        if on:
            preview.wait_for()
        else:
            page.wait_for_timeout(1000)  # three times what it takes otherwise
        return preview.count() > 0

    person.open_chat()
    person.field.wait_for()
    person.write(markdown, typed=False)
    chat = page.url
    before = look(chat, False)
    before["Chat Hover Previews"] = hover(True)
    settings(*SWITCHES)
    tab = page.locator("#tab-interface")
    for name in ("Chat Direction", "Landing Page Mode", "Enter Key Behavior"):
        change(name)
    tab.get_by_role("button", name="UI Scale").click()
    with page.expect_response(lambda response: "settings/update" in response.url):
        tab.locator("[aria-label='Increase UI Scale']").click()
    tab.get_by_role("button", name="Font Family").click()
    with page.expect_response(lambda response: "settings/update" in response.url):
        tab.get_by_placeholder("Aptos").fill("Courier")
        page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        tab.get_by_role("button", name="Chat Background Image").click()
    with page.expect_response(lambda response: "settings/update" in response.url):
        chooser.value.set_files({"name": "picture.png", "mimeType": "image/png", "buffer": page.screenshot()})
    after = look(chat, True)

    after["Chat Hover Previews"] = hover(False)
    person.step = "Exporting a plain PDF"
    page.goto(chat)
    page.locator(".copy-response-button").last.wait_for()
    page.get_by_role("button", name="Chat actions").click()
    # On a phone what comes into sight lies over it in part.
    page.get_by_text("Download", exact=True).hover(force=True)
    after["Stylized PDF Export"] = b"/Subtype /Image" in downloaded(person, page.get_by_text("PDF document").click)[1]
    person.step = "Writing on the first screen"
    person.open_chat()
    page.locator("[style*='background-image: url(\"data:image/png']").wait_for(state="attached")
    page.locator("[aria-labelledby='suggestions-heading'] button").first.click()
    expect(person.field).not_to_have_text("", timeout=TIMEOUT)
    person.field.click()
    page.keyboard.press("Control+End")
    page.keyboard.press("Enter")
    page.keyboard.insert_text("and a second line")
    after["Enter Key Behavior"] = page.locator(".chat-user").count() > 0
    page.keyboard.press("Control+Enter")
    page.locator(".chat-user").get_by_text("and a second line").wait_for()
    person.open_chat()
    person.field.click()
    page.evaluate("navigator.clipboard.writeText('word '.repeat(2000))")
    page.keyboard.press("Control+V")
    page.locator("#message-input-container").get_by_text("Pasted_Text").first.wait_for()
    person.open_chat()
    person.field.click()
    page.keyboard.type("**boat** and ")
    before["Rich Text Input for Chat"] = person.field.locator("strong").count() > 0
    person.field.fill("")

    settings("Render Markdown in Assistant Messages", "Detect Artifacts Automatically", "Rich Text Input for Chat", "Temporary Chat by Default")
    page.goto(chat)
    page.locator(".copy-response-button").last.wait_for()
    after["Render Markdown in Assistant Messages"] = answer.locator("strong").count() > 0
    page.goto(person.url)
    page.get_by_text("Temporary Chat", exact=True).first.wait_for()
    person.field.click()
    page.keyboard.type("**boat** and ")
    after["Rich Text Input for Chat"] = person.field.locator("strong").count() > 0
    person.field.fill("")
    person.write(markdown, typed=False)
    after["Detect Artifacts Automatically"] = page.locator("iframe").count() > 0
    return {name: [before.get(name), seen] for name, seen in after.items()}
