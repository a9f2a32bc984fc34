/*
 * Makes of each picture one that models take, before the page looks at its size and its kind.
 *
 * Open WebUI 0.12.4 passes on what a browser shows, AVIF and BMP, too, which models refuse; drops without a word what it can't show; and refuses
 * a large photo before it would make it smaller. Here a browser turns what it can show into a JPEG; the rest goes to what reads documents,
 * which makes pictures of a TIFF (pictures.py), or says what is wrong.
 *
 * build.py has the page call it for each file that is chosen, dropped or pasted.
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

    window.readablePicture = async (file) => {
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
})();
