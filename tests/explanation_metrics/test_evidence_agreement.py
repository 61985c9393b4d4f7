"""Written reasons against the model's own evidence, worked by hand."""

from __future__ import annotations

import pytest

from mentallama.explanation_metrics.base import CaseScore, ExplanationCase, MetricOptions
from mentallama.explanation_metrics.evidence_agreement import NO_EVIDENCE, EvidenceAgreement
from mentallama.explanation_metrics.registry import open_metrics
from mentallama.records import Example, Reading, Span
from mentallama.text.tokenize import word_spans

POST = "I can’t sleep, the house is so quiet. Nobody calls me, and the garden grows."


def span(text: str, weight: float) -> Span:
    return Span(start=POST.index(text), end=POST.index(text) + len(text), weight=weight)


EVIDENCE = (span("Nobody calls me", 2.0), span("so quiet", 1.0), span("the garden grows", -1.5))


def score(
    explanation: str,
    evidence: tuple[Span, ...] = EVIDENCE,
    attributed: tuple[Span, ...] = (),
    contributions: tuple[Span, ...] = (),
) -> CaseScore:
    example = Example(
        id="1",
        post_id="p",
        task="loneliness",
        question="loneliness",
        form="instruction",
        text=POST,
        label="yes",
    )
    case = ExplanationCase(
        example=example,
        reading=Reading(status="parsed", label="yes", explanation=explanation),
        evidence=evidence,
        attributed=attributed,
        contributions=contributions,
    )
    (found,) = EvidenceAgreement.load("", MetricOptions()).score([case])
    return found


@pytest.mark.parametrize(
    ("explanation", "named", "beside"),
    [
        ("“Nobody calls me” and the house is “so quiet”.", 100, 0),
        ("“Nobody calls” shows it.", 50, 0),  # two of three words are half of them
        ("“calls” shows it.", 0, 0),  # one of three is not, but it is part of the evidence
        (
            "The poster says that nobody calls me, and that is all.",
            50,
            None,
        ),  # repeated without quotation marks
        ("Against it stands “the garden grows”.", 0, 0),  # evidence against it is evidence
        ("“I can’t sleep” and “Nobody calls me” show it.", 50, 50),  # no evidence at all
        ("The poster is alone.", 0, None),
        ("“my dog ran away” shows it.", 0, None),  # invented quotations are counted elsewhere
    ],
)
def test_what_is_named_by_hand(explanation: str, named: float, beside: float | None) -> None:
    expected = {"evidence_named": named}
    if beside is not None:
        expected["quotes_beside_evidence"] = beside
    assert score(explanation).values == pytest.approx(expected)


def test_only_the_strongest_passages_have_to_be_named() -> None:
    weak = span("the house", 0.1)
    strong = (*EVIDENCE[:2], span("can’t sleep", 0.5))
    explanation = "“Nobody calls me”, “so quiet” and “can’t sleep” show it."
    assert score(explanation, (weak, *strong)).values["evidence_named"] == 100


def test_the_weights_of_all_words_decide_what_does_not_matter() -> None:
    explanation = "“I can’t sleep” shows it."
    assert score(explanation, attributed=EVIDENCE).values["quotes_beside_evidence"] == 100
    # Of 16 words 4 are quoted ("can’t" is two). Nine of the 13 passages of 4 words are of the other 12, and weigh
    # 1.3 / 3: the median.
    contributions = (span("I can’t sleep", 0.8), span(POST[POST.index("the house") :], -1.3))
    found = score(explanation, (), attributed=EVIDENCE, contributions=contributions)
    assert found.values == {"evidence_named": 0, "quotes_beside_evidence": 0}
    weaker = (contributions[0].model_copy(update={"weight": 0.3}), contributions[1])
    assert score(explanation, (), EVIDENCE, weaker).values["quotes_beside_evidence"] == 100


def test_words_that_cancel_one_another_set_no_high_mark() -> None:
    # Passages of 4 words add up to 0 where the words weigh +1 and -1 in turn; the quoted ones add up to 0.8.
    quoted = 4
    weights = [0.2] * quoted + [(-1.0) ** number for number in range(12)]
    contributions = tuple(
        Span(start=start, end=end, weight=weight)
        for (start, end), weight in zip(word_spans(POST), weights, strict=True)
    )
    found = score("“I can’t sleep” shows it.", (), EVIDENCE, contributions)
    assert found.values["quotes_beside_evidence"] == 0


@pytest.mark.parametrize("evidence", [(), (span("so quiet", -1.0),)])
def test_an_answer_without_evidence_is_unscored(evidence: tuple[Span, ...]) -> None:
    assert score("“Nobody calls me” shows it.", evidence) == CaseScore(reason=NO_EVIDENCE)


def test_it_is_computed_where_it_is_named() -> None:
    ((kind, metric),) = open_metrics(["evidence_agreement"], MetricOptions())
    assert isinstance(metric, EvidenceAgreement)
    assert not kind.by_default
