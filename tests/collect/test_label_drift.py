"""Drift between published and upstream labels, worked by hand."""

from __future__ import annotations

from typing import Literal

from mentallama.collect.label_drift import label_drift, pair_labels, upstream_labels
from mentallama.collect.summary import LabelDrift
from mentallama.records import Post, Provenance, UpstreamLabels


def post(origin: Literal["release", "upstream", "table"], labels: dict[str, str], name: str = "Irf") -> Post:
    return Post(
        id="p", set=name, split="test", text="The bus is late.", labels=labels,
        provenance=Provenance(file="a.csv", row=2, origin=origin),
    )  # fmt: skip


def drift(posts: list[tuple[int, Post]]) -> list[LabelDrift]:
    """The drift of posts with their key hashes."""
    return label_drift(pair_labels((number, key, each) for number, (key, each) in enumerate(posts)))


def test_labels_that_differ_are_counted_by_question_and_pair() -> None:
    posts = [
        (1, post("release", {"a": "yes", "b": "no"})),
        (1, post("upstream", {"a": "no", "b": "no"})),
        (2, post("upstream", {"a": "no", "b": "yes"})),  # the order of the files does not matter
        (2, post("release", {"a": "yes", "b": "no"})),
        (3, post("release", {"a": "no"})),
        (3, post("upstream", {"a": "no"})),
        (4, post("release", {"a": "no"})),  # not upstream: not compared
    ]
    assert drift(posts) == [
        LabelDrift(set="Irf", question="a", rows=3, differ=2, share=0.6667, pairs={"no → yes": 2}),
        LabelDrift(set="Irf", question="b", rows=2, differ=1, share=0.5, pairs={"yes → no": 1}),
    ]


def test_a_post_with_two_upstream_labels_is_not_compared() -> None:
    posts = [
        (1, post("release", {"a": "yes"})),
        (1, post("upstream", {"a": "no"})),
        (1, post("upstream", {"a": "yes"})),
    ]
    assert drift(posts) == []
    posts[2] = (1, post("upstream", {"a": "no"}))  # twice with the same label is one label
    assert [row.differ for row in drift(posts)] == [1]


def test_the_same_text_in_another_set_is_another_post() -> None:
    assert drift([(1, post("release", {"a": "yes"})), (1, post("upstream", {"a": "no"}, "MultiWD"))]) == []


def test_every_published_row_counts_even_of_repeated_posts() -> None:
    posts = [(1, post("release", {"a": "yes"}))] * 2 + [(1, post("table", {"a": "no"}))]
    (row,) = drift(posts)
    assert (row.rows, row.differ, row.share) == (2, 2, 1.0)


def test_no_posts_no_rows() -> None:
    assert drift([]) == []


def test_upstream_labels_of_posts_with_an_id_are_kept() -> None:
    posts = [
        (0, 7, post("release", {"a": "yes", "b": "no", "c": "no"})),
        (1, 7, post("upstream", {"a": "no", "b": "no"})),
        (2, 7, post("release", {"a": "yes"})),  # a second copy of the text
        (3, 8, post("release", {"a": "yes"})),  # not among the kept posts
        (4, 8, post("upstream", {"a": "yes"})),
    ]
    assert list(upstream_labels(pair_labels(posts), {0: "first", 2: "second"})) == [
        UpstreamLabels(post_id="first", set="Irf", labels={"a": "no", "b": "no"}),
        UpstreamLabels(post_id="second", set="Irf", labels={"a": "no"}),
    ]
