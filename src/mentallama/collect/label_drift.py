"""Label drift: published labels that differ from the post's label in the upstream file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mentallama.collect.summary import LabelDrift
from mentallama.records import Post


def label_drift(posts: Iterable[tuple[int, Post]]) -> list[LabelDrift]:
    """Compare labels of the release with upstream labels, post by post.

    Parameters
    ----------
    posts
        Key hash and post, of sets that have both origins, in any order.

    Returns
    -------
    list of LabelDrift
        One item for each set and question. Posts that have two different labels upstream are not compared.
    """
    upstream: dict[tuple[str, str, int], set[str]] = {}
    published: list[tuple[str, str, int, str]] = []
    for key, post in posts:
        for question, label in post.labels.items():
            if post.provenance.origin == "release":
                published.append((post.set, question, key, label))
            else:
                upstream.setdefault((post.set, question, key), set()).add(label)
    rows: Counter[tuple[str, str]] = Counter()
    pairs: dict[tuple[str, str], Counter[str]] = {}
    for set_name, question, key, reference in published:
        labels = upstream.get((set_name, question, key), set())
        if len(labels) != 1:
            continue
        rows[set_name, question] += 1
        label = next(iter(labels))
        if label != reference:
            pairs.setdefault((set_name, question), Counter())[f"{label} → {reference}"] += 1
    return [
        _drift(set_name, question, count, pairs.get((set_name, question), Counter()))
        for (set_name, question), count in rows.items()
    ]


def _drift(set_name: str, question: str, rows: int, pairs: Counter[str]) -> LabelDrift:
    return LabelDrift(
        set=set_name,
        question=question,
        rows=rows,
        differ=pairs.total(),
        share=round(pairs.total() / rows, 4),
        pairs=dict(pairs.most_common()),
    )
