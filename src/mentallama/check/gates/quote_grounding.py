"""Evidence: does what an explanation quotes stand in the post?

A quotation that the post says as it is costs some 10 microseconds; only what is not found so is looked for in the
dearer ways, up to some milliseconds in a long post (rapidfuzz). Measured on the release: 0.1 ms a row.

No length is exempt. Among the 2,206 quotations of the release's training and validation answers, 1,252 have one or two
words, and of the 639 of one word only 8 are not in the post: to let short ones pass as figures of speech would leave
more than half of the evidence unchecked to spare a row in a thousand.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from functools import cache
from typing import Literal

from mentallama.check.response_row import ResponseRow
from mentallama.records import FORMS, Post, Record, Span, Verdict
from mentallama.tasks import Task
from mentallama.text.pii import PII_KINDS
from mentallama.text.quote_matching import (
    is_contiguous,
    match_exact,
    match_fuzzy,
    match_gapped,
    match_normalised,
    match_spliced,
)
from mentallama.text.tokenize import word_tokens

QuoteMatchKind = Literal["exact", "similar", "spliced", "term", "other_post", "not_found"]
KINDS_OF_QUOTES: tuple[QuoteMatchKind, ...] = (
    "exact",
    "similar",
    "spliced",
    "term",
    "other_post",
    "not_found",
)
GROUNDED_KINDS: frozenset[QuoteMatchKind] = frozenset(("exact", "similar", "spliced"))
"""Kinds that the post bears out."""
UNGROUNDED_KINDS: frozenset[QuoteMatchKind] = frozenset(("other_post", "not_found"))

MIN_OTHER_POST_WORDS = 4
"""Words of the shortest quotation that is looked for in other posts; shorter ones stand somewhere by chance."""

MIN_TERM_LETTERS = 5
"""Letters of the shortest part of a question or an answer that is a term: "the" and "show" are anybody's words."""


class QuoteMatch(Record):
    """What one quotation of a row was found to be; `spans` are offsets into the row's post.

    exact: as written. similar: apart from case, spaces and marks, with an ellipsis, or with small changes. spliced: put
    together from several places without a sign of it. term: a word of the question or of its answers. other_post: in
    another post of the run only. not_found: in none.
    """

    kind: QuoteMatchKind
    spans: tuple[Span, ...] = ()


def match_quotes(row: ResponseRow) -> tuple[QuoteMatch, ...]:
    """What each of `row.quotes` is, in their order; `find_in_other_posts` is told apart by `mark_other_post_quotes` only."""
    return tuple(_match_quote(row.post.text, quote, row.task) for quote in row.quotes)


def _match_quote(text: str, quote: str, task: Task) -> QuoteMatch:
    if spans := match_exact(text, quote):
        return QuoteMatch(kind="exact", spans=spans)
    spans = match_normalised(text, quote)
    if not spans and _is_task_term(quote, task):
        return QuoteMatch(kind="term")
    if spans := spans or match_gapped(text, quote):
        return QuoteMatch(kind="similar", spans=spans)
    if spans := match_spliced(text, quote):
        return QuoteMatch(kind="similar" if is_contiguous(text, spans) else "spliced", spans=spans)
    if spans := match_fuzzy(text, quote):
        return QuoteMatch(kind="similar", spans=spans)
    return QuoteMatch(kind="not_found")


def check_quote_grounding(
    row: ResponseRow, threshold: float, other_post_quotes: Container[str] = frozenset()
) -> Verdict:
    """Pass a row where at most this share of its quotations, terms left out, stands nowhere in the post.

    Parameters
    ----------
    threshold
        0-1.
    borrowed
        Quotations that stand in other posts, as `find_in_other_posts` gives them. They only make the reason more telling:
        `find_in_other_posts` and `check_quote_grounding` weigh the same.

    Returns
    -------
    Verdict
        The score is the share; None where the explanation quotes nothing, which passes.
    """
    kinds = Counter(quote.kind for quote in mark_other_post_quotes(row, match_quotes(row), other_post_quotes))
    counted = kinds.total() - kinds["term"]
    lost = sum(kinds[kind] for kind in UNGROUNDED_KINDS)
    if not counted:
        return row.verdict("quote_grounding")
    if lost / counted <= threshold:
        return row.verdict("quote_grounding", score=lost / counted)
    other = f", {kinds['other_post']} of them in another post" if kinds["other_post"] else ""
    reason = f"{lost} of {counted} quotations not in the post{other}"
    return row.verdict("quote_grounding", reason, lost / counted)


def unplaced(row: ResponseRow, matches: Iterable[QuoteMatch]) -> tuple[str, ...]:
    """The quotations that stand nowhere in the row's own post."""
    return tuple(text for text, quote in zip(row.quotes, matches, strict=True) if quote.kind == "not_found")


def find_in_other_posts(quotes: Iterable[str], posts: Iterable[Post]) -> frozenset[str]:
    """Those of the quotations, each not in its own post, that stand in one of the posts, word by word in any case.

    Reads the posts once and holds the quotations only. Those of fewer than BORROWED words are never found.
    """
    waiting: defaultdict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for quote in quotes:
        words = word_tokens(quote)
        if len(words) >= MIN_OTHER_POST_WORDS:
            waiting[tuple(words[:MIN_OTHER_POST_WORDS])][quote] = _space_joined(words)
    found: set[str] = set()
    for post in posts if waiting else ():
        words = word_tokens(post.text)
        begun = {start for start in _opening_ngrams(words) if start in waiting}
        line = _space_joined(words) if begun else ""
        found.update(quote for start in begun for quote, wanted in waiting[start].items() if wanted in line)
    return frozenset(found)


def mark_other_post_quotes(
    row: ResponseRow, placed: tuple[QuoteMatch, ...], borrowed: Container[str]
) -> tuple[QuoteMatch, ...]:
    """The same quotations, with those that other posts hold told apart from the invented ones."""
    return tuple(
        QuoteMatch(kind="other_post") if quote.kind == "not_found" and text in borrowed else quote
        for text, quote in zip(row.quotes, placed, strict=True)
    )


def _opening_ngrams(words: list[str]) -> Iterable[tuple[str, ...]]:
    return zip(*(words[at:] for at in range(MIN_OTHER_POST_WORDS)), strict=False)


def _space_joined(words: list[str]) -> str:
    return f" {' '.join(words)} "


def _is_task_term(quote: str, task: Task) -> bool:
    """Whether the quotation only names a label, a question or an answer, or is a placeholder's word."""
    words = [word.removesuffix("s") for word in word_tokens(quote)]
    line = _space_joined(words)
    if words and sum(map(len, words)) < MIN_TERM_LETTERS:
        return line in _task_terms(task)
    return any(line in term for term in _task_terms(task))


@cache
def _task_terms(task: Task) -> tuple[str, ...]:
    """The task's own words, each text with spaces at its ends: a part of one, cut at words, is a term.

    A plural `s` does not count.
    """
    texts = [task.title, *PII_KINDS, "yes", "no", *task.questions, *task.labels]
    texts += [question.wording.for_form(form) for question in task.questions.values() for form in FORMS]
    texts += [label.answer.for_form(form) for label in task.labels.values() for form in FORMS]
    aliases = [alias for label in task.labels.values() for alias in (*label.aliases, *label.negated_aliases)]
    texts += [
        part
        for alias in aliases
        for part in alias.split("*")
        if part == alias or len(part) > MIN_TERM_LETTERS
    ]
    return tuple(
        dict.fromkeys(_space_joined([word.removesuffix("s") for word in word_tokens(text)]) for text in texts)
    )
