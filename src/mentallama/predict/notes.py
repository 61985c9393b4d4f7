"""Lines about a finished run of predict: answers without a label, failed calls, counts of the analyst, and cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mentallama.llm_api.limits.failure_watch import describe_failures
from mentallama.predict.run import PredictSummary


def summary_notes(summary: PredictSummary, listing: Path) -> Iterator[str]:
    """A line if answers have no label, if calls failed, if the analyst reports counts, such as truncated posts, and
    if calls have a price."""
    yield from unlabelled_notes(summary.answers)
    yield from sample_notes(summary)
    if summary.failed:
        yield (
            f"note: predict: {sum(summary.failed.values())} failed ({describe_failures(summary.failed)}); all are "
            f"listed in {listing}, and the same command with --retry retries them"
        )
    if summary.counts:
        counts = ", ".join(
            f"{count} {name.replace('_', ' ')}" for name, count in sorted(summary.counts.items())
        )
        yield f"note: predict: {counts}"
    yield from cost_notes(summary.cost)


def sample_notes(summary: PredictSummary) -> Iterator[str]:
    """A line for each split of which only a sample of rows was asked."""
    for split, sizes in summary.sampled.items():
        rows = ", ".join(f"{name} {size.rows:,} of {size.of:,}" for name, size in sorted(sizes.items()))
        yield f"note: predict: a random sample of the {split} rows was asked: {rows}"


def unlabelled_notes(answers: Mapping[str, int], hint: str = "") -> Iterator[str]:
    """A line if answers, counted by status, have no label; `hint` ends it."""
    without = {status: count for status, count in sorted(answers.items()) if status != "parsed" and count}
    if without:
        counts = ", ".join(f"{count:,} {status}" for status, count in without.items())
        total = sum(answers.values())
        yield f"note: predict: {sum(without.values()):,} of {total:,} answers have no label ({counts}){hint}"


def cost_notes(cost: float | None) -> Iterator[str]:
    """A line if calls have a price."""
    if cost is not None:
        yield f"predict: the calls cost {cost:.6g}, in the currency of the prices"
