"""A post with its evidence in a terminal."""

from __future__ import annotations

import pytest

from mentallama.analysts.answer import Answer, Quotation
from mentallama.cli.terminal import (
    OPPOSING_STYLE,
    SUPPORTING_STYLE,
    evidence_sentences,
    highlight_evidence,
    part_probabilities,
    scale_total,
)
from tests.factories.answer_kinds import task_of_kind


def quotation(post: str, text: str, weight: float) -> Quotation:
    start = post.index(text)
    return Quotation(start=start, end=start + len(text), text=text, weight=weight)


def test_evidence_is_marked_where_it_stands_and_no_control_character_reaches_the_terminal() -> None:
    post = "one\r\ntwo\a so tired\x1b[31m but fine"
    evidence = (quotation(post, "so tired", 0.5), quotation(post, "fine", -0.1))
    answer = Answer(
        post=post,
        task="DR",
        question="depression",
        label="yes",
        status="parsed",
        evidence=evidence,
        model="m",
    )
    shown = highlight_evidence(answer)
    assert shown.plain == "one\ntwo\\x07 so tired\\x1b[31m but fine"
    marked = [(shown.plain[span.start : span.end], span.style) for span in shown.spans if span.style]
    assert marked == [("so tired", SUPPORTING_STYLE), ("fine", OPPOSING_STYLE)]


@pytest.mark.parametrize(
    ("explanation", "shown"),
    [
        ("", "The answer rests on “hail”, “storm”. Against it speaks “fog”."),
        ("Bad weather.", "The answer rests on “hail”, “storm”. Against it speaks “fog”."),
        ("The post says “hail”.", ""),
    ],
)
def test_evidence_that_the_explanation_does_not_quote_is_named(explanation: str, shown: str) -> None:
    post = "fog, storm, hail"
    answer = Answer(
        post=post, task="DR", question="depression", label="yes", status="parsed", model="m",
        explanation=explanation,
        evidence=(quotation(post, "fog", -0.1), quotation(post, "storm", 0.2), quotation(post, "hail", 0.9)),
    )  # fmt: skip
    assert evidence_sentences(answer) == shown
    assert evidence_sentences(answer.model_copy(update={"evidence": ()})) == ""


@pytest.mark.parametrize(
    ("kind", "label", "shown"),
    [
        ("choice", "yes", ""),
        ("multi", "sleep", "sleep 90%, low mood 25%"),
        ("spans", 'sleep: "up at 4"', "sleep 90%, low mood 25%"),
        ("scale", "energy: not at all", "energy: not at all 50%"),
    ],
)
def test_the_parts_of_an_answer_have_their_probabilities(kind: str, label: str, shown: str) -> None:
    probabilities = {"yes": 0.6, "sleep": 0.9, "low mood": 0.25, "energy: not at all": 0.5}
    answer = Answer(
        post="up at 4",
        task="t",
        question="about",
        label=label,
        probabilities=probabilities,
        status="parsed",
        model="m",
    )
    assert part_probabilities(answer, task_of_kind(kind)) == shown


@pytest.mark.parametrize(
    ("kind", "label", "shown"),
    [
        ("multi", "sleep", ""),
        ("scale", None, ""),
        ("scale", "sleep: several days; energy: nearly every day", "sum 3 of 4, high"),
        ("scale", "energy: not at all", "no sum; not filled: sleep"),
    ],
)
def test_the_sum_of_a_scale_is_shown(kind: str, label: str | None, shown: str) -> None:
    task = task_of_kind(kind, **({"bands": {"low": 0, "high": 3}} if kind == "scale" else {}))
    answer = Answer(post="up at 4", task="t", question="about", label=label, status="parsed", model="m")
    assert scale_total(answer, task) == shown
