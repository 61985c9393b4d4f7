"""Names that become names of files: nothing that is a path, hidden or reserved passes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.text.names import MAX_NAME_BYTES, check_file_name, identifiers


@pytest.mark.parametrize(
    "name",
    ["t-sid", "CAMS", "run.2", "_x", "우울", "émoi", "a", "x" * MAX_NAME_BYTES, "console", "com", "lpt10"],
)
def test_plain_names_are_kept(name: str) -> None:
    assert check_file_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "...", "a/b", "/etc", "../x", "a\\b", "C:x", "~", "-x", ".hidden", "x.", "a b", "a\n", "a\0b",
        "a\x1b[31m", "x" * (MAX_NAME_BYTES + 1), "우" * 34, "con", "NUL", "aux.txt", "Com1", "LPT9.tar.gz", "com¹", "*",
        "a:b", "\u202ea", "\ud800",
    ],
)  # fmt: skip
def test_paths_and_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a file or folder"):
        check_file_name(name)


@given(st.text())
def test_an_accepted_name_is_one_visible_part_of_a_path(name: str) -> None:
    try:
        check_file_name(name)
    except ValueError:
        return
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert not name.startswith(".")
    assert len(name.encode()) <= MAX_NAME_BYTES


@given(st.lists(st.text(max_size=4)), st.booleans())
def test_identifiers_differ_and_are_valid_behind_a_letter(names: list[str], lower: bool) -> None:
    found = identifiers(names, lower)
    assert len(found) == len(names)
    assert len({unicodedata.normalize("NFKC", f"x{name}") for name in found}) == len(names)
    assert all(f"x{name}".isidentifier() for name in found)
    assert not lower or all(name.isascii() and name == name.lower() for name in found)


def test_names_that_are_equal_as_identifiers_are_told_apart() -> None:
    assert identifiers(["t-sid", "t.sid", "t_sid_2", "t_sid"]) == ["t_sid", "t_sid_2", "t_sid_2_2", "t_sid_3"]
    assert identifiers(["x²", "ﬁ", "fi"]) == ["x2", "fi", "fi_2"]
    assert identifiers(["Überlast", "T-SID"], lower=True) == ["_berlast", "t_sid"]
