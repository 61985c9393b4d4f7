"""The published scripts' way of reading answers, side by side with ours (FACTS 7).

Kept to make published numbers comparable, not because it is right: it takes "cannot tell" for no,
"yesterday" for yes and an empty answer for the negative class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import yaml

from mentallama.evaluate.score_row import ScoredRow
from mentallama.metrics.classification import accuracy, round_score, weighted_f1
from mentallama.records import Example, Record


class PublishedRule(Record):
    """Keys in the order in which they are looked for, for one or several sets."""

    sets: tuple[str, ...]
    output_keys: dict[str, str]
    reference_keys: dict[str, str]
    default_label: str
    drop_output_too: bool = False


class ScoredOutput(Record):
    """One row as it was scored, with the texts the published reader looks at, and the question as it was asked."""

    file: str
    row: int
    reference: str
    output: str
    example: Example
    scored_row: ScoredRow


class PublishedScore(Record):
    """What the published scripts would have said of one set; scores in percent.

    `weighted_f1` and `accuracy` are None where they yield none, and `reason` says why.
    """

    weighted_f1: float | None
    accuracy: float | None
    reason: str | None
    n_references: int
    n_outputs: int
    n_defaulted: int
    """Outputs in which no key was found, counted as the negative or last class."""
    n_differences: int
    """Places where the two readers differ: `readers_differ.json` lists them."""


class ReaderDifference(Record):
    """A row that the two readers see differently; None for a golden that the published one drops."""

    set: str
    file: str
    row: int
    id: str
    source: str
    """Which text of the row: "golden" or "output"."""
    ours: str
    """A label, or unparsed, refused or truncated."""
    published: str | None
    defaulted: bool


@cache
def load_published_rules() -> Mapping[str, PublishedRule]:
    """The published rule of each set."""
    text = (files("mentallama.evaluate") / "published_reader.yaml").read_text(encoding="utf-8")
    table = [PublishedRule.model_validate(rule) for rule in yaml.safe_load(text)["rules"]]
    return {name: rule for rule in table for name in rule.sets}


def first_key_label(text: str, keys: Mapping[str, str]) -> str | None:
    """The label of the first key that stands anywhere in the text before "Reasoning:".

    >>> first_key("I cannot tell. Reasoning: yes", {"yes": "yes", "no": "no"})
    'no'
    """
    answer = text.partition("Reasoning:")[0].lower()
    return next((label for key, label in keys.items() if key in answer), None)


def score_as_published(
    rows: Sequence[ScoredOutput], rule: PublishedRule | None
) -> tuple[PublishedScore, list[ReaderDifference]]:
    """Score one set the published way and list where the two readers differ."""
    if rule is None:
        return _no_published_score("there is no published rule for this set", 0, 0, 0, 0), []
    outputs = [first_key_label(row.output, rule.output_keys) for row in rows]
    goldens = [first_key_label(row.reference, rule.reference_keys) for row in rows]
    differences = list(_differences(rows, outputs, goldens, rule.default_label))
    kept_outputs = [
        label or rule.default_label
        for label, golden in zip(outputs, goldens, strict=True)
        if golden is not None or not rule.drop_output_too
    ]
    kept_goldens = [label for label in goldens if label is not None]
    result = _published_score(kept_goldens, kept_outputs, outputs.count(None), len(differences))
    return result, differences


def _published_score(
    goldens: Sequence[str], outputs: Sequence[str], by_default: int, differ: int
) -> PublishedScore:
    sizes = (len(goldens), len(outputs), by_default, differ)
    if len(goldens) != len(outputs):
        reason = f"its lists differ in length: {len(goldens)} goldens, {len(outputs)} outputs"
        return _no_published_score(reason, *sizes)
    if not goldens:
        return _no_published_score("it reads none of the goldens", *sizes)
    labels = sorted({*goldens, *outputs})
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, ([labels.index(x) for x in goldens], [labels.index(x) for x in outputs]), 1)
    return PublishedScore(
        weighted_f1=round_score(float(weighted_f1(counts))),
        accuracy=round_score(accuracy(counts)),
        reason=None,
        n_references=sizes[0],
        n_outputs=sizes[1],
        n_defaulted=by_default,
        n_differences=differ,
    )


def _no_published_score(
    reason: str, goldens: int, outputs: int, by_default: int, differ: int
) -> PublishedScore:
    return PublishedScore(
        weighted_f1=None,
        accuracy=None,
        reason=reason,
        n_references=goldens,
        n_outputs=outputs,
        n_defaulted=by_default,
        n_differences=differ,
    )


def _differences(
    rows: Sequence[ScoredOutput], outputs: Sequence[str | None], goldens: Sequence[str | None], otherwise: str
) -> Iterable[ReaderDifference]:
    for row, output, golden in zip(rows, outputs, goldens, strict=True):
        if golden != row.scored_row.gold:
            yield _difference(row, "golden", row.scored_row.gold, golden, by_default=False)
        ours = row.scored_row.predicted or row.scored_row.status
        if ours != (output or otherwise):
            yield _difference(row, "output", ours, output or otherwise, by_default=output is None)


def _difference(
    row: ScoredOutput, text: str, ours: str, published: str | None, by_default: bool
) -> ReaderDifference:
    return ReaderDifference(
        set=row.scored_row.set,
        file=row.file,
        row=row.row,
        id=row.scored_row.example_id,
        source=text,
        ours=ours,
        published=published,
        defaulted=by_default,
    )
