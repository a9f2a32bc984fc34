/** What is to be read of the documents of documents.py, in the page and on Telegram. */

/** What is said of those that aren't read. */
export const problems: [name: string, says: RegExp][] = [
    ["book.pdf", /^book\.pdf has no text, only pictures of its 9 pages.*at most 8.*file of their own.*OCR/],
    ["locked.pdf", /^locked\.pdf is protected by a password\. Save a copy without/],
    ["broken.docx", /^broken\.docx can't be read: it is damaged.*save it anew/],
    ["bomb.docx", /^bomb\.docx takes too much memory.*part that matters/],
    ["tree.html", /^tree\.html takes too much memory.*part that matters/],
    ["pages.pdf", /^pages\.pdf has 500 pages, and at most 300 can be read.*part that matters/],
    ["long.txt", /^long\.txt has 880,000 characters.*part that matters/],
    ["mail.msg", /^mail\.msg is of a kind that can't be read.*EML/],
    ["a.zip", /^a\.zip is of a kind that can't be read.*work with it in its sandbox/],
    ["program.exe", /^program\.exe is of a kind that can't be read.*PDF, DOCX/],
];

/** What a person sees in a document, or what is said to be left out; and how many pictures of it are shown to the model. */
export const seen: [name: string, says: RegExp[], pictures?: number][] = [
    [
        "form.pdf",
        [
            /^- Name: Ada Lovelace$/m,
            /^- Licence plate: ZH 4711 ❌$/m,
            /^- Resident: ticked$/m,
            /^- Parked: not ticked$/m,
            /^- Zone: Outer$/m,
            /^- Code: \(hidden\)$/m,
        ],
    ],
    ["notes.pdf", [/Typed onto the page: Typed with a phone/, /Comment of Ida: Is this right\?/]],
    ["scanned form.pdf", [/Picture 1 of 1 .* shows this page/, /Name: Ada Lovelace/], 1],
    ["stamped.pdf", [/Invoice\n\n\(Picture 1 of 1 .* shows this page\.\)\n\nNotes:\n\n- Stamp: Approved/, /Terms$/], 1],
    ["footer.pdf", [/Page 1\*\*\n\nScanned with a phone\n\n\(Picture 1 of 2/, /Page 2\*\*\n\nScanned with a phone\n\n\(Picture 2 of 2/], 2],
    ["letter.pdf", [/Page 1\*\*\n\nDear Ada\n\n/, /Page 2\*\*\n\n\(Picture 1 of 2/, /Page 3\*\*\n\n\(Picture 2 of 2/, /Page 4\*\*\n\n\(There is no text/], 2],
    ["logo.pdf", [/^\(Pictures on page 1 aren't shown\.\)\n\n\*\*Page 1\*\*\n\nLetter with a logo/]],
    [
        "long scan.pdf",
        [/^\(The model can be shown 8 pictures of pages: not shown are those of pages 10, 11\.\)/, /Page 11\*\*\n\n\(This page is a picture that isn't shown/],
        8,
    ],
    ["recognized.pdf", [/^\(Pictures on page 1 aren't shown\.\)[^]*a dull text/]],
    [
        "seen.docx",
        [
            /100 EUR \(comment 3\)/,
            /^- Comment 3, Ida: Too much$/m,
            /^- CONFIDENTIAL$/m,
            /^- Draft of May$/m,
            /\(Picture, not shown: A red square\)/,
            /Tracked changes are shown as if/,
            /Some of the text is hidden/,
        ],
    ],
    ["seen.odt", [/The price \(comment 1\) is 100 EUR/, /^- Comment 1: Ida Too much$/m, /^- CONFIDENTIAL$/m]],
    ["seen.pptx", [/\(Picture, not shown: A chart\)/, /Slide 1: Too long/, /^\(These slides are hidden when the others are shown: 2\.\)/]],
    [
        "seen.xlsx",
        [
            /Of the sheet “Costs”, 1 row and 1 column \(D\) are hidden and left out\. The sheet “_Rates” is hidden and left out\. Formulas that no program has calculated yet stand as =…/,
            /^\| one \| 10 \| 20 \|\n\| three \| 30 \| =IF\(B4<9,"a","b"\) \|\n\| four \| 0 \|  \|\n\| Sum \| =SUM\(B2:B5\) \|  \|$/m,
            /^- Costs, B2: Ask Ida$/m,
        ],
    ],
    ["zeros.xlsx", [/^\| 10 \| =A2\*2 \|\n\| 0 \| 1 \|$/m]],
    [
        "a.eml",
        [
            /^\(Attached, and not read here: Rechnung März\.pdf\.\)\n\nFrom: Zoë Müller <zoe@example\.com>\n[^]*Subject: Grüße – Rechnung\n\nLiebe Ada,\ndie Prüfung ist vorbei\.$/,
        ],
    ],
    ["page.eml", [/Subject: Grüße\n\n# Größe$/]],
    ["a.tsv", [/^\| Key \| Size \|\n\| --- \| --- \|\n\| The word is tsv \| 1,5 \|$/]],
    ["fax.tif", [/Its 2 pages are shown as pictures/], 2],
    ["red.avif", [/It is shown as a picture/], 1],
    ["red.bmp", [/It is shown as a picture/], 1],
];
