"""Evidence: shares of quotations by where they stand, and overlap with the annotators' passages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mentallama.answers.quotations import QuoteMatchKind
from mentallama.explanation_metrics.annotated_evidence import AnnotatedEvidence
from mentallama.explanation_metrics.base import CaseScore, ExplanationCase, MetricOptions
from mentallama.explanation_metrics.evidence import EVIDENCE_COLUMNS, QuotedEvidence, quotation_shares
from mentallama.records import Example, Reading, Span

POST = "I can’t sleep, and the house is so quiet. Nobody calls me."
OTHER = "We walked along the harbour until the lights went out."


def case(
    explanation: str, annotated: tuple[str, ...] = (), evidence: tuple[Span, ...] = ()
) -> ExplanationCase:
    example = Example(
        id="1",
        post_id="p",
        task="loneliness",
        question="loneliness",
        form="instruction",
        text=POST,
        label="yes",
    )
    return ExplanationCase(
        example=example,
        reading=Reading(status="parsed", label="yes", explanation=explanation),
        annotated=tuple(span(text) for text in annotated),
        evidence=evidence,
    )


def span(text: str, weight: float | None = None) -> Span:
    return Span(start=POST.index(text), end=POST.index(text) + len(text), weight=weight)


def quoted(explanation: str) -> CaseScore:
    options = MetricOptions(post_texts=lambda: iter([POST, OTHER]))
    (score,) = QuotedEvidence.load("", options).score([case(explanation)])
    return score


def test_every_quotation_is_counted_where_it_stands() -> None:
    score = quoted(
        "It says “so quiet”, “I can't sleep”, “the house is so quiet I can’t sleep”, “we walked along the harbour” "
        "and “somebody stole my bike”; this is “loneliness”."
    )
    shares = {"exact": 20.0, "similar": 20.0, "spliced": 20.0, "other_post": 20.0, "not_found": 20.0}
    assert score.values == {
        "quotes_in_post": 60.0,
        **{f"quotes_{kind}": share for kind, share in shares.items()},
    }


@pytest.mark.parametrize("explanation", ["The poster is alone.", "This is what “loneliness” means."])
def test_an_explanation_that_quotes_nothing_is_unscored(explanation: str) -> None:
    assert quoted(explanation) == CaseScore(reason="no quotation")


@pytest.mark.parametrize(
    "kinds", [["exact"], ["exact", "not_found", "term"], ["spliced", "similar", "other_post"], ["not_found"]]
)
def test_shares_add_up(kinds: list[QuoteMatchKind]) -> None:
    values = quotation_shares(kinds).values
    assert list(values) == [column.name for column in EVIDENCE_COLUMNS]
    missing = values["quotes_other_post"] + values["quotes_not_found"]
    assert values["quotes_in_post"] + missing == pytest.approx(100)
    present = values["quotes_exact"] + values["quotes_similar"] + values["quotes_spliced"]
    assert values["quotes_in_post"] == pytest.approx(present)


def test_other_posts_are_read_only_for_a_quotation_that_is_not_in_the_post() -> None:
    def unread() -> Iterator[str]:
        raise AssertionError("posts were read")

    metric = QuotedEvidence.load("", MetricOptions(post_texts=unread))
    (score,) = metric.score([case("It says “so quiet”.")])
    assert score.values["quotes_in_post"] == 100


def overlap(given: ExplanationCase) -> CaseScore:
    (score,) = AnnotatedEvidence.load("", MetricOptions()).score([given])
    return score


def test_marked_passages_are_compared_in_tokens() -> None:
    # annotators: so quiet, nobody calls me (5 tokens); model: quiet, nobody (2), both among them
    given = case(
        "", ("so quiet", "Nobody calls me"), (span("quiet", 0.5), span("Nobody", 0.25), span("sleep", -0.5))
    )
    expected = [100.0, 40.0, 100 * 4 / 7, 40.0]
    assert list(overlap(given).values.values()) == pytest.approx(expected)


def test_without_marked_passages_the_quotations_are_the_evidence() -> None:
    given = case("It says “the house is so quiet” and “somebody stole my bike”.", ("so quiet",))
    assert list(overlap(given).values.values()) == pytest.approx([40.0, 100.0, 100 * 4 / 7, 40.0])


def test_an_answer_without_evidence_misses_all_of_it() -> None:
    given = case("The poster is alone.", ("so quiet",), (span("sleep", -0.5),))
    assert set(overlap(given).values.values()) == {0.0}


def test_a_post_without_annotated_evidence_is_unscored() -> None:
    assert overlap(case("It says “so quiet”.")) == CaseScore(reason="no evidence of annotators")
