"""What an explanation states that it must not: a diagnosis as fact, advice to the poster, talk of its own prompt.

The patterns stand in statements.yaml, by language; all languages are tried, for an answer may change its language. Where
no pattern meets, which is most rows, each of the three subjects costs about 0.3 ms a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from mentallama.check.gates.unquoted import unquoted
from mentallama.check.response_row import Row
from mentallama.records import Verdict

Subject = Literal["diagnosis", "advice", "leak"]

_STRAIGHT = str.maketrans({**dict.fromkeys("’‘‚‛`´", "'"), "\u00a0": " "})
_CLAUSE = re.compile(
    r"(?<!\bvs)[.!?;。！？；\n]+|,? (?:therefore|thus|hence|however|so that)\b,?"
    r"|, (?:and|so|but|which|y|et|und)\b|, (?=it(?:'s| is| would))"
)
"""What ends a clause: a hedge before it says nothing about what follows."""
_NAME = re.compile(r"<(\w+)>")
_GROUP = re.compile(r"\(\?P<\w+>")


@dataclass(frozen=True)
class Patterns:
    """What one language says on one subject."""

    first: re.Pattern[str]
    """All of them as one: meets wherever one of them does."""
    each: tuple[re.Pattern[str], ...]
    unless: re.Pattern[str] | None
    told: re.Pattern[str] | None


def diagnosis(row: Row) -> Verdict:
    """Pass an explanation that states no diagnosis as a fact of its own.

    The published answers ("the poster suffers from depression"), hedged wording and what the post says of itself are
    none. The score is the number of statements found.
    """
    return _judged(row, "diagnosis", "diagnosis", "states a diagnosis as fact")


def advice(row: Row) -> Verdict:
    """Pass an explanation that gives the poster, or whoever is near, no advice and names no hotline.

    That the poster asks for advice, gives it or was given it is no advice. The score is the number of places found.
    """
    return _judged(row, "advice", "advice", "gives advice")


def _judged(row: Row, gate: str, subject: Subject, reason: str) -> Verdict:
    count = sum(1 for _ in statements(subject, unquoted(row), row.post.text))
    return row.verdict(gate, f"{reason}, {count} times" if count > 1 else reason if count else None, count)


def statements(subject: Subject, text: str, post: str = "") -> Iterator[tuple[int, int]]:
    """Where a text without quotations speaks of the subject, as offsets into it.

    Parameters
    ----------
    post
        What excuses a statement that only repeats it.
    """
    plain = text.translate(_STRAIGHT)
    lowered = plain.lower()
    if len(lowered) != len(plain):  # a letter whose lower case is two: offsets would shift
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in plain)
    told = post.translate(_STRAIGHT).lower()
    end = 0
    for patterns in _table()[subject]:
        if not patterns.first.search(lowered):
            continue
        found = [match for each in patterns.each for match in each.finditer(lowered)]
        for match in sorted(found, key=lambda match: match.span()):
            if match.start() >= end and not _excused(match, patterns, told):
                end = match.end()
                yield match.span()
        end = 0


def _excused(match: re.Match[str], patterns: Patterns, post: str) -> bool:
    groups = match.groupdict()
    named = groups.get("condition") or groups.get("plain")
    if named and named.strip() in post:
        return True
    if groups.get("told") and patterns.told and patterns.told.search(post):
        return True
    before = _CLAUSE.split(match.string[: match.start()])[-1]
    return bool(patterns.unless and patterns.unless.search(before + match[0][:1]))


@cache
def _table() -> Mapping[Subject, tuple[Patterns, ...]]:
    """Subject -> patterns of each language."""
    raw = yaml.safe_load((files("mentallama.check.gates") / "statements.yaml").read_text(encoding="utf-8"))
    subjects: tuple[Subject, ...] = ("diagnosis", "advice", "leak")
    return {
        subject: tuple(_compiled(block, block[subject]) for block in raw.values() if subject in block)
        for subject in subjects
    }


def _compiled(block: Mapping[str, Any], subject: Mapping[str, Any]) -> Patterns:
    names = block.get("names", {})

    def named(pattern: str) -> str:
        return _NAME.sub(lambda found: named(names[found[1]]) if found[1] in names else found[0], pattern)

    patterns = [named(pattern) for pattern in subject["find"]]
    return Patterns(
        first=re.compile("|".join(_GROUP.sub("(?:", pattern) for pattern in patterns)),
        each=tuple(map(re.compile, patterns)),
        unless=_optional(subject.get("unless")),
        told=_optional(block.get("told")),
    )


def _optional(pattern: str | None) -> re.Pattern[str] | None:
    return re.compile(pattern) if pattern else None
