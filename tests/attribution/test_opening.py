"""Evidence of predictions: none, fast or full, and what it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

import pytest

from mentallama.analysts.base import Analyst, EvidenceLevel, InferenceOptions
from mentallama.analysts.registry import ANALYSTS, AnalystKind
from mentallama.attribution.opening import evidence_source, open_analyst
from mentallama.errors import UsageError
from mentallama.predict.analyst_pool import local_pool
from mentallama.records import Example, Prediction, Span
from tests.factories.toy_analyst import SilentAnalyst, WordSumAnalyst, make_example

TEXT = "The rent is due, and I can't sleep. My garden blooms"
WEIGHTS = {"rent": 0.5, "sleep": 1.0, "garden": -0.75}
FULL = [("I can't sleep", 0.75), ("The rent is due", 0.5), ("My garden blooms", -0.75)]


def opened(
    level: EvidenceLevel | None, monkeypatch: pytest.MonkeyPatch, analyst: Analyst | None = None
) -> Analyst:
    found = analyst or WordSumAnalyst(WEIGHTS, bias=0.25)
    kind = AnalystKind(lambda *_: found, single_cpu=True)
    monkeypatch.setitem(ANALYSTS, "toy", kind)
    return open_analyst("toy:words", evidence=level)


def quoted(spans: Iterable[Span], text: str = TEXT) -> list[tuple[str, float]]:
    return [(text[span.start : span.end], round(span.weight or 0, 6)) for span in spans]


@pytest.mark.parametrize("level", ["fast", "full"])
def test_evidence_is_added_to_answers(level: EvidenceLevel, monkeypatch: pytest.MonkeyPatch) -> None:
    (answer,) = opened(level, monkeypatch).analyze(TEXT, "dreaddit")
    assert [(quotation.text, round(quotation.weight or 0, 6)) for quotation in answer.evidence] == FULL


@pytest.mark.parametrize("level", ["none", None])
def test_without_evidence_nothing_but_the_question_is_asked(
    level: EvidenceLevel | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = WordSumAnalyst(WEIGHTS)
    (answer,) = opened(level, monkeypatch, toy).analyze(TEXT, "dreaddit")
    assert (answer.evidence, toy.calls) == ((), [[TEXT]])


def test_the_posts_of_a_batch_are_explained_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = WordSumAnalyst(WEIGHTS)
    opened("full", monkeypatch, toy).analyze(["The rent is due", "My garden blooms. I sleep"], "dreaddit")
    asked, variants = toy.calls
    assert asked == ["The rent is due", "My garden blooms. I sleep"]
    # Two posts with one and two clauses: the posts, and each without each of its clauses.
    assert variants == ["The rent is due", "", "My garden blooms. I sleep", "I sleep", "My garden blooms."]


def test_a_pool_gives_the_evidence_that_analyze_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    analyst = opened("fast", monkeypatch)
    examples = [make_example(text) for text in (TEXT, "Nothing")]
    events = local_pool(analyst).answer(iter([examples]))
    first, second = (event for event in events if isinstance(event, Prediction))
    assert quoted(first.evidence) == FULL
    assert second.evidence == ()


class Streaming(WordSumAnalyst):
    """As a remote model: takes a stream, answers backwards, and leaves a post out."""

    def __init__(self) -> None:
        super().__init__(WEIGHTS, bias=0.25)
        self.unanswered = Counter[str]()

    def predict_stream(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        kept = [example for example in examples if example.text != "left out"]
        self.unanswered["overloaded"] += 1
        return super().predict(kept[::-1])


def test_predictions_of_a_stream_keep_their_evidence() -> None:
    analyst = Streaming()
    analyst.evidence = evidence_source(analyst, "full")
    texts = [TEXT, "left out", "The rent is due"]
    examples = [make_example(text) for text in texts]
    events = local_pool(analyst).answer(iter([examples]))
    found = {event.example_id: event.evidence for event in events if isinstance(event, Prediction)}
    assert quoted(found[examples[0].id]) == FULL
    assert quoted(found[examples[2].id], texts[2]) == [("The rent is due", 0.5)]
    assert len(found) == 2


class Refusing(WordSumAnalyst):
    """Gives no probabilities about texts without rent."""

    def __init__(self) -> None:
        super().__init__(WEIGHTS)
        self.counts = Counter[str]()

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        for prediction, example in zip(super().predict(examples), examples, strict=True):
            known = "rent" in example.text
            yield prediction if known else prediction.model_copy(update={"probabilities": {}})


def test_a_post_whose_variants_have_no_probabilities_is_counted() -> None:
    analyst = Refusing()
    analyst.evidence = evidence_source(analyst, "fast")
    examples = [make_example(text) for text in ("rent, rent", "rent, sleep", "sleep")]
    first, second, third = analyst.answer(examples)
    assert quoted(first.evidence, "rent, rent") == [("rent", 0.5), ("rent", 0.5)]
    assert second.evidence == third.evidence == ()
    # The third has no probabilities itself, so no evidence was expected.
    assert analyst.counts == {"answers_without_evidence": 1}


def test_an_analyst_without_probabilities_is_refused_when_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match="toy:words gives no probabilities, without which its labels cannot"):
        opened("fast", monkeypatch, SilentAnalyst({}))


def test_an_unknown_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"evidence: .*'none', 'fast' or 'full'"):
        opened("most", monkeypatch)  # type: ignore[arg-type]


def test_evidence_that_an_analyst_gives_itself_is_kept_or_taken_off() -> None:
    own = (Span(start=0, end=3, weight=1.0),)
    analyst = WordSumAnalyst(WEIGHTS)
    example = make_example(TEXT)
    (prediction,) = analyst.predict([example])
    given = prediction.model_copy(update={"evidence": own})
    for level, expected in (("none", ()), ("fast", own), ("full", own)):
        source = evidence_source(analyst, level)  # type: ignore[arg-type]
        assert source is not None
        assert source.add([example], [given])[0].evidence == expected


def test_the_questions_that_evidence_takes_are_known_beforehand() -> None:
    source = evidence_source(WordSumAnalyst(WEIGHTS), "fast")
    assert source is not None
    variants = source.variants([make_example("The rent is due, help")])
    assert [variant.text for variant in variants] == ["help", "The rent is due,"]
    assert len({example.id for example in chain(variants, [make_example("The rent is due, help")])}) == 3


def test_options_of_the_stage_reach_the_analyst() -> None:
    assert InferenceOptions().evidence is None
    assert replace(InferenceOptions(), evidence="full").evidence == "full"
