"""Readers: a row of a table or of the release becomes a raw post or a reject with its row."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mentallama.answers.format import write_answer
from mentallama.collect.readers import (
    RawPost,
    Reject,
    RowRules,
    read_labels_file,
    read_release_posts,
    read_table_posts,
)
from mentallama.errors import DataError
from mentallama.files.imhi_release import ReleaseFile
from mentallama.files.yaml_file import parse_yaml
from mentallama.tasks import Source, load_tasks, write_query
from mentallama.text.clean_post import MAX_POST_CHARS, post_problem
from mentallama.text.repair import NUL_STAND_IN

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


def test_a_missing_column_of_labels_names_the_key_for_a_second_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'risk'; .*labels_file"):
        read(tmp_path, {"columns": {"text": "t", "labels": {THWARTED: "risk"}}}, CELLS)


def test_a_table_without_labels_gives_posts_without_labels(tmp_path: Path) -> None:
    assert [post.labels for post in posts(read(tmp_path, {"columns": {"text": "t"}}, CELLS))] == [{}]


# --- codes, joined columns, placeholders, rows that cannot be read ---------------------------------------


def read_raw(folder: Path, name: str, raw: str, **source: Any) -> list[RawPost | Reject]:
    (folder / name).write_text(raw, encoding="utf-8")
    declared = Source.model_validate({"file": name, **source})
    return list(read_table_posts(folder / name, declared, TASKS["CLP"], name, "table"))


@pytest.mark.parametrize(
    "codes",
    ["{'0': 'no', '1': 'yes'}", "{0: no, 1: yes}", "{0.0: no, 1.0: yes}", "{'0.0': 'no', '1.0': 'yes'}",
     "{false: no, TRUE: yes}"],
)  # fmt: skip
def test_codes_need_no_quotation_marks_and_numbers_no_certain_spelling(codes: str, tmp_path: Path) -> None:
    raw = "t,n\na,0\nb,1\nc,0.0\nd,1.0\ne,1.\nf, 01 \ng,1e0\n"
    found = posts(
        read_raw(
            tmp_path,
            "a.csv",
            raw,
            columns={"text": "t", "labels": {"depression": "n"}},
            codes=parse_yaml(codes).content,
        )
    )
    assert [post.labels["depression"] for post in found] == ["no", "yes", "no", "yes", "yes", "yes", "yes"]


def test_truth_values_are_one_code_in_every_spelling(tmp_path: Path) -> None:
    raw = '{"t": "a", "n": true}\n{"t": "b", "n": "FALSE"}\n{"t": "c", "n": 1}\n{"t": "d", "n": "on"}\n'
    columns = {"text": "t", "labels": {"depression": "n"}}
    found = read_raw(tmp_path, "a.jsonl", raw, columns=columns, codes={"True": "yes", "False": "no"})
    assert [post.labels["depression"] for post in posts(found)] == ["yes", "no", "yes"]
    assert [row for row, _ in rejects(found)] == [4]


def test_one_value_with_two_labels_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"'1\.0' and '1' are one value with two labels"):
        Source.model_validate({"file": "a", "columns": {"text": "t"}, "codes": {"1": "yes", "1.0": "no"}})


def test_columns_and_skipped_values_may_be_numbers(tmp_path: Path) -> None:
    source = "{columns: {text: 0, labels: {depression: 1}}, names: [0, 1, 2], skip: {2: [9]}}"
    found = read_raw(tmp_path, "a.csv", "a,yes,9\nb,no,9.0\nc,no,1\n", **parse_yaml(source).content)
    assert [(post.row, post.text) for post in posts(found)] == [(3, "c")]


def test_texts_of_several_columns_are_joined(tmp_path: Path) -> None:
    raw = "title,body\n A walk ,with the dog\n,only this\nOnly that,\nGone,[removed]\n[deleted],\n"
    found = read_raw(tmp_path, "a.csv", raw, columns={"text": ["title", "body"]})
    assert [post.text for post in posts(found)] == ["A walk\n\nwith the dog", "only this", "Only that"]
    assert rejects(found) == [(n, "the text is a placeholder for removed text") for n in (5, 6)]


def test_an_unknown_author_or_thread_is_nobody(tmp_path: Path) -> None:
    raw = "t,a,h\nx,[deleted],1\ny,None,nan\nz,ana,\n"
    found = posts(read_raw(tmp_path, "a.csv", raw, columns={"text": "t", "author": "a", "thread": "h"}))
    assert [(post.author, post.thread) for post in found] == [(None, "1"), (None, None), ("ana", None)]


@pytest.mark.parametrize(
    ("name", "raw"),
    [("a.csv", "t,n\na,0\nb\nc,1,2\nd,1\n"), ("a.tsv", 't\tn\n"a\t0\nb"\t7\n\t1\nd\t1\n'),
     ("a.jsonl", '{"t": "a", "n": 0}\nb\n[]\n{"t": "d", "n": 1}\n'),
     ("a.json", '[{"t": "a", "n": 0}, "b", [], {"t": "d", "n": 1}]')],
)  # fmt: skip
def test_every_row_is_a_post_or_a_reject(name: str, raw: str, tmp_path: Path) -> None:
    found = read_raw(
        tmp_path,
        name,
        raw,
        columns={"text": "t", "labels": {"depression": "n"}},
        codes={"0": "no", "1": "yes"},
    )
    first = 1 if name.startswith("a.json") else 2
    assert [each.row for each in found] == [first, first + 1, first + 2, first + 3]
    usable = [post for post in posts(found) if post_problem(post.text) is None]
    assert [post.text.strip('"') for post in usable] == ["a", "d"]


# --- labels in a second file -------------------------------------------------------------------------------

ERISK = {
    "columns": {"text": ["TITLE", "TEXT"], "labels": {"depression": "risk"}, "author": "ID"},
    "codes": {"0": "no", "1": "yes"},
    "labels_file": {"file": "golden_truth.txt", "names": ["subject", "risk"], "match": {"ID": "subject"}},
}


def read_with_labels(folder: Path, source: dict[str, Any], table: str, labels: str) -> list[RawPost | Reject]:
    declared = Source.model_validate(source)
    assert declared.labels_file is not None
    (folder / declared.file).write_text(table, encoding="utf-8")
    (folder / declared.labels_file.file).write_text(labels, encoding="utf-8")
    added = read_labels_file(folder / declared.labels_file.file, declared.labels_file, declared.added_columns)
    path, rules = folder / declared.file, RowRules(labels=added)
    return list(read_table_posts(path, declared, TASKS["CLP"], declared.file, "table", rules))


def test_a_users_label_holds_for_all_of_the_users_posts(tmp_path: Path) -> None:
    subject = (
        "<INDIVIDUAL><ID>s1</ID><WRITING><TITLE>A walk</TITLE><TEXT>so long</TEXT></WRITING>"
        "<WRITING><TITLE></TITLE><TEXT>rain</TEXT></WRITING></INDIVIDUAL>"
    )
    for labels in ("s0 1\ns1 0\n", "s0\t\t1\ns1\t\t0\n", "s1 0\r\n"):
        found = posts(read_with_labels(tmp_path, {"file": "s1.xml", **ERISK}, subject, labels))
        assert [(post.text, post.author, post.labels) for post in found] == [
            ("A walk\n\nso long", "s1", {"depression": "no"}), ("rain", "s1", {"depression": "no"}),
        ]  # fmt: skip


def test_a_post_without_a_label_row_is_rejected_without_its_id(tmp_path: Path) -> None:
    source: dict[str, Any] = {
        "file": "a.csv",
        "columns": {"text": "t", "labels": {"depression": "l"}},
        "labels_file": {"file": "l.csv", "match": {"id": "post"}, "columns": ["l"]},
    }
    found = read_with_labels(tmp_path, source, "id,t\n1,a\n2.0,b\nZed,c\n", "post;l\n1;yes\n2;no\n3;no\n")
    assert [post.labels for post in posts(found)] == [{"depression": "yes"}, {"depression": "no"}]
    assert rejects(found) == [(4, "l.csv has no row for the id in column 'id'")]
    with pytest.raises(DataError, match="row 4: an earlier row has the same id and other labels"):
        read_with_labels(tmp_path, source, "id,t\n1,a\n", "post,l\n1,yes\n2,no\n1,no\n")


BY_ID: dict[str, Any] = {
    "file": "a.csv",
    "columns": {"text": "t", "labels": {"depression": "l"}},
    "labels_file": {"file": "l.csv", "match": {"id": "id"}, "columns": ["l"]},
}


def labels_by_id(folder: Path, ids: list[str], labels: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Label of each id that got one, and the reasons of the others."""
    table = "id,t\n" + "".join(f'"{each}",text of {each}\n' for each in ids)
    found = read_with_labels(
        folder, BY_ID, table, "id,l\n" + "".join(f"{id_},{label}\n" for id_, label in labels.items())
    )
    return {post.text[8:]: post.labels["depression"] for post in posts(found)}, [
        why for _, why in rejects(found)
    ]


@pytest.mark.parametrize(
    ("ids", "labels", "labelled"),
    [
        # numbers that differ beyond the 15 digits of a float
        (["123456789012345678", "123456789012345679"], {"123456789012345678": "yes"}, {"123456789012345678": "yes"}),
        (["12345678901234567", "12345678901234568"], {"12345678901234567": "yes", "12345678901234568": "no"},
         {"12345678901234567": "yes", "12345678901234568": "no"}),
        (["001", "1"], {"001": "yes", "1": "no"}, {"001": "yes", "1": "no"}),
        (["001"], {"1": "yes"}, {"001": "yes"}),  # a spreadsheet took the zeros
        (["7", "8.0"], {"007": "yes", "8": "no"}, {"7": "yes", "8.0": "no"}),
        (["1"], {"01": "yes", "001": "yes"}, {}),  # which of the two?
        (["1e5", "100000", "true", "1"], {"1e5": "yes", "1": "no"}, {"1e5": "yes", "1": "no"}),
        (["", " "], {"": "yes", "2": "no"}, {}),
        (["1.23457E+18", "1.23457E+18"], {"1.23457E+18": "yes"}, {}),  # many ids in one
    ],
)  # fmt: skip
def test_an_id_gets_the_label_of_no_other_id(
    ids: list[str], labels: dict[str, str], labelled: dict[str, str], tmp_path: Path
) -> None:
    found, reasons = labels_by_id(tmp_path, ids, labels)
    assert found == labelled
    assert len(found) + len(reasons) == len(ids)


def test_two_ids_that_could_be_one_row_of_the_labels_are_an_error(tmp_path: Path) -> None:
    for ids in (["001", "1"], ["1", "001"], ["01", "001"]):
        with pytest.raises(DataError, match="row 3: ids in column 'id' differ only in leading zeros"):
            labels_by_id(tmp_path, ids, {"1": "yes"})


def test_one_label_in_two_spellings_is_one_label(tmp_path: Path) -> None:
    source = {**BY_ID, "codes": {"1": "yes"}}
    found = read_with_labels(tmp_path, source, "id,t\na,x\n", "id,l\na,1\na,1.0\n")
    assert [post.labels for post in posts(found)] == [{"depression": "yes"}]


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
    assert post_problem(text) == reason
