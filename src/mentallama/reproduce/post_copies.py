"""Test posts that also stand in training data, where a model can learn them by heart."""

from __future__ import annotations

from collections.abc import Iterator

from mentallama.metrics.bootstrap import mean_interval
from mentallama.reproduce.claims import ClaimFinding, PaperClaim, judge, not_possible
from mentallama.reproduce.inputs import ReproductionInputs
from mentallama.reproduce.release_data import ReleaseData, missing_file


def check_copies_in_training(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Share of a set's test posts with a copy in upstream training data; a subject is "SET in SET or SET"."""
    data = inputs.data
    for subject in claim.values:
        test, _, others = subject.partition(" in ")
        sets = others.split(" or ")
        rows = data.rows(test, "test")
        without = [name for name in sets if not _training_keys(data, name)]
        if not rows or without:
            missing = [file for name in without for file in data.missing_sources(name)]
            cause = missing_file("test") if not rows else f"missing: {', '.join(missing)}"
            yield not_possible(claim, subject, cause)
            continue
        posts = list(dict.fromkeys(row.key for row in rows))
        training = frozenset[str]().union(*(_training_keys(data, name) for name in sets))
        missing = sorted({file for name in sets for file in data.missing_sources(name)})
        copied = [100.0 * (post in training) for post in posts]
        yield judge(
            claim,
            subject,
            round(sum(copied) / len(copied), 2),
            interval=mean_interval(copied, posts, inputs.resampling),
            cause=f"{round(sum(copied) / 100):,} of {len(posts):,} posts"
            + (f"; missing: {', '.join(missing)}" if missing else ""),
        )


def _training_keys(data: ReleaseData, name: str) -> frozenset[str]:
    """Keys of the upstream posts of a set that are not in its test or validation file."""
    posts, keys = data.upstream.get(name, ()), data.upstream_keys.get(name, ())
    return frozenset(
        key for post, key in zip(posts, keys, strict=True) if post.split not in {"test", "validation"}
    )
