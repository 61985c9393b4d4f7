"""Tell in which languages an answer is written, as far as its negations have to be known."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from mentallama.answers.language_rules import Rules, language_rules, rules_for, words_pattern
from mentallama.tasks import Task

_SEARCHED = 2000
_MIN_WORDS = 2
"""Different frequent words of a language that show that a text is written in it."""
_LETTERS = re.compile(r"[^\W\d_]")
_KNOWN_SCRIPTS = re.compile(
    "[A-Za-z\u00c0-\u024f\u1e00-\u1eff\u0600-\u06ff\u0750-\u077f\u0900-\u097f\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
    "\u3005-\u30ff\u3400-\u4dbf\u4e00-\u9fff]"
)
"""Letters of the scripts in which the known languages are written."""


class AnswerLanguage(NamedTuple):
    """The rules that apply to an answer; unless `is_known`, it may negate in words that they lack."""

    rules: Rules
    is_known: bool


def answer_language(task: Task, text: str) -> AnswerLanguage:
    """The rules of the task's language, of English, and of any other language that a folded text is written in.

    The language is not known if the text is mostly in a script of no known language, or if there are no rules for the
    task's language and the text is evidently in no other.
    """
    text = text[:_SEARCHED]
    code = task.language.lower().replace("_", "-").split("-")[0]
    written = written_languages(text)
    known = {"en", code} & set(language_rules())
    languages = tuple(sorted(known | written))
    return AnswerLanguage(rules_for(languages), not _is_foreign(text) and (code in known or bool(written)))


@cache
def _common_words() -> dict[str, re.Pattern[str]]:
    return {code: words_pattern(rules.common_words) for code, rules in language_rules().items()}


def written_languages(text: str) -> frozenset[str]:
    """Languages of which a folded text contains several frequent words."""
    return frozenset(
        code
        for code, pattern in _common_words().items()
        if len({match.lower() for match in pattern.findall(text)}) >= _MIN_WORDS
    )


def _is_foreign(text: str) -> bool:
    letters = len(_LETTERS.findall(text))
    return 2 * len(_KNOWN_SCRIPTS.findall(text)) < letters
