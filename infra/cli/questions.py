"""The demo's input: questions like those of a team's nightly batch, the same each time."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

MAILS = (
    "My parcel {n} was due on {day}, and it still has not arrived.",
    "You charged invoice {n} twice. Please send one of the payments back.",
    "How do I change the delivery address of order {n} before {day}?",
    "The lamp from order {n} arrived broken. I would like a new one.",
)
REVIEWS = (
    "The kettle boils in two minutes and looks good, but the lid is hard to open.",
    "Third pair I own. They outlast everything else, even after {n} kilometres.",
    "The app logs me out each {day}. Support answered after {n} days.",
)
NOTES = (
    "Standup of {day}: the import job took {n} minutes; Mara will split it, Jonas watches the queue.",
    "Site visit on {day}: {n} panels cleaned, two inverters replaced, next visit in spring.",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
UNITS = (("miles", "kilometres"), ("pounds", "kilograms"), ("gallons", "litres"), ("acres", "hectares"))
LANGUAGES = ("French", "German", "Japanese", "Portuguese")


def questions(count: int, seed: int = 7) -> Iterator[tuple[str, str]]:
    """The instruction and the text of each question."""
    source = random.Random(seed)
    for _ in range(count):
        day, number = source.choice(DAYS), source.randrange(10, 9_999)
        mail = source.choice(MAILS).format(n=number, day=day)
        review = source.choice(REVIEWS).format(n=number, day=day)
        note = source.choice(NOTES).format(n=number, day=day)
        given, wanted = source.choice(UNITS)
        yield source.choice(
            (
                ("Sort this mail into billing, delivery, returns or other. Answer with one word.", mail),
                ("Is this review positive, mixed or negative?", review),
                ("Summarise this note in one sentence.", note),
                (f"Translate into {source.choice(LANGUAGES)}.", mail),
                ("Answer with the number only.", f"How many {wanted} are {number} {given}?"),
            )
        )


def write_questions(path: Path, count: int, model: str = "mock-small") -> None:
    """Write a batch input file of chat requests."""
    with path.open("w", encoding="utf-8") as lines:
        for number, (instruction, text) in enumerate(questions(count), start=1):
            messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
            request = {
                "custom_id": f"question-{number:04d}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": model, "messages": messages, "max_tokens": 60},
            }
            lines.write(json.dumps(request, ensure_ascii=False) + "\n")
