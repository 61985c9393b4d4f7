"""The published release: both forms, both layouts of the training files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mentallama.answers.parse import read_answer
from mentallama.errors import DataError, UsageError
from mentallama.files.imhi_release import (
    ReleaseFile,
    find_expert_files,
    find_release_files,
    read_release_file,
)
from mentallama.records import FORMS, Form
from mentallama.tasks import load_tasks, write_query
from tests.factories.project import ROOT

TASKS = load_tasks()
TEXTS = ["The bus is late again.", 'She said: "come in",\nand I did.', "Çok yorgunum; hiç uyumadım."]


def write(path: Path, *rows: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def queries(name: str, question: str, form: Form) -> list[dict[str, str]]:
    reference = "No, it does not. Reasoning: The post is about a bus."
    return [{"query": write_query(TASKS[name], question, form, t), "gpt-3.5-turbo": reference} for t in TEXTS]


def parts(name: str, question: str) -> list[dict[str, str]]:
    """The other layout: the query in two columns behind an unnamed index."""
    ask = TASKS[name].questions[question].wording.completion
    return [
        {
            "": str(n),
            "post": f"Post: {text} ",
            "question": f"Question: {ask} ",
            "response": "no. Reasoning: x",
        }
        for n, text in enumerate(TEXTS)
    ]


def test_files_are_found_by_task_then_split_in_both_forms(tmp_path: Path) -> None:
    rows = queries("DR", "depression", "instruction")
    for place in ("train_data/instruction_data/DR/train.csv", "train_data/instruction_data/DR/val.csv",
                  "test_data/test_instruction/DR.csv", "test_data/test_instruction/CAMS.csv",
                  "train_data/complete_data/DR/reddit_train.csv",
                  "train_data/complete_data/DR/reddit_valid.csv",
                  "train_data/complete_data/dreaddit/dreaddit-train.csv",
                  "test_data/test_complete/dreaddit.csv",
                  "test_data/test_instruction/unknown.csv"):  # fmt: skip
        write(tmp_path / place, *rows)
    found = find_release_files(tmp_path, "instruction", TASKS)
    assert [(f.set, f.split) for f in found] == [
        ("CAMS", "test"), ("DR", "train"), ("DR", "validation"), ("DR", "test"),
    ]  # fmt: skip
    found = find_release_files(tmp_path, "completion", TASKS)
    assert [(f.set, f.split, f.path.name) for f in found] == [
        ("DR", "train", "reddit_train.csv"), ("DR", "validation", "reddit_valid.csv"),
        ("dreaddit", "train", "dreaddit-train.csv"), ("dreaddit", "test", "dreaddit.csv"),
    ]  # fmt: skip


def test_of_two_training_files_of_one_split_only_one_is_taken(tmp_path: Path) -> None:
    for name in ("train.csv", "DR_train.csv"):
        write(tmp_path / "train_data/instruction_data/DR" / name, *queries("DR", "depression", "instruction"))
    assert [f.path.name for f in find_release_files(tmp_path, "instruction", TASKS)] == ["train.csv"]


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_taken_apart_with_their_row_numbers(form: Form, tmp_path: Path) -> None:
    path = write(tmp_path / "MultiWD.csv", *queries("MultiWD", "social", form))
    rows = list(read_release_file(ReleaseFile("MultiWD", "test", form, path), TASKS["MultiWD"]))
    assert [(row.row, row.question, row.text) for row in rows] == [
        (n, "social", text) for n, text in enumerate(TEXTS, 2)
    ]
    assert {row.reference for row in rows} == {"No, it does not. Reasoning: The post is about a bus."}


def test_the_layout_of_three_columns_is_read_alike(tmp_path: Path) -> None:
    path = write(tmp_path / "val.csv", *parts("dreaddit", "stress"))
    rows = list(
        read_release_file(ReleaseFile("dreaddit", "validation", "completion", path), TASKS["dreaddit"])
    )
    assert [(row.row, row.question, row.text) for row in rows] == [
        (n, "stress", text) for n, text in enumerate(TEXTS, 2)
    ]


def test_a_row_of_another_task_is_named_without_its_text(tmp_path: Path) -> None:
    good, bad = (
        queries("DR", "depression", "instruction"),
        queries("Irf", "perceived burdensomeness", "instruction"),
    )
    path = write(tmp_path / "DR.csv", good[0], bad[1])
    rows = read_release_file(ReleaseFile("DR", "test", "instruction", path), TASKS["DR"])
    assert next(rows).row == 2
    with pytest.raises(DataError) as fault:
        next(rows)
    assert str(fault.value) == f"{path}, row 3: not a query of DR in instruction form"


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "DR.csv", {"query": "x", "gpt-4": "y"})
    with pytest.raises(DataError, match=r"no column 'gpt-3.5-turbo'; the columns are 'query', 'gpt-4'"):
        list(read_release_file(ReleaseFile("DR", "test", "instruction", path), TASKS["DR"]))
    path = write(tmp_path / "DR.csv", {"post": "x", "question": "y"})
    with pytest.raises(DataError, match="no column 'response'"):
        list(read_release_file(ReleaseFile("DR", "test", "completion", path), TASKS["DR"]))


def test_a_folder_that_is_no_release_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the published release"):
        find_release_files(tmp_path, "instruction", TASKS)
    with pytest.raises(UsageError, match="there is no such folder"):
        find_release_files(tmp_path / "none", "instruction", TASKS)


def test_the_samples_expert_files_are_found_and_read() -> None:
    files = find_expert_files(ROOT / "sample/release", TASKS)
    assert [file.set for file in files] == list(TASKS)
    assert [sum(1 for _ in read_release_file(file, TASKS[file.set])) for file in files] == [6] * 10


# --- the real files, by their counts only -------------------------------------------------------------

# Rows of the copy for development, counted by its own README's rule (about half of the published test rows).
COUNTS: dict[tuple[Form, str], dict[str, int]] = {
    ("instruction", "test"): {"CAMS": 300, "DR": 201, "dreaddit": 199, "Irf": 1048, "loneliness": 262,
                              "MultiWD": 1229, "SAD": 356, "t-sid": 512},
    ("completion", "test"): {"CAMS": 295, "DR": 194, "dreaddit": 199, "Irf": 1048, "loneliness": 262,
                             "MultiWD": 1229, "SAD": 356, "t-sid": 512},
    ("instruction", "train"): {"DR": 1003, "dreaddit": 2836, "SAD": 5546},
    ("instruction", "validation"): {"DR": 430, "dreaddit": 300, "Irf": 823, "MultiWD": 1188, "SAD": 615},
    ("completion", "train"): {"DR": 1003},
    ("completion", "validation"): {"DR": 430, "dreaddit": 300, "Irf": 823, "MultiWD": 1188, "SAD": 615},
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("form", FORMS)
def test_every_row_of_the_real_release_is_taken_apart(form: Form, data: Path) -> None:
    counts: dict[tuple[Form, str], dict[str, int]] = {}
    for file in find_release_files(data / "release", form, TASKS):
        task, rows, unread = TASKS[file.set], 0, 0
        for row in read_release_file(file, task):
            rows += 1
            unread += read_answer(task, row.reference, form).label is None
        counts.setdefault((form, file.split), {})[file.set] = rows
        assert unread == 0, file.path.name
    assert counts == {key: rows for key, rows in COUNTS.items() if key[0] == form}


@pytest.mark.data
def test_the_real_expert_files_hold_35_rows_each(data: Path) -> None:
    files = find_expert_files(data / "release", TASKS)
    assert {f.set for f in files} >= {"DR", "dreaddit", "Irf", "MultiWD", "SAD"}
    assert {sum(1 for _ in read_release_file(f, TASKS[f.set])) for f in files} == {35}
