/*
 * Gives names to what Open WebUI 0.12.4 leaves without one for a screen reader: boxes of a task list, code in an answer, buttons that have an
 * icon and a hint alone. And takes the messages for no items of a list, where there is none.
 */
(() => {
    const named = (element) => element.getAttribute("aria-label") || element.textContent.trim() || element.title;
    /** By what is looked for, what is done with each. */
    const mended = {
        "input.task-checkbox:not([aria-label])": (box) => box.setAttribute("aria-label", box.parentElement.textContent.trim()),
        ".cm-content[role=textbox]:not([aria-label])": (code) => code.setAttribute("aria-label", window.say("code")),
        "[role=listitem].message-listitem": (message) => !message.closest("[role=list]") && message.removeAttribute("role"),
        // The hint is one of Tippy's, of an element around the button.
        "button:not([aria-label], [aria-labelledby])": (button) => {
            const hint = button.parentElement?._tippy?.props.content ?? button.parentElement?.parentElement?._tippy?.props.content;
            if (!named(button) && typeof hint === "string") button.setAttribute("aria-label", hint);
        },
    };
    let due = false;
    const mend = () => {
        due = false;
        for (const [selector, change] of Object.entries(mended)) for (const element of document.querySelectorAll(selector)) change(element);
    };
    new MutationObserver(() => {
        // Once for many changes, as while an answer is written.
        if (!due) setTimeout(mend, 300);
        due = true;
    }).observe(document.documentElement, { childList: true, subtree: true });
})();
