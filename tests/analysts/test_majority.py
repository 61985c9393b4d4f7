"""The majority analyst: labels counted by question, shares as probabilities, and a folder that is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.analysts.majority import LabelCounts, MajorityAnalyst, majority_label, save_majority_model
from mentallama.analysts.registry import model_spec, open_analyst
from mentallama.errors import DataError, UsageError
from mentallama.tasks import load_tasks

TASKS = load_tasks()
ROWS = [
    *[("CAMS", "cause", label) for label in ("medication", "none", "none", "alienation")],
    *[("MultiWD", "social", label) for label in ("no", "yes")],
]


def test_the_most_frequent_label_is_the_answer_and_the_shares_are_its_probabilities(tmp_path: Path) -> None:
    save_majority_model(tmp_path, LabelCounts.of_rows(ROWS))
    assert model_spec(tmp_path) == f"majority:{tmp_path}"
    analyst = open_analyst(f"majority:{tmp_path}")
    first, other = analyst.analyze(["I lost my job.", "The sun is out."], "CAMS")
    assert (first.label, other.label, first.explanation) == ("none", "none", "")
    assert first.probabilities == {
        "none": 0.5, "bias or abuse": 0.0, "jobs and career": 0.0, "medication": 0.25, "relationship": 0.0,
        "alienation": 0.25,
    }  # fmt: skip
    assert analyst.supported_questions == (("CAMS", "cause"), ("MultiWD", "social"))


def test_a_tie_goes_to_the_label_that_the_task_names_first() -> None:
    shares = LabelCounts.of_rows(ROWS).shares(TASKS["MultiWD"], "social")
    assert shares is not None
    assert list(shares) == list(TASKS["MultiWD"].labels)
    assert majority_label(shares) == next(iter(TASKS["MultiWD"].labels))


def test_a_question_without_training_rows_is_not_answered(tmp_path: Path) -> None:
    counts = LabelCounts.of_rows(ROWS)
    assert counts.shares(TASKS["MultiWD"], "physical") is None
    assert counts.shares(TASKS["DR"], "depression") is None
    save_majority_model(tmp_path, counts)
    with pytest.raises(UsageError, match=r"does not answer|was not trained on"):
        open_analyst(f"majority:{tmp_path}").analyze("The sun is out.", "DR")


def test_labels_of_another_task_file_are_named() -> None:
    counts = LabelCounts.of_rows([("DR", "depression", "perhaps")])
    with pytest.raises(UsageError, match="DR, depression: the task has no label 'perhaps'; train again"):
        counts.shares(TASKS["DR"], "depression")


def test_a_folder_without_a_model_and_a_changed_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no majority model here"):
        MajorityAnalyst.load(tmp_path)
    save_majority_model(tmp_path, LabelCounts.of_rows(ROWS))
    file = tmp_path / "label_counts.json"
    file.write_text(file.read_text().replace("2", "9"))
    with pytest.raises(DataError, match="damaged or changed"):
        MajorityAnalyst.load(tmp_path)
