"""Find the symptoms that a post mentions, each with its place, its status and the criteria that it speaks for.

    import mentallama as ml
    table = ml.find_symptoms("I'm not sad, I just can't sleep")
    [(mention.symptom, mention.status, mention.quotation) for mention in table.mentions]

Phrases and cues are data (`language_data/`); no model is needed. A mention is a passage that speaks for a symptom. It
is no finding about a person: nothing is counted up to a diagnosis, and what a post does not mention is not absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from mentallama.answers.language_rules import fold_letters
from mentallama.errors import UsageError
from mentallama.files.yaml_file import read_yaml
from mentallama.records import Record
from mentallama.safety import SYMPTOM_NOTICE
from mentallama.symptoms.catalogue import load_packs
from mentallama.symptoms.languages import (
    SymptomLanguage,
    guess_language,
    load_language,
    shipped_languages,
    with_own_symptoms,
)
from mentallama.symptoms.packs import CriterionPack, OwnSymptom
from mentallama.symptoms.phrase_index import PhraseIndex, PhraseMatch
from mentallama.symptoms.phrases import PhraseError, phrase_tokens
from mentallama.symptoms.status import Interval, MentionStatus, StatusRules
from mentallama.text.suggestions import did_you_mean


class Symptom(BaseModel):
    """A symptom of the lexicon."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    meaning: str
    event: bool = False
    """Whether it is something that happened: having happened long ago does not make it past."""


class SymptomMention(Record):
    """A passage that speaks for a symptom: characters `start` (inclusive) to `end` (exclusive) of the text."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    symptom: str
    status: MentionStatus
    quotation: str
    """The passage, verbatim."""
    criteria: dict[str, tuple[str, ...]] = {}
    """Items that the symptom speaks for, by name of the pack."""


class SymptomTable(Record):
    """The mentions of one text, in ascending order, and the language by whose rules they were found."""

    language: str
    mentions: tuple[SymptomMention, ...] = ()
    notice: str = SYMPTOM_NOTICE

    def of_pack(self, pack: str) -> dict[str, tuple[SymptomMention, ...]]:
        """The mentions that speak for each item of a pack; only items with any."""
        items = {item: None for mention in self.mentions for item in mention.criteria.get(pack, ())}
        return {
            item: tuple(mention for mention in self.mentions if item in mention.criteria.get(pack, ()))
            for item in items
        }


@cache
def load_lexicon() -> Mapping[str, Symptom]:
    """The symptoms of the package by name."""
    path = Path(str(files("mentallama.symptoms") / "lexicon.yaml"))
    return TypeAdapter(dict[str, Symptom]).validate_python(read_yaml(path).content)


_IDIOM = ""
"""Key of phrases that mean no symptom."""


class _LanguageMatcher:
    """The phrases and cues of one language."""

    def __init__(self, language: SymptomLanguage, events: frozenset[str]) -> None:
        self._events = events
        self._phrases: PhraseIndex[str] = PhraseIndex(
            {name: entry.phrases for name, entry in language.symptoms.items()}, language.words
        )
        self._excluded: PhraseIndex[str] = PhraseIndex(
            {_IDIOM: language.idioms, **{name: entry.excluded for name, entry in language.symptoms.items()}},
            language.words,
        )
        self._status = StatusRules(language)

    def find(self, folded: str) -> list[tuple[PhraseMatch[str], MentionStatus]]:
        tokens = phrase_tokens(folded)
        found = self._phrases.find(tokens)
        if not found:
            return []
        excluded = frozenset(self._excluded.find(tokens))
        matches = [
            match
            for group in _overlapping({*found, *excluded})
            for match in _without_nested(each for each in group if each not in excluded)
            if not any(_excludes(phrase, match) for phrase in group if phrase in excluded)
        ]
        places = [(Interval(match.start, match.end), match.key) for match in matches]
        return list(zip(matches, self.statuses(folded, places), strict=True))

    def statuses(self, folded: str, places: Sequence[tuple[Interval, str]]) -> list[MentionStatus]:
        """The status of the symptoms in some passages, in ascending order; an event is not past."""
        statuses = self._status.decide(folded, [interval for interval, _ in places])
        return [
            "present" if status == "past" and symptom in self._events else status
            for status, (_, symptom) in zip(statuses, places, strict=True)
        ]


def _overlapping(matches: Iterable[PhraseMatch[str]]) -> Iterator[list[PhraseMatch[str]]]:
    """Matches in ascending order, in groups of those that are joined by overlaps."""
    group: list[PhraseMatch[str]] = []
    end = 0
    for match in sorted(matches, key=lambda m: (m.start, m.end, m.key)):
        if group and match.start >= end:
            yield group
            group = []
        group.append(match)
        end = max(end, match.end)
    if group:
        yield group


def _without_nested(matches: Iterable[PhraseMatch[str]]) -> list[PhraseMatch[str]]:
    """Matches in ascending order without those inside longer ones, and of overlapping ones of a symptom the longest."""
    kept: list[PhraseMatch[str]] = []
    for match in sorted(matches, key=lambda m: (m.start - m.end, m.start, m.key)):
        nested = (
            (
                other.start <= match.start
                and match.end <= other.end
                and (other.start, other.end) != (match.start, match.end)
            )
            or (other.key == match.key and match.start < other.end and other.start < match.end)
            for other in kept
        )
        if not any(nested):
            kept.append(match)
    return sorted(kept, key=lambda m: (m.start, m.end, m.key))


def _excludes(phrase: PhraseMatch[str], match: PhraseMatch[str]) -> bool:
    overlaps = phrase.start < match.end and match.start < phrase.end
    return overlaps and phrase.key in {_IDIOM, match.key}


class SymptomMatcher:
    """Finds symptoms by the phrases of the package, and of the packs that add their own.

    Parameters
    ----------
    packs
        Packs whose items are named; None: those of the package.

    Raises
    ------
    UsageError
        An item names a symptom that neither the lexicon nor a pack has; or, at the first text of a language, a phrase
        of a pack cannot be read.
    """

    def __init__(self, packs: Mapping[str, CriterionPack] | None = None) -> None:
        self._packs = load_packs() if packs is None else packs
        for pack in self._packs.values():
            for item, entry in pack.items.items():
                if unknown := [name for name in entry.symptoms if name not in self.symptoms]:
                    hint = did_you_mean(unknown[0], self.symptoms)
                    raise UsageError(f"{pack.name}, {item}: there is no symptom {unknown[0]!r}; {hint}")

    @property
    def packs(self) -> tuple[str, ...]:
        """Names of the packs whose items are named."""
        return tuple(pack.name for pack in self._packs.values())

    @cached_property
    def symptoms(self) -> Mapping[str, str]:
        """Meaning of each symptom that can be found."""
        own = {name: symptom.meaning for name, symptom in self._own_symptoms.items()}
        return {name: symptom.meaning for name, symptom in load_lexicon().items()} | own

    @cached_property
    def _own_symptoms(self) -> Mapping[str, OwnSymptom]:
        return {name: symptom for pack in self._packs.values() for name, symptom in pack.symptoms.items()}

    @cached_property
    def _languages(self) -> dict[str, _LanguageMatcher]:
        return {}

    def _matcher(self, code: str) -> _LanguageMatcher:
        if code not in self._languages:
            language = with_own_symptoms(load_language(code), self._own_symptoms)
            events = frozenset(name for name, symptom in load_lexicon().items() if symptom.event)
            try:
                self._languages[code] = _LanguageMatcher(language, events)
            except PhraseError as fault:
                raise UsageError(f"a phrase of a criterion pack cannot be read: {fault}") from None
        return self._languages[code]

    def items_of(self, symptom: str) -> dict[str, tuple[str, ...]]:
        """The items that a symptom speaks for, by name of the pack."""
        return self._criteria[symptom]

    @cached_property
    def _criteria(self) -> dict[str, dict[str, tuple[str, ...]]]:
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for name in self.symptoms:
            items = {pack.name: pack.items_of(name) for pack in self._packs.values()}
            found[name] = {pack: names for pack, names in items.items() if names}
        return found

    def find(self, text: str, language: str | None = None) -> SymptomTable:
        """Find the symptoms that a text mentions, of those that a pack names.

        Parameters
        ----------
        language
            ISO 639-1 code of the text; None, or one without rules: the language is guessed from the text.
        """
        code = language if language in shipped_languages() else guess_language(text, shipped_languages())
        found = self._matcher(code).find(fold_letters(text))
        mentions = tuple(
            SymptomMention.model_construct(
                start=match.start,
                end=match.end,
                symptom=match.key,
                status=status,
                quotation=text[match.start : match.end],
                criteria=self._criteria[match.key],
            )
            for match, status in found
            if self._criteria[match.key]
        )
        return SymptomTable(language=code, mentions=mentions)

    def statuses(
        self, text: str, places: Sequence[tuple[Interval, str]], language: str
    ) -> list[MentionStatus]:
        """The statuses that the cues of a language give to passages and the symptoms that they speak for.

        Parameters
        ----------
        places
            In ascending order, however they were found.
        """
        return self._matcher(language).statuses(fold_letters(text), places)


@cache
def default_matcher() -> SymptomMatcher:
    """The matcher with the packs of the package, made once."""
    return SymptomMatcher()


def find_symptoms(text: str, language: str | None = None) -> SymptomTable:
    """Find the symptoms that a text mentions, with the phrases and packs of the package.

    Parameters
    ----------
    text
        A post.
    language
        ISO 639-1 code of the text; None, or a language without rules: it is guessed.

    Raises
    ------
    TypeError
        `text` is no string.

    Examples
    --------
    >>> table = find_symptoms("I'm not sad, I just can't sleep")
    >>> [(mention.symptom, mention.status, mention.quotation) for mention in table.mentions]
    [('depressed-mood', 'negated', 'sad'), ('insomnia', 'present', "can't sleep")]
    >>> table.mentions[1].criteria["PHQ-9"]
    ('sleep',)
    """
    if not isinstance(text, str):
        raise TypeError(f"a post is a string, not {type(text).__name__}")
    return default_matcher().find(text, language)
