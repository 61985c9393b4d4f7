"""Gates: the explanation does not state a diagnosis as fact, and gives the author no advice.

The patterns are in statements.yaml, by language. All languages are tried, since an answer may switch languages. Most
rows match no pattern; each of the three subjects then takes about 0.3 ms per row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from mentallama.check.response_rows import ResponseRow
from mentallama.records import Verdict

Subject = Literal["diagnosis", "advice", "leak"]

_STRAIGHTEN_QUOTES = str.maketrans({**dict.fromkeys("’‘‚‛`´", "'"), "\u00a0": " "})
_CLAUSE_END = re.compile(
    r"(?<!\bvs)[.!?;。！？；\n]+|,? (?:therefore|thus|hence|however|so that)\b,?"
    r"|, (?:and|so|but|which|y|et|und)\b|, (?=it(?:'s| is| would))"
)
"""Ends a clause: a hedge before it does not apply to what follows."""
_PATTERN_NAME = re.compile(r"<(\w+)>")
_NAMED_GROUP = re.compile(r"\(\?P<\w+>")


@dataclass(frozen=True)
class StatementPatterns:
    """Patterns of one language for one subject."""

    combined: re.Pattern[str]
    """The alternation of all `patterns`, a quick test."""
    patterns: tuple[re.Pattern[str], ...]
    unless: re.Pattern[str] | None
    reported: re.Pattern[str] | None


def check_diagnosis(row: ResponseRow) -> Verdict:
    """Pass an explanation that does not itself state a diagnosis as fact.

    The published answers ("the poster suffers from depression"), hedged wording and repetitions of the post do not
    count. The score is the number of statements found.
    """
    return _statement_verdict(row, "diagnosis", "diagnosis", "states a diagnosis as fact")


def check_advice(row: ResponseRow) -> Verdict:
    """Pass an explanation that gives the poster or people close to them no advice and names no hotline.

    Reporting that the poster asks for, gives or received advice does not count. The score is the number of findings.
    """
    return _statement_verdict(row, "advice", "advice", "gives advice")


def _statement_verdict(row: ResponseRow, gate: str, subject: Subject, reason: str) -> Verdict:
    count = sum(1 for _ in find_statements(subject, row.unquoted_explanation(), row.post.text))
    return row.verdict(gate, f"{reason}, {count} times" if count > 1 else reason if count else None, count)


def find_statements(subject: Subject, text: str, post: str = "") -> Iterator[tuple[int, int]]:
    """Yield the spans of a text, given without its quotations, that match the subject's patterns.

    Parameters
    ----------
    post
        Statements that only repeat this text are excused.
    """
    plain = text.translate(_STRAIGHTEN_QUOTES)
    lowered = plain.lower()
    if len(lowered) != len(plain):  # some letter has a two-character lower case, which would shift offsets
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in plain)
    post_text = post.translate(_STRAIGHTEN_QUOTES).lower()
    end = 0
    for patterns in _load_patterns()[subject]:
        if not patterns.combined.search(lowered):
            continue
        matches = [match for pattern in patterns.patterns for match in pattern.finditer(lowered)]
        for match in sorted(matches, key=lambda match: match.span()):
            if match.start() >= end and not _is_excused(match, patterns, post_text):
                end = match.end()
                yield match.span()
        end = 0


def _is_excused(match: re.Match[str], patterns: StatementPatterns, post: str) -> bool:
    groups = match.groupdict()
    condition = groups.get("condition") or groups.get("plain")
    if condition and condition.strip() in post:
        return True
    if groups.get("reported") and patterns.reported and patterns.reported.search(post):
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

    def expand(pattern: str) -> str:
        return _PATTERN_NAME.sub(
            lambda match: expand(names[match[1]]) if match[1] in names else match[0], pattern
        )

    patterns = [expand(pattern) for pattern in subject["find"]]
    return StatementPatterns(
        combined=re.compile("|".join(_NAMED_GROUP.sub("(?:", pattern) for pattern in patterns)),
        patterns=tuple(map(re.compile, patterns)),
        unless=_compile_optional(subject.get("unless")),
        reported=_compile_optional(block.get("reported")),
    )


def _compile_optional(pattern: str | None) -> re.Pattern[str] | None:
    return re.compile(pattern) if pattern else None
