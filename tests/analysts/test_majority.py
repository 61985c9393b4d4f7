"""The majority analyst: labels counted by question, shares as probabilities, and a folder that is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.analysts.answer_parts import labels_by_head
from mentallama.analysts.majority import LabelCounts, MajorityAnalyst, save_majority_model
from mentallama.analysts.registry import model_spec
from mentallama.attribution.opening import open_analyst
from mentallama.errors import DataError, UsageError
from mentallama.records import example_of
from mentallama.tasks import load_tasks
from tests.factories.answer_kinds import task_of_kind
from tests.factories.linear_cases import make_post

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
    answer = LabelCounts.of_rows(ROWS).answer(TASKS["MultiWD"], "social")
    assert answer is not None
    assert list(answer.probabilities) == list(TASKS["MultiWD"].labels)
    assert answer.value == next(iter(TASKS["MultiWD"].labels))


@pytest.mark.parametrize("kind", ["ordinal", "multi", "spans", "scale"])
def test_the_most_frequent_level_of_each_part_is_the_answer(kind: str, tmp_path: Path) -> None:
    task = task_of_kind(kind)
    labels = {
        "ordinal": ["mild", "severe", "mild"],
        "multi": ["sleep", "sleep; low mood", "appetite"],
        "spans": ['sleep: "up at 4"', 'sleep: "awake"', "none"],
        "scale": ["sleep: several days", "sleep: several days; energy: not at all", "none"],
    }[kind]
    rows = [
        (task.set, head, level)
        for label in labels
        for head, level in labels_by_head(task, {"about": label}).items()
    ]
    save_majority_model(tmp_path, LabelCounts.of_rows(rows))
    if kind == "spans":
        assert "awake" not in (tmp_path / "label_counts.json").read_text()
    analyst = MajorityAnalyst.load(tmp_path, {task.set: task})
    assert analyst.supported_questions == ((task.set, "about"),)
    example = example_of(make_post(task.set, "test", "Out in the sun.", {}), "about", "instruction")
    (answer,) = analyst.predict([example])
    # A passage of a post that is not read cannot be quoted.
    value, probabilities = {
        "ordinal": ("mild", {"minimal": 0, "mild": 2 / 3, "moderate": 0, "severe": 1 / 3}),
        "multi": ("sleep", {"sleep": 2 / 3, "appetite": 1 / 3, "low mood": 1 / 3}),
        "spans": ("none", {"sleep": 2 / 3, "low mood": 0}),
        "scale": (
            "sleep: several days; energy: not at all",
            {
                "sleep: not at all": 0,
                "sleep: several days": 1,
                "sleep: nearly every day": 0,
                "energy: not at all": 1,
                "energy: several days": 0,
                "energy: nearly every day": 0,
            },
        ),
    }[kind]
    assert answer.reading.label == value
    assert answer.probabilities == pytest.approx(probabilities)


def test_a_question_without_training_rows_is_not_answered(tmp_path: Path) -> None:
    counts = LabelCounts.of_rows(ROWS)
    assert counts.answer(TASKS["MultiWD"], "physical") is None
    assert counts.answer(TASKS["DR"], "depression") is None
    save_majority_model(tmp_path, counts)
    with pytest.raises(UsageError, match=r"does not answer|was not trained on"):
        open_analyst(f"majority:{tmp_path}").analyze("The sun is out.", "DR")


def test_labels_of_another_task_file_are_named() -> None:
    counts = LabelCounts.of_rows([("DR", "depression", "perhaps")])
    with pytest.raises(UsageError, match="DR, depression: the task has no label 'perhaps'; train again"):
        counts.answer(TASKS["DR"], "depression")


def test_a_folder_without_a_model_and_a_changed_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no majority model here"):
        MajorityAnalyst.load(tmp_path)
    save_majority_model(tmp_path, LabelCounts.of_rows(ROWS))
    file = tmp_path / "label_counts.json"
    file.write_text(file.read_text().replace("2", "9"))
    with pytest.raises(DataError, match="damaged or changed"):
        MajorityAnalyst.load(tmp_path)
