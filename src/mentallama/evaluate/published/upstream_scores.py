"""Scores of the same answers against the release's labels and against upstream labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mentallama.evaluate.scores import ScoredRow, counts_by_post, weighted_f1_of
from mentallama.metrics.bootstrap import Interval, Resampling, bootstrap_distribution, percentile_interval
from mentallama.metrics.classification import ConfusionCounts, round_interval, round_score
from mentallama.records import Record
from mentallama.tasks import Task


class UpstreamScores(Record):
    """The same answers against the release's labels and against upstream labels, on the rows that have both.

    `differ` of the `rows` have different labels. Weighted F1 is in percent; `difference` is that against upstream
    labels minus that against the release's. Intervals are None with fewer than two posts.
    """

    rows: int
    posts: int
    differ: int
    release_f1: float
    release_interval: Interval | None
    upstream_f1: float
    upstream_interval: Interval | None
    difference: float
    difference_interval: Interval | None


def score_against_upstream(
    rows: Sequence[ScoredRow],
    upstream: Mapping[tuple[str, str], str],
    task: Task,
    resampling: Resampling,
) -> UpstreamScores | None:
    """Score one set's rows against both labels; None if no row has an upstream label.

    Parameters
    ----------
    upstream
        (post id, question) -> upstream label, as scored rows hold it.
    """
    release = [row for row in rows if (row.post_id, row.question) in upstream]
    if not release:
        return None
    other = [row.model_copy(update={"gold": upstream[row.post_id, row.question]}) for row in release]
    counts = np.stack([counts_by_post(part, task) for part in (release, other)], axis=1)
    f1 = weighted_f1_of(task)

    def both(sums: ConfusionCounts) -> NDArray[np.float64]:
        scores = f1(sums)
        return np.stack([scores[:, 0], scores[:, 1], scores[:, 1] - scores[:, 0]], axis=1)

    release_f1, upstream_f1, difference = both(counts.sum(axis=0, keepdims=True))[0].tolist()
    distribution = bootstrap_distribution(counts, both, resampling)
    values = np.full((1, 3), np.nan) if distribution is None else distribution.values
    intervals = [percentile_interval(column, resampling.confidence, len(counts)) for column in values.T]
    return UpstreamScores(
        rows=len(release),
        posts=len(counts),
        differ=sum(one.gold != two.gold for one, two in zip(release, other, strict=True)),
        release_f1=round_score(release_f1),
        release_interval=round_interval(intervals[0]),
        upstream_f1=round_score(upstream_f1),
        upstream_interval=round_interval(intervals[1]),
        difference=round_score(difference),
        difference_interval=round_interval(intervals[2]),
    )
