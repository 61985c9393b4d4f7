"""Lists in text: members between semicolons, commas and line breaks, with bullets, numbers or as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mentallama.answers.composite.members import (
    NOTHING,
    UNKNOWN_NAME,
    Member,
    MemberError,
    label_named,
    level_named,
    part_named,
    presence_named,
    says_none,
    says_not_filled,
)
from mentallama.answers.label_mentions import bare_text
from mentallama.answers.language_rules import Rules
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import ABSENT, PRESENT
from mentallama.text.quotation_marks import quoted_spans

_BULLET = re.compile(r"^[\s>#]*(?:(?:[-*•–]|\d{1,2}[.)]|[A-Za-z][.)]|\[[ xX]?\])\s+)?")
_RULE = re.compile(r"[\s|:=+`*_-]*(?:json|text|markdown)?[\s`]*")
"""A line without words: the ruler of a table, a fence, an empty line."""
_PAIR = re.compile(r"\s*[:=|→]+\s*|\s+(?:[-–—]+|->|=>)\s+")
"""Between a name and what is said about it."""
_IN_BRACKETS = re.compile(r"(.*\S)\s*\(([^()]+)\)\.?", re.DOTALL)
_MIN_REASON_WORDS = 2
_SUMS = frozenset(("total", "sum", "total score", "sum score", "overall score"))
"""Names of sums, which are computed from the items and not read."""
_HEADER_NAMES = frozenset(
    (
        "item",
        "items",
        "label",
        "labels",
        "symptom",
        "symptoms",
        "type",
        "quotation",
        "level",
        "score",
        "present",
    )
)
_REMARK = re.compile(r"\s*(?:[(–—;]|[.,:]\s|\s-\s)")
_QUOTE = "\ue000"
"""Stands for a quotation while a text is divided; a private character, which no name contains."""
_QUOTES_ONLY = re.compile(rf"[\s,.&+;]*(?:{_QUOTE}(\d+){_QUOTE}[\s,.&+;]*)+")
_QUOTE_NUMBER = re.compile(rf"{_QUOTE}(\d+){_QUOTE}")


def read_list(task: Task, text: str, rules: Rules) -> list[Member]:
    """The members that a text lists, each of which has to be known.

    Raises
    ------
    MemberError
        The text is no list, or has a member that the task does not have.
    """
    return _ListReader(task, rules).read(text)


@dataclass
class _ListReader:
    task: Task
    rules: Rules
    _quotes: list[str] = field(default_factory=list)
    _type: str | None = None
    """Type that stands in a line of its own, above its quotations."""

    def read(self, text: str) -> list[Member]:
        members: list[Member] = []
        segments = list(self._segments(self._masked(text)))
        for number, segment in enumerate(segments):
            found = self._members(segment)
            if found is None and number == 0:
                found = self._after_heading(segment, len(segments) > 1)
            if found is None:
                raise MemberError(UNKNOWN_NAME[self.task.kind], known=any(m != NOTHING for m in members))
            members += found
        if not members:
            raise MemberError("names no label")
        return members

    def _after_heading(self, segment: str, more: bool) -> list[Member] | None:
        """The members after "These labels apply:", in the same line or, with `more`, in the next ones."""
        heading, colon, rest = segment.partition(":")
        if not colon or self.rules.negation.search(heading) or self.rules.hedge.search(heading):
            return None
        if not rest.strip(" *_"):
            return [] if more else None
        return self._members(rest.strip(" *_")) if self.task.kind == "multi" else None

    def _masked(self, text: str) -> str:
        text, pieces, position = text.replace(_QUOTE, " "), [], 0
        for span in quoted_spans(text):
            pieces += [text[position : span.start], f"{_QUOTE}{len(self._quotes)}{_QUOTE}"]
            self._quotes.append(text[span.inner_start : span.inner_end].replace('\\"', '"').strip())
            position = span.end
        return "".join([*pieces, text[position:]])

    def _unmasked(self, text: str) -> str:
        return _QUOTE_NUMBER.sub(lambda match: self._quotes[int(match[1])], text)

    def _segments(self, text: str) -> Iterator[str]:
        for line in text.split("\n"):
            if _RULE.fullmatch(line):
                continue
            row = _BULLET.sub("", line.strip().strip("|"), count=1)
            if all(bare_text(cell) in _HEADER_NAMES for cell in row.split("|")):
                continue
            for segment in row.split(";"):
                if segment.strip(" .*_`"):
                    yield segment.strip()

    def _members(self, segment: str) -> list[Member] | None:
        """The members of a segment; None if it has an unknown one."""
        if says_none(segment):
            return [NOTHING]
        read = {"multi": self._labels, "scale": self._levels, "spans": self._quotations}[self.task.kind]
        return read(segment)

    def _labels(self, segment: str) -> list[Member] | None:
        if (member := self._label(segment)) is not None:
            return [member]
        for pieces in (segment.split(","), self.rules.addition.split(segment), segment.split("&")):
            if len(pieces) > 1:
                return _all(
                    [self._labels(self._without_addition(piece)) for piece in pieces if piece.strip()]
                )
        return None

    def _label(self, segment: str) -> Member | None:
        """One label that is named, or said to be present or absent."""
        plain = self._unmasked(segment)
        if (label := label_named(self.task, plain)) is not None:
            return Member(label, PRESENT)
        if negation := self.rules.negation.match(plain):
            label = label_named(self.task, plain[negation.end() :])
            return None if label is None else Member(label, ABSENT)
        for name, said in self._pairs(segment):
            level = PRESENT if self._is_reason(said) else presence_named(said)
            if name in self.task.labels and level is not None:
                return Member(name, level)
        return None

    def _is_reason(self, said: str) -> bool:
        """Whether the words after a label say why it is there: quotations, or words that neither negate nor hedge."""
        if _QUOTES_ONLY.fullmatch(said):
            return True
        qualified = self.rules.negation.search(said) or self.rules.hedge.search(said)
        return len(said.split()) >= _MIN_REASON_WORDS and not qualified and not says_not_filled(said)

    def _levels(self, segment: str) -> list[Member] | None:
        for name, said in self._pairs(segment):
            if name == "":
                return []
            level = level_named(self.task, said) or self._level_before_remark(said)
            if level is not None or says_not_filled(said):
                return [Member(name, level)]
        pieces = [piece for piece in segment.split(",") if piece.strip()]
        return (
            _all([self._levels(self._without_addition(piece)) for piece in pieces])
            if len(pieces) > 1
            else None
        )

    def _level_before_remark(self, said: str) -> str | None:
        """The level before a remark, as in "most days (lies awake)"; None if the remark names another level."""
        for mark in _REMARK.finditer(said):
            level = level_named(self.task, said[: mark.start()])
            if level is not None:
                remark = f" {bare_text(said[mark.start() :])} "
                others = (bare_text(other) for other in self.task.labels if other != level)
                return None if any(f" {other} " in remark for other in others) else level
        return None

    def _quotations(self, segment: str) -> list[Member] | None:
        if (quoted := self._only_quotes(segment)) is not None:
            return None if self._type is None else [Member(self._type, text) for text in quoted]
        for name, said in self._pairs(segment):
            quoted = self._only_quotes(said)
            if quoted is not None:
                return [Member(name, text) for text in quoted]
            if says_none(said):
                return [Member(name, None)]
        if (heading := part_named(self.task, segment.rstrip(": *_"))) is not None:
            self._type = heading
            return []
        for quote, name in self._pairs_reversed(segment):
            return [Member(name, quote)]
        pieces = [piece for piece in segment.split(",") if piece.strip()]
        return _all([self._quotations(piece.strip()) for piece in pieces]) if len(pieces) > 1 else None

    def _only_quotes(self, text: str) -> list[str] | None:
        """The quotations of a text that has nothing else but words such as "and"; None for another text."""
        bare = self.rules.addition.sub(" ", text).replace("*", "").replace("_", "")
        if not _QUOTES_ONLY.fullmatch(bare):
            return None
        return [self._quotes[int(match[1])] for match in _QUOTE_NUMBER.finditer(bare)]

    def _pairs(self, segment: str) -> Iterator[tuple[str, str]]:
        """A known name and what a segment says about it, in each way to divide it; the name "" is that of a sum."""
        ways = [(segment[: mark.start()], segment[mark.end() :]) for mark in _PAIR.finditer(segment)]
        if bracketed := _IN_BRACKETS.fullmatch(segment):
            ways.append((bracketed[1], bracketed[2]))
        for name, said in ways:
            if bare_text(name) in _SUMS:
                yield "", said
            if (part := part_named(self.task, self._unmasked(name))) is not None:
                yield part, said

    def _pairs_reversed(self, segment: str) -> Iterator[tuple[str, str]]:
        """A quotation and the type that follows it: `"awake until four" (sleep)`."""
        first = _QUOTE_NUMBER.match(segment)
        rest = segment[first.end() :].strip() if first else ""
        name = (
            part_named(self.task, rest.strip(" ()[]:→=->–—|"))
            if rest[:1] and rest[0] in "([:→=-–—|"
            else None
        )
        if first and name is not None:
            yield self._quotes[int(first[1])], name

    def _without_addition(self, piece: str) -> str:
        """A piece without the "and" that it begins with."""
        piece = piece.strip()
        addition = self.rules.addition.match(piece)
        return piece[addition.end() :].strip() if addition else piece


def _all(found: Sequence[list[Member] | None]) -> list[Member] | None:
    """All members of the pieces of a segment; None if one of them has an unknown one."""
    members: list[Member] = []
    for each in found:
        if each is None:
            return None
        members += each
    return members
