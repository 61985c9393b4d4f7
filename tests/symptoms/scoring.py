"""Score the matcher on annotated sentences: symptoms of each sentence, and the status of each mention."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentallama.symptoms.matcher import SymptomMention, SymptomTable

DATA = Path(__file__).parent / "data"

Row = dict[str, Any]


@dataclass(frozen=True)
class MatcherScore:
    """Micro-F1 of symptoms and of pack items, over sentences x names; and accuracy of the status, over the mentions
    that were found. All 0-1."""

    sentences: int
    mentions: int
    symptom_f1: float
    item_f1: float
    status_accuracy: float
    statuses: int


def read_sentences(half: str) -> list[Row]:
    return [json.loads(line) for line in (DATA / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()]


def score_matcher(
    rows: Sequence[Row],
    find: Callable[[str], SymptomTable],
    criteria: Callable[[str], Iterable[tuple[str, str]]],
) -> MatcherScore:
    """`criteria` gives the (pack, item) pairs that a symptom speaks for."""
    tables = [find(row["text"]) for row in rows]
    symptoms = [
        ({mention["symptom"] for mention in row["mentions"]}, {mention.symptom for mention in table.mentions})
        for row, table in zip(rows, tables, strict=True)
    ]
    items = [
        tuple({pair for name in names for pair in criteria(name)} for names in both) for both in symptoms
    ]
    statuses = [
        any(found.status == mention["status"] for found in matching)
        for row, table in zip(rows, tables, strict=True)
        for mention in row["mentions"]
        if (matching := [found for found in table.mentions if _is_same(found, mention)])
    ]
    return MatcherScore(
        sentences=len(rows),
        mentions=sum(len(row["mentions"]) for row in rows),
        symptom_f1=_micro_f1(symptoms),
        item_f1=_micro_f1(items),
        status_accuracy=sum(statuses) / len(statuses),
        statuses=len(statuses),
    )


def _is_same(found: SymptomMention, mention: Row) -> bool:
    overlaps = found.start < mention["end"] and mention["start"] < found.end
    return overlaps and found.symptom == mention["symptom"]


def _micro_f1(pairs: Iterable[Any]) -> float:
    pairs = list(pairs)
    hits = sum(len(gold & found) for gold, found in pairs)
    return 2 * hits / sum(len(gold) + len(found) for gold, found in pairs)
