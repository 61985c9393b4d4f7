"""Workbooks: wrong dimensions, several sheets, cells beyond the header, and files made to fill the memory."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import openpyxl
import pytest

from mentallama.errors import DataError, UsageError
from mentallama.files.tables import TableLayout, UnreadableRow, read_rows, read_table

SHEET = "xl/worksheets/sheet1.xml"


def workbook(folder: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title.removeprefix("hidden "))
        sheet.sheet_state = "hidden" if title.startswith("hidden ") else "visible"
        for row in rows:
            sheet.append(row)
    book.save(folder / "a.xlsx")
    return folder / "a.xlsx"


def change_part(path: Path, name: str, old: bytes, new: bytes) -> None:
    with ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    assert old in parts[name]
    parts[name] = parts[name].replace(old, new)
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)


ROWS = [["text", "n"], *([f"text {n}", n] for n in range(50))]


@pytest.mark.parametrize("dimension", ["A1:B9", "A1", "A1:ZZ9999999", "B2:B3"])
def test_a_wrong_dimension_loses_no_row(dimension: str, tmp_path: Path) -> None:
    path = workbook(tmp_path, {"a": ROWS})
    change_part(path, SHEET, b'<dimension ref="A1:B51"', f'<dimension ref="{dimension}"'.encode())
    assert [cells for _, cells in read_table(path)] == [{"text": f"text {n}", "n": str(n)} for n in range(50)]


def test_a_cell_beyond_the_header_and_a_short_row(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"a": [["text", "n", None], ["a", 1, "lost?"], ["b"], ["c", 3, " "]]})
    first, *rest = read_rows(path)
    assert first == UnreadableRow(2, "the row has 3 cells, the header 2; a cell may need quotation marks")
    assert rest == [(3, {"text": "b", "n": ""}), (4, {"text": "c", "n": "3"})]


def test_the_sheet_is_the_one_with_the_columns_or_the_one_that_is_named(tmp_path: Path) -> None:
    sheets = {"notes": [["made", "by"], [1, 2]], "posts": [["Text"], ["a"]], "hidden old": [["text"], ["b"]]}
    path, needs = workbook(tmp_path, sheets), TableLayout(columns=("text",))
    assert list(read_table(path, layout=needs)) == [(2, {"text": "a"})]
    assert list(read_table(path, layout=TableLayout(columns=("text",), sheet="old"))) == [(2, {"text": "b"})]
    with pytest.raises(UsageError, match="no sheet 'new'; the sheets are 'notes', 'posts', 'old'"):
        list(read_table(path, layout=TableLayout(sheet="new")))
    with pytest.raises(DataError, match="no column 'body'; the columns are 'made', 'by'"):
        list(read_table(path, layout=TableLayout(columns=("body",))))
    path = workbook(tmp_path, {"train": [["text"], ["a"]], "test": [["text"], ["b"]]})
    with pytest.raises(DataError, match="name one with --sheet, in a recipe with the key sheet"):
        list(read_table(path, layout=needs))


def test_dates_booleans_and_text_that_looks_like_a_number(tmp_path: Path) -> None:
    row = [datetime.datetime(2020, 1, 2, 3, 4), True, "007", 1.0, "#N/A"]
    path = workbook(tmp_path, {"a": [list("abcde"), row]})
    ((_, cells),) = read_table(path)
    assert list(cells.values()) == ["2020-01-02 03:04:00", "1", "007", "1", "#N/A"]


def test_a_row_number_beyond_the_format_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"a": ROWS})
    change_part(path, SHEET, b'<row r="51"', b'<row r="99999999999"')
    with pytest.raises(DataError, match="more than 1,048,576 rows"):
        list(read_table(path))


PARTS = [SHEET, "xl/sharedStrings.xml", "xl/workbook.xml", "xl/styles.xml", "[Content_Types].xml"]
ENTITY = b"<!DOCTYPE a [<!ENTITY b 'x'>]><a>&b;</a>"


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("broken", [b"", b"<", b"<?xml version='1.0'?><a/>", b"\xff\xfe", ENTITY, None])
def test_a_part_that_is_missing_or_broken_is_bad_data(
    name: str, broken: bytes | None, tmp_path: Path
) -> None:
    path = workbook(tmp_path, {"a": ROWS})
    with ZipFile(path) as archive:
        parts: dict[str, bytes | None] = {info.filename: archive.read(info) for info in archive.infolist()}
    parts[name] = broken
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            if content is not None:
                archive.writestr(part, content)
    try:
        found = list(read_table(path))
    except DataError:
        return
    assert len(found) == 50  # styles hold no cells, so that they may be damaged
    assert name != SHEET


def test_a_workbook_that_inflates_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"a": ROWS})
    change_part(path, SHEET, b"<sheetData>", b"<sheetData>" + b" " * (1 << 27))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DataError, match="the workbook inflates to 128 MB"):
        list(read_table(path))


def test_rows_above_the_header_may_be_blank(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"a": [[None], [" ", ""], ["text", "n"], ["a", 1], [], ["b", 2]]})
    assert list(read_table(path)) == [(4, {"text": "a", "n": "1"}), (6, {"text": "b", "n": "2"})]


def test_a_row_of_formulas_without_values_is_a_reject(tmp_path: Path) -> None:
    rows = [["text", "n"], ['=A9&"x"', "=1+0"], ["b", 2], [None, None], ["=A3", None]]
    second, *others = read_rows(
        workbook(tmp_path, {"a": rows, "b": [["=A1"]]}), layout=TableLayout(sheet="a")
    )
    assert second == (3, {"text": "b", "n": "2"})
    assert [(row.row, "save the file" in row.reason) for row in others if isinstance(row, UnreadableRow)] == [
        (2, True), (5, True),
    ]  # fmt: skip


def test_escaped_control_characters_are_text(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"a": [["text"], ["one_x000D_\ntwo"], ["say _x005F_x000D_"], ["a_x_b"]]})
    assert [cells["text"] for _, cells in read_table(path)] == ["one\r\ntwo", "say _x000D_", "a_x_b"]
