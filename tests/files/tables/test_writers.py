"""Tables that are written and read again hold the same rows, whatever is in their cells."""

from __future__ import annotations

import datetime
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mentallama.errors import DataError, UsageError
from mentallama.files.tables import UnreadableRow, read_verbatim
from mentallama.files.tables.column_kinds import ColumnKind, column_kinds, kind_of
from mentallama.files.tables.writers import WRITERS, OutputColumns, OutputFormat, table_writer

NAMES = [*(f"a.{name}" for name in WRITERS), "a.csv.gz", "a.tsv.zst", "a.jsonl.gz", "a.jsonl.zst", "A.CSV"]


def write(path: Path, columns: dict[str, ColumnKind], rows: list[dict[str, Any]]) -> Path:
    with path.open("wb") as file, table_writer(file, OutputFormat.of(path), OutputColumns(columns)) as add:
        for row in rows:
            add(row)
        assert not file.closed
    return path


def cells(path: Path) -> list[dict[str, Any]]:
    rows = list(read_verbatim(path))
    assert not any(isinstance(row, UnreadableRow) for row in rows)
    return [row[1] for row in rows if not isinstance(row, UnreadableRow)]


TEXTS = st.text(
    st.one_of(
        st.sampled_from("\",;\t\r\n =+-@'\\_x0D|\x00\x0b\x85\u2028\ufeff\ufffe"),
        st.characters(exclude_categories=("Cs",), exclude_characters="\ufdd0"),  # NUL's stand-in
    ),
    max_size=12,
)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("parquet")])
@settings(max_examples=60, deadline=None)
@example(texts=['a "quoted" cell', "a,b\rc", "=1+1", "#N/A", "_x000D_", "\x00", " lead", "", "None"])
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_texts_come_back(name: str, texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    # A cell with line breaks and delimiters can look like rows of a file without quotation marks, which is refused.
    texts = [
        text.replace("\t", " ").replace(",", ";") if re.search("[\r\n]", text) else text for text in texts
    ]
    path = tmp_path_factory.mktemp("written") / name
    rows = [{"n": str(number), "body": text} for number, text in enumerate(texts)]
    read = cells(write(path, {"n": "text", "body": "text"}, rows))
    # a byte order mark at the very start of a file belongs to no cell, and NUL is read as its stand-in
    assert [row["body"] or "" for row in read] == [
        text.replace("\0", "\ufdd0") if _is_text(name) else text for text in texts
    ]


def _is_text(name: str) -> bool:
    return not name.endswith(("xlsx", "parquet", "jsonl", "jsonl.gz", "jsonl.zst", "ndjson"))


def test_parquet_texts_come_back(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    texts = ['a "quoted" cell', "a,b\rc", "\x00", "", "None", "é"]
    path = write(tmp_path / "a.parquet", {"body": "text"}, [{"body": text} for text in texts])
    assert [row["body"] for row in cells(path)] == texts


MIXED = {
    "n": 3,
    "share": 0.1,
    "ok": True,
    "time": datetime.datetime(2020, 1, 2, 3, 4, 5),
    "tags": ["a", {"b": None}],
    "gone": None,
    "big": 2**70,
    "nan": math.nan,
}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        (
            "a.csv",
            {
                "n": "3",
                "share": "0.1",
                "ok": "true",
                "time": "2020-01-02 03:04:05",
                "tags": '["a", {"b": null}]',
                "gone": "",
                "big": str(2**70),
                "nan": "",
            },
        ),
        ("a.jsonl", {"time": "2020-01-02 03:04:05", "nan": None}),
        ("a.parquet", {"tags": '["a", {"b": null}]', "big": str(2**70), "nan": None}),
        ("a.xlsx", {"tags": '["a", {"b": null}]', "big": str(2**70), "nan": None}),
    ],
)
def test_values_keep_their_types_where_the_format_has_them(
    name: str, changed: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    kinds = column_kinds(MIXED, {key: {kind} for key, value in MIXED.items() if (kind := kind_of(value))})
    (row,) = cells(write(tmp_path / name, kinds, [MIXED]))
    assert row == MIXED | changed


def test_a_key_that_a_row_lacks_is_left_out_of_json_and_empty_in_tables(tmp_path: Path) -> None:
    rows = [{"a": "1"}, {"b": None}]
    assert cells(write(tmp_path / "a.jsonl", {"a": "text", "b": "text"}, rows)) == rows
    assert cells(write(tmp_path / "a.csv", {"a": "text", "b": "text"}, rows)) == [
        {"a": "1", "b": ""},
        {"a": "", "b": ""},
    ]


def test_half_a_surrogate_pair_stays_one_in_json_and_is_marked_elsewhere(tmp_path: Path) -> None:
    assert cells(write(tmp_path / "a.jsonl", {"a": "text"}, [{"a": "x\ud83d"}])) == [{"a": "x\ud83d"}]
    assert (
        cells(write(tmp_path / "a.csv", {"a": "text", "b": "text"}, [{"a": "x\ud83d"}]))[0]["a"] == "x\ufffd"
    )


def test_a_cell_that_a_workbook_would_cut_off_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.xlsx", {"a": "text"}, [{"a": "x" * 32_767}])
    with pytest.raises(DataError, match=r"row 3: the cell of column 'a' has 32,768 characters.*\.parquet"):
        write(tmp_path / "b.xlsx", {"a": "text"}, [{"a": "x"}, {"a": "x" * 32_768}])


@pytest.mark.parametrize("name", ["a", "a.txt", "a.csv.bz2", "a.parquet.gz", "a.xlsx.zst", "a.json"])
def test_a_name_without_a_known_format_is_wrong_use(name: str) -> None:
    with pytest.raises(UsageError, match=r"the name of the output says its format: \.csv, \.tsv, \.jsonl"):
        OutputFormat.of(Path(name))


def test_compressed_files_of_the_same_rows_have_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "a.csv.zst"):
        first = write(tmp_path / name, {"a": "text"}, [{"a": "x"}]).read_bytes()
        assert write(tmp_path / f"b{name[1:]}", {"a": "text"}, [{"a": "x"}]).read_bytes() == first
