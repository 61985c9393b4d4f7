"""Answers in the languages that have rules, and in some that have none."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from mentallama.answers.language_rules import LanguageRules, language_rules
from mentallama.answers.parse import read_answer
from mentallama.tasks import Task, find_task

_FILE = yaml.safe_load(Path(__file__).with_name("language_cases.yaml").read_text(encoding="utf-8"))
SHIPPED = {"de", "fr", "es", "pt", "it", "nl", "tr", "ko", "zh", "ja", "ur", "ar", "hi", "en"}
REQUIRED = (
    "common_words",
    "yes",
    "no",
    "hedges",
    "answer_headings",
    "explanation_headings",
    "statement_words",
)


@cache
def stress_task(language: str) -> Task:
    """A task in another language: the stress task with its sentences and aliases replaced."""
    words = _FILE["tasks"][language]
    fields: dict[str, Any] = find_task("dreaddit").model_dump()
    fields |= {"set": f"stress-{language}", "language": language, "sources": ()}
    for label in ("yes", "no"):
        fields["labels"][label] |= {
            "answer": {"instruction": words[label], "completion": label},
            "aliases": words["aliases"] if label == "yes" else (),
            "negated_aliases": (),
        }
    return Task.model_validate(fields)


@pytest.mark.parametrize("case", _FILE["cases"], ids=lambda case: f"{case['language']}-{case['text'][:40]}")
def test_case(case: dict[str, str]) -> None:
    read = read_answer(stress_task(case["language"]), case["text"])
    assert (read.label or read.status) == (case.get("label") or case["status"])


@pytest.mark.parametrize("language", sorted(_FILE["tasks"]))
@pytest.mark.parametrize("label", ["yes", "no"])
def test_an_answer_sentence_is_read_in_every_language(language: str, label: str) -> None:
    """Also in a language without rules: its sentences are exact."""
    sentence = _FILE["tasks"][language][label]
    assert read_answer(stress_task(language), sentence).label == label
    assert read_answer(stress_task(language), f"{sentence} Reasoning: work").label == label


def test_the_languages_with_rules() -> None:
    assert set(language_rules()) == SHIPPED


@pytest.mark.parametrize("rules", language_rules().values(), ids=lambda rules: rules.language)
def test_a_language_has_all_that_an_answer_needs(rules: LanguageRules) -> None:
    assert all(getattr(rules, field) for field in REQUIRED)
    assert rules.negations or rules.negations_after
    assert all((rules.refusal.unable, rules.refusal.task, rules.refusal.patterns))


@pytest.mark.parametrize("rules", language_rules().values(), ids=lambda rules: rules.language)
def test_yes_and_no_share_no_word(rules: LanguageRules) -> None:
    assert not set(rules.yes) & set(rules.no)
