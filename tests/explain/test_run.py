"""Evidence is computed, tested and kept in a journal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from mentallama.attribution.base import AttributionMethod
from mentallama.attribution.registry import open_attribution
from mentallama.attribution.units import word_units
from mentallama.errors import MentallamaError, UsageError
from mentallama.explain.answers import AnswerSelection, ExplainedAnswer
from mentallama.explain.results import EvidenceRow, FaithfulnessFile, MethodTiming
from mentallama.explain.run import ANSWERS_AT_A_TIME, VARIANT_WITHOUT_PROBABILITIES, run
from mentallama.files.record_files import read_record, read_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.records import Example, Prediction, Span
from mentallama.run_files import EVIDENCE_FILE, FAITHFULNESS_FILE, METRICS_FILE
from mentallama.tasks import Task
from tests.factories.answer_kinds import task_of_kind
from tests.factories.toy_analyst import WordSumAnalyst, make_example

WEIGHTS = {"i": 0.5, "feel": 1.0, "alone": 2.0, "my": -1.0}
OPENINGS = ("today", "again", "at home", "since May", "at work")
RESAMPLING = Resampling(resamples=100, seed=7)


def answer(number: int) -> ExplainedAnswer:
    opening = OPENINGS[number % len(OPENINGS)]
    example = make_example(f"{opening} {number} I am so tired, my day was long, I feel alone")
    start = example.text.index("alone")
    return ExplainedAnswer(
        example, "yes", tuple(word_units(example.text)), (Span(start=start, end=start + 5),)
    )


def answers(count: int) -> AnswerSelection:
    return AnswerSelection({"dreaddit": tuple(map(answer, range(count)))}, {"dreaddit": 99}, {"x": 1})


def methods(analyst: WordSumAnalyst) -> dict[str, AttributionMethod]:
    return {name: open_attribution(name, analyst) for name in ("occlusion", "random")}


def explain(folder: Path, analyst: WordSumAnalyst, count: int = 20) -> FaithfulnessFile:
    out = folder / "explain"
    return run(analyst, answers(count), methods(analyst), out, folder / "journal.jsonl", RESAMPLING)


class FailingAnalyst(WordSumAnalyst):
    """Fails after a number of calls."""

    allowed_calls = 0

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        if len(self.calls) == self.allowed_calls:
            raise MentallamaError("the server is gone")
        return super().predict(examples)


class DecliningAnalyst(WordSumAnalyst):
    """Gives no probabilities for the variants of some posts: those of which a word is missing."""

    def __init__(self, declined: str, without: str) -> None:
        super().__init__(WEIGHTS)
        self.declined, self.without = declined, without

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        for example, prediction in zip(examples, super().predict(examples), strict=True):
            declines = self.declined in example.text and self.without not in example.text
            yield prediction.model_copy(update={"probabilities": {}}) if declines else prediction


def test_evidence_is_tested_and_written(tmp_path: Path) -> None:
    found = explain(tmp_path, WordSumAnalyst(WEIGHTS))
    part = found.sets["dreaddit"]
    assert (part.rows, part.of, found.skipped, found.methods) == (20, 99, {"x": 1}, ("occlusion", "random"))
    occlusion, random = part.methods["occlusion"], part.methods["random"]
    assert occlusion.comprehensiveness.value > random.comprehensiveness.value
    assert occlusion.against_random is not None
    assert occlusion.against_random.comprehensiveness.p_value < 0.01
    assert occlusion.plausibility is not None
    assert occlusion.plausibility.rows == 20
    assert read_record(tmp_path / "explain" / FAITHFULNESS_FILE, FaithfulnessFile) == found
    rows = list(read_records(tmp_path / "explain" / EVIDENCE_FILE, EvidenceRow))
    assert [row.method for row in rows[:4]] == ["occlusion", "random"] * 2
    timings = list(read_records(tmp_path / "explain" / METRICS_FILE, MethodTiming))
    assert [(timing.method, timing.rows) for timing in timings] == [("occlusion", 20), ("random", 20)]
    assert all(timing.seconds > 0 for timing in timings)


def test_no_word_of_a_post_is_written(tmp_path: Path) -> None:
    explain(tmp_path, WordSumAnalyst(WEIGHTS))
    for row in read_records(tmp_path / "explain" / EVIDENCE_FILE, EvidenceRow):
        content = json.loads(row.model_dump_json())
        # the factory's ids are the texts; those of a run are hashes
        assert not any("tired" in str(value) for name, value in content.items() if name != "post_id")


class QuotingAnalyst(WordSumAnalyst):
    """Finds one of two types of passage likely."""

    tasks: Mapping[str, Task] = {"synthetic-spans": task_of_kind("spans")}

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        for prediction in super().predict(examples):
            probabilities = {"sleep": prediction.probabilities["yes"], "low mood": 0.1}
            yield prediction.model_copy(update={"probabilities": probabilities})


def test_quotations_of_an_answer_are_not_written(tmp_path: Path) -> None:
    text = "I am so tired, my day was long, I feel alone"
    example = Example(
        id="e1", post_id="p1", task="synthetic-spans", question="about", form="instruction", text=text
    )
    quoting = ExplainedAnswer(example, 'sleep: "so tired"; sleep: "long"', tuple(word_units(text)))
    selection = AnswerSelection({"synthetic-spans": (quoting,)}, {"synthetic-spans": 1}, {})
    analyst, journal = QuotingAnalyst(WEIGHTS), tmp_path / "journal.jsonl"
    run(analyst, selection, methods(analyst), tmp_path / "explain", journal, RESAMPLING)
    rows = list(read_records(tmp_path / "explain" / EVIDENCE_FILE, EvidenceRow))
    assert {row.label for row in rows} == {"sleep"}
    written = [journal.read_text(encoding="utf-8"), *(row.model_dump_json() for row in rows)]
    assert not any(word in line for line in written for word in ("tired", "long"))


@pytest.mark.parametrize("calls", [2, 3])
def test_what_was_computed_before_a_failure_is_not_computed_again(tmp_path: Path, calls: int) -> None:
    # A batch takes two calls: occlusion, and the variants of both methods.
    failing = FailingAnalyst(WEIGHTS)
    failing.allowed_calls = calls
    with pytest.raises(MentallamaError, match="gone"):
        explain(tmp_path / "killed", failing)
    assert not (tmp_path / "killed/explain").exists()
    resumed = WordSumAnalyst(WEIGHTS)
    explain(tmp_path / "killed", resumed)
    texts = {text for call in resumed.calls for text in call}
    assert not any(answer(number).example.text in texts for number in range(ANSWERS_AT_A_TIME))
    explain(tmp_path / "whole", WordSumAnalyst(WEIGHTS))
    for name in (EVIDENCE_FILE, FAITHFULNESS_FILE):
        assert (tmp_path / "killed/explain" / name).read_bytes() == (
            tmp_path / "whole/explain" / name
        ).read_bytes()


def test_another_method_uses_the_evidence_that_is_there(tmp_path: Path) -> None:
    analyst = WordSumAnalyst(WEIGHTS)
    random_only = {"random": open_attribution("random", analyst)}
    run(analyst, answers(5), random_only, tmp_path / "first", tmp_path / "journal.jsonl", RESAMPLING)
    before = len(analyst.calls)
    run(analyst, answers(5), methods(analyst), tmp_path / "second", tmp_path / "journal.jsonl", RESAMPLING)
    one, two = (
        [row for row in read_records(tmp_path / name / EVIDENCE_FILE, EvidenceRow) if row.method == "random"]
        for name in ("first", "second")
    )
    assert one == two
    assert len(analyst.calls) == before + 2


def test_an_answer_of_which_a_variant_has_no_probabilities_is_counted_and_the_others_are_explained(
    tmp_path: Path,
) -> None:
    analyst = DecliningAnalyst("since May", "alone")
    found = explain(tmp_path, analyst)
    part = found.sets["dreaddit"]
    assert (part.rows, part.of) == (16, 99)
    assert found.skipped == {"x": 1, VARIANT_WITHOUT_PROBABILITIES: 4}
    rows = list(read_records(tmp_path / "explain" / EVIDENCE_FILE, EvidenceRow))
    assert len(rows) == 2 * 16
    assert not any("since May" in row.post_id for row in rows)
    timings = list(read_records(tmp_path / "explain" / METRICS_FILE, MethodTiming))
    assert {timing.rows for timing in timings} == {16}


def test_if_no_answer_can_be_explained_that_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"20 {VARIANT_WITHOUT_PROBABILITIES}"):
        explain(tmp_path, DecliningAnalyst("I feel", "alone"))
    assert not (tmp_path / "explain" / FAITHFULNESS_FILE).exists()


def test_without_answers_there_is_nothing_to_explain(tmp_path: Path) -> None:
    nothing = AnswerSelection({}, {}, {"label without a probability": 3})
    analyst = WordSumAnalyst(WEIGHTS)
    with pytest.raises(UsageError, match=r"3 label without a probability.*answer-first"):
        run(analyst, nothing, methods(analyst), tmp_path / "out", tmp_path / "journal.jsonl", RESAMPLING)
