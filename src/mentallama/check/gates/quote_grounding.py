"""Gate: what the explanation quotes is in the post (`answers.quotations`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

from mentallama.answers.quotations import UNGROUNDED_KINDS, mark_other_post_quotes, match_quotes
from mentallama.check.response_rows import ResponseRow
from mentallama.records import Verdict
from mentallama.tasks.answer_values import value_quotations
from mentallama.text.quote_matching import find_quote

GATE = "quote_grounding"


def check_quote_grounding(
    row: ResponseRow, threshold: float, other_post_quotes: Container[str] = frozenset()
) -> Verdict:
    """Pass a row if at most `threshold` of its quotations, not counting terms, are absent from the post.

    Parameters
    ----------
    threshold
        Maximum share, 0-1.
    other_post_quotes
        Quotations that are in other posts, from `find_in_other_posts`. They change the reason only, not the share.

    Returns
    -------
    Verdict
        The score is the share of absent quotations; None if the explanation quotes nothing, which passes. An answer of
        the kind spans fails if one of its own quotations is absent.
    """
    if row.task.kind == "spans" and row.reading.label is not None:
        answer = [quotation.text for quotation in value_quotations(row.task, row.reading.label)]
        if missing := sum(find_quote(row.post.text, text) is None for text in answer):
            reason = f"{missing} of {len(answer)} quotations of the answer not in the post"
            return row.verdict(GATE, reason, missing / len(answer))
    matches = match_quotes(row.post.text, row.quotes, row.task)
    kinds = Counter(quote.kind for quote in mark_other_post_quotes(row.quotes, matches, other_post_quotes))
    n_counted = kinds.total() - kinds["term"]
    n_absent = sum(kinds[kind] for kind in UNGROUNDED_KINDS)
    if not n_counted:
        return row.verdict(GATE)
    if n_absent / n_counted <= threshold:
        return row.verdict(GATE, score=n_absent / n_counted)
    other = f", {kinds['other_post']} of them in another post" if kinds["other_post"] else ""
    reason = f"{n_absent} of {n_counted} quotations not in the post{other}"
    return row.verdict(GATE, reason, n_absent / n_counted)
