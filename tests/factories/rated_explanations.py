"""Made-up explanations with made-up ratings, in the layout of the release's `human_evaluation/DR_annotation`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ASPECTS = ("fluency", "completeness", "reliability", "overall")
PLACES = (
    "kitchen",
    "library",
    "garage",
    "attic",
    "harbour",
    "bakery",
    "stadium",
    "museum",
    "orchard",
    "tunnel",
)
THINGS = ("piano", "ladder", "bicycle", "lantern")

Row = dict[str, str]


def post_text(number: int) -> str:
    """A post of two sentences; no two numbers below 40 share their place and thing."""
    place, thing = PLACES[number % len(PLACES)], THINGS[number // len(PLACES) % len(THINGS)]
    return (
        f"Since autumn I sit in the {place} every evening and stare at my old {thing}. "
        "I feel hopeless, I hardly sleep, and nothing that I used to enjoy seems worth getting up for."
    )


def answer_text(number: int, label: str, detail: int) -> str:
    """An answer whose explanation takes up more of the post the higher `detail` is, 0 (no explanation) to 3."""
    place, thing = PLACES[number % len(PLACES)], THINGS[number // len(PLACES) % len(THINGS)]
    parts = [
        "The poster feels hopeless.",
        f'They mention sitting in the {place} every evening, staring at an old {thing}, and that they "hardly sleep".',
        "Losing interest in what they used to enjoy and having no reason for getting up are common symptoms of "
        "depression, and they have lasted since autumn.",
    ]
    opening = f"{label.capitalize()}, the poster {'suffers' if label == 'yes' else 'does not suffer'} from depression."
    return " ".join([opening, *(["Reasoning:"] if detail else []), *parts[:detail]])


def rated_row(number: int, label: str, detail: int, gold: str = "1") -> Row:
    """A row with three raters, who mostly like detail and a right label, and differ by half a point now and then."""
    is_right = (label == "yes") == (gold == "1")
    level = max(0, min(3, detail if is_right else detail - 1))
    ratings = [level, min(3, level + (number % 3 == 0)), max(0, level - (number % 4 == 0))]
    cell = f"[{', '.join(map(str, ratings))}]"
    return {
        "text": post_text(number),
        "label": gold,
        "gpt-3.5-turbo": answer_text(number, label, detail),
        "fluency": "[3, 3, 3]",
        "completeness": cell,
        "reliability": cell,
        "overall": cell,
    }


def rated_rows(count: int = 40) -> list[Row]:
    """Rows about `count` posts: four in five answers have the reference label, and detail goes from 0 to 3."""
    return [rated_row(number, "no" if number % 5 == 0 else "yes", number % 4) for number in range(count)]


def write_rows(path: Path, rows: Sequence[Mapping[str, str]], columns: Iterable[str] | None = None) -> Path:
    """Write rows as CSV; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(columns or rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path
