/*
 * Makes of each picture one that models take, before the page looks at its size and its kind.
 *
 * Open WebUI 0.12.4 passes on what a browser shows, AVIF and BMP, too, which models refuse; drops without a word what it can't show; and refuses
 * a large photo before it would make it smaller. Here a browser turns what it can show into a JPEG; the rest goes to what reads documents,
 * which makes pictures of a TIFF (pictures.py), or says what is wrong.
 *
 * build.py makes the page call it for each file that is chosen, dropped or pasted. What is sent before the page has got all of them waits: it
 * would go without them.
 */
(() => {
    /** Models take these. */
    const TAKEN = ["image/png", "image/jpeg", "image/gif", "image/webp"];
    /** The page converts these itself, with a library of its own. */
    const PAGES_OWN = /^image\/hei[cf]$|\.hei[cf]$/i;
    /** In pixels, as in the Dockerfile; in bytes: the page makes what is smaller no larger than SIDE by itself. */
    const [SIDE, LARGE] = [1568, 5 << 20];

    const decoded = async (file) => {
        const picture = new Image();
        picture.src = URL.createObjectURL(file);
        try {
            await picture.decode();
            return picture;
        } catch {
            return undefined;
        } finally {
            URL.revokeObjectURL(picture.src);
        }
    };

    const readable = async (file) => {
        if (!file.type.startsWith("image/") || file.type === "image/svg+xml" || PAGES_OWN.test(file.type) || PAGES_OWN.test(file.name)) return file;
        const picture = await decoded(file);
        if (!picture) return new File([file], file.name, { type: "application/octet-stream" });
        if (TAKEN.includes(file.type) && file.size < LARGE) return file;
        const scale = Math.min(1, SIDE / Math.max(picture.naturalWidth, picture.naturalHeight));
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight].map((side) => Math.max(1, Math.round(side * scale)));
        const context = canvas.getContext("2d");
        context.imageSmoothingQuality = "high";
        // What can be seen through is seen on white.
        context.fillStyle = "white";
        context.fillRect(0, 0, canvas.width, canvas.height);
        context.drawImage(picture, 0, 0, canvas.width, canvas.height);
        const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
        return blob ? new File([blob], file.name.replace(/(\.\w+)?$/, ".jpg"), { type: "image/jpeg" }) : file;
    };

    /** In ms, until the page shows a file that it has got; from then on it waits for it by itself. */
    const SHOWN = 1000;
    let making = 0;
    let held;

    window.readablePicture = async (file) => {
        making += 1;
        try {
            return await readable(file);
        } finally {
            setTimeout(() => {
                making -= 1;
                if (making || !held) return;
                const send = held;
                held = undefined;
                send();
            }, SHOWN);
        }
    };

    const hold = (event) => {
        if (!making) return;
        const { target, key, code, keyCode, ctrlKey, metaKey } = event;
        const button = event.type === "click" && target.closest("#send-message-button");
        const enter = key === "Enter" && !event.shiftKey && !event.isComposing && target.closest("#chat-input");
        if (!button && !enter) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        const again = { key, code, keyCode, ctrlKey, metaKey, bubbles: true, cancelable: true };
        held = () => (button ? button.click() : target.dispatchEvent(new KeyboardEvent("keydown", again)));
    };
    document.addEventListener("click", hold, true);
    document.addEventListener("keydown", hold, true);
})();
