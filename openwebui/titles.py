"""Makes of the first message of a chat a title that can be read: its first sentence, without marks, code and addresses.

Open WebUI 0.12.4 takes the whole message, as it stands, where no model makes a title. A title by the agent would cost a run of it; this
costs nothing.
"""

import re

from open_webui.private.replacing import replaces

# In characters: what a list shows of it, and what says too little to stand alone.
LONGEST, SHORTEST = 60, 15
LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*\)")
ADDRESS = re.compile(r"(?:https?://|www\.)([^\s/<>()]+)[^\s<>()]*")
CODE = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.DOTALL)
# At the beginning of a line: headings, quotations, lists, boxes of tasks; and those of words.
BEGINNING = re.compile(r"^\s*(?:(?:#{1,6}|>|[-*+•]|\d{1,3}[.)])\s+)*(?:\[[ xX]\]\s+)?")
MARKS = re.compile(r"\*\*|__|~~|`|<[^<>\n]{1,40}>|(?<!\w)[*_](?=\S[^*_\n]*[*_](?!\w))|(?<=\S)[*_](?!\w)")
END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")
# What begins many messages, and says nothing of them, in the languages of page/texts.json.
GREETING = re.compile(
    r"(?:hi|hello|hey|good (?:morning|evening|afternoon)|hallo|guten (?:morgen|tag|abend)|bonjour|salut|hola|buenos días|ciao|buongiorno|ol[áa]|cześć|"
    r"привет|здравствуйте|你好|您好|こんにちは|안녕하세요)\b[\s,!.~，！。]*(?:hermes\b[\s,!.]*)?",
    re.IGNORECASE,
)


def readable(text):
    """The title for a message; nothing where it has no words, as one with a file alone."""
    text = ADDRESS.sub(r"\1", LINK.sub(r"\1", CODE.sub("\n", text))) if CODE.sub("", text).strip() else text
    lines = (MARKS.sub("", BEGINNING.sub("", line)).strip(" \t|") for line in text.splitlines())
    line = next((line for line in lines if re.search(r"\w", line) and line.strip("`~")), "")
    # Of a message that is little more, it stays.
    if len(rest := GREETING.sub("", line, count=1)) >= SHORTEST:
        line = rest
    title = ""
    for sentence in END.split(re.sub(r"\s+", " ", line)):
        if len(title) >= SHORTEST or title[:1] > "\u2e80":
            break
        title = f"{title} {sentence}".strip()
    if len(title) > LONGEST:
        cut = title[:LONGEST]
        title = f"{cut[: cut.rfind(' ')] if cut.rfind(' ') > LONGEST // 2 else cut}".rstrip(" ,;:–-") + "…"
    return title.rstrip(".。:")


# It is called for titles alone there.
@replaces("open_webui.utils.middleware:replace_skill_mentions_with_labels")
def replace_skill_mentions_with_labels(original, text):
    return readable(original(text)) or original(text)
