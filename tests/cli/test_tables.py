"""Tables in terminals of any width: no cell is cut, no row is lost, and no line is too long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.cli import tables
from mentallama.cli.tables import (
    CELL_FRAME,
    MIN_KEY_WIDTH,
    WideTable,
    narrow_keys,
    print_table,
    split_columns,
)

TABLE = WideTable(
    "Test, instruction form",
    ("set", "rows", "weighted F1", "95 %", "accuracy", "macro F1", "unparsed", "refused", "truncated"),
    (
        ("CAMS", "625", "44.23", "38.2–50.4", "45.00", "40.11", "0", "1", "2"),
        ("loneliness", "10,882", "70.39", "64.9–75.2", "71.00", "69.98", "12", "34", "56"),
    ),
)


def printed(
    table: WideTable, width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(tables, "terminal_width", lambda: width)
    print_table(table)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [None, 200, 80, 60, 40])
def test_a_narrow_terminal_gets_every_cell_whole(
    width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = printed(TABLE, width, monkeypatch, capsys)
    cells = {cell.strip() for cell in re.split(r"[┃│\n]", shown)}
    assert {*TABLE.header, *TABLE.rows[0], *TABLE.rows[1]} <= cells
    assert max(map(len, shown.splitlines())) <= (width or 200)
    parts = shown.count("┏")
    assert parts == {None: 1, 200: 1, 80: 2}.get(width, parts)
    assert shown.count("loneliness") == parts  # each part says whose numbers it shows


def test_a_tiny_terminal_gets_one_column_a_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = printed(TABLE, 1, monkeypatch, capsys)
    assert shown.count("┏") == len(TABLE.header) - 1
    assert "64.9–75.2" in shown


def test_brackets_are_text_and_wide_characters_count_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = WideTable("[b]", ("모델", "[red]x"), (("스트레스", "[/]1"),), total=("합계", "2"))
    shown = printed(table, 80, monkeypatch, capsys)
    for part in ("[b]", "모델", "[red]x", "스트레스", "[/]1", "합계"):
        assert part in shown


@given(st.lists(st.integers(1, 30), min_size=2, max_size=15), st.integers(1, 120), st.integers(1, 2))
def test_every_column_is_in_one_part_that_fits(widths: list[int], available: int, n_keys: int) -> None:
    keys = list(range(min(n_keys, len(widths) - 1)))
    parts = split_columns(widths, len(keys), available)
    assert [column for part in parts for column in part[len(keys) :]] == list(range(len(keys), len(widths)))
    for part in parts:
        assert part[: len(keys)] == keys
        needed = 1 + sum(widths[column] + CELL_FRAME for column in part)
        assert needed <= available or len(part) == len(keys) + 1


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(1, 120), st.integers(1, 2))
def test_keys_are_narrowed_only_as_far_as_needed(widths: list[int], available: int, n_keys: int) -> None:
    n_keys = min(n_keys, len(widths) - 1)
    narrowed = narrow_keys(widths, n_keys, available)
    needed = 1 + sum(width + CELL_FRAME for width in [*narrowed[:n_keys], max(widths[n_keys:])])
    assert narrowed[n_keys:] == widths[n_keys:]
    for before, after in zip(widths, narrowed, strict=True):
        assert min(before, MIN_KEY_WIDTH) <= after <= before
    if narrowed != widths:
        assert needed == available or max(narrowed[:n_keys]) <= MIN_KEY_WIDTH
    else:
        assert needed <= available or max(widths[:n_keys]) <= MIN_KEY_WIDTH
