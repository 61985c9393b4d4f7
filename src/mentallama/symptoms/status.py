"""Status of a mention: whether the writer has the symptom, by cues and their scopes.

The rules follow ConText (Harkema, Dowling, Thornblade and Chapman 2009, "ConText: an algorithm for determining
negation, experiencer, and temporal status from clinical reports", Journal of Biomedical Informatics 42:839-851): a cue
has a direction, and a scope that ends with the sentence or with a terminator. The cues of a language are data
(`languages.py`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mentallama.symptoms.languages import CLAUSE_MARK, CueEffect, CueGroup, SymptomLanguage
from mentallama.symptoms.packs import Phrases
from mentallama.symptoms.phrase_index import PhraseIndex
from mentallama.symptoms.phrases import phrase_tokens

MentionStatus = Literal["present", "negated", "uncertain", "past", "someone_else"]
STATUSES: tuple[MentionStatus, ...] = ("present", "negated", "uncertain", "past", "someone_else")

_RULES: tuple[tuple[frozenset[CueEffect], MentionStatus], ...] = (
    (frozenset({"someone_else"}), "someone_else"),
    (frozenset({"negated", "ceased"}), "past"),
    (frozenset({"negated"}), "negated"),
    (frozenset({"past"}), "past"),
    (frozenset({"uncertain"}), "uncertain"),
)
"""The first rule whose effects all apply decides; a mention without any is present."""

_SENTENCE_END = re.compile(r"[.!?;\n。！？；]+")
_LISTED = re.compile(r"\s*(?:,|/|、|，)?\s*(?:and|or|nor|und|oder|noch|y|o|ni|和|或)?\s*", re.IGNORECASE)
"""Between two mentions of a list: a cue of the first holds for the second."""

_NO_CUE = ""
"""Key of phrases that contain a cue and are none."""
_CLAUSE_MARK = re.compile(r"[,:()，、：—–]")
MAX_SCOPE = 400
"""Characters between a cue and a mention at most. Few sentences are longer, but some posts have no full stop at all."""
_WORD, _CHARACTER = re.compile(r"[\w']+"), re.compile(r"\w")


class Interval(NamedTuple):
    """Characters `start` (inclusive) to `end` (exclusive)."""

    start: int
    end: int


@dataclass(frozen=True)
class _Mark:
    """A cue, a terminator of the named list, or neither: a phrase that contains a cue and is none."""

    start: int
    end: int
    cue: CueGroup | None = None
    terminator: str | None = None


class StatusRules:
    """The cues of one language, ready to be applied."""

    def __init__(self, language: SymptomLanguage) -> None:
        self._unit = _CHARACTER if language.unspaced else _WORD
        self._cues = dict(enumerate(language.cues))
        phrases: dict[int | str, Phrases] = {number: group.phrases for number, group in self._cues.items()}
        phrases.update(language.terminators.items())
        phrases[_NO_CUE] = language.no_cues
        self._index = PhraseIndex(phrases, language.words)

    def decide(self, folded: str, mentions: Sequence[Interval]) -> list[MentionStatus]:
        """The status of each mention in a folded text; mentions are in ascending order."""
        statuses: list[MentionStatus] = []
        starts = [mention.start for mention in mentions]
        sentence, marks = Interval(0, 0), list[_Mark]()
        before: tuple[int, frozenset[CueEffect]] | None = None
        for mention in mentions:
            if mention.end > sentence.end or not statuses:
                sentence = _sentence_around(folded, mention)
                inside = slice(*(bisect_left(starts, border) for border in sentence))
                marks, before = self._marks(folded, sentence, mentions[inside]), None
            effects = frozenset(self._effects(folded, mention, marks))
            if before is not None and _LISTED.fullmatch(folded, before[0], mention.start):
                # A mention that begins with its own subject, as in "not sad, my heart aches", is no part of the list.
                is_clause = any(mark.terminator and mark.start == mention.start for mark in marks)
                effects |= frozenset() if is_clause else before[1]
            before = (mention.end, effects)
            statuses.append(next((status for needed, status in _RULES if needed <= effects), "present"))
        return statuses

    def _marks(self, folded: str, sentence: Interval, mentions: Sequence[Interval]) -> list[_Mark]:
        """Terminators of a sentence, and its cues without those inside a longer one or inside a mention."""
        text = folded[sentence.start : sentence.end]
        found = [
            _Mark(
                match.start + sentence.start,
                match.end + sentence.start,
                self._cues.get(match.key) if isinstance(match.key, int) else None,
                match.key if isinstance(match.key, str) and match.key != _NO_CUE else None,
            )
            for match in self._index.find(phrase_tokens(text))
        ]
        commas = [
            _Mark(match.start() + sentence.start, match.end() + sentence.start, terminator=CLAUSE_MARK)
            for match in _CLAUSE_MARK.finditer(text)
        ]
        cues = [mark for mark in found if mark.terminator is None]
        return [
            mark
            for mark in (*found, *commas)
            if mark.terminator
            or not (
                any(_is_inside(mark, other) for other in cues)
                or any(mention.start <= mark.start and mark.end <= mention.end for mention in mentions)
            )
        ]

    def _effects(self, folded: str, mention: Interval, marks: Sequence[_Mark]) -> Iterator[CueEffect]:
        """Effects of the cues whose scope holds the mention. A cue within the mention is part of it."""
        for mark in marks:
            if mark.cue is None:
                continue
            if mark.start < mention.start and mark.end < mention.end and mark.cue.direction != "backward":
                between = Interval(mark.end, max(mark.end, mention.start))
            elif mark.start >= mention.end and mark.cue.direction != "forward":
                between = Interval(mention.end, mark.start)
            else:
                continue
            if not self._ends_within(folded, between, mark.cue, marks):
                yield mark.cue.effect

    def _ends_within(self, folded: str, between: Interval, cue: CueGroup, marks: Sequence[_Mark]) -> bool:
        """Whether a cue's scope ends before it has crossed these characters."""
        if cue.reach is not None and len(self._unit.findall(folded, *between)) > cue.reach:
            return True
        return any(
            mark.terminator in cue.ends and between.start <= mark.start and mark.end <= between.end
            for mark in marks
            if mark.terminator
        )


def _sentence_around(folded: str, mention: Interval) -> Interval:
    """The sentence that a mention begins in, as far as scopes reach; it holds the whole mention."""
    first = max(0, mention.start - MAX_SCOPE)
    start = max(
        (match.end() for match in _SENTENCE_END.finditer(folded, first, mention.start)), default=first
    )
    last = min(len(folded), mention.end + MAX_SCOPE)
    end = _SENTENCE_END.search(folded, mention.end, last)
    return Interval(start, last if end is None else end.start())


def _is_inside(mark: _Mark, other: _Mark) -> bool:
    """Whether a mark is a proper part of another."""
    return (
        other.start <= mark.start
        and mark.end <= other.end
        and other.end - other.start > mark.end - mark.start
    )
