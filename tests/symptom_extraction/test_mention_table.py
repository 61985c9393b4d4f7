"""Tables of posts in, tables of mentions out."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mentallama.errors import DataError, MentallamaError, UsageError
from mentallama.predict.tables.input_table import InputTable, PostRow, open_input_table
from mentallama.symptom_extraction.mention_table import MentionCounts, write_mention_table
from mentallama.symptoms import SymptomMatcher, find_pack

POSTS = 'post_id,body\na,"I can\'t sleep, not depressed"\nb,lunch was nice\nc,my sister is so tired\n'


def write(folder: Path, posts: str = POSTS, name: str = "out.csv", **options: str | None) -> MentionCounts:
    (folder / "posts.csv").write_text(posts)
    table = open_input_table(folder / "posts.csv", "posts.csv", ("body",))
    matcher = SymptomMatcher({"PHQ-9": find_pack("PHQ-9")})
    return write_mention_table(table, folder / name, matcher, **options)


def test_a_row_per_mention(tmp_path: Path) -> None:
    counts = write(tmp_path, id_column="post_id")
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [tuple(row.values()) for row in rows] == [
        ("2", "a", "insomnia", "present", "can't sleep", "2", "13", "en", "sleep", ""),
        ("2", "a", "depressed-mood", "negated", "depressed", "19", "28", "en", "mood", ""),
        ("4", "c", "fatigue", "someone_else", "so tired", "13", "21", "en", "energy", ""),
    ]
    assert list(rows[0]) == [
        "row", "id", "symptom", "status", "quotation", "start", "end", "language", "PHQ-9", "problem",
    ]  # fmt: skip
    assert counts == MentionCounts(
        3, 2, 0,
        Counter({("insomnia", "present"): 1, ("depressed-mood", "negated"): 1, ("fatigue", "someone_else"): 1}),
    )  # fmt: skip


def test_json_lines_have_the_same_rows(tmp_path: Path) -> None:
    write(tmp_path, name="out.jsonl", language="en")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[0] == {
        "row": 2, "symptom": "insomnia", "status": "present", "quotation": "can't sleep", "start": 2, "end": 13,
        "language": "en", "PHQ-9": "sleep",
    }  # fmt: skip


def test_a_text_that_cannot_be_read_has_a_row_with_the_problem(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text('{"body": ["a", "list"]}\n{"body": "so tired"}\n')
    table = open_input_table(tmp_path / "posts.jsonl", "posts.jsonl", ("body",))
    counts = write_mention_table(table, tmp_path / "out.jsonl", SymptomMatcher())
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[0] == {"row": 1, "problem": "the cell of column 'body' holds no text but a list or an object"}
    assert rows[1]["quotation"] == "so tired"
    assert (counts.posts, counts.unreadable) == (2, 1)


def test_an_output_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(UsageError, match="symptoms replaces none"):
        write(tmp_path)
    assert (tmp_path / "out.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"name": "out.docx"}, "the name of the output says its format"),
        ({"id_column": "id"}, r"no column 'id' \(--id\)"),
    ],
)
def test_wrong_use(tmp_path: Path, options: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        write(tmp_path, **options)  # type: ignore[arg-type]


def test_a_table_that_breaks_off_leaves_no_output(tmp_path: Path) -> None:
    class BrokenTable(InputTable):
        def rows(self) -> Iterator[PostRow]:
            yield PostRow(2, {"body": "so tired"}, "so tired")
            raise DataError("the file is truncated", self.name)

    broken = BrokenTable(tmp_path / "p.csv", "p.csv", ("body",))
    with pytest.raises(DataError, match="truncated"):
        write_mention_table(broken, tmp_path / "out.csv", SymptomMatcher())
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((OSError, MentallamaError)):
        write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["posts.csv"]
