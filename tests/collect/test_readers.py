"""Readers: a row of a table or of the release becomes a raw post or a reject with its row."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from mentallama.answers.format import write_answer
from mentallama.collect.readers import (
    MAX_POST_CHARS,
    RawPost,
    Reject,
    read_release_posts,
    read_table_posts,
    rejection_reason,
)
from mentallama.errors import DataError
from mentallama.files.imhi_release import ReleaseFile
from mentallama.files.tables import NUL_STAND_IN
from mentallama.tasks import Source, load_tasks, write_query

TASKS = load_tasks()


def write(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(
    folder: Path, source: dict[str, Any], *rows: dict[str, str], name: str = "Irf"
) -> list[RawPost | Reject]:
    path = write(folder / "a.csv", *rows)
    declared = Source.model_validate({"file": "a.csv", **source})
    return list(read_table_posts(path, declared, TASKS[name], "sources/a.csv", "table"))


def posts(found: list[RawPost | Reject]) -> list[RawPost]:
    return [each for each in found if isinstance(each, RawPost)]


def rejects(found: list[RawPost | Reject]) -> list[tuple[int, str]]:
    return [(each.row, each.reason) for each in found if isinstance(each, Reject)]


# --- tables --------------------------------------------------------------------------------------------

THWARTED = "thwarted belongingness"
FULL = {
    "columns": {
        "text": "t", "labels": {THWARTED: "b"}, "evidence": {THWARTED: "e"}, "author": "a", "thread": "h",
        "time": "w", "split": "s", "language": "l",
    },
    "codes": {"1": "yes", "0": "no"}, "separator": ";",
}  # fmt: skip
CELLS = {"t": " So tired. ", "b": "1", "e": "tired", "a": "ana", "h": "7", "w": "2020", "s": "Dev", "l": "tr"}


def test_every_column_of_a_field_map_reaches_the_post(tmp_path: Path) -> None:
    assert read(tmp_path, FULL, CELLS) == [
        RawPost(
            set="Irf", split="validation", origin="table", file="sources/a.csv", row=2,
            text=" So tired. ", labels={THWARTED: "yes"}, language="tr",
            evidence={THWARTED: "tired"}, evidence_separator=";",
            author="ana", thread="7", time="2020",
        )
    ]  # fmt: skip


def test_empty_cells_are_nothing_and_the_language_is_the_tasks(tmp_path: Path) -> None:
    (post,) = posts(read(tmp_path, FULL, CELLS | {"e": "  ", "a": "", "h": "", "w": "", "l": ""}))
    assert (post.evidence, post.author, post.thread, post.time, post.language) == ({}, None, None, None, "en")


@pytest.mark.parametrize(
    ("cell", "split"),
    [("train", "train"), (" Training ", "train"), ("val", "validation"), ("VALID", "validation"),
     ("dev", "validation"), ("validation", "validation"), ("test", "test"), ("Testing", "test")],
)  # fmt: skip
def test_a_split_column_is_read_by_its_usual_names(cell: str, split: str, tmp_path: Path) -> None:
    assert [post.split for post in posts(read(tmp_path, FULL, CELLS | {"s": cell}))] == [split]


def test_a_column_that_names_no_split_rejects_the_row(tmp_path: Path) -> None:
    found = read(tmp_path, FULL, CELLS, CELLS | {"s": "holdout"}, CELLS | {"s": ""})
    assert rejects(found) == [
        (3, "the cell in column 's' is not a split"),
        (4, "the cell in column 's' is not a split"),
    ]


def test_without_split_column_the_sources_own_split_holds(tmp_path: Path) -> None:
    plain: dict[str, Any] = {"columns": {"text": "t"}}
    assert [p.split for p in posts(read(tmp_path, plain, CELLS))] == [None]
    assert [p.split for p in posts(read(tmp_path, plain | {"split": "test"}, CELLS))] == ["test"]


def test_codes_and_canonical_labels_are_read_and_others_rejected_with_their_row(tmp_path: Path) -> None:
    rows = [CELLS | {"b": cell} for cell in ("0", " 1 ", "yes", "2", "", "Yes")]
    found = read(tmp_path, FULL, *rows)
    assert [(post.row, post.labels[THWARTED]) for post in posts(found)] == [(2, "no"), (3, "yes"), (4, "yes")]
    known = "in column 'b' is not a label; the labels are 1, 0, yes, no"
    two, empty, capital = rejects(found)
    assert (two, capital) == ((5, f"'2' {known}"), (7, f"'Yes' {known}"))
    assert empty[0] == 6
    assert empty[1].endswith(known)


def test_a_cell_that_is_a_whole_text_is_not_repeated_in_a_reject(tmp_path: Path) -> None:
    # where columns have slipped, the post stands in the label's column
    ((_, reason),) = rejects(read(tmp_path, FULL, CELLS | {"b": "Nobody knew how low I was."}))
    assert "26 characters in column 'b'" in reason
    assert not {"Nobody", "knew", "low"} & set(reason.split())


def test_rows_that_are_not_of_the_task_are_passed_over_and_counted_in_rows(tmp_path: Path) -> None:
    source = {"columns": {"text": "t"}, "skip": {"kind": ("ad", "bot"), "b": ("9",)}}
    rows = [
        CELLS | {"kind": kind, "b": b}
        for kind, b in (("ad", "1"), ("", "1"), ("bot", "1"), ("", "9"), ("", "0"))
    ]
    assert [post.row for post in posts(read(tmp_path, source, *rows))] == [3, 6]


def test_a_column_that_is_not_there_is_a_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.csv, row 1: no column 'kind', 'w'"):
        read(tmp_path, FULL | {"skip": {"kind": ("ad",)}}, {k: v for k, v in CELLS.items() if k != "w"})


def test_a_table_without_labels_gives_posts_without_labels(tmp_path: Path) -> None:
    assert [post.labels for post in posts(read(tmp_path, {"columns": {"text": "t"}}, CELLS))] == [{}]


# --- the release -----------------------------------------------------------------------------------------


def gathered(folder: Path, name: str, *asked: tuple[str, str, str]) -> list[RawPost | Reject]:
    """Posts of a release file with rows (question, text, reference)."""
    task = TASKS[name]
    rows = [
        {"query": write_query(task, question, "instruction", text), "gpt-3.5-turbo": response}
        for question, text, response in asked
    ]
    file = ReleaseFile(name, "test", "instruction", write(folder / "a.csv", *rows))
    return list(read_release_posts(file, task, "release/a.csv"))


def reference(name: str, question: str, label: str) -> str:
    return write_answer(TASKS[name], question, label, "It is about a bus.")


def test_six_questions_to_one_text_are_one_post(tmp_path: Path) -> None:
    questions = list(TASKS["MultiWD"].questions)
    assert len(questions) == 6
    labels = dict(zip(questions, ["yes", "no", "no", "yes", "no", "yes"], strict=True))
    (post,) = posts(
        gathered(
            tmp_path, "MultiWD", *((q, "Late bus.", reference("MultiWD", q, labels[q])) for q in questions)
        )
    )
    assert (post.row, post.text, post.labels, post.split) == (2, "Late bus.", labels, "test")
    assert post.references == {q: reference("MultiWD", q, label) for q, label in labels.items()}


def test_a_text_that_repeats_a_question_starts_another_post(tmp_path: Path) -> None:
    first, second = list(TASKS["Irf"].questions)
    rows = [(first, "yes"), (second, "no"), (first, "no"), (first, "yes"), (second, "yes")]
    found = posts(
        gathered(tmp_path, "Irf", *((q, "Late bus.", reference("Irf", q, label)) for q, label in rows))
    )
    # rows 2, 3 are a post; row 4 starts the second, which row 6 completes; row 5 is a third
    assert [(post.row, post.labels) for post in found] == [
        (2, {first: "yes", second: "no"}), (4, {first: "no", second: "yes"}), (5, {first: "yes"}),
    ]  # fmt: skip


def test_other_texts_are_other_posts_in_the_order_of_the_file(tmp_path: Path) -> None:
    answer = reference("DR", "depression", "no")
    found = posts(gathered(tmp_path, "DR", *(("depression", text, answer) for text in ("b", "a", "B"))))
    assert [(post.row, post.text) for post in found] == [(2, "b"), (3, "a"), (4, "B")]


def test_a_reference_without_a_label_is_rejected_without_its_text(tmp_path: Path) -> None:
    good = reference("DR", "depression", "yes")
    found = gathered(tmp_path, "DR", ("depression", "a", "Hm, purple."), ("depression", "b", good))
    ((row, reason),) = rejects(found)
    assert row == 2
    assert reason.startswith("the reference response is unparsed: ")
    assert "purple" not in reason
    assert [post.row for post in posts(found)] == [3]


# --- texts that are no posts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the text is empty"),
        (" \n\t\u3000", "the text is empty"),
        (f"a{NUL_STAND_IN}b", "the text contains NUL bytes; the file is damaged or binary"),
        ("x" * (MAX_POST_CHARS + 1), "the text has 100,001 characters; posts have at most 100,000"),
        ("x" * MAX_POST_CHARS, None),
        ("NA", None),
        ("0", None),
    ],
)  # fmt: skip
def test_a_text_that_is_no_post_says_why(text: str, reason: str | None) -> None:
    assert rejection_reason(RawPost("DR", None, "table", "a.csv", 2, text, {})) == reason
