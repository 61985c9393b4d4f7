"""Scores of rows against small tables worked by hand, and against scikit-learn on any table."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from mentallama.evaluate.scores import (
    ScoredRow,
    compute_scores,
    confusion_by_post,
    score_row,
)
from mentallama.metrics.bootstrap import Resampling
from mentallama.records import Example, Reading
from mentallama.tasks import find_task

NO_LABEL = ("unparsed", "refused", "truncated")
FEW = Resampling(resamples=20)
TASK = find_task("DR")


def row(
    gold: str,
    answer: str,
    set_: str = "DR",
    question: str = "depression",
    *,
    post: str = "",
    probability: float | None = None,
) -> ScoredRow:
    without_label = answer in NO_LABEL
    return ScoredRow.model_validate(
        {
            "example_id": f"{post}{gold}{answer}",
            "set": set_,
            "question": question,
            "post_id": post or f"{gold}{answer}",
            "gold": gold,
            "status": answer if without_label else "parsed",
            "predicted": None if without_label else answer,
            "probability": probability,
            "brier": None if probability is None else 2 * (1 - probability) ** 2,
        }
    )


def test_two_labels_by_hand() -> None:
    # gold yes: 3 rows, said yes, yes, no; gold no: 2 rows, said no, yes.
    #   yes: hits 2, gold 3, predicted 3 -> F1 = 4/6 = 0.6667
    #   no:  hits 1, gold 2, predicted 2 -> F1 = 2/4 = 0.5
    # weighted = (3 * 0.6667 + 2 * 0.5) / 5 = 0.6; macro = 0.58333; accuracy = micro = 3/5
    rows = [row("yes", "yes"), row("yes", "yes"), row("yes", "no"), row("no", "no"), row("no", "yes")]
    scores = compute_scores(rows, find_task("DR"), FEW)
    assert (scores.n, scores.weighted_f1, scores.accuracy) == (5, 60.0, 60.0)
    assert scores.metrics == {"weighted_f1": 60.0, "accuracy": 60.0, "macro_f1": 58.3333, "micro_f1": 60.0}
    assert scores.confusion["yes"] == {"yes": 2, "no": 1, "unparsed": 0, "refused": 0, "truncated": 0}
    assert scores.per_class["yes"].recall == 66.6667
    # the high-risk label of DR is yes: 2 of 3 found
    assert scores.high_risk is not None
    assert scores.high_risk.model_dump() == {"label": "yes", "recall": 66.6667, "n": 3, "hits": 2}


def test_unparsed_refused_and_truncated_are_misses_and_not_classes() -> None:
    # gold yes: said yes, unparsed, refused; gold no: said no, truncated.
    #   yes: hits 1, gold 3, predicted 1 -> F1 = 2/4; no: hits 1, gold 2, predicted 1 -> F1 = 2/3
    # weighted = (3 * 0.5 + 2 * 2/3) / 5 = 0.56667; macro over yes and no only = 0.58333
    # micro: hits 2, gold 5, predicted 2 -> 4/7
    pairs = [("yes", "yes"), ("yes", "unparsed"), ("yes", "refused"), ("no", "no"), ("no", "truncated")]
    scores = compute_scores([row(*pair) for pair in pairs], find_task("DR"), FEW)
    assert (scores.parsed, scores.unparsed, scores.refused, scores.truncated) == (2, 1, 1, 1)
    assert (scores.accuracy, scores.weighted_f1, scores.metrics["macro_f1"]) == (40.0, 56.6667, 58.3333)
    assert scores.metrics["micro_f1"] == round(400 / 7, 4)


def test_a_label_only_predicted_counts_in_macro_and_not_in_weighted() -> None:
    # SAD, all gold "work": said work, school.  work: F1 = 2/3; school: gold 0, predicted 1 -> F1 0
    # weighted = 2/3; macro over work and school = 1/3; the seven other labels occur nowhere
    rows = [row("work", answer, "SAD", "cause") for answer in ("work", "school")]
    scores = compute_scores(rows, find_task("SAD"), FEW)
    assert (scores.weighted_f1, scores.metrics["macro_f1"]) == (66.6667, 33.3333)
    assert scores.per_class["school"].model_dump() == {
        "precision": 0.0,
        "recall": None,
        "f1": 0.0,
        "support": 0,
        "predicted": 1,
    }
    assert scores.per_class["family issues"].f1 is None
    assert scores.high_risk is not None
    assert (scores.high_risk.recall, scores.high_risk.n) == (None, 0)


def test_questions_are_scored_separately_and_together() -> None:
    rows = [
        row("yes", "yes", "Irf", "thwarted belongingness", post="a"),
        row("no", "yes", "Irf", "perceived burdensomeness", post="a"),
        row("yes", "yes", "Irf", "thwarted belongingness", post="b"),
    ]
    scores = compute_scores(rows, find_task("Irf"), FEW)
    assert (scores.n, scores.posts) == (3, 2)
    assert scores.by_question["thwarted belongingness"].accuracy == 100.0
    assert scores.by_question["perceived burdensomeness"].weighted_f1_interval is None  # one post
    assert scores.by_question["perceived burdensomeness"].by_question == {}


def test_no_rows_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="DR: no rows"):
        compute_scores([], find_task("DR"), FEW)


def test_counts_by_post_add_up_to_the_rows() -> None:
    rows = [row("yes", "yes", post="a"), row("no", "truncated", post="a"), row("yes", "no", post="b")]
    counts = confusion_by_post(rows, ["yes", "no"])
    # columns: yes, no, unparsed, refused, truncated
    assert counts.tolist() == [[[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], [[0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]]


LABELS = list(find_task("CAMS").labels)
PAIR = st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, *NO_LABEL]))
PAIRS = st.lists(PAIR, min_size=1, max_size=60)


@given(PAIRS)
@settings(max_examples=200, deadline=None)
def test_equal_to_scikit_learn(pairs: Sequence[tuple[str, str]]) -> None:
    scores = compute_scores(
        [row(gold, answer, "CAMS", "cause", post=str(i)) for i, (gold, answer) in enumerate(pairs)],
        find_task("CAMS"),
        Resampling(resamples=2),
    )
    gold, answers = zip(*pairs, strict=True)
    occurring = [label for label in LABELS if label in gold or label in answers]
    assert scores.accuracy == pytest.approx(100 * accuracy_score(gold, answers), abs=1e-4)
    # sklearn may take unparsed, refused and truncated for classes here: without gold rows they weigh nothing
    assert scores.weighted_f1 == pytest.approx(
        100 * f1_score(gold, answers, average="weighted", zero_division=0), abs=1e-4
    )
    for mean, ours in (("macro", scores.metrics["macro_f1"]), ("micro", scores.metrics["micro_f1"])):
        theirs = f1_score(gold, answers, labels=occurring, average=mean, zero_division=0)
        assert ours == pytest.approx(100 * theirs, abs=1e-4)
    per_class = np.array(precision_recall_fscore_support(gold, answers, labels=LABELS, zero_division=0)).T
    for label, theirs in zip(LABELS, per_class, strict=True):
        label_scores = scores.per_class[label]
        ours = [
            label_scores.precision or 0,
            label_scores.recall or 0,
            label_scores.f1 or 0,
            100 * label_scores.support,
        ]
        assert ours == pytest.approx(100 * theirs, abs=1e-4)


EXAMPLE = Example(
    id="e1", post_id="p1", task="DR", question="depression", form="instruction", text="synthetic", label="yes"
)


def test_a_gold_label_is_correct() -> None:
    row = score_row(EXAMPLE, Reading(status="parsed", label="yes"), {"yes": 0.8, "no": 0.2}, TASK)
    assert (row.correct, row.predicted, row.probability) == (True, "yes", 0.8)
    # (0.8 - 1)² + (0.2 - 0)² = 0.04 + 0.04
    assert row.brier == pytest.approx(0.08)


@pytest.mark.parametrize("status", ["unparsed", "refused", "truncated"])
def test_an_answer_without_a_label_is_wrong(status: str) -> None:
    row = score_row(EXAMPLE, Reading.model_validate({"status": status, "reason": "why"}), {}, TASK)
    assert (row.correct, row.predicted, row.status) == (False, None, status)
    assert row.probability is None
    assert row.brier is None


def test_probabilities_count_without_a_label() -> None:
    # (0.5 - 1)² + (0.5 - 0)² = 0.5; there is no label whose probability could be named
    row = score_row(EXAMPLE, Reading(status="truncated", reason="length"), {"yes": 0.5, "no": 0.5}, TASK)
    assert (row.brier, row.probability) == (0.5, None)


def test_a_post_has_the_same_hash_in_every_run_and_none_without_its_text() -> None:
    def hash_of(text: str, post_id: str = "p1") -> str:
        example = EXAMPLE.model_copy(update={"text": text, "post_id": post_id})
        return score_row(example, Reading(status="parsed", label="yes"), {}, TASK).post_hash

    assert hash_of("So tired, [handle]!") == hash_of("so tired", "p2") != hash_of("so tireless")
    assert hash_of("…") != hash_of("!") != ""
    assert hash_of("") == ""


def test_an_example_without_a_gold_label_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="e1"):
        score_row(EXAMPLE.model_copy(update={"label": None}), Reading(status="parsed", label="yes"), {}, TASK)
