"""Right label for a right reason: the share of all answers that are right, consistent and supported by the post.

It is computed from the values that other metrics gave a row, so it needs no explanation of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mentallama.explanation_metrics.evidence import NO_QUOTATION, QUOTES_IN_POST
from mentallama.explanation_metrics.label_consistency import LABEL_CONSISTENCY
from mentallama.metrics.bootstrap import Resampling, mean_interval
from mentallama.metrics.classification import percent, round_score
from mentallama.records import Record

REQUIRED_METRICS = frozenset(("evidence", "label_consistency"))
"""Metrics without which there is no right reason to speak of."""


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


class ReasonedAnswer(NamedTuple):
    """An answer, and what the metrics found about its explanation.

    `absence`: why there is no explanation, if there is none. `values` and `unscored` are as in `ExplanationRow`.
    """

    post_id: str
    correct: bool
    absence: str | None
    values: Mapping[str, float]
    unscored: Mapping[str, str]

    @property
    def undecided(self) -> bool:
        """Whether it has an explanation, and a label, but no metric says whether they agree."""
        return self.absence is None and LABEL_CONSISTENCY not in self.values

    @property
    def consistent(self) -> bool:
        """Whether the label is right and the explanation implies it."""
        return self.correct and self.values.get(LABEL_CONSISTENCY) == 100.0

    @property
    def supported(self) -> bool:
        """Whether it is consistent and quotes the post and nothing else."""
        return self.consistent and self.values.get(QUOTES_IN_POST) == 100.0

    @property
    def unquoted(self) -> bool:
        """Whether it is consistent and quotes nothing."""
        return self.consistent and self.unscored.get("evidence") == NO_QUOTATION


def right_reason_score(answers: Sequence[ReasonedAnswer], resampling: Resampling) -> RightReasonScore:
    """The score of one set's answers."""
    decided = [answer for answer in answers if not answer.undecided]
    undecided = len(answers) - len(decided)
    if undecided and all(answer.absence is not None for answer in decided):
        decided = []
    n = len(decided)
    interval = mean_interval(
        [100.0 * answer.supported for answer in decided], [answer.post_id for answer in decided], resampling
    )

    def share(count: int) -> float | None:
        return percent(count, n)

    return RightReasonScore(
        n=n,
        undecided=undecided,
        share=share(sum(answer.supported for answer in decided)),
        interval=None if interval is None else (round_score(interval[0]), round_score(interval[1])),
        right=share(sum(answer.correct for answer in decided)),
        consistent=share(sum(answer.consistent for answer in decided)),
        unquoted=share(sum(answer.unquoted for answer in decided)),
    )
