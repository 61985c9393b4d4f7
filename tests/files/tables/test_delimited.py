"""Delimited tables: quotation marks, delimiters, line ends, encodings, and rows that do not fit."""

from __future__ import annotations

import csv
import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mentallama.errors import DataError
from mentallama.files.tables import TableLayout, UnreadableRow, read_rows, read_table

AS_NAMED = TableLayout()


def table(
    folder: Path, name: str, raw: bytes | str, layout: TableLayout = AS_NAMED, encoding: str = "utf-8"
) -> list[list[str]]:
    (folder / name).write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return [list(cells.values()) for _, cells in read_table(folder / name, encoding, layout)]


# --- quotation marks in files with tabs ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "rows"),
    [
        ('t\tn\n"I feel" empty\t1\nhe said "go\t0\nfine\t0\n',
         [['"I feel" empty', "1"], ['he said "go', "0"], ["fine", "0"]]),
        # opened in one row and closed at the end of another one's cell
        ('t\tn\n"it rains\t1\nthe bus\t0\nso he said"\t1\n',
         [['"it rains', "1"], ["the bus", "0"], ['so he said"', "1"]]),
        ('t\tn\n"it rains\t1\n', [['"it rains', "1"]]),
        ('t\tn\n5" screen\t1\n', [['5" screen', "1"]]),
        # quoted by a program: the cell is enclosed and its own marks are doubled
        ('t\tn\n"he said ""go"""\t1\nfine\t0\n', [['he said "go"', "1"], ["fine", "0"]]),
        ('t\tn\n"two\nlines"\t1\nfine\t0\n', [["two\nlines", "1"], ["fine", "0"]]),
        ('"t"\t"n"\n"a\tb\nc"\t"1"\n', [["a\tb\nc", "1"]]),
    ],
)  # fmt: skip
def test_the_structure_tells_whether_quotation_marks_are_text(
    raw: str, rows: list[list[str]], tmp_path: Path
) -> None:
    assert table(tmp_path, "a.tsv", raw) == rows
    assert table(tmp_path, "a.csv", raw, TableLayout(columns=("t", "n"))) == rows  # tabs under another name


def test_where_the_structure_does_not_tell_the_error_names_the_key(tmp_path: Path) -> None:
    raw = 't\tn\tm\n"it rains\t1\t2\nthe bus"\t0\t2\nragged\n'
    with pytest.raises(DataError, match=r"row 2: .*quoting: none.*quoting: minimal"):
        table(tmp_path, "a.tsv", raw)
    (tmp_path / "a.tsv").write_text(raw, encoding="utf-8")
    *rows, last = read_rows(tmp_path / "a.tsv", layout=TableLayout(quoting="none"))
    assert rows == [(2, {"t": '"it rains', "n": "1", "m": "2"}), (3, {"t": 'the bus"', "n": "0", "m": "2"})]
    assert isinstance(last, UnreadableRow)
    with pytest.raises(DataError, match=r"row 2: .*quoting: none"):
        table(tmp_path, "a.csv", 't,n\n"closed" early,1\n')
    assert table(tmp_path, "a.csv", 't,n\n"closed" early,1\n', TableLayout(quoting="none")) == [
        ['"closed" early', "1"]
    ]


@pytest.mark.parametrize(
    "raw",
    [
        't,n\n"it rains,1\nthe bus,0\nso he said",1\n',
        'i,t,n\n1,"it rains,yes\n2,the bus,no\n3,so he said",yes\n',
        'n;t\r\n1;"it rains\r\n0;so he said"\r\n',
        'i,t,d\n1,"it rains,2020-01-01 10:00\n2,so he said",2020-01-02 11:30\n',
    ],
)
def test_a_cell_that_would_hold_whole_rows_is_refused(raw: str, tmp_path: Path) -> None:
    layout = TableLayout(columns=("t",))
    with pytest.raises(DataError, match=r"row 2: .*quoting: none.*quoting: minimal"):
        table(tmp_path, "a.csv", raw, layout)
    (tmp_path / "a.csv").write_text(raw, encoding="utf-8")
    found = read_rows(tmp_path / "a.csv", layout=TableLayout(columns=("t",), quoting="none"))
    assert len(list(found)) == len(raw.splitlines()) - 1
    assert len(table(tmp_path, "a.csv", raw, TableLayout(columns=("t",), quoting="minimal"))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "I like:\na,b,c\nd,e,f",
        "sad, tired\nand alone",
        "one,\ntwo",
        "x,1\n\ny",
        "first, second\nthird, fourth, so",
    ],
)
def test_a_text_of_several_lines_with_commas_is_no_row_border(text: str, tmp_path: Path) -> None:
    assert table(tmp_path, "a.csv", f't,n\n"{text}",1\n') == [[text, "1"]]
    assert table(tmp_path, "a.csv", f'i,t,n\n1,"{text}",no\n') == [["1", text, "no"]]


def test_quotation_marks_may_stand_after_a_backslash(tmp_path: Path) -> None:
    raw = 't,n\n"he said \\"go\\", ok",1\n"5\\"",0\n"""a"", b",1\n'
    with pytest.raises(DataError, match="quoting: backslash"):
        table(tmp_path, "a.csv", raw)
    assert table(tmp_path, "a.csv", raw, TableLayout(quoting="backslash")) == [
        ['he said "go", ok', "1"], ['5"', "0"], ['"a", b', "1"],
    ]  # fmt: skip
    assert table(tmp_path, "a.csv", 't,n\n"C:\\",1\nb,0\n') == [["C:\\", "1"], ["b", "0"]]


text = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\t\ufdd0"), min_size=1).filter(
    str.strip
)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@in_one_folder
@given(cells=st.lists(text | st.sampled_from(['"', '"a', 'a"', '"a"b', '""']), min_size=1, max_size=8))
def test_no_row_of_an_unquoted_file_is_lost_or_joined(cells: list[str], tmp_path: Path) -> None:
    found = table(tmp_path, "a.tsv", "t\tn\n" + "".join(f"{cell}\t{n}\n" for n, cell in enumerate(cells)))
    assert [n for _, n in found] == [str(n) for n in range(len(cells))]
    quoted = all('"' not in cell for cell in cells)
    assert not quoted or [cell for cell, _ in found] == cells


@in_one_folder
@given(
    rows=st.lists(st.tuples(text, st.sampled_from("01")), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_every_dialect_of_a_spreadsheet_is_read(
    rows: list[tuple[str, str]], delimiter: str, encoding: str, line_end: str, tmp_path: Path
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([("text", "label"), *rows])
    raw = out.getvalue().encode(encoding)
    found = table(tmp_path, "a.csv", raw, TableLayout(columns=("text", "label")))
    assert [tuple(row) for row in found] == rows


# --- delimiters and headers ------------------------------------------------------------------------------


def test_another_delimiter_is_found_only_by_the_columns_that_are_needed(tmp_path: Path) -> None:
    needs = TableLayout(columns=("text",))
    assert table(tmp_path, "a.csv", "n;text\n1;a, b\n", needs) == [["1", "a, b"]]
    assert table(tmp_path, "a.csv", "sep=|\nn|text\n1|a\n", needs) == [["1", "a"]]
    assert table(tmp_path, "a.csv", "text\na; b\n", needs) == [["a; b"]]
    with pytest.raises(DataError, match="no column 'text'; the columns are 'n;body'"):
        table(tmp_path, "a.csv", "n;body\n1;a\n", needs)
    assert table(tmp_path, "a.csv", "n:text\n1:a\n", TableLayout(columns=("text",), delimiter=":")) == [
        ["1", "a"]
    ]


def test_a_needed_column_is_found_in_other_case_and_between_spaces(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(" Text ,LABEL\na,1\n", encoding="utf-8")
    ((_, cells),) = read_table(tmp_path / "a.csv", layout=TableLayout(columns=("text", "label")))
    assert cells == {"text": "a", "label": "1"}
    with pytest.raises(DataError, match="no column 'text'"):  # which of the two?
        table(tmp_path, "a.csv", "Text,TEXT\na,b\n", TableLayout(columns=("text",)))


def test_a_file_without_header_has_the_names_that_are_given(tmp_path: Path) -> None:
    layout = TableLayout(names=("id", "label"), columns=("id",))
    assert table(tmp_path, "a.csv", "s1,0\ns2,1\n", layout) == [["s1", "0"], ["s2", "1"]]
    assert table(tmp_path, "a.csv", "s1;0\ns2;1\n", layout) == [["s1", "0"], ["s2", "1"]]
    white = TableLayout(names=("id", "label"), delimiter="whitespace")
    assert table(tmp_path, "a.txt", "s1 0\n s2\t\t1 \n\n", white) == [["s1", "0"], ["s2", "1"]]


# --- rows and encodings ------------------------------------------------------------------------------------


def test_rows_that_do_not_fit_are_named_and_the_others_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,n\na\nb,1\nc,1,,\nd,1,2\n\n  \ne,1\n", encoding="utf-8")
    found = list(read_rows(tmp_path / "a.csv"))
    assert [row.row for row in found if isinstance(row, UnreadableRow)] == [2, 5]
    assert [row for row in found if not isinstance(row, UnreadableRow)] == [
        (3, {"t": "b", "n": "1"}), (4, {"t": "c", "n": "1"}), (8, {"t": "e", "n": "1"}),
    ]  # fmt: skip


def test_a_short_row_without_a_line_end_is_the_end_of_a_truncated_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,n\na,1\nb", encoding="utf-8")
    with pytest.raises(DataError, match=r"row 3: .*may be truncated"):
        list(read_rows(tmp_path / "a.csv"))


def test_utf_16_without_a_mark_is_named(tmp_path: Path) -> None:
    raw = "t,n\na,1\n".encode("utf-16-le")
    with pytest.raises(DataError, match="is the encoding utf-16-le"):
        table(tmp_path, "a.csv", raw)
    assert table(tmp_path, "a.csv", raw, encoding="utf-16-le") == [["a", "1"]]


def test_a_row_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    for raw in ("t,n\n" + "a" * (1 << 25), 't,n\n"' + ("a" * 4095 + "\n") * (1 << 12) + "a"):
        with pytest.raises(DataError, match="row 2: the row is longer than 16,777,216 characters"):
            table(tmp_path, "a.csv", raw)


def test_what_stands_around_a_table_is_passed_over(tmp_path: Path) -> None:
    mark = "\ufeff".encode()
    for raw in (
        b"\n \r\nt,n\r\na,1\r\n",
        mark * 2 + b'"t","n"\r\na,1\r\n',
        b"t,n\r\na,1\r\n\x1a",
        b"\nsep=,\nt,n\na,1\n",
    ):
        assert table(tmp_path, "a.csv", raw, TableLayout(columns=("t", "n"))) == [["a", "1"]]
    assert table(tmp_path, "a.tsv", 't\tn\n"a b\t1\n\x1a') == [['"a b', "1"]]


def test_a_column_is_found_in_another_normal_form(tmp_path: Path) -> None:
    names = ("글", "publié")
    raw = unicodedata.normalize("NFD", "글,publié\na,b\n")
    assert table(tmp_path, "a.csv", raw, TableLayout(columns=names)) == [["a", "b"]]


def test_an_error_about_columns_shows_no_json(tmp_path: Path) -> None:
    with pytest.raises(DataError) as fault:
        table(tmp_path, "a.csv", '{"text": "so tired"}\n', TableLayout(columns=("text",)))
    assert "tired" not in str(fault.value)
