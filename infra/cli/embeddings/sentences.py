"""The demo's texts: the sentences of the documentation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCES = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINKS = re.compile(r"\[([^]]*)\]\([^)]*\)")
MARKS = re.compile(r"[`*]")
LIST_ITEM = re.compile(r"^\s*([*-]|\d+\.) ")
END_OF_SENTENCE = re.compile(r"(?<=[.?!]) +(?=[A-Z])")
MIN_WORDS = 5


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, and where it is from."""

    text: str
    page: str
    heading: str


def read_sentences(pages: list[Path]) -> Iterator[Sentence]:
    """Yield the sentences of Markdown pages; tables, code and fragments are left out."""
    for page in pages:
        heading, lines = "", list[str]()
        for line in [*FENCES.sub("", page.read_text(encoding="utf-8")).splitlines(), ""]:
            is_text = bool(line.strip()) and not line.startswith(("#", "|"))
            if not is_text or LIST_ITEM.match(line):
                yield from (Sentence(text, page.name, heading) for text in _split(" ".join(lines)))
                lines.clear()
            if is_text:
                lines.append(LIST_ITEM.sub("", line).strip())
            elif line.startswith("#"):
                heading = _plain(line.lstrip("# "))


def _split(paragraph: str) -> Iterator[str]:
    for text in END_OF_SENTENCE.split(_plain(paragraph)):
        if len(text.split()) >= MIN_WORDS and text.endswith((".", "?", "!")):
            yield text


def _plain(text: str) -> str:
    return MARKS.sub("", LINKS.sub(r"\1", text))
