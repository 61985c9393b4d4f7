"""Labels of the release's references against those of the sets' own files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from mentallama.metrics.bootstrap import mean_interval
from mentallama.records import SPLITS
from mentallama.reproduce.claims import ClaimFinding, PaperClaim, judge, not_possible
from mentallama.reproduce.inputs import ReproductionInputs
from mentallama.reproduce.release_data import Part, ReferenceRow, ReleaseData, missing_file

MIN_COVERAGE = 0.5
"""Share of a set's rows whose upstream label is known, below which the others could turn the result."""
HIGH_AGREEMENT = 90.0
"""Percentage of agreement that the paper counts sets by."""


def check_teacher_agreement(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Number of sets with high agreement. Sets that cannot be compared are unknown, and may be either."""
    data = inputs.data
    known: dict[str, float] = {}
    for name in data.tasks:
        pairs = compared_rows(data, name, SPLITS)
        if pairs:
            known[name] = 100 * sum(same for _, same in pairs) / len(pairs)
    high = [name for name, percent in known.items() if percent > HIGH_AGREEMENT]
    unknown = [name for name, task in data.tasks.items() if task.published_rows and name not in known]
    listed = ", ".join(f"{name} {percent:.1f} %" for name, percent in known.items())
    for subject, published in claim.values.items():
        if len(high) < published <= len(high) + len(unknown):
            cause = f"labels of {', '.join(unknown)} cannot be compared; {listed or 'no set can'}"
            yield not_possible(claim, subject, cause)
        else:
            yield judge(claim, subject, len(high), cause=listed)


def check_label_drift(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Share of test rows whose reference has another label than the set's own file."""
    data = inputs.data
    for name in claim.values:
        pairs = compared_rows(data, name, ("test",))
        if not pairs:
            missing = data.missing_sources(name) or ["the upstream labels of these posts"]
            cause = (
                missing_file("test") if data.rows(name, "test") is None else f"missing: {', '.join(missing)}"
            )
            yield not_possible(claim, name, cause)
            continue
        differs = [100.0 * (not same) for _, same in pairs]
        interval = mean_interval(differs, [key for key, _ in pairs], inputs.resampling)
        share = sum(differs) / len(differs)
        yield judge(claim, name, round(share, 2), interval=interval, cause=f"{len(pairs):,} rows compared")


def compared_rows(data: ReleaseData, name: str, parts: tuple[Part, ...]) -> list[tuple[str, bool]]:
    """The post's key and whether the labels are equal, of the rows that have one label upstream.

    Empty if these are too few of the set's rows (`MIN_COVERAGE`).
    """
    upstream = _upstream_labels(data, name)
    rows = [row for part in parts for row in data.rows(name, part) or () if row.label is not None]
    pairs = [(row.key, row.label in labels) for row in rows if len(labels := _labels_of(row, upstream)) == 1]
    return pairs if len(pairs) >= MIN_COVERAGE * len(rows) else []


def _labels_of(row: ReferenceRow, upstream: Mapping[tuple[str, str], set[str]]) -> set[str]:
    return upstream.get((row.question, row.key), set())


def _upstream_labels(data: ReleaseData, name: str) -> Mapping[tuple[str, str], set[str]]:
    """Labels by question and key of the post; copies of a post may have several."""
    labels: dict[tuple[str, str], set[str]] = defaultdict(set)
    for post, key in zip(data.upstream.get(name, ()), data.upstream_keys.get(name, ()), strict=True):
        for question, label in post.labels.items():
            labels[question, key].add(label)
    return labels
