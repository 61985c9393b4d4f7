"""Reading takes linear time: no pattern can backtrack over an unbounded run, and prose is searched within bounds.

The patterns are checked by their structure. An unbounded repetition inside another has exponentially many ways to fail,
and one at the beginning of a pattern is tried again from every position of the run that it has just scanned.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import mentallama.answers
from mentallama.answers.language_rules import Rules, language_rules
from mentallama.answers.parse import read_answer
from mentallama.answers.strip_label import strip_label
from mentallama.tasks import find_task
from mentallama.text import quotation_marks
from mentallama.text.quote_extraction import extract_quotes

_REPEATS = ("MAX_REPEAT", "MIN_REPEAT")
_ANCHORED = {"_STRIPPED_CHANNELS", "_LAST_LINE_MARK", "_ELISIONS"}
"""Patterns that are only matched at one position."""


def all_patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    modules = [
        importlib.import_module(f"mentallama.answers.{module.name}")
        for module in pkgutil.iter_modules(mentallama.answers.__path__)
    ]
    for module in (*modules, quotation_marks):
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{module.__name__}.{name}", value
    rules = Rules(tuple(language_rules()))
    for name in vars(Rules):
        value = None if name.startswith("_") else getattr(rules, name)
        if isinstance(value, re.Pattern):
            yield f"Rules.{name}", value
    for number, (refusal, reported) in enumerate(rules.refusals):
        yield f"refusal {number}", refusal
        yield f"reported {number}", reported


PATTERNS = dict(all_patterns())


def children(argument: Any) -> Iterator[Any]:
    """The sub-patterns among a parsed node's arguments."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, list | tuple):
        for item in argument:
            yield from children(item)


def is_unbounded(operation: Any, argument: Any) -> bool:
    return str(operation) in _REPEATS and argument[1] is _parser.MAXREPEAT


def has_nested_repeat(parsed: Any, *, inside: bool = False) -> bool:
    return any(
        (inside and is_unbounded(operation, argument))
        or any(
            has_nested_repeat(child, inside=inside or is_unbounded(operation, argument))
            for child in children(argument)
        )
        for operation, argument in parsed
    )


def begins_with_repeat(parsed: Any) -> bool:
    """Whether a repetition that something follows is tried from every position of a text."""
    first, rest = parsed[0], len(parsed) > 1
    if is_unbounded(*first):
        return rest
    if str(first[0]) in {"SUBPATTERN", "BRANCH"}:
        return any(len(child) > 0 and begins_with_repeat(child) for child in children(first[1]))
    return False


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_repeats_a_repetition(name: str) -> None:
    allowed = {"mentallama.text.quotation_marks._PARAGRAPH"}  # every round ends with a line break
    parsed = _parser.parse(PATTERNS[name].pattern, PATTERNS[name].flags & ~re.UNICODE)
    assert name in allowed or not has_nested_repeat(parsed)


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_begins_with_an_unbounded_repetition(name: str) -> None:
    parsed = _parser.parse(PATTERNS[name].pattern, PATTERNS[name].flags & ~re.UNICODE)
    assert name.rpartition(".")[2] in _ANCHORED or not begins_with_repeat(parsed)


@pytest.mark.parametrize("bad", [r"(?:a+b*)+c", r"\s*x", r"(?:x|\s+y)"])
def test_the_checks_find_bad_patterns(bad: str) -> None:
    parsed = _parser.parse(bad)
    assert has_nested_repeat(parsed) or begins_with_repeat(parsed)


def test_there_are_patterns_to_check() -> None:
    assert len(PATTERNS) > 50


@pytest.mark.parametrize("size", [20_000, 200_000, 1_000_000])
def test_only_both_ends_of_long_prose_are_searched_for_a_label(size: int) -> None:
    filler = "Nothing of note here. " * (size // 22)
    assert read_answer("SAD", f"The stress cause is work. {filler}").label == "work"
    assert read_answer("SAD", f"{filler} Final answer: work").label == "work"
    assert read_answer("SAD", f"{filler} Answer: work. {filler}").label is None


def test_the_first_and_last_of_many_answer_marks_are_read() -> None:
    other = [f"<answer>word {number}</answer>" for number in range(100)]
    assert read_answer("SAD", "".join(["<answer>work</answer>", *other])).label == "work"
    assert read_answer("SAD", "".join([*other, "<answer>work</answer>"])).label == "work"
    assert read_answer("SAD", "".join([*other[:50], "<answer>work</answer>", *other[50:]])).label is None


def test_the_first_and_last_sentences_of_a_long_explanation_are_stripped() -> None:
    filler = "The boss is strict. " * 10_000
    restated = "Answer: work. "
    assert strip_label(find_task("SAD"), restated + filler + restated) == filler.strip()
    assert restated in strip_label(find_task("SAD"), filler + restated + filler)


def test_quotations_are_looked_for_in_the_beginning_of_a_long_answer() -> None:
    assert extract_quotes("", '"first" ' + " " * 1_000_000 + '"last"') == ("first",)
