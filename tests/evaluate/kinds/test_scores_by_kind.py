"""Scores of rows of each kind of answer, worked by hand."""

from __future__ import annotations

import pytest

from mentallama.analysts.answer_parts import labels_by_head
from mentallama.analysts.majority import LabelCounts
from mentallama.evaluate.majority import majority_scores
from mentallama.evaluate.scores import NOTHING_TO_FIND, ScoredRow, Scores, compute_scores, score_row
from mentallama.evaluate.selective import with_selective_scores
from mentallama.metrics.bootstrap import Resampling
from mentallama.records import Example, Reading
from mentallama.tasks import Task
from tests.factories.answer_kinds import task_of_kind

FEW = Resampling(resamples=20)
STATUSES = {"unparsed", "refused", "truncated"}


def scored(
    task: Task, gold: str, answer: str, text: str = "", post: str = "p", **probabilities: float
) -> ScoredRow:
    """`answer` is the text of an answer, or one of `STATUSES`."""
    example = Example(
        id=f"{post}-about",
        post_id=post,
        task=task.set,
        question="about",
        form="instruction",
        text=text,
        label=gold,
    )
    reading = (
        Reading.model_validate({"status": answer, "reason": "why"})
        if answer in STATUSES
        else Reading(status="parsed", label=answer)
    )
    return score_row(example, reading, probabilities, task)


def scores_of(task: Task, pairs: list[tuple[str, str]], text: str = "") -> Scores:
    rows = [scored(task, *pair, text=text, post=f"p{number}") for number, pair in enumerate(pairs)]
    return compute_scores(rows, task, FEW)


def test_ordinal() -> None:
    # gold 0 1 2 3 3, said 0 2 2 1 and nothing
    task = task_of_kind("ordinal")
    names = list(task.labels)
    answers = [names[0], names[2], names[2], names[1], "refused"]
    scores = scores_of(
        task, [(names[gold], answer) for gold, answer in zip((0, 1, 2, 3, 3), answers, strict=True)]
    )
    # kappa of the four answers: squared distances 0 1 0 4, mean 5/4; by chance 2 -> 0.375 (see test_ordinal)
    assert scores.metrics["quadratic_kappa"] == 0.375
    assert scores.metrics["mean_absolute_error"] == 0.75
    # the refused answer may be 3 levels off: (0 + 1 + 0 + 2 + 3) / 5
    assert scores.metrics["worst_case_absolute_error"] == 1.2
    # ranks 1 2 3 4 against 1 3.5 3.5 2: Pearson of these: 1.5 / sqrt(5 * 4.5)
    assert scores.metrics["spearman"] == pytest.approx(1.5 / (5 * 4.5) ** 0.5, abs=1e-4)
    # label metrics as for a choice: hits 2 of 5
    assert (scores.accuracy, scores.refused) == (40.0, 1)
    assert scores.confusion["severe"]["mild"] == 1
    assert list(scores.confusion) == names


def test_ordinal_levels_with_other_distances() -> None:
    task = task_of_kind("ordinal")
    labels = {name: label.model_dump() for name, label in task.labels.items()}
    for name, score in zip(labels, (0, 1, 10, 30), strict=True):
        labels[name]["score"] = score
    scores = scores_of(task_of_kind("ordinal", labels=labels), [("moderate", "mild"), ("severe", "severe")])
    assert scores.metrics["mean_absolute_error"] == 4.5


def test_without_any_answer_metrics_of_levels_have_a_reason() -> None:
    scores = scores_of(task_of_kind("ordinal"), [("mild", "refused"), ("severe", "unparsed")])
    assert scores.undefined == {
        "quadratic_kappa": "there are fewer than two pairs of levels, or they do not vary",
        "mean_absolute_error": "no answer has a level",
        "spearman": "there are fewer than two pairs of levels, or they do not vary",
    }
    assert scores.metrics["worst_case_absolute_error"] == 2.5
    assert scores.accuracy == 0


def test_multi() -> None:
    task = task_of_kind("multi", high_risk_label="low mood")  # sleep, appetite, low mood
    scores = scores_of(
        task,
        [
            ("sleep; appetite", "sleep"),
            ("low mood", "appetite; low mood"),
            ("none", "none"),
            ("appetite", "truncated"),
        ],
    )
    # sleep: hit 1 of 1, said 1; appetite: hit 0 of 2, said 1; low mood: hit 1 of 1, said 1
    assert scores.metrics == {
        "weighted_f1": 50.0,
        "accuracy": 25.0,  # only the third answer is right as a whole
        "macro_f1": 66.6667,
        "micro_f1": 57.1429,
        "example_f1": 58.3333,
        "hamming_loss": 41.6667,
    }
    assert scores.per_class["appetite"].model_dump() == {
        "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2, "predicted": 1,
    }  # fmt: skip
    assert scores.high_risk is not None
    assert scores.high_risk.model_dump() == {"label": "low mood", "recall": 100.0, "n": 1, "hits": 1}
    assert scores.confusion == {}
    assert scores.parts["appetite"].confusion == {
        "absent": {"absent": 1, "present": 1, "unparsed": 0, "refused": 0, "truncated": 0},
        "present": {"absent": 1, "present": 0, "unparsed": 0, "refused": 0, "truncated": 1},
    }
    assert scores.weighted_f1_interval is not None


def test_scale() -> None:
    # sleep and energy with levels 0 to 2, and bands from 0 and 2
    task = task_of_kind("scale", bands={"low": 0, "high": 2}, high_risk_label="nearly every day")
    levels = list(task.labels)

    def value(*filled: int | None) -> str:
        items = zip(task.items, filled, strict=True)
        return "; ".join(f"{item}: {levels[level]}" for item, level in items if level is not None) or "none"

    scores = scores_of(
        task,
        [
            (value(0, 2), value(0, 1)),
            (value(1, 1), value(2, 1)),
            (value(2, None), value(2, 2)),
            (value(0, 0), value(None, 0)),
            (value(2, 2), "unparsed"),
        ],
    )  # the counts are those of test_answer_levels
    assert scores.metrics["item_absolute_error"] == pytest.approx(1 / 3, abs=1e-4)
    assert scores.metrics["sum_absolute_error"] == 1.0
    assert scores.metrics["band_accuracy"] == 25.0
    assert "sum_correlation" in scores.undefined  # both gold sums are 2
    assert scores.accuracy == 0
    # classes: hits 1 0 1 1 1 0, gold 2 1 2 1 1 2, predicted 1 0 2 1 2 1
    f1 = [2 / 3, 0, 2 / 4, 2 / 2, 2 / 3, 0]
    expected = 100 * sum(one * gold for one, gold in zip(f1, (2, 1, 2, 1, 1, 2), strict=True)) / 9
    assert scores.weighted_f1 == pytest.approx(expected, abs=1e-4)
    assert scores.metrics["micro_f1"] == 50.0
    energy = scores.parts["energy"]
    assert energy.n == 4
    assert energy.confusion["not filled"]["nearly every day"] == 1
    assert scores.parts["sleep"].confusion["not at all"]["not filled"] == 1
    assert energy.metrics["mean_absolute_error"] == pytest.approx(1 / 3, abs=1e-4)
    # "nearly every day": sleep twice, one of them hit; energy twice, none hit
    assert scores.high_risk is not None
    assert (scores.high_risk.n, scores.high_risk.hits) == (4, 1)
    assert list(scores.per_class)[:2] == ["sleep: not at all", "sleep: several days"]


POST = "Awake again at four. I feel empty, and awake again tomorrow."
#       0     1     2  3     4 5    6      7   8     9     10


def test_spans() -> None:
    task = task_of_kind("spans", high_risk_label="low mood")
    scores = scores_of(
        task,
        [
            ('sleep: "Awake again"; low mood: "I feel empty"', 'sleep: "Awake again"; low mood: "feel"'),
            ('sleep: "at four"', 'sleep: "so tired lately"; low mood: "empty"'),
            ("none", "none"),
            ('low mood: "empty"', "refused"),
        ],
        POST,
    )
    # tokens of sleep: hits 2, gold 2 + 2, predicted 2 + 3 that are not in the post: F1 = 4/9
    # tokens of low mood: hits 1, gold 3 + 1, predicted 1 + 1: F1 = 2/6
    assert scores.weighted_f1 == pytest.approx(100 * (4 * 4 / 9 + 4 * 2 / 6) / 8, abs=1e-4)
    assert scores.metrics["micro_f1"] == pytest.approx(100 * 2 * 3 / 15, abs=1e-4)
    # spans: 4 gold, 4 predicted, 1 equal, 1 that overlaps
    assert scores.metrics["exact_span_f1"] == 25.0
    assert scores.metrics["partial_span_f1"] == 37.5
    assert scores.accuracy == 25.0
    # sleep: 2 gold, 2 predicted, 1 equal
    assert scores.parts["sleep"].metrics == {"exact_span_f1": 50.0, "partial_span_f1": 50.0}
    assert scores.parts["low mood"].confusion["absent"]["present"] == 1
    # that the type is quoted at all counts as found: the first of two rows
    assert scores.high_risk is not None
    assert (scores.high_risk.n, scores.high_risk.hits) == (2, 1)


def test_rows_of_quotations_hold_no_text_of_the_post() -> None:
    row = scored(task_of_kind("spans"), 'sleep: "at four"', 'sleep: "some invented words"', POST)
    assert (row.gold, row.predicted) == ("sleep: 2-4", "sleep: ?3")
    assert "four" not in row.model_dump_json()
    assert "invented" not in row.model_dump_json()


@pytest.mark.parametrize("kind", ["multi", "spans", "scale"])
def test_right_answers_have_the_best_scores(kind: str) -> None:
    task = task_of_kind(kind, bands={"low": 0, "high": 2} if kind == "scale" else {})
    golds = {
        "multi": ["sleep; low mood", "appetite", "none"],
        "spans": ['sleep: "at four"', 'low mood: "I feel empty"', "none"],
        "scale": ["sleep: not at all; energy: several days", "sleep: nearly every day; energy: several days"],
    }[kind]
    scores = scores_of(task, [(gold, gold) for gold in golds], POST)
    best = {"hamming_loss": 0.0, "item_absolute_error": 0.0, "sum_absolute_error": 0.0}
    best |= {"item_quadratic_kappa": 1.0, "sum_correlation": 1.0}
    assert scores.metrics == {name: best.get(name, 100.0) for name in scores.metrics}
    assert scores.undefined == {}


@pytest.mark.parametrize("kind", ["multi", "spans", "scale"])
def test_where_nothing_can_be_found_there_is_no_score(kind: str) -> None:
    with pytest.raises(ValueError, match=NOTHING_TO_FIND):
        scores_of(task_of_kind(kind), [("none", "none")], POST)


def test_the_probability_of_an_answer_is_the_product_of_its_parts() -> None:
    task = task_of_kind("multi", high_risk_label="sleep")
    probabilities = {"sleep": 0.9, "appetite": 0.2, "low mood": 0.5}
    row = scored(task, "sleep; appetite", "sleep; low mood", **probabilities)
    assert row.probability == pytest.approx(0.9 * 0.8 * 0.5)
    assert row.high_risk_probability == 0.9
    # Brier scores of sleep, appetite, low mood: 2 * 0.1², 2 * 0.8², 2 * 0.5²
    assert row.brier == pytest.approx(2 * (0.01 + 0.64 + 0.25) / 3)


def test_probabilities_of_a_scale_are_of_its_filled_items() -> None:
    task = task_of_kind("scale", high_risk_label="nearly every day")
    sleep = {"sleep: not at all": 0.5, "sleep: several days": 0.3, "sleep: nearly every day": 0.2}
    row = scored(task, "sleep: several days", "sleep: not at all", **sleep)
    assert row.probability == 0.5
    assert row.brier == pytest.approx(0.5**2 + 0.7**2 + 0.2**2)
    assert row.high_risk_probability == 0.2
    # an item without probabilities: nothing is known of the whole answer
    assert scored(task, "none", "sleep: not at all; energy: not at all", **sleep).probability is None
    assert scored(task, "energy: not at all", "none", **sleep).brier is None


def test_a_probability_of_a_type_is_none_of_its_quotations() -> None:
    row = scored(
        task_of_kind("spans"), 'sleep: "at four"', 'sleep: "four"', POST, **{"sleep": 0.9, "low mood": 0.2}
    )
    assert row.probability is None
    assert row.brier == pytest.approx((2 * 0.1**2 + 2 * 0.2**2) / 2)


@pytest.mark.parametrize("kind", ["multi", "scale"])
def test_review_ranks_rows_by_the_high_risk_label(kind: str) -> None:
    """Two rows in ten have the label, and the highest probabilities of it."""
    label = {"multi": "sleep", "scale": "nearly every day"}[kind]
    task = task_of_kind(kind, high_risk_label=label)
    with_label, without = {
        "multi": ("sleep", "appetite"),
        "scale": ("energy: nearly every day", "energy: not at all"),
    }[kind]
    name = {"multi": "sleep", "scale": "energy: nearly every day"}[kind]
    rows = [
        scored(
            task, with_label if high else without, without, post=str(number), **{name: 0.9 if high else 0.1}
        )
        for number, high in enumerate([True, True, *[False] * 8])
    ]
    scores = with_selective_scores(compute_scores(rows, task, FEW), rows, task, FEW)
    assert scores.review is not None
    tenth = scores.review.budgets[-1]
    assert (scores.review.high_risk_rows, tenth.reviewed, tenth.recall) == (2, 1, 50.0)


def test_the_floor_has_the_most_frequent_level_of_each_part() -> None:
    multi, scale, spans = (task_of_kind(kind) for kind in ("multi", "scale", "spans"))
    training = {
        multi: ["sleep; low mood", "sleep"],
        scale: ["sleep: several days", "sleep: several days; energy: not at all", "none"],
        spans: ['sleep: "at four"'],
    }
    counts = LabelCounts.of_rows(
        (task.set, head, level)
        for task, answers in training.items()
        for answer in answers
        for head, level in labels_by_head(task, {"about": answer}).items()
    )
    rows = {
        multi.set: [scored(multi, "sleep", "none"), scored(multi, "appetite", "none", post="q")],
        scale.set: [scored(scale, "sleep: several days; energy: several days", "none")],
        spans.set: [scored(spans, 'sleep: "at four"', "none", POST)],
    }
    found = majority_scores(rows, counts, {task.set: task for task in (multi, scale, spans)})
    # multi answers "sleep": F1 of sleep 2/3 with weight 1, of appetite 0 with weight 1
    # scale answers "sleep: several days; energy: not at all": F1 1 and 0 with weights 1 and 1
    assert found == {multi.set: 33.3333, scale.set: 50.0}
