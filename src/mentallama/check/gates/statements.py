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

from mentallama.check.response_row import ResponseRow
from mentallama.records import Verdict
from mentallama.text.quote_extraction import replace_quotes

Subject = Literal["diagnosis", "advice", "leak"]

_STRAIGHTEN_QUOTES = str.maketrans({**dict.fromkeys("’‘‚‛`´", "'"), "\u00a0": " "})
_CLAUSE_END = re.compile(
    r"(?<!\bvs)[.!?;。！？；\n]+|,? (?:therefore|thus|hence|however|so that)\b,?"
    r"|, (?:and|so|but|which|y|et|und)\b|, (?=it(?:'s| is| would))"
)
"""What ends a clause: a hedge before it says nothing about what follows."""
_PATTERN_NAME = re.compile(r"<(\w+)>")
_NAMED_GROUP = re.compile(r"\(\?P<\w+>")


@dataclass(frozen=True)
class StatementPatterns:
    """What one language says on one subject."""

    combined: re.Pattern[str]
    """All of them as one: meets wherever one of them does."""
    patterns: tuple[re.Pattern[str], ...]
    unless: re.Pattern[str] | None
    reported: re.Pattern[str] | None


def check_diagnosis(row: ResponseRow) -> Verdict:
    """Pass an explanation that states no diagnosis as a fact of its own.

    The published answers ("the poster suffers from depression"), hedged wording and what the post says of itself are
    none. The score is the number of statements found.
    """
    return _statement_verdict(row, "diagnosis", "diagnosis", "states a diagnosis as fact")


def check_advice(row: ResponseRow) -> Verdict:
    """Pass an explanation that gives the poster, or whoever is near, no advice and names no hotline.

    That the poster asks for advice, gives it or was given it is no advice. The score is the number of places found.
    """
    return _statement_verdict(row, "advice", "advice", "gives advice")


def _statement_verdict(row: ResponseRow, gate: str, subject: Subject, reason: str) -> Verdict:
    count = sum(
        1
        for _ in find_statements(subject, replace_quotes(row.reading.explanation, row.quotes), row.post.text)
    )
    return row.verdict(gate, f"{reason}, {count} times" if count > 1 else reason if count else None, count)


def find_statements(subject: Subject, text: str, post: str = "") -> Iterator[tuple[int, int]]:
    """Where a text without quotations speaks of the subject, as offsets into it.

    Parameters
    ----------
    post
        What excuses a statement that only repeats it.
    """
    plain = text.translate(_STRAIGHTEN_QUOTES)
    lowered = plain.lower()
    if len(lowered) != len(plain):  # a letter whose lower case is two: offsets would shift
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in plain)
    told = post.translate(_STRAIGHTEN_QUOTES).lower()
    end = 0
    for patterns in _load_patterns()[subject]:
        if not patterns.combined.search(lowered):
            continue
        found = [match for each in patterns.patterns for match in each.finditer(lowered)]
        for match in sorted(found, key=lambda match: match.span()):
            if match.start() >= end and not _is_excused(match, patterns, told):
                end = match.end()
                yield match.span()
        end = 0


def _is_excused(match: re.Match[str], patterns: StatementPatterns, post: str) -> bool:
    groups = match.groupdict()
    named = groups.get("condition") or groups.get("plain")
    if named and named.strip() in post:
        return True
    if groups.get("told") and patterns.reported and patterns.reported.search(post):
        return True
    before = _CLAUSE_END.split(match.string[: match.start()])[-1]
    return bool(patterns.unless and patterns.unless.search(before + match[0][:1]))


@cache
def _load_patterns() -> Mapping[Subject, tuple[StatementPatterns, ...]]:
    """Subject -> patterns of each language."""
    raw = yaml.safe_load((files("mentallama.check.gates") / "statements.yaml").read_text(encoding="utf-8"))
    subjects: tuple[Subject, ...] = ("diagnosis", "advice", "leak")
    return {
        subject: tuple(_compile_patterns(block, block[subject]) for block in raw.values() if subject in block)
        for subject in subjects
    }


def _compile_patterns(block: Mapping[str, Any], subject: Mapping[str, Any]) -> StatementPatterns:
    names = block.get("names", {})

    def named(pattern: str) -> str:
        return _PATTERN_NAME.sub(
            lambda found: named(names[found[1]]) if found[1] in names else found[0], pattern
        )

    patterns = [named(pattern) for pattern in subject["find"]]
    return StatementPatterns(
        combined=re.compile("|".join(_NAMED_GROUP.sub("(?:", pattern) for pattern in patterns)),
        patterns=tuple(map(re.compile, patterns)),
        unless=_compile_optional(subject.get("unless")),
        reported=_compile_optional(block.get("told")),
    )


def _compile_optional(pattern: str | None) -> re.Pattern[str] | None:
    return re.compile(pattern) if pattern else None
