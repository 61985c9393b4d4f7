"""The answer reader of the published scripts, whose scores are reported beside ours.

It exists to make published numbers comparable, not because it is right: it reads "cannot tell" as no, "yesterday" as
yes, and an empty answer as the negative class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml

from mentallama.evaluate.scores import ScoredRow
from mentallama.metrics.classification import accuracy, confusion_counts, round_score, weighted_f1
from mentallama.records import Example, Record


class PublishedRule(Record):
    """How the published scripts read the answers of some sets; `reader.yaml` explains the fields."""

    sets: tuple[str, ...]
    output_keys: dict[str, str]
    reference_keys: dict[str, str]
    default_label: str
    drop_output_too: bool = False


class ScoredOutput(Record):
    """A scored row with its example and the texts that the published reader needs."""

    file: str
    row: int
    reference: str
    output: str
    example: Example
    scored_row: ScoredRow


class PublishedScore(Record):
    """Scores that the published scripts would give to one set, in percent.

    `weighted_f1` and `accuracy` are None where the scripts give none, and `reason` says why.
    """

    weighted_f1: float | None
    accuracy: float | None
    reason: str | None
    n_references: int
    n_outputs: int
    n_defaulted: int
    """Outputs without any key, counted as the negative or last class."""
    n_differences: int
    """Texts that the two readers read differently; `readers_differ.json` lists them."""


class ReaderDifference(Record):
    """A text that the two readers read differently.

    `ours` is a label, unparsed, refused or truncated. `published` is None for a reference that the published scripts
    drop.
    """

    set: str
    file: str
    row: int
    id: str
    source: Literal["reference", "output"]
    ours: str
    published: str | None
    defaulted: bool


@cache
def load_published_rules() -> Mapping[str, PublishedRule]:
    """The rule of each set, by set name."""
    text = (files("mentallama.evaluate.published") / "reader.yaml").read_text(encoding="utf-8")
    table = [PublishedRule.model_validate(rule) for rule in yaml.safe_load(text)["rules"]]
    return {name: rule for rule in table for name in rule.sets}


def first_key_label(text: str, keys: Mapping[str, str]) -> str | None:
    """The label of the first key that occurs anywhere in the text before "Reasoning:"; None without any.

    >>> first_key_label("I cannot tell. Reasoning: yes", {"yes": "yes", "no": "no"})
    'no'
    """
    answer = text.partition("Reasoning:")[0].lower()
    return next((label for key, label in keys.items() if key in answer), None)


def score_as_published(
    rows: Sequence[ScoredOutput], rule: PublishedRule | None
) -> tuple[PublishedScore, list[ReaderDifference]]:
    """Score one set as the published scripts do, and list the texts that the two readers read differently."""
    if rule is None:
        return _no_published_score("there is no published rule for this set", 0, 0, 0, 0), []
    outputs = [first_key_label(row.output, rule.output_keys) for row in rows]
    references = [first_key_label(row.reference, rule.reference_keys) for row in rows]
    differences = list(_differences(rows, outputs, references, rule.default_label))
    kept_outputs = [
        output or rule.default_label
        for output, reference in zip(outputs, references, strict=True)
        if reference is not None or not rule.drop_output_too
    ]
    kept_references = [label for label in references if label is not None]
    result = _published_score(kept_references, kept_outputs, outputs.count(None), len(differences))
    return result, differences


def _published_score(
    references: Sequence[str], outputs: Sequence[str], n_defaulted: int, n_differences: int
) -> PublishedScore:
    sizes = (len(references), len(outputs), n_defaulted, n_differences)
    if len(references) != len(outputs):
        reason = f"its lists differ in length: {len(references)} references, {len(outputs)} outputs"
        return _no_published_score(reason, *sizes)
    if not references:
        return _no_published_score("it reads none of the references", *sizes)
    labels = sorted({*references, *outputs})
    counts = confusion_counts(
        [labels.index(label) for label in references],
        [labels.index(label) for label in outputs],
        (len(labels), len(labels)),
    )
    return PublishedScore(
        weighted_f1=round_score(float(weighted_f1(counts))),
        accuracy=round_score(accuracy(counts)),
        reason=None,
        n_references=len(references),
        n_outputs=len(outputs),
        n_defaulted=n_defaulted,
        n_differences=n_differences,
    )


def _no_published_score(
    reason: str, n_references: int, n_outputs: int, n_defaulted: int, n_differences: int
) -> PublishedScore:
    return PublishedScore(
        weighted_f1=None,
        accuracy=None,
        reason=reason,
        n_references=n_references,
        n_outputs=n_outputs,
        n_defaulted=n_defaulted,
        n_differences=n_differences,
    )


def _differences(
    rows: Sequence[ScoredOutput],
    outputs: Sequence[str | None],
    references: Sequence[str | None],
    default_label: str,
) -> Iterator[ReaderDifference]:
    for row, output, reference in zip(rows, outputs, references, strict=True):
        scored = row.scored_row
        if reference != scored.gold:
            yield _difference(row, "reference", scored.gold, reference)
        ours = scored.predicted or scored.status
        if ours != (output or default_label):
            yield _difference(row, "output", ours, output or default_label, defaulted=output is None)


def _difference(
    row: ScoredOutput,
    source: Literal["reference", "output"],
    ours: str,
    published: str | None,
    *,
    defaulted: bool = False,
) -> ReaderDifference:
    return ReaderDifference(
        set=row.scored_row.set,
        file=row.file,
        row=row.row,
        id=row.scored_row.example_id,
        source=source,
        ours=ours,
        published=published,
        defaulted=defaulted,
    )
