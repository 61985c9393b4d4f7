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
from mentallama.metrics.classification import accuracy, rounded, weighted_f1
from mentallama.records import Example, Record


class Rule(Record):
    """Keys in the order in which they are looked for, for one or several sets."""

    sets: tuple[str, ...]
    outputs: dict[str, str]
    goldens: dict[str, str]
    otherwise: str
    drop_pair: bool = False


class Answered(Record):
    """One row as it was scored, with the texts the published reader looks at, and the question as it was asked."""

    file: str
    row: int
    golden: str
    output: str
    example: Example
    scored: ScoredRow


class Published(Record):
    """What the published scripts would have said of one set; scores in percent.

    `weighted_f1` and `accuracy` are None where they yield none, and `reason` says why.
    """

    weighted_f1: float | None
    accuracy: float | None
    reason: str | None
    goldens: int
    outputs: int
    by_default: int
    """Outputs in which no key was found, counted as the negative or last class."""
    differ: int
    """Places where the two readers differ: `readers_differ.json` lists them."""


class Difference(Record):
    """A row that the two readers see differently; None for a golden that the published one drops."""

    set: str
    file: str
    row: int
    id: str
    text: str
    """Which text of the row: "golden" or "output"."""
    ours: str
    """A label, or unread, refused or cut."""
    published: str | None
    by_default: bool


@cache
def rules() -> Mapping[str, Rule]:
    """The published rule of each set."""
    text = (files("mentallama.evaluate") / "published_reader.yaml").read_text(encoding="utf-8")
    table = [Rule.model_validate(rule) for rule in yaml.safe_load(text)["rules"]]
    return {name: rule for rule in table for name in rule.sets}


def first_key(text: str, keys: Mapping[str, str]) -> str | None:
    """The label of the first key that stands anywhere in the text before "Reasoning:".

    >>> first_key("I cannot tell. Reasoning: yes", {"yes": "yes", "no": "no"})
    'no'
    """
    answer = text.partition("Reasoning:")[0].lower()
    return next((label for key, label in keys.items() if key in answer), None)


def score_as_published(rows: Sequence[Answered], rule: Rule | None) -> tuple[Published, list[Difference]]:
    """Score one set the published way and list where the two readers differ."""
    if rule is None:
        return _no_score("there is no published rule for this set", 0, 0, 0, 0), []
    outputs = [first_key(row.output, rule.outputs) for row in rows]
    goldens = [first_key(row.golden, rule.goldens) for row in rows]
    differences = list(_differences(rows, outputs, goldens, rule.otherwise))
    kept_outputs = [
        label or rule.otherwise
        for label, golden in zip(outputs, goldens, strict=True)
        if golden is not None or not rule.drop_pair
    ]
    kept_goldens = [label for label in goldens if label is not None]
    result = _compare(kept_goldens, kept_outputs, outputs.count(None), len(differences))
    return result, differences


def _compare(goldens: Sequence[str], outputs: Sequence[str], by_default: int, differ: int) -> Published:
    sizes = (len(goldens), len(outputs), by_default, differ)
    if len(goldens) != len(outputs):
        reason = f"its lists differ in length: {len(goldens)} goldens, {len(outputs)} outputs"
        return _no_score(reason, *sizes)
    if not goldens:
        return _no_score("it reads none of the goldens", *sizes)
    labels = sorted({*goldens, *outputs})
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, ([labels.index(x) for x in goldens], [labels.index(x) for x in outputs]), 1)
    return Published(
        weighted_f1=rounded(float(weighted_f1(counts))),
        accuracy=rounded(accuracy(counts)),
        reason=None,
        goldens=sizes[0],
        outputs=sizes[1],
        by_default=by_default,
        differ=differ,
    )


def _no_score(reason: str, goldens: int, outputs: int, by_default: int, differ: int) -> Published:
    return Published(
        weighted_f1=None,
        accuracy=None,
        reason=reason,
        goldens=goldens,
        outputs=outputs,
        by_default=by_default,
        differ=differ,
    )


def _differences(
    rows: Sequence[Answered], outputs: Sequence[str | None], goldens: Sequence[str | None], otherwise: str
) -> Iterable[Difference]:
    for row, output, golden in zip(rows, outputs, goldens, strict=True):
        if golden != row.scored.gold:
            yield _difference(row, "golden", row.scored.gold, golden, by_default=False)
        ours = row.scored.predicted or row.scored.status
        if ours != (output or otherwise):
            yield _difference(row, "output", ours, output or otherwise, by_default=output is None)


def _difference(row: Answered, text: str, ours: str, published: str | None, by_default: bool) -> Difference:
    return Difference(
        set=row.scored.set,
        file=row.file,
        row=row.row,
        id=row.scored.example_id,
        text=text,
        ours=ours,
        published=published,
        by_default=by_default,
    )
