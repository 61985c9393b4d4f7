"""XML files of records, as eRisk has them: one file for each person."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.errors import DataError
from mentallama.files.tables import Row, TableLayout, read_rows, read_table


def rows(folder: Path, raw: bytes | str, *columns: str) -> list[Row]:
    (folder / "a.xml").write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return list(read_rows(folder / "a.xml", layout=TableLayout(columns=columns)))


SUBJECT = """<?xml version="1.0" encoding="{0}"?>
<INDIVIDUAL><ID>subject7</ID>
<WRITING><TITLE> a walk </TITLE><TEXT> café &amp; soup </TEXT></WRITING>
<WRITING><TITLE></TITLE><TEXT><![CDATA[1 < 2]]></TEXT></WRITING>
</INDIVIDUAL>"""


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16"])
def test_each_writing_is_a_row_with_the_id_of_its_person(encoding: str, tmp_path: Path) -> None:
    assert rows(tmp_path, SUBJECT.format(encoding).encode(encoding), "ID", "TEXT") == [
        (1, {"ID": "subject7", "TITLE": "a walk", "TEXT": "café & soup"}),
        (2, {"ID": "subject7", "TITLE": "", "TEXT": "1 < 2"}),
    ]


def test_attributes_are_columns(tmp_path: Path) -> None:
    assert rows(tmp_path, '<posts><row Id="1" Body="a"/><row Id="2"/></posts>', "Body") == [
        (1, {"Body": "a", "Id": "1", "row": ""}),
        (2, {"Body": "", "Id": "2", "row": ""}),
    ]


LAUGHS = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]><a><r><t>&c;</t></r></a>'


@pytest.mark.parametrize(
    ("raw", "row", "what"),
    [
        (LAUGHS, None, "defines XML entities"),
        (
            '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a><r><t>&b;</t></r></a>',
            None,
            "XML entities",
        ),
        ("<a><r><t>1</t></r><r><t>2", 2, "not well-formed XML"),
        ("<a><r><t>1</t></r></a><a/>", 2, "not well-formed XML"),
        ("no XML", 1, "not well-formed XML"),
        ('<?xml version="1.0" encoding="klingon"?><a><r><t>1</t></r></a>', 1, "not well-formed XML"),
        ("<a><r><t>" + "a" * (1 << 23), 1, "the row is longer"),
        ("<a>" * 10_000, 1, "elements are nested more than 100 deep"),
        ("<a></a>", None, "no rows"),
        ("<a><r><t>1</t></r></a>", 1, "no column 'TEXT'; the columns are 't'"),
    ],
)
def test_a_fault_is_one_sentence_with_the_row(raw: str, row: int | None, what: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=what) as fault:
        rows(tmp_path, raw, "TEXT")
    assert fault.value.row == row


def test_children_of_one_name_and_text_beside_children_are_kept(tmp_path: Path) -> None:
    raw = '<a><p n="1">so <b>very</b> tired</p><p n="2"><t>one</t>\n<t/><t>two</t></p><p n="3">fine</p></a>'
    (tmp_path / "a.xml").write_text(raw, encoding="utf-8")
    first, second, third = (cells for _, cells in read_table(tmp_path / "a.xml"))
    assert (first["n"], first["p"]) == ("1", "so very tired")
    assert (second["n"], second["t"], second["p"]) == ("2", "one\n\ntwo", "")
    assert (third["n"], third["p"]) == ("3", "fine")
