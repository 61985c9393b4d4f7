"""Minimal pairs: texts in which a symptom is stated, and the same texts with the statement negated."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from importlib.resources import files

import yaml

from mentallama.predict.questions import PostQuestions
from mentallama.records import Form, Post, Provenance, Record, example_of, stable_id
from mentallama.tasks import QuestionKey

PAIRS_FILE = "minimal_pairs.yaml"


class PairGroup(Record):
    """Pairs about one question: the labels of their texts, and the texts as (stated, negated)."""

    sets: tuple[str, ...]
    question: str
    stated: str
    negated: str
    texts: tuple[tuple[str, str], ...]


class MinimalPairs(Record):
    """The content of `minimal_pairs.yaml`."""

    version: str
    pairs: tuple[PairGroup, ...]


class MinimalPair(Record):
    """One pair as posts with their right labels."""

    set: str
    question: str
    stated: Post
    negated: Post

    def questions(self, form: Form) -> Iterator[PostQuestions]:
        """The question about either text, the stated one first."""
        for post in (self.stated, self.negated):
            yield PostQuestions(post, (example_of(post, self.question, form),))


@cache
def load_minimal_pairs() -> MinimalPairs:
    """Read the file of pairs."""
    text = (files("mentallama.robustness") / PAIRS_FILE).read_text(encoding="utf-8")
    return MinimalPairs.model_validate(yaml.safe_load(text))


def minimal_pairs(keys: Collection[QuestionKey]) -> Iterator[MinimalPair]:
    """Yield the pairs about the given questions, by set and question."""
    for group in load_minimal_pairs().pairs:
        for name in group.sets:
            if (name, group.question) in keys:
                for number, (stated, negated) in enumerate(group.texts, 1):
                    yield MinimalPair(
                        set=name,
                        question=group.question,
                        stated=_post(name, group.question, stated, group.stated, number),
                        negated=_post(name, group.question, negated, group.negated, number),
                    )


def _post(name: str, question: str, text: str, label: str, number: int) -> Post:
    return Post(
        id=stable_id("minimal pair", name, question, text),
        set=name,
        split="test",
        text=text,
        labels={question: label},
        provenance=Provenance(file=PAIRS_FILE, row=number, origin="table", synthetic=True),
    )
