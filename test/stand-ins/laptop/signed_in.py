"""Opens the page where the tailnet signs people in, in Chromium with a fresh profile, for `docker exec`.

Standard input, as JSON: {"url", "message": sent in a new chat, optional, "profile": cookies and storage of another browser, as this
prints them, optional}
Prints as JSON:
  text     what the page shows when it has settled: the field for a message, the sentence for who waits, or a refusal
  account  whose the page takes the browser's session for, as its address; null without one
  answer   to the message, or null
  profile  cookies and storage of the browser at the end
When a step fails it prints {"error": one sentence} and ends with 1.
"""

import json
import sys

from browse import TIMEOUT, WINDOW, Visit, fail, open_browser
from playwright.sync_api import Error, sync_playwright

ACCOUNT = """async () => {
    const token = localStorage.getItem("token");
    if (!token) return null;
    const answer = await fetch("/api/v1/auths/", { headers: { Authorization: `Bearer ${token}` } });
    return answer.ok ? (await answer.json()).email : null;
}"""


def main() -> int:
    order = json.load(sys.stdin)
    with sync_playwright() as playwright:
        browser = open_browser(playwright, WINDOW).context.browser
        context = browser.new_context(viewport=WINDOW, locale="en-US", storage_state=order.get("profile"))
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        visit = Visit(page, order["url"])
        try:
            visit.open()
            visit.step = "Being signed in"
            settled = page.locator("#chat-input").or_(page.get_by_text("Account Activation Pending")).or_(page.get_by_text("this device has none"))
            settled.first.wait_for()
            text = page.locator("body").inner_text()
            answer = visit.send(order["message"]) if order.get("message") else None
            account = page.evaluate(ACCOUNT)
            profile = context.storage_state()
        except (Error, AssertionError) as error:
            print(json.dumps(fail(visit, error, {"password": "\0"})))
            return 1
        finally:
            browser.close()
    print(json.dumps({"text": text, "account": account, "answer": answer, "profile": profile}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
