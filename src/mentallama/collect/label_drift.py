"""Label drift: published labels that differ from the post's label in the upstream file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from mentallama.collect.summary import LabelDrift
from mentallama.records import Post, Span, UpstreamLabels
from mentallama.text.quote_matching import find_quote


class LabelPair(NamedTuple):
    """The two labels of one question about post number `number`: of the release, and of the upstream file.

    `evidence` are the passages of the release's post that annotators marked upstream.
    """

    number: int
    set: str
    question: str
    published: str
    upstream: str
    evidence: tuple[Span, ...] = ()


def pair_labels(posts: Iterable[tuple[int, int, Post]]) -> list[LabelPair]:
    """Pair the labels of the release with upstream labels, by post and question.

    Parameters
    ----------
    posts
        Number, key hash and post, of sets that have both origins, in any order.

    Returns
    -------
    list of LabelPair
        In the order of the release's posts. Posts that have two different labels upstream are left out.
    """
    upstream: dict[tuple[str, str, int], set[str]] = {}
    marked: dict[tuple[str, str, int], dict[str, None]] = {}
    published: list[tuple[int, int, str, str, str, str]] = []
    for number, key, post in posts:
        for question, label in post.labels.items():
            if post.provenance.origin == "release":
                published.append((number, key, post.set, question, label, post.text))
                continue
            upstream.setdefault((post.set, question, key), set()).add(label)
            quotes = [post.text[span.start : span.end] for span in post.evidence.get(question, ())]
            if quotes:
                marked.setdefault((post.set, question, key), {}).update(dict.fromkeys(quotes))
    pairs = []
    for number, key, set_name, question, reference, text in published:
        labels = upstream.get((set_name, question, key), set())
        if len(labels) == 1:
            evidence = _located(text, marked.get((set_name, question, key), ()))
            pairs.append(LabelPair(number, set_name, question, reference, next(iter(labels)), evidence))
    return pairs


def _located(text: str, quotes: Iterable[str]) -> tuple[Span, ...]:
    """Passages of an upstream copy in the release's text, which may differ in white space and characters."""
    found = {span for quote in quotes if (span := find_quote(text, quote)) is not None}
    return tuple(sorted(found, key=lambda span: (span.start, span.end)))


def label_drift(pairs: Iterable[LabelPair]) -> list[LabelDrift]:
    """Count the pairs that differ; one item for each set and question."""
    rows: Counter[tuple[str, str]] = Counter()
    differing: dict[tuple[str, str], Counter[str]] = {}
    for pair in pairs:
        question = (pair.set, pair.question)
        rows[question] += 1
        if pair.upstream != pair.published:
            differing.setdefault(question, Counter())[f"{pair.upstream} → {pair.published}"] += 1
    return [
        _drift(set_name, question, count, differing.get((set_name, question), Counter()))
        for (set_name, question), count in rows.items()
    ]


def upstream_labels(pairs: Sequence[LabelPair], ids: Mapping[int, str]) -> Iterator[UpstreamLabels]:
    """Yield the upstream labels of the posts that have an id in `ids`, by their numbers."""
    for number, of_post in groupby(pairs, key=lambda pair: pair.number):
        if number in ids:
            listed = list(of_post)
            labels = {pair.question: pair.upstream for pair in listed}
            evidence = {pair.question: pair.evidence for pair in listed if pair.evidence}
            yield UpstreamLabels(post_id=ids[number], set=listed[0].set, labels=labels, evidence=evidence)


def _drift(set_name: str, question: str, rows: int, pairs: Counter[str]) -> LabelDrift:
    return LabelDrift(
        set=set_name,
        question=question,
        rows=rows,
        differ=pairs.total(),
        share=round(pairs.total() / rows, 4),
        pairs=dict(pairs.most_common()),
    )
