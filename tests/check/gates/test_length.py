"""Number of words of an explanation, and its bounds."""

from __future__ import annotations

import pytest

from mentallama.check.gates.length import check_length, count_words
from tests.factories.gate_rows import row


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("— … “”", 0),
        ("The poster can’t sleep.", 4),
        ("one, two; three", 3),
        ("她今天非常累，也睡不着", 6),  # ten letters / 1.6
        ("她 feels tired 今天", 4),  # two words and three letters
        ("작성자는 잠을 못 잔다.", 4),
        ("وہ بہت تھکا ہوا ہے", 5),
    ],
)
def test_words_are_counted_as_a_reader_would(text: str, count: int) -> None:
    assert count_words(text) == count


@pytest.mark.parametrize(
    ("count", "ok", "reason"),
    [
        (0, False, "no explanation"),
        (4, False, "4 words, fewer than 5"),
        (5, True, None),
        (20, True, None),
        (21, False, "21 words, more than 20"),
    ],
)
def test_length_bounds_are_included(count: int, ok: bool, reason: str | None) -> None:
    verdict = check_length(row(" ".join(["word"] * count)), (5, 20))
    assert (verdict.ok, verdict.reason, verdict.score, verdict.gate) == (ok, reason, count, "length")
