"""JSON Lines, arrays and objects one after the other: each object is a row, and each that is none is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mentallama.errors import DataError
from mentallama.files.tables import Row, TableLayout, UnreadableRow, read_rows


def rows(folder: Path, name: str, raw: bytes | str, *columns: str) -> list[Row]:
    (folder / name).write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return list(read_rows(folder / name, layout=TableLayout(columns=columns)))


def test_fields_of_nested_objects_are_columns(tmp_path: Path) -> None:
    raw = '{"id": 1, "data": {"title": "a", "tags": ["b", {"c": 2}], "none": {}}}'
    cells = {"id": "1", "data.title": "a", "data.tags.0": "b", "data.tags.1.c": "2"}
    for name in ("a.jsonl", "a.ndjson", "a.json"):
        assert rows(tmp_path, name, raw, "data.title") == [(1, cells)]
    with pytest.raises(DataError, match=r"no column 'data'; the columns are 'id', 'data\.title'"):
        rows(tmp_path, "a.jsonl", raw, "data")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_key_that_the_first_object_lacks_is_an_empty_cell_there(name: str, tmp_path: Path) -> None:
    raw = '{"n": 1}\n{"n": 2, "text": "a"}\n{"text": NaN, "n": null}\n{"text": -Infinity}\n'
    assert rows(tmp_path, name, raw, "text") == [
        (1, {"text": "", "n": "1"}), (2, {"text": "a", "n": "2"}),
        (3, {"text": "", "n": ""}), (4, {"text": "", "n": ""}),
    ]  # fmt: skip
    with pytest.raises(DataError, match="no column 'body'; the columns are 'n'"):
        rows(tmp_path, name, raw, "text", "body")


def test_a_line_that_is_no_object_is_named_and_the_next_one_read(tmp_path: Path) -> None:
    lines = [
        '{"n": 1}',
        "nope",
        "[1]",
        '{"n": 1, "n": 2}',
        "[" * 5000,
        '{"n": ' + "9" * 5000 + "}",
        "",
        '{"n": 8}',
    ]
    found = rows(tmp_path, "a.jsonl", "\n".join(lines) + "\n")
    assert [row.row for row in found if isinstance(row, UnreadableRow)] == [2, 3, 4, 5, 6]
    assert found[0], found[-1] == ((1, {"n": "1"}), (8, {"n": "8"}))


@pytest.mark.parametrize(
    ("raw", "row"),
    [('[{"n": 1},', 2), ('[{"n": 1}', 2), ("[", 1), ('[{"n": 1} {"n": 2}]', 2), ('{"n": 1}{"n"', 2),
     ('[{"n": 1}] more', None), ("[" + "[" * 100_000, 1), ("[]", None)],
)  # fmt: skip
def test_damage_in_an_array_names_the_row(raw: str, row: int | None, tmp_path: Path) -> None:
    with pytest.raises(DataError) as fault:
        rows(tmp_path, "a.json", raw)
    assert fault.value.row == row


records = st.lists(
    st.dictionaries(
        st.sampled_from("abc"), st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1
    ),
    min_size=1,
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    records=records,
    indent=st.sampled_from([None, 2]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_an_array_and_its_objects_give_the_same_rows(
    records: list[dict[str, str]], indent: int | None, encoding: str, tmp_path: Path
) -> None:
    array = json.dumps(records, indent=indent, ensure_ascii=False).encode(encoding)
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode(encoding)
    found = rows(tmp_path, "a.json", array)
    assert found == rows(tmp_path, "a.json", lines) == rows(tmp_path, "a.jsonl", lines)
    assert [{k: v for k, v in cells.items() if v} for _, cells in found] == [  # type: ignore[misc]
        {k: v for k, v in record.items() if v} for record in records
    ]


def test_an_element_longer_than_a_block_is_read(tmp_path: Path) -> None:
    long = [{"text": chr(0x4E00 + n) * 200_000} for n in range(3)]
    found = rows(tmp_path, "a.json", json.dumps(long, ensure_ascii=False))
    assert [row[1] for row in found if not isinstance(row, UnreadableRow)] == long


def test_an_object_without_end_is_refused(tmp_path: Path) -> None:
    for name in ("a.json", "a.jsonl"):
        with pytest.raises(DataError, match="row 1: the row is longer than 16,777,216 characters"):
            rows(tmp_path, name, '{"text": "' + "a" * (1 << 25))


A, B = {"text": "a", "n": 1}, {"text": "b", "n": 0}
BOTH: list[Row] = [(1, {"text": "a", "n": "1"}), (2, {"text": "b", "n": "0"})]


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps([A, B]),
        f"[\n{json.dumps(A)},\n{json.dumps(B)}\n]\n",
        f"{json.dumps(A, indent=1)}\n{json.dumps(B, indent=1)}\n",
        f"{json.dumps(A)},\n{json.dumps(B)},\n",
        f"\x1e{json.dumps(A)}\n\x1e{json.dumps(B)}\n",
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_file_of_json_is_read_as_it_is_laid_out(name: str, raw: str, tmp_path: Path) -> None:
    assert rows(tmp_path, name, raw, "text") == BOTH


@pytest.mark.parametrize(
    "value",
    [
        {"data": [A, B]},
        {"version": 1, "tags": ["x"], "data": [A, B], "none": []},
        {"id7": A, "id8": B},
        {"text": ["a", "b"], "n": [1, 0]},
        {"text": {"0": "a", "1": "b"}, "n": {"0": 1, "1": 0}},
    ],
)
def test_rows_within_one_object_are_found_by_the_columns(value: dict[str, object], tmp_path: Path) -> None:
    assert rows(tmp_path, "a.json", json.dumps(value), "text", "n") == BOTH


def test_rows_within_one_object_are_not_guessed(tmp_path: Path) -> None:
    wrapped = {"rows": [{"row_idx": 0, "row": A}]}
    assert rows(tmp_path, "a.json", json.dumps(wrapped), "row.text") == [
        (1, {"row_idx": "0", "row.text": "a", "row.n": "1"})
    ]
    with pytest.raises(DataError, match="several lists of records"):
        rows(tmp_path, "a.json", json.dumps({"train": [A], "test": [B]}), "text")
    with pytest.raises(DataError, match="no column 'text'"):
        rows(tmp_path, "a.json", json.dumps({"text": {"0": "a"}, "n": {"1": 1}}), "text")
    with pytest.raises(DataError, match="no column 'body'"):
        rows(tmp_path, "a.json", json.dumps({"data": [A, B]}), "body")


def test_a_needed_key_is_found_in_other_case(tmp_path: Path) -> None:
    raw = '{"Text": "a"}\n{"text": "b", "Text": "c"}\n{"TEXT": "d", "Text": "e"}\n'
    found = rows(tmp_path, "a.jsonl", raw, "text")
    assert [cells["text"] for _, cells in found] == ["a", "b", ""]  # type: ignore[misc, index]


def test_a_tab_in_a_string_is_text(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.jsonl", '{"text": "a\tb"}\n') == [(1, {"text": "a\tb"})]
