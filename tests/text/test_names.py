"""Names that become names of files: nothing that is a path, hidden or reserved passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.text.names import MAX_NAME_BYTES, check_file_name


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
