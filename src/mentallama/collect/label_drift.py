"""Where the published golden label is not the label of the upstream file the post came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mentallama.records import Post

Origin = str


def label_drift(posts: Iterable[tuple[int, Post]]) -> list[dict[str, object]]:
    """Compare labels of the release with those upstream, post by post.

    Parameters
    ----------
    posts
        Key hash and post, of sets that have both origins, in any order.

    Returns
    -------
    list
        A row a set and question: `rows` compared, `differ`, `share` (0-1), and `pairs`, how often each upstream
        label became which other golden label. Posts that stand upstream with two labels are not compared.
    """
    upstream: dict[tuple[str, str, int], set[str]] = {}
    goldens: list[tuple[str, str, int, str]] = []
    for key, post in posts:
        for question, label in post.labels.items():
            if post.provenance.origin == "release":
                goldens.append((post.set, question, key, label))
            else:
                upstream.setdefault((post.set, question, key), set()).add(label)
    rows: Counter[tuple[str, str]] = Counter()
    pairs: dict[tuple[str, str], Counter[str]] = {}
    for name, question, key, golden in goldens:
        labels = upstream.get((name, question, key), set())
        if len(labels) != 1:
            continue
        rows[name, question] += 1
        label = next(iter(labels))
        if label != golden:
            pairs.setdefault((name, question), Counter())[f"{label} → {golden}"] += 1
    return [
        _row(name, question, count, pairs.get((name, question), Counter()))
        for (name, question), count in rows.items()
    ]


def _row(name: str, question: str, rows: int, pairs: Counter[str]) -> dict[str, object]:
    differ = sum(pairs.values())
    return {
        "set": name,
        "question": question,
        "rows": rows,
        "differ": differ,
        "share": round(differ / rows, 4),
        "pairs": dict(pairs.most_common()),
    }
