"""Evidence: whether what an explanation quotes stands in its post."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mentallama.answers.quotations import (
    GROUNDED_KINDS,
    QuoteMatchKind,
    find_in_other_posts,
    mark_other_post_quotes,
    match_quotes,
    missing_quotes,
)
from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    MetricOptions,
    ScoreColumn,
    unscored,
)
from mentallama.text.quote_extraction import extract_quotes

QUOTES_IN_POST = "quotes_in_post"
"""Share of an explanation's quotations that stand in its post."""
NO_QUOTATION = "no quotation"

_COLUMN_BY_KIND: dict[QuoteMatchKind, ScoreColumn] = {
    "exact": ScoreColumn("quotes_exact", "exact quotes", in_terminal=False),
    "similar": ScoreColumn("quotes_similar", "near quotes", direction=0, in_terminal=False),
    "spliced": ScoreColumn("quotes_spliced", "spliced quotes", direction=0, in_terminal=False),
    "other_post": ScoreColumn(
        "quotes_other_post", "quotes from other posts", direction=-1, in_terminal=False
    ),
    "not_found": ScoreColumn("quotes_not_found", "invented quotes", direction=-1),
}
EVIDENCE_COLUMNS = (ScoreColumn(QUOTES_IN_POST, "quotes in the post"), *_COLUMN_BY_KIND.values())


class QuotedEvidence(ExplanationMetric):
    """Shares of an explanation's quotations, in percent, by where they stand (`answers.quotations`).

    Exact, near and spliced quotations are in the post and add up to `quotes_in_post`; with those from other posts and
    the invented ones they add up to 100. Words of the question and of its answers in quotation marks are no evidence
    and are left out. An explanation that quotes nothing is unscored.
    """

    name = "evidence"

    def __init__(self, options: MetricOptions) -> None:
        self._options = options

    @classmethod
    def load(cls, location: str, options: MetricOptions) -> QuotedEvidence:
        del location
        return cls(options)

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        quotes = [extract_quotes("", case.explanation) for case in cases]
        matches = [
            match_quotes(case.example.text, quoted, self._options.tasks[case.example.task])
            for case, quoted in zip(cases, quotes, strict=True)
        ]
        missing = {
            quote
            for quoted, found in zip(quotes, matches, strict=True)
            for quote in missing_quotes(quoted, found)
        }
        elsewhere = find_in_other_posts(missing, self._options.post_texts()) if missing else frozenset()
        return [
            quotation_shares([match.kind for match in mark_other_post_quotes(quoted, found, elsewhere)])
            for quoted, found in zip(quotes, matches, strict=True)
        ]


def quotation_shares(kinds: Sequence[QuoteMatchKind]) -> CaseScore:
    """The score of an explanation with quotations of these kinds."""
    counts = Counter(kind for kind in kinds if kind in _COLUMN_BY_KIND)
    if not counts:
        return unscored(NO_QUOTATION)
    total = counts.total()
    in_post = sum(counts[kind] for kind in GROUNDED_KINDS)
    shares = {column.name: 100 * counts[kind] / total for kind, column in _COLUMN_BY_KIND.items()}
    return CaseScore(values={QUOTES_IN_POST: 100 * in_post / total, **shares})
