"""The review file: what reviewers write is validated, and never lost or overwritten."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.check.human_review.disagreements import (
    DISAGREEMENT_COLUMNS,
    DecisionKey,
    Decisions,
    decision_key,
    decisions_digest,
    disagrees,
    read_decisions,
    write_disagreements,
)
from mentallama.check.response_rows import ResponseRow
from mentallama.errors import DataError
from mentallama.files.spreadsheet import escape_formula, read_sheet, unescape_formula, write_sheet
from tests.factories.check_cases import post_of, row_for

YES = "Yes, the poster suffers from depression. Reasoning: The days are said to be grey."
NO = "No, the poster does not suffer from depression. Reasoning: The tone is calm."


def disagreement(
    number: int = 1, text: str = "Another long grey week.", model: str = "teacher"
) -> ResponseRow:
    post = post_of("DR", text, {"depression": "no"}, number=number)
    return row_for(post, "depression", YES, model=model)


def edit(path: Path, row: int, **cells: str) -> None:
    """Edit a row as a reviewer would; the header is row 1."""
    lines = [cells for _, cells in read_sheet(path, DISAGREEMENT_COLUMNS)]
    lines[row - 2] |= cells
    write_sheet(path, DISAGREEMENT_COLUMNS, lines)


def raw_lines(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def n_undecided(path: Path) -> int:
    """Rows of the file without a decision."""
    decisions = read_decisions(path)
    return len(decisions.rows) - len(decisions.decided)


def test_a_disagreement_is_written_with_everything_a_reviewer_needs(tmp_path: Path) -> None:
    path, row = tmp_path / "review" / "disagreements.csv", disagreement()
    write_disagreements(path, [row], Decisions())
    assert n_undecided(path) == 1
    assert path.read_bytes().startswith(codecs.BOM_UTF8)
    header, line = raw_lines(path)
    assert tuple(header) == DISAGREEMENT_COLUMNS
    assert line == [
        row.example.id, "teacher", "DR", "depression", "no", "yes", "Another long grey week.",
        "The days are said to be grey.", "", "",
    ]  # fmt: skip


def test_what_is_decided_is_read_and_kept(tmp_path: Path) -> None:
    path, rows = tmp_path / "d.csv", [disagreement(1), disagreement(2), disagreement(3)]
    write_disagreements(path, rows, Decisions())
    edit(path, 3, decision=" Teacher ", note="the week after, too")
    decisions = read_decisions(path)
    assert [decisions.get(row) for row in rows] == ["", "teacher", ""]
    write_disagreements(path, rows, decisions)
    assert n_undecided(path) == 2
    assert [line[-2:] for line in raw_lines(path)[1:]] == [
        ["", ""],
        ["teacher", "the week after, too"],
        ["", ""],
    ]


def test_rows_that_are_gone_stay_only_if_a_reviewer_wrote_in_them(tmp_path: Path) -> None:
    path, rows = tmp_path / "d.csv", [disagreement(n) for n in range(1, 5)]
    write_disagreements(path, rows, Decisions())
    edit(path, 2, decision="drop")
    edit(path, 3, note="ask the annotators")
    left = rows[3]
    write_disagreements(path, [left], read_decisions(path))
    assert [line[0] for line in raw_lines(path)[1:]] == [
        left.example.id,
        rows[0].example.id,
        rows[1].example.id,
    ]
    write_disagreements(path, [], read_decisions(path))
    assert [line[0] for line in raw_lines(path)[1:]] == [rows[0].example.id, rows[1].example.id]
    write_disagreements(path, rows, read_decisions(path))
    assert [line[-2:] for line in raw_lines(path)[1:]] == [
        ["drop", ""], ["", "ask the annotators"], ["", ""], ["", ""]
    ]  # fmt: skip


def test_a_column_that_a_reviewer_added_is_kept(tmp_path: Path) -> None:
    path, rows = tmp_path / "d.csv", [disagreement(1), disagreement(2)]
    write_disagreements(path, rows, Decisions())
    edit(path, 3, colour="green")
    write_disagreements(path, [rows[0]], read_decisions(path))
    assert [line[-1] for line in raw_lines(path)] == ["colour", "", "green"]


def test_decisions_written_during_a_run_are_not_lost(tmp_path: Path) -> None:
    path, rows = tmp_path / "d.csv", [disagreement(1), disagreement(2)]
    write_disagreements(path, rows, Decisions())
    edit(path, 2, decision="set")
    at_start = read_decisions(path)
    edit(path, 3, decision="teacher")
    write_disagreements(path, rows, at_start)
    assert [line[-2] for line in raw_lines(path)[1:]] == ["set", "teacher"]
    path.unlink()
    write_disagreements(path, rows, at_start)
    assert [line[-2] for line in raw_lines(path)[1:]] == ["set", ""]


def test_a_decision_applies_to_the_labels_it_was_made_about(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    post = post_of("SAD", "It is all too much.", {"cause": "school"})
    about_work = row_for(
        post, "cause", "This post shows the stress cause related to work. Reasoning: The shifts."
    )
    about_money = row_for(
        post, "cause", "This post shows the stress cause related to financial problem. Reasoning: The rent."
    )
    write_disagreements(path, [about_work], Decisions())
    edit(path, 2, decision="teacher")
    decisions = read_decisions(path)
    assert decisions.get(about_work) == "teacher"
    assert decisions.get(about_money) == ""
    write_disagreements(path, [about_money], decisions)
    assert n_undecided(path) == 1
    assert read_decisions(path).decided == {decision_key(about_work): "teacher"}


def test_each_teacher_has_its_own_decision(tmp_path: Path) -> None:
    path, rows = tmp_path / "d.csv", [disagreement(model="one"), disagreement(model="two")]
    write_disagreements(path, rows, Decisions())
    edit(path, 3, decision="teacher")
    assert [read_decisions(path).get(row) for row in rows] == ["", "teacher"]


def test_rows_that_agree_or_cannot_be_compared_do_not_disagree() -> None:
    labelled = post_of("DR", "Grey.", {"depression": "no"})
    assert disagrees(disagreement())
    assert not disagrees(row_for(labelled, "depression", NO))
    assert not disagrees(row_for(labelled, "depression", "I cannot say."))
    assert not disagrees(row_for(post_of("DR", "Grey.", {}), "depression", YES))


def broken(path: Path, what: str, row: int | None) -> None:
    before = path.read_bytes()
    for action in (
        lambda: read_decisions(path),
        lambda: write_disagreements(path, [disagreement()], Decisions()),
    ):
        with pytest.raises(DataError, match=what) as fault:
            action()
        assert (fault.value.file, fault.value.row) == (str(path), row)
        assert "grey" not in str(fault.value)  # no post text
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_an_invalid_decision_is_an_error_that_lists_the_valid_ones(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    write_disagreements(path, [disagreement(1), disagreement(2)], Decisions())
    edit(path, 3, decision="keep")
    broken(path, "decision is not one of set, teacher, drop; write one of them or nothing", 3)


def test_a_duplicate_row_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    write_disagreements(path, [disagreement(1), disagreement(2)], Decisions())
    text = path.read_bytes()
    path.write_bytes(text + text.splitlines(keepends=True)[1])
    broken(path, "the same response as row 2", 4)


@pytest.mark.parametrize(
    ("content", "what", "row"),
    [
        (b"", "the file is empty", None),
        (b"example_id,model\r\na,b\r\n", "no column 'set', 'question'", 1),
        (",".join([*DISAGREEMENT_COLUMNS, "note"]).encode(), "two columns have the same name", 1),
        (",".join(DISAGREEMENT_COLUMNS).encode() + b"\r\na,b,c\r\n", "the row has 3 cells, the header 10", 2),
        (",".join(DISAGREEMENT_COLUMNS).encode() + b"\r\na,b,DR,q,no,yes,p,e,,,more\r\n", "11 cells", 2),
        (",".join(DISAGREEMENT_COLUMNS).encode() + b'\r\na,b,DR,q,no,yes,"p,e,,\r\n', "not a table", 2),
        (
            ",".join(DISAGREEMENT_COLUMNS).encode() + b"\r\na,b,DR,q,no,yes,caf\xe9,e,,\r\n",
            "line 2 is not UTF-8",
            None,
        ),
        (
            ",".join(DISAGREEMENT_COLUMNS).encode() + b"\r\n\r\na,b,DR,q,no,,p,e,,\r\n",
            "teacher_label is empty",
            3,
        ),
    ],
)
def test_a_malformed_file_is_an_error_and_left_unchanged(
    content: bytes, what: str, row: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(content)
    broken(path, what, row)


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (",", "utf-8")])
def test_a_file_is_read_as_spreadsheets_save_it(separator: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(DISAGREEMENT_COLUMNS)
    writer.writerow(["id", "m", "DR", "depression", "no", "yes", "a, b; c\n“d”", "e", "drop", "ü"])
    writer.writerow([""] * len(DISAGREEMENT_COLUMNS))
    path.write_bytes(text.getvalue().encode(encoding))
    decisions = read_decisions(path)
    assert decisions.decided == {DecisionKey("id", "m", "no", "yes"): "drop"}
    assert next(iter(decisions.rows.values()))["post"] == "a, b; c\n“d”"


def test_only_decisions_change_the_digest(tmp_path: Path) -> None:
    path, rows = tmp_path / "d.csv", [disagreement(1), disagreement(2)]
    nothing = decisions_digest(path)
    write_disagreements(path, rows, Decisions())
    edit(path, 2, note="hm")
    assert decisions_digest(path) == nothing
    edit(path, 3, decision="drop")
    dropped = decisions_digest(path)
    edit(path, 2, decision="set")
    both = decisions_digest(path)
    write_disagreements(path, rows[::-1], read_decisions(path))
    assert decisions_digest(path) == both
    edit(path, 2, decision="teacher")
    assert len({nothing, dropped, both, decisions_digest(path)}) == 4


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    write_disagreements(path, [disagreement()], Decisions())
    first = path.stat().st_ino
    write_disagreements(path, [disagreement()], read_decisions(path))
    assert path.stat().st_ino == first
    write_disagreements(path, [disagreement(2)], read_decisions(path))
    assert path.stat().st_ino != first


@pytest.mark.parametrize(
    "text", ["=HYPERLINK(A1)", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", "＝1", "'=1", "''=1"]
)
def test_no_cell_begins_as_a_formula(text: str, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    row = disagreement(text=text)
    write_disagreements(path, [row], Decisions())
    assert raw_lines(path)[1][6] == "'" + text
    assert next(iter(read_decisions(path).rows.values()))["post"] == text


def test_harmless_text_is_written_as_it_is() -> None:
    assert [escape_formula(text) for text in ("", "it's", "'tis", "1-2", "“=”", "我=")] == [
        "", "it's", "'tis", "1-2", "“=”", "我="
    ]  # fmt: skip


@given(
    st.text(alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("'=+-@\t\r\n,;\"")))
)
def test_an_escaped_text_is_no_formula_and_is_read_back(text: str) -> None:
    text = text.replace("\0", "")
    assert unescape_formula(escape_formula(text)) == text
    assert not escape_formula(text).startswith(tuple("=+-@\t\r"))


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=4
    )
)
def test_any_cells_are_read_back(cells: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.csv"
        write_sheet(path, ["id", "text"], [{"id": "1", "text": cell} for cell in cells])
        assert [row["text"] for _, row in read_sheet(path, ["id", "text"])] == cells
