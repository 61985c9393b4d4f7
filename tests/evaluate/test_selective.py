"""Abstention and review, from predictions to scores."""

from pathlib import Path

import pytest

from mentallama.config.evaluate import Evaluate
from mentallama.errors import DataError
from mentallama.evaluate.prediction_source import analyst_predictions
from mentallama.evaluate.run import evaluate_predictions
from mentallama.evaluate.score_file import ScoreFile, read_scores
from mentallama.files.record_files import write_records
from mentallama.records import Post, Prediction, Provenance, Reading, Split, example_of
from mentallama.tasks import load_tasks

Answer = tuple[str, float]
"""A label and its probability."""


def _post(number: int, split: Split, label: str) -> Post:
    return Post(
        id=f"{split}{number}",
        set="DR",
        split=split,
        text=f"made-up post {number} of {split}",
        labels={"depression": label},
        provenance=Provenance(file="made-up.csv", row=number, origin="release"),
    )


def _prediction(post: Post, label: str, probability: float) -> Prediction:
    other = {"yes": "no", "no": "yes"}[label]
    return Prediction(
        example_id=example_of(post, "depression", "instruction").id,
        reading=Reading(status="parsed", label=label),
        probabilities={label: probability, other: 1 - probability},
        model="scripted",
    )


def _evaluate(
    folder: Path,
    gold: dict[Split, list[str]],
    answers: dict[Split, list[Answer]],
    settings: Evaluate | None = None,
) -> ScoreFile:
    """Score answers to posts, in order; a split may have fewer answers than posts."""
    posts = {
        split: [_post(number, split, label) for number, label in enumerate(labels)]
        for split, labels in gold.items()
    }
    write_records(folder / "posts.jsonl.zst", [post for of_split in posts.values() for post in of_split])
    predictions = [
        _prediction(post, *answer)
        for split, of_split in answers.items()
        for post, answer in zip(posts[split], of_split, strict=False)
    ]
    write_records(folder / "predictions.jsonl.zst", predictions)
    return evaluate_predictions(
        folder / "posts.jsonl.zst",
        analyst_predictions(folder / "predictions.jsonl.zst"),
        folder / "out",
        "instruction",
        load_tasks(),
        settings=settings,
    )


GOLD: dict[Split, list[str]] = {"validation": ["yes", "no", "yes", "no"], "test": ["yes", "yes", "no", "no"]}
VALIDATION: list[Answer] = [("yes", 0.9), ("no", 0.8), ("no", 0.7), ("no", 0.6)]
TEST: list[Answer] = [("yes", 0.95), ("no", 0.75), ("no", 0.85), ("yes", 0.65)]


def test_the_threshold_of_validation_rows_is_applied_to_test_rows(tmp_path: Path) -> None:
    """Validation: right down to 0.8, so accuracy 1 needs 0.8. Test: the answers at 0.95 and 0.85 are given."""
    answers: dict[Split, list[Answer]] = {"validation": VALIDATION, "test": TEST}
    scores = _evaluate(tmp_path, GOLD, answers, Evaluate(target_accuracy=1))
    found = scores.sets["DR"].abstention
    assert found is not None
    assert (found.threshold, found.validation_rows) == (0.8, 4)
    assert (found.validation_coverage, found.validation_accuracy) == (50, 100)
    assert (found.rows, found.answered, found.coverage) == (4, 2, 50)
    assert (found.accuracy, found.weighted_f1) == (100, 100)
    assert found.accuracy_interval == found.weighted_f1_interval == (100, 100)
    assert (found.high_risk_label, found.high_risk_rows, found.high_risk_abstained) == ("yes", 2, 1)
    assert scores.sets["DR"].n == 4  # validation rows have no score of their own
    assert read_scores(tmp_path / "out/scores.json") == scores


def test_without_a_target_four_in_five_validation_rows_are_answered(tmp_path: Path) -> None:
    answers: dict[Split, list[Answer]] = {"validation": VALIDATION, "test": TEST}
    found = _evaluate(tmp_path, GOLD, answers).sets["DR"].abstention
    assert found is not None
    assert (found.target.coverage, found.threshold, found.answered) == (0.8, 0.6, 4)


@pytest.mark.parametrize("validation", [[], VALIDATION[:3]])
def test_a_threshold_is_never_chosen_on_test_rows(tmp_path: Path, validation: list[Answer]) -> None:
    answers: dict[Split, list[Answer]] = {"validation": validation, "test": TEST}
    found = _evaluate(tmp_path, GOLD, answers).sets["DR"].abstention
    assert found is not None
    assert found.threshold is None
    assert found.reason is not None
    assert "predict.splits: [validation, test]" in found.reason


def test_a_target_out_of_reach_is_a_reason(tmp_path: Path) -> None:
    answers: dict[Split, list[Answer]] = {"validation": [("no", 0.9)] * 4, "test": TEST}
    gold: dict[Split, list[str]] = {"validation": ["yes"] * 4, "test": GOLD["test"]}
    found = _evaluate(tmp_path, gold, answers, Evaluate(target_accuracy=0.9)).sets["DR"].abstention
    assert found is not None
    assert found.reason == "no threshold reaches the target on the validation rows"


def test_no_test_answer_above_the_threshold_has_no_scores(tmp_path: Path) -> None:
    answers: dict[Split, list[Answer]] = {
        "validation": VALIDATION,
        "test": [(label, 0.55) for label, _ in TEST],
    }
    found = _evaluate(tmp_path, GOLD, answers, Evaluate(target_accuracy=1)).sets["DR"].abstention
    assert found is not None
    assert (found.answered, found.coverage, found.accuracy, found.weighted_f1) == (0, 0, None, None)


def test_review_uses_the_probability_of_the_high_risk_label_whatever_was_answered(tmp_path: Path) -> None:
    # Probabilities of yes: 0.95, 0.25, 0.15, 0.65, then 0.1 for 16 posts without it: 5 % are one row, 10 % are two.
    gold: dict[Split, list[str]] = {"test": [*GOLD["test"], *["no"] * 16]}
    scores = _evaluate(tmp_path, gold, {"test": [*TEST, *[("no", 0.9)] * 16]}).sets["DR"]
    assert scores.review is not None
    assert scores.review.high_risk_rows == 2
    assert [(part.reviewed, part.recall) for part in scores.review.budgets] == [(0, None), (1, 50), (2, 50)]
    assert scores.risk_coverage is not None
    assert scores.risk_coverage.n == 20


def test_validation_predictions_of_a_foreign_label_are_refused(tmp_path: Path) -> None:
    post = _post(0, "validation", "yes")
    prediction = _prediction(post, "yes", 0.9).model_copy(update={"probabilities": {"maybe": 1.0}})
    write_records(tmp_path / "posts.jsonl.zst", [post])
    write_records(tmp_path / "predictions.jsonl.zst", [prediction])
    source = analyst_predictions(tmp_path / "predictions.jsonl.zst")
    with pytest.raises(DataError, match="DR has no label 'maybe'"):
        evaluate_predictions(
            tmp_path / "posts.jsonl.zst", source, tmp_path / "out", "instruction", load_tasks()
        )


def test_two_targets_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        Evaluate(target_accuracy=0.9, target_coverage=0.5)
