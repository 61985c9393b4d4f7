"""Evidence spans of attributions to words, clauses and sentences."""

from __future__ import annotations

from mentallama.attribution.base import Attribution
from mentallama.attribution.evidence import evidence_spans
from mentallama.attribution.units import clause_units, sentence_units, word_units
from mentallama.records import Span

TEXT = "The rent is due, and I can't sleep. My garden blooms"


def quoted(spans: tuple[Span, ...]) -> list[tuple[str, float]]:
    return [(TEXT[span.start : span.end], round(span.weight or 0, 6)) for span in spans]


def test_words_are_quoted_with_the_phrase_they_are_in() -> None:
    weights = dict.fromkeys(range(11), 0.0) | {1: 0.5, 6: 1.0, 8: -0.75}
    units = tuple(word_units(TEXT))
    found = evidence_spans(
        TEXT, Attribution("yes", units, tuple(weights[i] for i in range(len(units))), "exact")
    )
    assert quoted(found) == [("I can't sleep", 1.0), ("The rent is due", 0.5), ("My garden blooms", -0.75)]


def test_clauses_are_quoted_without_their_conjunctions() -> None:
    # The second clause has four words, one of which is its conjunction.
    units = tuple(clause_units(TEXT))
    found = evidence_spans(TEXT, Attribution("yes", units, (0.4, 1.0, -0.5), "occlusion"))
    assert quoted(found) == [("I can't sleep", 0.75), ("The rent is due", 0.4), ("My garden blooms", -0.5)]


def test_a_sentence_is_quoted_by_its_clauses() -> None:
    units = tuple(sentence_units(TEXT))
    found = evidence_spans(TEXT, Attribution("yes", units, (0.8, 0.0), "occlusion"))
    assert quoted(found) == [("The rent is due", 0.4), ("I can't sleep", 0.3)]


def test_nothing_is_quoted_without_units() -> None:
    assert evidence_spans(TEXT, Attribution("yes", (), (), "occlusion")) == ()


def test_units_between_words_count_for_none() -> None:
    assert evidence_spans("a … b", Attribution("yes", ((2, 3),), (1.0,), "occlusion")) == ()
