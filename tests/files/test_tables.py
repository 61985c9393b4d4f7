"""Tables are read strictly: every cell as written, every fault with its file and row."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mentallama.errors import DataError, UsageError
from mentallama.files.tables import NumberedCells, read_table, require_columns
from mentallama.text.repair import NUL_STAND_IN


def table(folder: Path, name: str, raw: bytes | str, encoding: str = "utf-8") -> list[NumberedCells]:
    path = folder / name
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return list(read_table(path, encoding))


def workbook(folder: Path, *rows: list[Any]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(folder / "a.xlsx")
    return folder / "a.xlsx"


def parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table(columns), path)
    return path


# --- what is well written --------------------------------------------------------------------------


ROWS = [(2, {"text": "None", "label": "NA"}), (3, {"text": "", "label": "1"})]


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("a.csv", "text,label\nNone,NA\n,1\n"),
        ("a.csv", "text,label\r\nNone,NA\r\n,1\r\n"),
        ("a.csv", "text,label\nNone,NA\n,1"),
        ("a.csv", '\ufeff"text","label"\nNone,NA\n"",1\n'),
        ("a.CSV", "text,label\nNone,NA\n,1\n"),
        ("a.tsv", "text\tlabel\nNone\tNA\n\t1\n"),
    ],
)
def test_cells_are_text_as_written(name: str, raw: str, tmp_path: Path) -> None:
    assert table(tmp_path, name, raw) == ROWS


def test_json_lines_plain_and_compressed(tmp_path: Path) -> None:
    raw = b'{"text": "None", "label": "NA"}\n{"text": null, "label": 1.0}\n'
    rows = [(1, ROWS[0][1]), (2, ROWS[1][1])]  # no header: the first line is row 1
    assert table(tmp_path, "a.jsonl", raw) == rows
    assert table(tmp_path, "a.jsonl.zst", zstandard.compress(raw)) == rows
    assert table(tmp_path, "bom.jsonl", b"\xef\xbb\xbf" + raw) == rows


def test_excel_and_parquet(tmp_path: Path) -> None:
    excel = workbook(tmp_path, ["text", "label"], ["None", "NA"], [None, 1])
    assert list(read_table(excel)) == ROWS
    columns = {"text": ["None", None], "label": ["NA", "1"]}
    assert list(read_table(parquet(tmp_path / "a.parquet", columns))) == ROWS


def test_numbers_of_a_workbook_are_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    excel = workbook(tmp_path, ["n"], [1], [1.0], [2.5], [True], ["01"])
    assert [cells["n"] for _, cells in read_table(excel)] == ["1", "1", "2.5", "1", "01"]


def test_blank_rows_are_passed_over_and_still_counted(tmp_path: Path) -> None:
    excel = workbook(tmp_path, ["n"], ["a"], [None], ["b"])
    assert [number for number, _ in read_table(excel)] == [2, 4]
    assert [number for number, _ in table(tmp_path, "a.csv", "n\na\n\nb\n")] == [2, 4]
    assert [number for number, _ in table(tmp_path, "a.jsonl", '{"n":1}\n\n{"n":2}\n\n')] == [1, 3]


def test_line_breaks_and_quotes_inside_a_cell_are_kept(tmp_path: Path) -> None:
    rows = table(tmp_path, "a.csv", 'text\r\n"one\ntwo ""quoted"", three\r\nfour"\r\nlast\r\n')
    # a row is a record, as a spreadsheet counts it, whatever lines it spans
    assert rows == [(2, {"text": 'one\ntwo "quoted", three\r\nfour'}), (3, {"text": "last"})]


def test_a_cell_of_ten_megabytes_is_one_cell(tmp_path: Path) -> None:
    ((_, cells),) = table(tmp_path, "a.csv", 'text\n"' + "word " * 2_000_000 + '"\n')
    assert len(cells["text"]) == 10_000_000


def test_an_encoding_is_honoured(tmp_path: Path) -> None:
    ((_, cells),) = table(tmp_path, "a.csv", "text\nI’m café\n".encode("mac_roman"), "mac_roman")
    assert cells["text"] == "I’m café"


def test_a_name_left_out_of_a_json_line_is_an_empty_cell(tmp_path: Path) -> None:
    rows = table(tmp_path, "a.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}\n')
    assert rows[1] == (2, {"text": "b", "label": ""})


def test_nul_bytes_are_made_visible_not_lost(tmp_path: Path) -> None:
    assert table(tmp_path, "a.csv", b"text\na\0b\n") == [(2, {"text": f"a{NUL_STAND_IN}b"})]
    assert table(tmp_path, "a.jsonl", '{"text": "a\\u0000b"}\n') == [(1, {"text": f"a{NUL_STAND_IN}b"})]
    (found,) = read_table(parquet(tmp_path / "a.parquet", {"text": ["a\0b"]}))
    assert found == (2, {"text": f"a{NUL_STAND_IN}b"})


def test_half_a_character_becomes_the_mark_of_replacement(tmp_path: Path) -> None:
    rows = table(tmp_path, "a.jsonl", '{"text": "cut \\ud83d"}\n{"text": "whole \\ud83d\\ude00"}\n')
    assert [cells["text"] for _, cells in rows] == ["cut \ufffd", "whole 😀"]


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0" + NUL_STAND_IN), max_size=20)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@in_one_folder
@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=5), delimiter=st.sampled_from(",\t"))
def test_what_the_csv_module_writes_is_read(
    rows: list[tuple[str, str]], delimiter: str, tmp_path: Path
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    found = table(tmp_path, "x.csv" if delimiter == "," else "x.tsv", out.getvalue())
    assert [(row["a"], row["b"]) for _, row in found] == rows
    assert [number for number, _ in found] == list(range(2, len(rows) + 2))


@in_one_folder
@given(rows=st.lists(st.fixed_dictionaries({"a": cells, "b": cells}), min_size=1, max_size=5))
def test_what_the_json_module_writes_is_read(rows: list[dict[str, str]], tmp_path: Path) -> None:
    raw = "".join(json.dumps(row, ensure_ascii=len(row["a"]) % 2 == 0) + "\n" for row in rows)
    assert [row for _, row in table(tmp_path, "x.jsonl", raw)] == rows


# --- faults ------------------------------------------------------------------------------------------

FAULTS = [
    ("a.csv", b"", None, "the file is empty"),
    ("a.jsonl", b"", None, "the file is empty"),
    ("a.csv", b"text,label\n", None, "a header and no rows"),
    ("a.jsonl", b"\n\n", None, "a header and no rows"),
    ("a.csv", b"text,text\na,b\n", 1, "two columns have the same name"),
    ("a.csv", b"text,label\na,1\nb\n", 3, "the row has 1 cells, the header 2; the file may be truncated"),
    ("a.csv", b"text,label\na,1,2\n", 2, "the row has 3 cells, the header 2"),
    ("a.csv", b'label,text\n1,a\n2,"cut in the mid', 3, "the file may be truncated"),
    ("a.csv", b'label,text\n1,"never closed\n2,b\n3,c\n', 2, "the file may be truncated"),
    ("a.csv", b'text\n"closed" too early\n', 2, "not a table"),
    ("a.jsonl", b'{"text": "a"}\n{"text": "b', 2, "not a JSON object; the file may be truncated"),
    ("a.jsonl", b'{"text": "a"}\n["b"]\n', 2, "not a JSON object"),
    ("a.jsonl", b"[" * 100_000, 1, "not a JSON object"),
    ("a.jsonl.zst", b"no zst", None, "damaged or truncated"),
    ("a.jsonl.zst", zstandard.compress(b'{"text": "a"}\n' * 99)[:-3], None, "damaged or truncated"),
    ("a.xlsx", b"PK\x03\x04 no workbook", None, "not an Excel workbook"),
    ("a.parquet", b"PAR1 no table", 1, "not a Parquet file"),
]


@pytest.mark.parametrize(("name", "raw", "row", "what"), FAULTS)
def test_an_error_names_file_and_row(
    name: str, raw: bytes, row: int | None, what: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=what) as fault:
        table(tmp_path, name, raw)
    assert (fault.value.file, fault.value.row) == (str(tmp_path / name), row)


def test_rows_before_a_fault_are_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,m\n1,2\n3,4\n5\n", encoding="utf-8")
    rows = read_table(tmp_path / "a.csv")
    assert [next(rows)[0], next(rows)[0]] == [2, 3]
    with pytest.raises(DataError, match="row 4"):
        next(rows)


@pytest.mark.parametrize("before", [1, 3, 5000])
def test_a_wrong_encoding_names_byte_and_line(before: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"byte 0xe9 in line {before + 1} is not utf-8"):
        table(tmp_path, "a.csv", b"text\n" * before + b"caf\xe9\n")


def test_an_unknown_encoding_format_or_file_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no encoding named 'klingon'"):
        table(tmp_path, "a.csv", "n\n1\n", "klingon")
    for name in ("a.txt", "a.doc", "a"):
        with pytest.raises(UsageError, match=r"files are not supported; use one of \.csv, \.tsv"):
            table(tmp_path, name, "n\n1\n")
    with pytest.raises(UsageError, match="there is no such file"):
        read_table(tmp_path / "none.csv")


def test_faults_of_workbooks_and_parquet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: two columns have the same name"):
        list(read_table(workbook(tmp_path, ["a", "a"], [1, 2])))
    with pytest.raises(DataError, match="a header and no rows"):
        list(read_table(workbook(tmp_path, ["a", "b"])))
    with pytest.raises(DataError, match="a header and no rows"):
        list(read_table(parquet(tmp_path / "a.parquet", {"a": []})))


def test_a_workbook_or_parquet_file_damaged_anywhere_is_bad_data_never_a_traceback(tmp_path: Path) -> None:
    files = [
        workbook(tmp_path, ["a", "b"], *([n, f"text {n}"] for n in range(50))),
        parquet(tmp_path / "a.parquet", {"a": list(range(50)), "b": [f"text {n}" for n in range(50)]}),
    ]
    for path in files:
        whole, refused = path.read_bytes(), 0
        for place in range(0, len(whole), max(1, len(whole) // 60)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            try:
                list(read_table(path))
            except DataError:
                refused += 1
        assert refused >= 5, path


def test_columns_that_are_needed_are_named_beside_those_there_are() -> None:
    require_columns(Path("a.csv"), {"text": "", "label": ""}, ["label"])
    with pytest.raises(
        DataError, match=r"a.csv, row 1: no column 'author', 'time'; the columns are 'text', 'label'"
    ):
        require_columns(Path("a.csv"), {"text": "", "label": ""}, ["author", "text", "time"])


@pytest.mark.parametrize(
    ("header", "shown"), [(["text", "so tired"], "'text', 'so tired'"), (["2", "so tired"], "'2', …")]
)
def test_cells_of_a_file_without_a_header_are_not_shown(header: list[str], shown: str) -> None:
    with pytest.raises(DataError) as raised:
        require_columns(Path("a.csv"), header, ["text", "label"])
    assert str(raised.value).endswith(f"; the columns are {shown}")
