"""Tell in which languages an answer is written, as far as its negations have to be known."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from mentallama.answers.language_rules import (
    MARKS,
    Rules,
    fold,
    language_rules,
    rules_for,
)
from mentallama.tasks import Task

_SEARCHED = 1500
"""Characters at either end of an answer by which its language is told."""
_MIN_WORDS = 2
"""Different frequent words of a language that show that a text is written in it."""
_WORD = re.compile(rf"[\w{MARKS}]+")
_LETTER = re.compile(r"[^\W\d_]")
_SCRIPTS = {
    code: re.compile(f"[{letters}]")
    for code, letters in {
        "ar": "\u0600-\u06ff",
        "hi": "\u0900-\u097f",
        "ja": "\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff",
        "ko": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
        "ur": "\u0600-\u06ff",
        "zh": "\u3400-\u4dbf\u4e00-\u9fff",
    }.items()
}
"""Letters of the languages that are not written in Latin letters."""
_KNOWN_LETTER = re.compile(
    "[A-Za-z\u00c0-\u024f\u1e00-\u1eff\u0600-\u06ff\u0900-\u097f\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
    "\u3005-\u30ff\u3400-\u4dbf\u4e00-\u9fff]"
)


_UNSPACED = frozenset(("ja", "ko", "zh"))
_WITHOUT_RULES = """
    nie się jest że przez oraz osoba autor cierpi wpisie; není příspěvek trpí který; och inte är att
    lider inlägget; ikke og det lider innlegget opslaget; ei että kirjoittaja henkilö kärsi ole;
    pole autor kannata; nu și este că suferă postarea; nem és hogy az egy szenved bejegyzés; không
    và là của người này bài viết bị; tidak dan yang ini dengan dari adalah orang menderita penulis;
    hindi ang mga siya ito; hana huyu anaugua kwa; nije koji pati osoba; ni oseba trpi; nėra yra kad
    asmuo kenčia; nav cieš kas; deyil və; emas uchun; amb pateix aquesta; است نیست این را برای شود
    نویسنده
"""
"""Frequent words of languages that have no rules, from Polish to Persian."""


class AnswerLanguage(NamedTuple):
    """The rules that apply to an answer.

    `rules` are those by which its statements are read. `headings` also contain the languages of single words in it,
    such as a heading or an apology. Unless `is_known`, the answer may negate in words that no rules contain.
    """

    rules: Rules
    headings: Rules
    is_known: bool


def answer_language(task: Task, text: str) -> AnswerLanguage:
    """The rules of the task's language, of English, and of any other language that a folded text is written in.

    The language is not known if the text seems to be in one without rules: if it is mostly in another script, contains
    more frequent words of such languages than of any other, or if there are no rules for the task's language and the
    text is not evidently English.
    """
    if len(text) > 2 * _SEARCHED:
        text = f"{text[:_SEARCHED]}\n{text[-_SEARCHED:]}"
    words = frozenset(_WORD.findall(text.lower()))
    code = task.language.lower().replace("_", "-").split("-")[0]
    frequent = {name: _count_frequent(name, text, words) for name in language_rules()}
    foreign = len(_foreign_words() & words)
    written = {name for name, count in frequent.items() if count >= _MIN_WORDS and count > foreign}
    known = {"en", code} & set(language_rules())
    mentioned = {name for name in language_rules() if _is_mentioned(name, text, words)}
    is_known = bool(code in known or "en" in written) and not (
        _is_foreign_script(text) or (foreign >= _MIN_WORDS and not written)
    )
    return AnswerLanguage(
        rules_for(tuple(sorted(known | written))),
        rules_for(tuple(sorted(known | written | mentioned))),
        is_known,
    )


class _Vocabulary(NamedTuple):
    frequent: frozenset[str]
    marks: frozenset[str]


@cache
def _vocabulary(code: str) -> _Vocabulary:
    rules, english = language_rules()[code], language_rules()["en"]
    refusal = rules.refusal
    phrases = (*rules.answer_headings, *rules.explanation_headings, *refusal.unable, *refusal.apologies)
    return _Vocabulary(
        frozenset(fold(word).lower() for word in rules.common_words),
        frozenset(word for phrase in phrases for word in _WORD.findall(fold(phrase).lower())).difference(
            ()
            if code == "en"
            else (*english.common_words, *english.no, *english.answer_headings, "a", "me", "as")
        ),
    )


@cache
def _foreign_words() -> frozenset[str]:
    """Frequent words of languages without rules that no language with rules shares."""
    known = {word for code in language_rules() for word in _vocabulary(code).frequent}
    return frozenset(_WORD.findall(fold(_WITHOUT_RULES))) - known


def _count_frequent(code: str, text: str, words: frozenset[str]) -> int:
    """How many frequent words of a language a text contains."""
    frequent = _vocabulary(code).frequent
    if code in _UNSPACED:
        return 0 if text.isascii() else sum(word in text for word in frequent)
    return len(frequent & words)


def _is_mentioned(code: str, text: str, words: frozenset[str]) -> bool:
    if code in _SCRIPTS:
        return not text.isascii() and _SCRIPTS[code].search(text) is not None
    return not words.isdisjoint(_vocabulary(code).marks)


def _is_foreign_script(text: str) -> bool:
    return not text.isascii() and 2 * len(_KNOWN_LETTER.findall(text)) < len(_LETTER.findall(text))
