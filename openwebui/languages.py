"""Says what this deployment says by itself in the language of the page, as far as page/texts.json has it: a sentence that isn't there stays.

The page tells its language with each message (page/connection.js). Hermes knows its sentences by their beginning
(hermes/private_hermes/failures.py), and so they are put back into English before it gets them.
"""

import json
import re
from pathlib import Path

SENTENCES = json.loads(Path(__file__).with_name("texts.json").read_text())["sentences"]
BETWEEN = re.compile(r"(?<=[.”]) (?=[A-Z])")
# What a service says follows in quotation marks, as it is.
SAYS = "It says:"


def translated(text, language):
    """A text of one or more sentences in a language, given by its code; those that aren't known stay."""

    def one(sentence):
        if sentence.startswith(f"{SAYS} "):
            return one(SAYS) + sentence[len(SAYS) :]
        return SENTENCES.get(sentence, {}).get(language, sentence)

    return " ".join(one(sentence) for sentence in BETWEEN.split(text))


def in_english(text, *known):
    """A text in which those English sentences stand again that were put into any language."""
    for sentence in known:
        for other in {translated(sentence, language) for language in SENTENCES[BETWEEN.split(sentence)[0]]}:
            text = text.replace(other, sentence)
    return text
