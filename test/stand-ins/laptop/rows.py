"""Does what rows of docs/page.md say that works, and tells what came of it: a part of week.py, with the same Person.

What is stored is read from Open WebUI's API, as the page's own session.
"""

import json
from pathlib import Path

from browse import TIMEOUT
from playwright.sync_api import expect

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


def prompt_rows(person, prompts: dict, messages: dict) -> None:
    """A message is sent with each kind of system prompt: of a chat, of a folder, and of all chats of a person."""
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


def data_rows(person, message: str) -> dict:
    """All chats are exported, deleted and imported; and the account gets another name: what is there then."""
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
    """A chat is shared with the first of two other accounts ({"name", "token"}): the link, and whether each of them finds the message there."""
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
    link, found = copied(person, page.locator("#copy-and-share-chat-button").click), []
    for other in others:
        person.step = "Opening a shared chat"
        tab = page.context.browser.new_context(locale="en-US").new_page()
        tab.add_init_script(f"localStorage.token = {json.dumps(other['token'])}")
        tab.goto(link)
        said = tab.locator(".chat-user").or_(tab.locator("#chat-input"))
        said.first.wait_for()
        found.append(tab.get_by_text(message).count() > 0)
        tab.context.close()
    return {"link": link, "found": found}
