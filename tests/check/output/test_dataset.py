"""Accepted rows on disk, in both forms, can be read by every reader that they are written for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mentallama.answers.format import write_answer
from mentallama.answers.parse import read_answer
from mentallama.check.output.dataset import DATASET_COLUMNS, AcceptedResponse, dataset_writer
from mentallama.check.response_rows import ResponseRow
from mentallama.files.imhi_release import find_release_files, read_release_file
from mentallama.files.record_files import read_records
from mentallama.files.tables import read_table
from mentallama.records import FORMS, SPLITS, Example, Form, Split
from mentallama.run_files import INSTRUCTIONS_FILE
from mentallama.tasks import load_tasks, read_query
from tests.factories.check_cases import post_of, row_for

TASKS = load_tasks()
HARD = (
    "She said \"no, not again\", and left.\n\nThen: Question: Does it matter?  Post: yes, 'again', 100 %; a,b",
    "None",
    "夜里睡不着，“又是三点”。",
    "tab\tand \\ and “quotes” Reasoning: because",
    '"',
)


def rows() -> list[ResponseRow]:
    """Posts that are hard to write, of a set with one question and of one with two, over all splits."""
    found = []
    for number, text in enumerate(HARD):
        split: Split = SPLITS[number % 3]
        said = f"The post says “{text}”,\nwhich is “plain, and heavy”."
        stress = post_of("dreaddit", text, {"stress": "yes"}, split, number)
        found.append(row_for(stress, "stress", write_answer("dreaddit", "stress", "yes", said)))
        risks = post_of(
            "Irf", text, {"thwarted belongingness": "yes", "perceived burdensomeness": "no"}, split, number
        )
        found += [row_for(risks, q, write_answer("Irf", q, label, said)) for q, label in risks.labels.items()]
    return found


def write(out: Path, some: Sequence[ResponseRow], form: Form = "instruction", parquet: bool = True) -> None:
    with dataset_writer(out, form, parquet) as accept:
        for row in some:
            assert row.reading.label is not None
            accept(AcceptedResponse(row, row.reading.label))


def contents(row: ResponseRow) -> tuple[str, str, str, str | None, str]:
    """The fields that every form must preserve."""
    return (row.task.set, row.post.split, row.example.question, row.reading.label, row.reading.explanation)


@pytest.mark.parametrize("form", FORMS)
def test_the_release_is_read_back_to_the_same_labels_and_explanations(form: Form, tmp_path: Path) -> None:
    written = rows()
    write(tmp_path, written)
    found = []
    for file in find_release_files(tmp_path / "release", form, TASKS):
        for line in read_release_file(file, TASKS[file.set]):
            reading = read_answer(file.set, line.reference, form)
            assert reading.status == "parsed"
            found.append(
                ((file.set, file.split, line.question, reading.label, reading.explanation), line.text)
            )
    assert Counter(found) == Counter((contents(row), row.post.text) for row in written)
    assert len(found) == 15


def test_the_release_has_the_paths_of_the_published_one(tmp_path: Path) -> None:
    write(tmp_path, rows())
    names = {
        path.relative_to(tmp_path / "release").as_posix() for path in (tmp_path / "release").rglob("*.csv")
    }
    assert names == {
        f"{place}/{name}{end}"
        for name in ("dreaddit", "Irf")
        for place, ends in {
            "train_data/instruction_data": ("/train.csv", "/val.csv"),
            "train_data/complete_data": ("/train.csv", "/val.csv"),
            "test_data/test_instruction": (".csv",),
            "test_data/test_complete": (".csv",),
        }.items()
        for end in ends
    }
    header = (
        (tmp_path / "release/test_data/test_complete/Irf.csv").read_text(encoding="utf-8").splitlines()[0]
    )
    assert header == '"query","gpt-3.5-turbo"'


@pytest.mark.parametrize("form", FORMS)
def test_the_data_set_holds_the_same_rows_as_json_and_as_parquet(form: Form, tmp_path: Path) -> None:
    written = rows()
    write(tmp_path, written)
    found = []
    for split in SPLITS:
        path = tmp_path / f"data/{form}/{split}.jsonl"
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        table = pyarrow.parquet.read_table(path.with_suffix(".parquet"))
        assert table.to_pylist() == lines
        assert tuple(table.column_names) == DATASET_COLUMNS == tuple(lines[0])
        assert {str(column.type) for column in table.schema} == {"string"}
        for line in lines:
            task = TASKS[line["set"]]
            question, text = read_query(task, line["query"], form)
            reading = read_answer(task, line["response"], form)
            assert (question, reading.label, reading.explanation) == (
                line["question"],
                line["label"],
                line["explanation"],
            )
            assert line["model"] == "teacher"
            found.append(
                ((line["set"], split, question, line["label"], line["explanation"]), text, line["post_id"])
            )
    assert Counter(found) == Counter((contents(row), row.post.text, row.post.id) for row in written)


def test_ids_differ_between_forms_and_nowhere_else(tmp_path: Path) -> None:
    write(tmp_path, rows())
    ids = [cells["id"] for path in tmp_path.rglob("*.parquet") for _, cells in read_table(path)]
    assert len(ids) == len(set(ids)) == 30


@pytest.mark.parametrize("form", FORMS)
def test_examples_to_train_on_hold_label_and_answer(form: Form, tmp_path: Path) -> None:
    written = rows()
    write(tmp_path, written, form)
    examples = list(read_records(tmp_path / INSTRUCTIONS_FILE, Example))
    assert [each.text for each in examples] == [row.post.text for row in written]
    for example, row in zip(examples, written, strict=True):
        assert example.form == form
        assert example.label == row.reading.label
        assert example.response == write_answer(
            row.task, example.question, row.reading.label or "", row.reading.explanation, form
        )


def test_the_label_is_the_one_it_was_accepted_with(tmp_path: Path) -> None:
    row = rows()[0]
    with dataset_writer(tmp_path, "instruction", parquet=False) as accept:
        accept(AcceptedResponse(row, "no"))
    (line,) = read_table(tmp_path / "data/completion/train.jsonl")
    assert line[1]["label"] == "no"
    assert line[1]["response"].startswith("no. Reasoning:")


def test_without_pyarrow_there_is_no_parquet(tmp_path: Path) -> None:
    write(tmp_path, rows(), parquet=False)
    assert {path.suffix for path in (tmp_path / "data").rglob("*.*")} == {".jsonl"}


def test_files_that_would_be_empty_are_not_created(tmp_path: Path) -> None:
    write(tmp_path, [row for row in rows() if row.post.split == "test"])
    data = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.is_file()]
    assert len(data) == 9
    assert all("test" in name or name == INSTRUCTIONS_FILE for name in data)
    write(tmp_path / "none", [])
    assert [path.name for path in (tmp_path / "none").iterdir()] == [INSTRUCTIONS_FILE]


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    last = rows()[0]
    broken = [*rows(), replace(last, reading=last.reading.model_copy(update={"label": "perhaps"}))]
    with pytest.raises(ValueError, match="'perhaps' is not a label of dreaddit"):
        write(tmp_path, broken)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# What cleaning leaves of a post and reading of an explanation: no white space at the ends.
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), min_size=1).map(
    str.strip
)


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT, st.sampled_from(("dreaddit", "SAD", "t-sid")), st.data())
def test_any_text_survives_the_published_layout(text: str, said: str, name: str, draw: st.DataObject) -> None:
    task = TASKS[name]
    question, label = task.resolve_question(), draw.draw(st.sampled_from(list(task.labels)))
    row = row_for(
        post_of(name, text, {question: label}, "test"), question, write_answer(task, question, label, said)
    )
    with TemporaryDirectory() as folder:
        write(Path(folder), [row])
        for form in FORMS:
            (file,) = find_release_files(Path(folder) / "release", form, TASKS)
            (line,) = read_release_file(file, task)
            reading = read_answer(task, line.reference, form)
            assert (line.text, reading.label, reading.explanation) == (text, label, said)
