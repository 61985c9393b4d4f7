"""Parquet columns of any type become text, or a row or a file that is named."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from mentallama.errors import DataError
from mentallama.files.tables import Row, TableLayout, UnreadableRow, read_rows

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def rows(folder: Path, columns: dict[str, Any], *needed: str) -> list[Row]:
    parquet.write_table(arrow.table(columns), folder / "a.parquet")
    return list(read_rows(folder / "a.parquet", layout=TableLayout(columns=needed)))


def test_structs_lists_dictionaries_times_and_nan(tmp_path: Path) -> None:
    columns = {
        "data": arrow.array([{"text": "a", "tags": ["b", "c"]}, {"text": None, "tags": []}]),
        "kind": arrow.array(["x", "y"]).dictionary_encode(),
        "time": arrow.array([datetime.datetime(2020, 1, 2)] * 2, arrow.timestamp("us")),
        "n": arrow.array([1.0, float("nan")]),
        "raw": arrow.array([b"caf\xc3\xa9", b""]),
    }
    first, second = rows(tmp_path, columns, "data.text", "N")
    assert first == (2, {
        "data.text": "a", "N": "1", "data.tags.0": "b", "data.tags.1": "c", "kind": "x", "time": "2020-01-02 00:00:00",
        "raw": "café",
    })  # fmt: skip
    assert not isinstance(second, UnreadableRow)
    assert (second[1]["data.text"], second[1]["N"]) == ("", "")
    with pytest.raises(DataError, match=r"no column 'data\.body'"):
        rows(tmp_path, columns, "data.body")


def test_bytes_and_times_that_are_no_text(tmp_path: Path) -> None:
    found = rows(tmp_path, {"a": arrow.array([b"\xff", b"a"])})
    assert found == [UnreadableRow(2, "a cell holds bytes that are not UTF-8"), (3, {"a": "a"})]
    with pytest.raises(DataError, match="cannot be read as text"):
        rows(tmp_path, {"a": arrow.array([2**52], arrow.timestamp("ms"))})
