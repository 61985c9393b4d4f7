"""Gate: the explanation is in the language of the post or of the task."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache
from typing import Any

from mentallama.check.response_rows import ResponseRow
from mentallama.records import Verdict
from mentallama.text.tokenize import DENSE_LETTER

MIN_LETTERS = 20
"""Minimum number of letters for language identification; a character of a syllabic or logographic script counts as
3."""
MIN_EXPECTED_PROBABILITY = 0.05
"""Total probability of the expected languages below which an explanation may be in another language."""
CONFIDENT_PROBABILITY = 0.9
"""Minimum probability of the other language for the explanation to fail."""
MAX_FOREIGN_SCRIPT_SHARE = 0.1
"""Maximum share of letters in a script that neither the rest of the explanation nor the post uses."""

_CONFUSABLE_LANGUAGES = (
    ("zh", "wuu", "yue"),
    ("no", "nb", "nn", "da", "sv"),
    ("id", "ms"),
    ("hr", "sr", "bs", "sl"),
    ("pt", "gl"),
    ("es", "ast", "an", "ext", "gl", "ca"),
    ("en", "pcm"),
    ("hi", "mr", "ne"),
    ("ar", "arz", "ary"),
    ("ur", "pa"),
    ("fa", "ps"),
    ("tr", "crh", "az"),
    ("cs", "sk"),
    ("ru", "uk", "be", "bg", "mk"),
    ("nl", "af"),
)
"""Groups of languages that the identifier cannot distinguish within a few sentences."""
_SCRIPT_GROUPS = {"CJK": "CJK", "HIRAGANA": "CJK", "KATAKANA": "CJK", "BOPOMOFO": "CJK"}


def check_language(row: ResponseRow) -> Verdict:
    """Pass an explanation that is, outside its quotations, in the task's language or the post's.

    The post's language is taken from its record or else identified from its text. The score is the total probability of
    the expected languages. If the explanation is too short or the identifier does not know the language, the row passes
    without a score. Takes about 0.5 ms per row, and 0.7 s once to load the identifier.
    """
    text = row.unquoted_explanation(placeholder=" ")
    foreign_share = _foreign_share(text, row.post.text)
    if foreign_share > MAX_FOREIGN_SCRIPT_SHARE:
        reason = f"{foreign_share:.0%} of its letters are of another script"
        return row.verdict("language", reason, 1 - foreign_share)
    probabilities = language_probabilities(text)
    if probabilities is None or not _is_identifiable(row.task.language):
        return row.verdict("language")
    expected = confusable_languages(row.task.language)
    if _total_probability(probabilities, expected) < MIN_EXPECTED_PROBABILITY:
        expected |= _post_languages(row)
    if row.post.language and not _is_identifiable(row.post.language):
        return row.verdict("language")
    score = _total_probability(probabilities, expected)
    if score < MIN_EXPECTED_PROBABILITY and (detected := _confident_language(probabilities)):
        names = {row.task.language} | ({row.post.language} if row.post.language else set())
        reason = f"written in {detected}, where {' or '.join(sorted(names))} was expected"
        return row.verdict("language", reason, score)
    return row.verdict("language", score=score)


def language_probabilities(text: str) -> dict[str, float] | None:
    """Language (ISO 639) -> probability; None if the text is too short to identify."""
    letters = sum(3 if DENSE_LETTER.match(c) else 1 for c in text if c.isalpha())
    return dict(_identifier().rank(text)) if letters >= MIN_LETTERS else None


def confusable_languages(language: str) -> frozenset[str]:
    """A language, without region and script, and those that the identifier confuses with it."""
    main = _base_language(language)
    return frozenset({main}.union(*(group for group in _CONFUSABLE_LANGUAGES if main in group)))


def _post_languages(row: ResponseRow) -> frozenset[str]:
    if row.post.language:
        return confusable_languages(row.post.language)
    detected = _confident_language(language_probabilities(row.post.text) or {})
    return confusable_languages(detected) if detected else frozenset()


def _confident_language(probabilities: dict[str, float]) -> str | None:
    """The most probable language, if it and those confused with it are probable enough."""
    likeliest = max(probabilities, key=probabilities.__getitem__, default=None)
    if likeliest is None:
        return None
    total = _total_probability(probabilities, confusable_languages(likeliest))
    return likeliest if total >= CONFIDENT_PROBABILITY else None


def _is_identifiable(language: str) -> bool:
    """Whether the identifier knows the language; it does not know romanised ones such as ur-Latn."""
    return _base_language(language) in _identifier().labels and "latn" not in language.lower()


def _base_language(language: str) -> str:
    return language.lower().replace("_", "-").partition("-")[0]


def _total_probability(probabilities: dict[str, float], languages: frozenset[str]) -> float:
    return sum(probabilities.get(language, 0.0) for language in languages)


def _foreign_share(text: str, post: str) -> float:
    """Share of letters outside the explanation's main script whose script the post does not use either."""
    scripts = Counter(_script(c) for c in text if c.isalpha())
    if scripts.total() < MIN_LETTERS:
        return 0.0
    (main, _), *others = scripts.most_common()
    familiar = {_script(c) for c in post if c.isalpha()} | {"LATIN"} if others else set()
    return sum(count for script, count in others if script not in familiar | {main}) / scripts.total()


@cache
def _script(character: str) -> str:
    """The first word of the character's Unicode name, such as LATIN; the scripts that Japanese mixes count as one."""
    name = unicodedata.name(character, "").partition(" ")[0]
    return _SCRIPT_GROUPS.get(name, name)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
