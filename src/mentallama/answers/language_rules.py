"""Words by which answers state, negate, hedge or refuse, by language: the files in `language_data/`.

English is a file like the others. Adding a language is adding a file. The entries of a file are words or phrases; they
match whole words in any case. A leading or trailing `*` stands for the rest of a word. In scripts without spaces and in
Korean, an entry matches anywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict

from mentallama.text.tokenize import UNBORDERED

Words = tuple[str, ...]

_UNBORDERED = re.compile(f"[{UNBORDERED}]")
_NEVER = re.compile(r"(?!)")


class RefusalWords(BaseModel):
    """Words of a refusal: who (`speaker`) cannot (`unable`) do what (`task`).

    In a pattern of `patterns`, `<speaker>`, `<unable>` and `<task>` stand for these words, `…` for up to 60 characters
    of the same sentence, and a leading `^` for the beginning of a sentence. A sentence with a word of `reported` before
    the match tells what somebody else says or does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    speaker: Words = ()
    unable: Words = ()
    task: Words = ()
    patterns: Words = ()
    reported: Words = ()
    apologies: Words = ()
    """Openings of a refusal that state no label themselves, such as "I'm sorry"."""


class LanguageRules(BaseModel):
    """The words of one language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str
    common_words: Words
    """Frequent words that tell this language from others."""
    yes: Words = ()
    no: Words = ()
    lead_ins: Words = ()
    """Words directly before a "yes" or "no" that is an answer, such as "answer is"."""
    followers: Words = ()
    """Words directly after such an answer, such as "because"; punctuation needs no entry."""
    negations: Words = ()
    """Negations that precede what they negate."""
    negations_after: Words = ()
    """Negations that follow what they negate."""
    after_reach: int = 12
    """Words within which such a negation follows."""
    scope_ends: Words = ()
    """Words between a finding and a later negation that belongs to something else, such as "and" and "which"."""
    conjunctions: Words = ()
    """Words that join labels, so that a negation or "related to" governs both."""
    affirmations: Words = ()
    """Phrases with a negation that negate nothing, such as "no doubt" and "not only"."""
    contrasts: Words = ()
    """Words that begin a new statement, such as "but"."""
    concessives: Words = ()
    """Words that begin a clause which another statement follows, such as "although"."""
    additions: Words = ()
    """Words such as "and", after which an earlier negation may or may not hold."""
    negating_prefixes: Words = ()
    """Words that negate only what directly follows, such as "non"."""
    negating_suffixes: Words = ()
    other_people: Words = ()
    """People whom a post speaks of besides its author."""
    other_people_verbs: Words = ()
    """Verbs between such a person and what is said about them."""
    requests: Words = ()
    """Words with which a model asks for the post."""
    corrections: Words = ()
    """Words with which an answer takes back what it said."""
    hedges: Words = ()
    """Words after which a label is not stated, such as "whether"."""
    hedges_after: Words = ()
    """Words before which it is not stated."""
    conclusions: Words = ()
    final: Words = ()
    answer_headings: Words = ()
    copulas: Words = ()
    """Words between such a heading and its value: "the answer is"."""
    explanation_headings: Words = ()
    anchors: Words = ()
    """Words directly before the label that is meant, such as "related to"."""
    choices: Words = ()
    """Adjectives of a phrase that names the label, such as "the most fitting label"."""
    choice_nouns: Words = ()
    choice_verbs: Words = ()
    statement_words: Words = ()
    """Words of a sentence that is about the post, unlike one that sends its reader to a helpline."""
    thinking_names: Words = ()
    """Names of tags around a thought."""
    unfinished: Words = ()
    """Words with which no sentence ends."""
    unfinished_subjects: Words = ()
    """Subjects with which no clause ends, such as "this post"."""
    refusal: RefusalWords = RefusalWords()


class Rules:
    """The words of several languages together, as patterns for folded text."""

    def __init__(self, languages: tuple[str, ...]) -> None:
        self.languages = languages
        self._rules = [language_rules()[code] for code in languages]

    def words(self, field: str) -> Words:
        return tuple(word for rules in self._rules for word in getattr(rules, field))

    @cached_property
    def yes_no(self) -> re.Pattern[str]:
        yes, no = words_source(self.words("yes")), words_source(self.words("no"))
        return re.compile(f"(?P<yes>{yes})|(?P<no>{no})", re.IGNORECASE)

    @cached_property
    def lead_in(self) -> re.Pattern[str]:
        return re.compile(rf"(?:{words_source(self.words('lead_ins'))}|\d\))$", re.IGNORECASE)

    @cached_property
    def follower(self) -> re.Pattern[str]:
        return re.compile(words_source(self.words("followers")), re.IGNORECASE)

    @cached_property
    def negation(self) -> re.Pattern[str]:
        return words_pattern(self.words("negations"))

    @cached_property
    def addition(self) -> re.Pattern[str]:
        return words_pattern(self.words("additions"))

    @cached_property
    def other_person(self) -> re.Pattern[str]:
        """A person who is the subject of what follows: "the poster's sister is …"."""
        people, verbs = (
            words_source(self.words("other_people")),
            words_source(self.words("other_people_verbs")),
        )
        return re.compile(rf"{people}(?: {verbs}){{0,3}} ?$", re.IGNORECASE)

    @cached_property
    def request(self) -> re.Pattern[str]:
        return words_pattern(self.words("requests"))

    @cached_property
    def correction(self) -> re.Pattern[str]:
        return words_pattern(self.words("corrections"))

    @cached_property
    def negating_prefix(self) -> re.Pattern[str]:
        return re.compile(rf"{words_source(self.words('negating_prefixes'))}[ -]?$", re.IGNORECASE)

    @cached_property
    def negating_suffix(self) -> re.Pattern[str]:
        return re.compile(rf"[ -]?{words_source(self.words('negating_suffixes'))}", re.IGNORECASE)

    @cached_property
    def negations_after(self) -> tuple[tuple[re.Pattern[str], int], ...]:
        """Pattern and reach in words of each language's negations that follow."""
        return tuple(
            (words_pattern(rules.negations_after), rules.after_reach)
            for rules in self._rules
            if rules.negations_after
        )

    @cached_property
    def scope_end(self) -> re.Pattern[str]:
        return words_pattern(self.words("scope_ends"))

    @cached_property
    def affirmation(self) -> re.Pattern[str]:
        return words_pattern(self.words("affirmations"))

    @cached_property
    def clause_end(self) -> re.Pattern[str]:
        contrasts = words_source(self.words("contrasts"))
        return re.compile(rf"[.;:!?\n,()。、,،؛؟۔।]|{contrasts}", re.IGNORECASE)

    @cached_property
    def contrast(self) -> re.Pattern[str]:
        return words_pattern(self.words("contrasts"))

    @cached_property
    def concessive(self) -> re.Pattern[str]:
        return words_pattern(self.words("concessives"))

    @cached_property
    def hedge(self) -> re.Pattern[str]:
        return words_pattern(self.words("hedges"))

    @cached_property
    def hedge_after(self) -> re.Pattern[str]:
        return words_pattern(self.words("hedges_after"))

    @cached_property
    def conjunction(self) -> re.Pattern[str]:
        words = words_source(self.words("conjunctions"))
        return re.compile(rf" ?(?:[,/&、]|{words}){{1,3}} ?(?:the |to )?", re.IGNORECASE)

    @cached_property
    def conclusion(self) -> re.Pattern[str]:
        return words_pattern(self.words("conclusions"))

    @cached_property
    def anchor(self) -> re.Pattern[str]:
        return words_pattern(self.words("anchors"))

    @cached_property
    def statement(self) -> re.Pattern[str]:
        return words_pattern(self.words("statement_words"))

    @cached_property
    def choice(self) -> re.Pattern[str]:
        """A phrase such as "the most fitting label for this post is", up to its value."""
        choices, nouns, verbs = (
            words_source(self.words(f)) for f in ("choices", "choice_nouns", "choice_verbs")
        )
        return re.compile(
            rf"(?:{choices} ){{1,4}}(?:{nouns})[^.!?\n:]{{0,60}}?(?:{verbs}):? ?", re.IGNORECASE
        )

    @cached_property
    def unfinished_end(self) -> re.Pattern[str]:
        words, subjects = (words_source(self.words(f)) for f in ("unfinished", "unfinished_subjects"))
        return re.compile(rf"(?:[,;:(\[\"-]|{words}|(?:^|[,.\n] ?){subjects})$", re.IGNORECASE)

    @cached_property
    def apology(self) -> re.Pattern[str]:
        return words_pattern([word for rules in self._rules for word in rules.refusal.apologies])

    @cached_property
    def refusal_word(self) -> re.Pattern[str]:
        """A word without which no refusal is possible: tells most sentences apart quickly."""
        return words_pattern(word for rules in self._rules for word in _needed_words(rules.refusal))

    @cached_property
    def refusals(self) -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
        """For each language, its pattern of a refusal and that of reported speech."""
        return tuple(
            (_refusal_pattern(rules.refusal), words_pattern(rules.refusal.reported))
            for rules in self._rules
            if rules.refusal.patterns
        )


@cache
def language_rules() -> Mapping[str, LanguageRules]:
    """The rules of all languages, by ISO 639-1 code."""
    folder = files("mentallama.answers") / "language_data"
    texts = [file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".yaml")]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the former is ten times as fast, but optional
    found = [LanguageRules.model_validate(yaml.load(text, loader)) for text in texts]
    return {rules.language: rules for rules in sorted(found, key=lambda rules: rules.language)}


@cache
def rules_for(languages: tuple[str, ...]) -> Rules:
    """The rules of these languages together."""
    return Rules(languages)


@cache
def all_rules() -> Rules:
    """The rules of all languages together, for names of fields, which no text contains by accident."""
    return rules_for(tuple(language_rules()))


_LETTERS = str.maketrans(
    {
        **dict.fromkeys("’‘‚‛`´ʼ", "'"),
        **dict.fromkeys("“”„‟«»‹›", '"'),
        **{
            "ي": "ی",
            "ك": "ک",
            "ه": "ہ",
        },  # Arabic and Urdu keyboards write one letter with different characters
    }
)
_INVISIBLE = dict.fromkeys(
    map(
        ord,
        "\u200b\u200c\u200d\u2060\ufeff\u00ad\u0640\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0670",
    )
)
"""Invisible characters, and the vowel signs of Arabic, which most texts leave out."""
_MIS_DECODED_APOSTROPHES = re.compile("‚Äô|â€™")
_AFTER_GUILLEMET, _BEFORE_GUILLEMET = re.compile(r"«[ \u00a0\u202f]"), re.compile(r"[ \u00a0\u202f]»")
_RUNS = re.compile(r"([^\w\s])\1{3,}")
_SPACES = re.compile(r"[^\S\n]+")
_LINE_BREAKS = re.compile(r" ?\n\s*")


def fold(text: str) -> str:
    """Text in the form in which words are looked for: compatibility characters, quotation marks and spaces made equal.

    A run of line breaks becomes one, and a run of one punctuation mark becomes three.
    """
    if not text.isascii():
        text = _MIS_DECODED_APOSTROPHES.sub("'", text).translate(_INVISIBLE)
        text = _AFTER_GUILLEMET.sub("«", _BEFORE_GUILLEMET.sub("»", text))
        text = unicodedata.normalize("NFKC", text.translate(_LETTERS))
    text = fold_letters(text)
    text = _LINE_BREAKS.sub("\n", _SPACES.sub(" ", text))
    return _RUNS.sub(r"\1\1\1", text)


def fold_letters(text: str) -> str:
    """Text with letters and quotation marks of one kind made equal, at unchanged positions."""
    return text.replace("`", "'") if text.isascii() else text.translate(_LETTERS)


def words_pattern(entries: Iterable[str]) -> re.Pattern[str]:
    """Pattern of the entries of a language file; matches nothing if there are none."""
    entries = tuple(entries)
    return re.compile(words_source(entries), re.IGNORECASE) if entries else _NEVER


def words_source(entries: Iterable[str]) -> str:
    """Source of the pattern of the entries, as a group; of entries with the same borders, the longest come first."""
    by_borders: dict[tuple[str, str], list[str]] = {}
    for entry in sorted(set(map(fold, entries)), key=lambda e: (-len(e), e)):
        core = entry.strip("*")
        before = "" if entry.startswith("*") else left_border(core)
        after = "" if entry.endswith("*") else right_border(core)
        by_borders.setdefault((before, after), []).append(r"[ \n]".join(map(re.escape, core.split(" "))))
    groups = [f"{before}(?:{'|'.join(words)}){after}" for (before, after), words in by_borders.items()]
    return f"(?:{'|'.join(groups) or '(?!)'})"


MARKS = "\u0300-\u036f\u064b-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963"
"""Vowel signs and other combining marks of the languages with rules; `\\w` lacks them."""


def left_border(word: str) -> str:
    """Source that matches where a word may begin; empty for scripts in which it may begin anywhere."""
    return (
        rf"(?<![\w{MARKS}])(?=\w)" if _is_bordered(word[:1]) else ""
    )  # the second test fails faster than a word


def right_border(word: str) -> str:
    """Source that matches where a word may end; empty for scripts in which it may end anywhere."""
    return rf"(?![\w{MARKS}])" if _is_bordered(word[-1:]) else ""


def _is_bordered(character: str) -> bool:
    return re.match(rf"[\w{MARKS}]", character) is not None and _UNBORDERED.match(character) is None


_GAP = r"[^.!?\n。।۔؟]{0,60}?"


def _refusal_pattern(words: RefusalWords) -> re.Pattern[str]:
    sources = {name: words_source(getattr(words, name)) for name in ("speaker", "unable", "task")}
    return re.compile("|".join(_refusal_source(p, sources) for p in words.patterns), re.IGNORECASE)


def _needed_words(words: RefusalWords) -> Iterator[str]:
    """The words of which every refusal contains one: `unable`, or the first words of a pattern without it."""
    for pattern in words.patterns:
        parts = [part.strip() for part in pattern.removeprefix("^").split("…")]
        literal = [part for part in parts if not part.startswith("<")]
        yield from words.unable if "<unable>" in parts else literal[:1]


def _refusal_source(pattern: str, sources: Mapping[str, str]) -> str:
    start = r"^[^\w\n]{0,5}" if pattern.startswith("^") else ""
    parts = pattern.removeprefix("^").split("…")
    return start + _GAP.join(_refusal_part(part.strip(), sources) for part in parts)


def _refusal_part(part: str, sources: Mapping[str, str]) -> str:
    name = part[1:-1]
    return sources[name] if part == f"<{name}>" else words_source([part])
