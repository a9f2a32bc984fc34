/*
 * Shows a person what the agent keeps of them: what it remembers, its skills and its jobs, to read and to delete; and what a chat has cost.
 *
 * Open WebUI 0.12.4 has pages of its own for the first three, of a memory, skills and a scheduler beside the agent's; they are off. What
 * stands here comes from Hermes (openwebui/own.py). It may be planted, so it is text and nothing else.
 */
(() => {
    const say = (name, values) => window.say(name, values);
    const language = () => [localStorage.locale, ...navigator.languages].filter(Boolean);
    const dollars = (cost) => new Intl.NumberFormat(language(), { style: "currency", currency: "USD", maximumFractionDigits: cost < 1 ? 4 : 2 }).format(cost);
    const moment = (when) => new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(when));
    /** A cost as Hermes tells it, as a sentence of this name. */
    const bill = (name, { dollars: sum, calls, untold }) => {
        if (calls && calls === untold) return say("untold");
        return say(name, { cost: dollars(sum) }) + (untold ? ` ${say("partly", { count: untold })}` : "");
    };

    /** Of the button “Info” below an answer, which shows what stands between the brackets (build.py). */
    window.usage = ({ input_tokens: read, output_tokens: written, cost }) =>
        ["{", say("tokens", { read, written }), cost === undefined ? say("cost_unknown") : say("costs", { cost: dollars(cost) }), "}"].join("\n  ");

    /** Hermes' answer, or an error with a sentence. */
    const ask = async (path, method = "GET") => {
        let response;
        try {
            response = await fetch(`/api/v1/own${path}`, { method, headers: { Authorization: `Bearer ${localStorage.token}` } });
        } catch {
            throw new Error(say("away"));
        }
        const said = await response.json().catch(() => ({}));
        if (response.ok) return said;
        if (response.status === 400 && typeof said.detail === "string") throw new Error(said.detail);
        throw new Error(say("away"));
    };

    const make = (tag, fields = {}, ...children) => {
        const element = Object.assign(document.createElement(tag), fields);
        element.append(...children.filter(Boolean));
        return element;
    };

    const dialog = make("dialog", { id: "own" });
    dialog.setAttribute("aria-labelledby", "own-title");
    const status = make("p", { className: "own-status" });
    status.setAttribute("role", "status");

    /** A button of an entry. One that deletes asks first; a press elsewhere takes that back. */
    const button = (entry, action, name, element) => {
        const one = make("button", { type: "button", textContent: say(name) });
        one.setAttribute("aria-description", entry.name ?? entry.text.slice(0, 60));
        one.onblur = () => (one.textContent = say(name));
        one.onclick = async () => {
            if (action === "remove" && one.textContent !== say("sure")) {
                one.textContent = say("sure");
                return;
            }
            for (const other of element.querySelectorAll("button")) other.disabled = true;
            element.setAttribute("aria-busy", "true");
            status.textContent = say("doing");
            try {
                await ask(`/${entry.id}/${action}`, "POST");
                await show(say("done"));
            } catch (error) {
                await show(error.message);
            }
        };
        return one;
    };

    const entryOf = (kind, entry) => {
        const element = make("li");
        const details = (summary, text) => make("details", {}, make("summary", { textContent: summary }), make("pre", { textContent: text, tabIndex: 0 }));
        const lines = [];
        if (kind === "memory") lines.push(make("p", { textContent: entry.text }));
        else lines.push(details(entry.name, entry.text));
        if (kind === "job") {
            const next = entry.paused ? say("paused") : entry.next ? say("next", { when: moment(entry.next) }) : say("no_next");
            const last = entry.last ? `${say("last", { when: moment(entry.last) })} ${say(`went_${entry.went}`)}` : say("never");
            const about = [entry.schedule, next, last, entry.failures > 0 && say("failures", { count: entry.failures }), bill("month", entry.cost)];
            lines.push(...about.filter(Boolean).map((line) => make("p", { className: "own-about", textContent: line })));
            if (entry.reason) lines.push(make("p", { className: "own-about", textContent: entry.reason }));
        }
        if (!entry.own) lines.push(make("p", { className: "own-about", textContent: say("others") }));
        const buttons = [
            kind === "job" && button(entry, entry.paused ? "resume" : "pause", entry.paused ? "resume" : "pause", element),
            button(entry, "remove", "delete", element),
        ];
        element.append(make("div", {}, ...lines), make("div", { className: "own-buttons" }, ...buttons));
        return element;
    };

    const content = make("div");
    /** Asks anew, and says something. */
    const show = async (said) => {
        let found, costs;
        try {
            [found, costs] = await Promise.all([ask(""), ask("/costs")]);
        } catch (error) {
            status.textContent = error.message;
            return;
        }
        const shared = make("p", { className: "own-about", textContent: say(found.owner ? "shared_owner" : "shared") });
        const sections = ["memory", "skill", "job"].map((kind) => {
            const entries = found[kind].map((entry) => entryOf(kind, entry));
            const list = entries.length > 0 ? make("ul", {}, ...entries) : make("p", { className: "own-about", textContent: say("nothing") });
            return make("section", {}, make("h3", { textContent: say(kind) }), list);
        });
        content.replaceChildren(shared, ...sections);
        if (costs.month) content.append(make("p", { textContent: bill("all", costs.month) }));
        status.textContent = said ?? "";
        // The button that was pressed is gone.
        if (said) dialog.querySelector("h2").focus();
    };

    const open = () => {
        const close = make("button", { type: "button", className: "own-close", textContent: "✕", onclick: () => dialog.close() });
        close.setAttribute("aria-label", say("close"));
        dialog.replaceChildren(make("header", {}, make("h2", { id: "own-title", tabIndex: -1, textContent: say("own") }), close), status, content);
        content.replaceChildren();
        status.textContent = say("doing");
        document.body.append(dialog);
        dialog.showModal();
        show();
    };
    dialog.onclick = ({ target }) => target === dialog && dialog.close();
    dialog.onclose = () => dialog.remove();

    /* The page's own menus: an entry in that of the person, and a line in that of a chat. They are drawn anew each time. */

    const SIGN_OUT = 'button[role="menuitem"]:has(path[d^="M12 12H19M19 12"])';
    const ICON = "M4 6.5C4 5.12 5.12 4 6.5 4H20V20H6.5C5.12 20 4 18.88 4 17.5V6.5ZM4 17.5C4 16.12 5.12 15 6.5 15H20M8.5 8H15.5";
    const tell = async (line, chat) => {
        try {
            const { chat: cost } = await ask(`/costs?chat=${chat}`);
            line.textContent = cost.calls ? bill("chat", cost) : say("uncounted");
        } catch (error) {
            line.textContent = error.message;
        }
    };
    const extend = () => {
        const last = document.querySelector(SIGN_OUT);
        if (last && !last.parentElement.querySelector("#own-entry")) {
            const entry = last.cloneNode(true);
            entry.id = "own-entry";
            entry.querySelector("svg").innerHTML = `<path d="${ICON}" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round"></path>`;
            entry.lastElementChild.textContent = say("own");
            entry.onclick = () => {
                // Otherwise the menu would take the first press in the dialog for one that closes it.
                entry.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
                setTimeout(open);
            };
            last.before(entry);
        }
        const share = document.getElementById("chat-share-button");
        const [, chat] = /^\/c\/([\w-]+)$/.exec(location.pathname) ?? [];
        if (share && chat && !share.parentElement.querySelector("#own-cost")) {
            const line = make("p", { id: "own-cost" });
            share.parentElement.append(line);
            tell(line, chat);
        }
    };
    let due = false;
    new MutationObserver(() => {
        if (!due) requestAnimationFrame(() => ((due = false), extend()));
        due = true;
    }).observe(document.documentElement, { childList: true, subtree: true });
})();
