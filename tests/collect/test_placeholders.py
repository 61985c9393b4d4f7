"""Placeholders for removed texts and unknown authors, and what is none."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mentallama.collect.placeholders import Placeholders
from mentallama.config import Collect

DEFAULT = Placeholders.of(Collect())


@pytest.mark.parametrize(
    "text",
    ["[removed]", "[deleted]", " [Removed] \n", "[ Removed by Reddit on account of violating the content policy ]",
     "[ Removed by moderator ]", "[deleted by user]", r"\[removed\]", "*[deleted]*", "**[unavailable]**", "nan", "NaN",
     "<NA>", "null", r"\N", "#N/A", "#REF!", "#NAME?",
     "&#91;removed&#93;", "[removed]\u200b", "[This post was deleted]", "[user deleted]", "(deleted)", "<removed>",
     "[Content removed]", "[gelöscht]", "[삭제된 글]", "[已删除]", "[削除されました]", "[eliminada]", "[удалено]",
     "This Tweet is from a suspended account.", "This comment has been removed by a moderator.",
     "NaT", "undefined", "[]", '""', "[null]", "#WERT!", "#¡REF!", "#NOM?"],
)  # fmt: skip
def test_a_mark_of_removal_is_no_text(text: str) -> None:
    assert DEFAULT.is_removed_text(text)


@pytest.mark.parametrize(
    "text",
    ["", "NA", "None", "removed", "I was removed from the team", "[removed] I wrote this again",
     "they [deleted] it all",
     "[name] removed me", "[handle]", "nana", "#na", "[rem]", "[removed] [x] and more", "[" * 150, "[removed" * 20,
     "[removed myself from the group]", "[deleted scene from my life]", "[unavailable today, and I feel lost]",
     "(removed on Monday from my team)", "[Trigger warning]", "this post is available", "#HELP!", "#happy!", "?",
     "this comment was removed by the mods and I feel awful", "[image]", "삭제"],
)  # fmt: skip
def test_a_text_is_kept(text: str) -> None:
    assert not DEFAULT.is_removed_text(text)


@pytest.mark.parametrize(
    "name",
    ["", " ", "-", "?", "[deleted]", "[Deleted User]", "[removed]", "u/[deleted]", "/u/deleted", "None", "NaN", "null",
     "N/A", "unknown", "Anonymous", "deleted user", "deleted_user", "(unknown author)", "[suspendido]",
     "anon.", "Account deleted", "Facebook User", "no author", "undefined", "unbekannt", "anónimo", "匿名", "익명",
     "-1", "1.23457E+18", "1,23E+18"],
)  # fmt: skip
def test_a_name_for_nobody_is_no_author(name: str) -> None:
    assert DEFAULT.known_author(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "user0",
        "0",
        "nancy",
        "anonymous_fox",
        "u/nobody7",
        "AutoModerator",
        "은하",
        "unknown12",
        "norman",
        "no-one7",
        "user1234",
        "1e5",
        "1234567890123456789",
    ],
)
def test_a_name_is_an_author(name: str) -> None:
    assert DEFAULT.known_author(name) == name


def test_the_patterns_are_settings() -> None:
    settings = Collect(removed_text_patterns=("geloescht",), unknown_author_patterns=("gast.*",))
    placeholders = Placeholders.of(settings)
    assert placeholders.is_removed_text("Geloescht")
    assert not placeholders.is_removed_text("[removed]")
    assert placeholders.known_author("Gast17") is None
    assert placeholders.known_author("[deleted]") == "[deleted]"
    with pytest.raises(ValidationError, match="'\\(' is not a regular expression"):
        Collect(removed_text_patterns=("(",))
