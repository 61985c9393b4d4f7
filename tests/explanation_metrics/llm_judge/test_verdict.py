"""Verdicts of a judge, and what is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mentallama.explanation_metrics.llm_judge.rubric import ASPECTS, HIGHEST
from mentallama.explanation_metrics.llm_judge.verdict import read_verdict

RATINGS = {"consistency": 3, "reliability": 2, "professionality": 1, "overall": 2}
WRITTEN = json.dumps(RATINGS)


@pytest.mark.parametrize(
    "reply",
    [
        WRITTEN,
        f"```json\n{WRITTEN}\n```",
        f"Here are my ratings:\n{WRITTEN}\nThey follow the rubric.",
        f"<think>Perhaps {json.dumps({**RATINGS, 'overall': 0})}? No.</think>{WRITTEN}",
        json.dumps({name.capitalize(): str(rating) for name, rating in RATINGS.items()}),
        json.dumps({**RATINGS, "overall": 2.0, "comment": "fine"}),
        f"{WRITTEN}\n{WRITTEN}",
    ],
)
def test_a_verdict_is_read_however_it_is_wrapped(reply: str) -> None:
    assert read_verdict(reply) == RATINGS


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "3",
        "Excellent, a clear 3 of 3 in every aspect.",
        WRITTEN[:-1],
        json.dumps({**RATINGS, "overall": 4}),
        json.dumps({**RATINGS, "overall": -1}),
        json.dumps({**RATINGS, "overall": 2.5}),
        json.dumps({**RATINGS, "overall": True}),
        json.dumps({**RATINGS, "overall": None}),
        json.dumps({**RATINGS, "overall": [2]}),
        json.dumps({**RATINGS, "overall": "NaN"}),
        json.dumps({"consistency": 3, "reliability": 2, "professionality": 1}),
        f"{WRITTEN} or rather {json.dumps({**RATINGS, 'overall': 3})}",
        f"{json.dumps({'rating': 1})} {WRITTEN}",
        WRITTEN.replace('"overall": 2', '"overall": 2, "overall": 3'),
        f"<think>{WRITTEN}",
    ],
)
def test_anything_else_is_no_verdict(reply: str) -> None:
    assert read_verdict(reply) is None


@given(some.text(max_size=300))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    verdict = read_verdict(text)
    assert verdict is None or set(verdict) == set(ASPECTS)


@given(some.fixed_dictionaries({name: some.integers(0, HIGHEST) for name in ASPECTS}), some.text(max_size=40))
def test_every_possible_verdict_reads_back(ratings: dict[str, int], around: str) -> None:
    prose = around.replace("{", "").replace("<", "").replace("[", "")
    assert read_verdict(f"{json.dumps(ratings)}\n{prose}") == ratings
