"""Drift between published and upstream labels, worked by hand."""

from __future__ import annotations

from typing import Literal

from mentallama.collect.label_drift import label_drift, pair_labels, upstream_labels
from mentallama.collect.summary import LabelDrift
from mentallama.records import Post, Provenance, Span, UpstreamLabels


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


def test_evidence_of_the_upstream_copy_is_located_in_the_release() -> None:
    ours = post("release", {"a": "yes", "b": "no"}).model_copy(update={"text": "So -  the bus is LATE."})
    theirs = post("upstream", {"a": "yes", "b": "no"}).model_copy(
        update={"evidence": {"a": (Span(start=4, end=15),)}}  # bus is late
    )
    pairs = pair_labels([(0, 1, ours), (1, 1, theirs)])
    (found,) = upstream_labels(pairs, {0: "id"})
    assert list(found.evidence) == ["a"]
    (span,) = found.evidence["a"]
    assert ours.text[span.start : span.end] == "bus is LATE"


def test_evidence_that_is_not_in_the_release_is_left_out() -> None:
    ours = post("release", {"a": "yes"}).model_copy(update={"text": "Something else."})
    theirs = post("upstream", {"a": "yes"}).model_copy(update={"evidence": {"a": (Span(start=4, end=15),)}})
    (found,) = upstream_labels(pair_labels([(0, 1, ours), (1, 1, theirs)]), {0: "id"})
    assert (found.labels, found.evidence) == ({"a": "yes"}, {})
