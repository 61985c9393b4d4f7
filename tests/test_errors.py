"""Names of others in messages: shown, and never obeyed by the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.errors import DataError, UsageError, printable
from mentallama.progress import log_to_stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;x\x07name", "\\x1b[2J\\x1b]0;x\\x07name"),
        ("a\rb\x08c\x9bd", "a\\rb\\x08c\\x9bd"),
        ("exe.\u202etxt", "exe.\\u202etxt"),
        ("\u2066a\u2069\ufeff", "\\u2066a\\u2069\\ufeff"),
        ("bad\udcff", "bad\\udcff"),
        ("país 죽고 می‌خواهم\n\tnext", "país 죽고 می‌خواهم\n\tnext"),
    ],
)
def test_control_characters_are_spelled_out(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printable(text) == shown
    assert str(UsageError(text)) == shown
    assert str(DataError("damaged", text, 3)) == f"{shown}, row 3: damaged"
    log_to_stderr(text)
    assert capsys.readouterr().err == shown + "\n"


@given(st.text())
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    assert all(char in "\n\t" or (ord(char) >= 32 and not 127 <= ord(char) < 160) for char in printable(text))
