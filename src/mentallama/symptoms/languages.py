"""Phrases of symptoms, and words that decide on their status, by language: the files in `language_data/`.

Adding a language is adding a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mentallama.answers.language_rules import fold_letters, language_rules
from mentallama.symptoms.packs import OwnSymptom, Phrases, SymptomName
from mentallama.text.tokenize import HAN, HANGUL, KANA

CueEffect = Literal["negated", "uncertain", "past", "someone_else", "ceased"]
"""A status, or `ceased`: together with a negation it says that something is over ("not … anymore")."""
Direction = Literal["forward", "backward", "both"]

CLAUSE_MARK = "comma"
"""Name in `CueGroup.ends` for a mark between clauses; other names are lists of `SymptomLanguage.terminators`."""


class LanguageModel(BaseModel):
    """Base of the models of a language file: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SymptomPhrases(LanguageModel):
    """Phrases that state a symptom, and phrases that contain one of them and do not."""

    phrases: Phrases
    excluded: Phrases = ()


class CueGroup(LanguageModel):
    """Cues with one effect on the mentions in their scope (ConText, Harkema et al. 2009).

    A scope reaches from the cue in its direction to the end of the sentence, over `reach` words at most, and not beyond
    a word of the lists that `ends` names.
    """

    effect: CueEffect
    direction: Direction = "forward"
    reach: int | None = Field(default=None, ge=1)
    """Words between cue and mention at most; characters in Chinese."""
    ends: tuple[str, ...] = ()
    """Names of lists of `terminators`; `comma` stands for the marks between clauses."""
    phrases: Phrases


class SymptomLanguage(LanguageModel):
    """The rules of one language."""

    language: str
    unspaced: bool = False
    """Whether words follow one another without spaces."""
    words: dict[str, Phrases] = {}
    """Lists that phrases refer to as `<name>`. `<people>` holds the people of `answers/language_data/` beside them."""
    symptoms: dict[SymptomName, SymptomPhrases]
    idioms: Phrases = ()
    """Phrases that mean no symptom, whichever they seem to contain."""
    terminators: dict[str, Phrases] = {}
    no_cues: Phrases = ()
    """Phrases that contain a cue and are none, such as "not only"."""
    cues: tuple[CueGroup, ...] = ()

    @model_validator(mode="after")
    def _terminators_exist(self) -> SymptomLanguage:
        known = {CLAUSE_MARK, *self.terminators}
        if unknown := {name for group in self.cues for name in group.ends} - known:
            raise ValueError(f"cues: there are no terminators {min(unknown)!r}; known are {sorted(known)}")
        return self


@cache
def shipped_languages() -> tuple[str, ...]:
    """ISO 639-1 codes of the languages with a file."""
    folder = files("mentallama.symptoms") / "language_data"
    names = sorted(file.name for file in folder.iterdir())
    return tuple(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


@cache
def load_language(code: str) -> SymptomLanguage:
    """The file of a language of the package."""
    text = (files("mentallama.symptoms") / "language_data" / f"{code}.yaml").read_text(encoding="utf-8")
    # Every scalar is text, as `read_yaml` reads it, but ten times as fast where libyaml is there.
    content = yaml.load(text, getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    language = SymptomLanguage.model_validate(content)
    people = {*language_rules()[code].other_people, *language.words.get("people", ())}
    return language.model_copy(update={"words": {**language.words, "people": tuple(sorted(people))}})


def with_own_symptoms(language: SymptomLanguage, own: Mapping[str, OwnSymptom]) -> SymptomLanguage:
    """The language with the symptoms that packs add to it."""
    added = {
        name: SymptomPhrases(
            phrases=symptom.phrases[language.language], excluded=symptom.excluded.get(language.language, ())
        )
        for name, symptom in own.items()
        if language.language in symptom.phrases
    }
    return language.model_copy(update={"symptoms": {**language.symptoms, **added}})


_SCRIPTS = {
    "ja": re.compile(f"[{KANA}]"),
    "ko": re.compile(f"[{HANGUL}]"),
    "zh": re.compile(f"[{HAN}]"),
}
"""Letters by which a language is told, in the order in which they are looked for; others share the Latin letters."""
_WORD = re.compile(r"[^\W\d_]+")


def guess_language(text: str, known: Iterable[str]) -> str:
    """The language of a text, of those in `known`: by its script, else by its most frequent words, else English.

    >>> guess_language("ich kann nicht schlafen und bin müde", ("de", "en", "ko"))
    'de'
    >>> guess_language("잠이 안 와요", ("de", "en", "ko"))
    'ko'
    """
    known = tuple(known)
    if not text.isascii():
        for code, letters in _SCRIPTS.items():
            if letters.search(text):
                return code if code in known else "en"
    words = frozenset(_WORD.findall(fold_letters(text).lower()))
    counts = {code: len(_common_words(code) & words) for code in known if code not in _SCRIPTS}
    # English wins a tie: most posts are English, and short ones have few frequent words of any language.
    return max(counts, key=lambda code: (counts[code], code == "en"), default="en")


@cache
def _common_words(code: str) -> frozenset[str]:
    """Frequent words of a language that no other shares."""
    own, *others = (
        {*language_rules()[each].common_words, *load_language(each).words.get("common", ())}
        for each in (code, *(other for other in shipped_languages() if other != code))
    )
    return frozenset(own).difference(*others)
