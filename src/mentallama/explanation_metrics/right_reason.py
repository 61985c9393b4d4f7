"""Right label for a right reason: the share of all answers that are right, consistent and supported by the post.

It is computed from the values that other metrics gave a row, so it reads no explanation itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mentallama.explanation_metrics.base import ExplanationRow
from mentallama.explanation_metrics.evidence import NO_QUOTATION, QUOTES_IN_POST
from mentallama.explanation_metrics.label_consistency import LABEL_CONSISTENCY
from mentallama.metrics.bootstrap import Resampling, mean_interval
from mentallama.metrics.classification import percent, round_score
from mentallama.records import Record

REQUIRED_COLUMNS = frozenset((QUOTES_IN_POST, LABEL_CONSISTENCY))
"""Columns without which nothing can be said about reasons."""


class RightReasonScore(Record):
    """The share of answers with the right label for a right reason; shares in percent of `n` answers.

    An answer counts if its label is the gold label, its explanation alone implies that label, and the explanation
    quotes the post and nothing else. One that quotes nothing does not count, because nothing in it can be looked up;
    `unquoted` says how many miss the share for this alone. Refused, unparsed and unexplained answers do not count
    either. Answers whose consistency could not be decided are left out of `n`, whatever their label. The shares are
    None where no answer is left, or where nothing but answers without an explanation is left of a set that has others.
    """

    n: int
    undecided: int
    """Answers with an explanation whose consistency could not be decided."""
    share: float | None
    """Right, consistent and supported."""
    interval: tuple[float, float] | None
    """95 % bootstrap interval of `share` over posts; None with fewer than two posts."""
    right: float | None
    """Right label."""
    consistent: float | None
    """Right label, and an explanation that implies it."""
    unquoted: float | None
    """Right and consistent, but without a quotation that could support it."""


def has_right_reason(row: ExplanationRow) -> bool | None:
    """Whether an answer is right for a right reason; None if its consistency could not be decided."""
    return None if _is_undecided(row) else _is_consistent(row) and row.values.get(QUOTES_IN_POST) == 100.0


def _is_undecided(row: ExplanationRow) -> bool:
    """Whether it has a label and an explanation, but no metric says whether they agree."""
    return row.absence is None and row.predicted is not None and LABEL_CONSISTENCY not in row.values


def _is_right(row: ExplanationRow) -> bool:
    return row.predicted is not None and row.predicted == row.gold


def _is_consistent(row: ExplanationRow) -> bool:
    """Whether the label is right and the explanation implies it."""
    return _is_right(row) and row.values.get(LABEL_CONSISTENCY) == 100.0


def _is_unquoted(row: ExplanationRow) -> bool:
    """Whether it is consistent and quotes nothing."""
    return _is_consistent(row) and row.unscored.get("evidence") == NO_QUOTATION


def right_reason_score(rows: Sequence[ExplanationRow], resampling: Resampling) -> RightReasonScore:
    """The score of one set's answers."""
    decided = [row for row in rows if not _is_undecided(row)]
    undecided = len(rows) - len(decided)
    if undecided and all(row.absence is not None for row in decided):
        decided = []
    supported = [has_right_reason(row) is True for row in decided]
    interval = mean_interval(
        [100.0 * each for each in supported], [row.post_id for row in decided], resampling
    )

    def share(test: Callable[[ExplanationRow], bool]) -> float | None:
        return percent(sum(map(test, decided)), len(decided))

    return RightReasonScore(
        n=len(decided),
        undecided=undecided,
        share=percent(sum(supported), len(decided)),
        interval=None if interval is None else (round_score(interval[0]), round_score(interval[1])),
        right=share(_is_right),
        consistent=share(_is_consistent),
        unquoted=share(_is_unquoted),
    )
