/*
 * Has “Export as PDF” wait for the diagrams and pictures of a chat.
 *
 * For it Open WebUI 0.12.4 draws the chat anew, and takes what stands there a moment later: of a diagram its source, and of a chat with a
 * picture that comes late as much less at the end as the picture is high. build.py puts the call there.
 */
(() => {
    /** In ms: between two looks, and how long it waits at most. What isn't there by then is left out, or stands there as its source. */
    const [EVERY, PATIENCE] = [100, 20_000];
    /** A diagram that isn't drawn yet; beside one that can't be there is the reason. */
    const SOURCE = ".p-3 > pre:only-child";

    window.drawn = async () => {
        const chat = document.getElementById("full-messages-container");
        const isThere = () => !chat.querySelector(SOURCE) && [...chat.querySelectorAll("img")].every(({ complete }) => complete);
        const end = Date.now() + PATIENCE;
        do await new Promise((resolve) => setTimeout(resolve, EVERY));
        while (chat && !isThere() && Date.now() < end);
    };
})();
