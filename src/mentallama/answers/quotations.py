"""Where the quotations of an explanation stand: in the post, in another one, in the task's own wording, or nowhere.

A verbatim quotation takes about 10 microseconds. Only quotations that are not found verbatim go through the slower
matchers, which take up to a few milliseconds in a long post (rapidfuzz). Measured on the release: 0.1 ms per row.

Short quotations are looked up as well. Of the 2,206 quotations in the release's training and validation answers, 1,252
have one or two words, and of the 639 with one word only 8 are not in the post: exempting short ones as figures of
speech would leave more than half of the evidence unchecked to spare one row in a thousand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from functools import cache
from typing import Literal

from mentallama.records import FORMS, Record, Span
from mentallama.tasks import Task
from mentallama.text.pii import PII_KINDS
from mentallama.text.quote_matching import (
    is_contiguous,
    match_exact,
    match_fuzzy,
    match_gapped,
    match_normalized,
    match_spliced,
)
from mentallama.text.tokenize import word_tokens

QuoteMatchKind = Literal["exact", "similar", "spliced", "term", "other_post", "not_found"]
GROUNDED_KINDS: frozenset[QuoteMatchKind] = frozenset(("exact", "similar", "spliced"))
"""Kinds whose text is in the post."""
UNGROUNDED_KINDS: frozenset[QuoteMatchKind] = frozenset(("other_post", "not_found"))

MIN_OTHER_POST_WORDS = 4
"""Minimum number of words of a quotation that is searched for in other posts; shorter ones match by chance."""

MIN_TERM_LETTERS = 5
"""Minimum length of a part of a question or an answer that counts as a term; "the" and "show" are too common."""


class QuoteMatch(Record):
    """How one quotation matches its post; `spans` are offsets into the post's text.

    exact: verbatim. similar: up to case, spacing and punctuation, with an ellipsis, or with small changes. spliced:
    joined from several passages without an ellipsis. term: a word of the question or of its answers. other_post: only
    in another post of the data. not_found: in no post.
    """

    kind: QuoteMatchKind
    spans: tuple[Span, ...] = ()


def match_quotes(text: str, quotes: Iterable[str], task: Task) -> tuple[QuoteMatch, ...]:
    """Match each quotation against the text of its post, in order.

    Other posts are left to `mark_other_post_quotes`.
    """
    return tuple(_match_quote(text, quote, task) for quote in quotes)


def _match_quote(text: str, quote: str, task: Task) -> QuoteMatch:
    if spans := match_exact(text, quote):
        return QuoteMatch(kind="exact", spans=spans)
    spans = match_normalized(text, quote)
    if not spans and _is_task_term(quote, task):
        return QuoteMatch(kind="term")
    if spans := spans or match_gapped(text, quote):
        return QuoteMatch(kind="similar", spans=spans)
    if spans := match_spliced(text, quote):
        return QuoteMatch(kind="similar" if is_contiguous(text, spans) else "spliced", spans=spans)
    if spans := match_fuzzy(text, quote):
        return QuoteMatch(kind="similar", spans=spans)
    return QuoteMatch(kind="not_found")


def missing_quotes(quotes: Sequence[str], matches: Sequence[QuoteMatch]) -> tuple[str, ...]:
    """The quotations that are not in their own post."""
    return tuple(text for text, match in zip(quotes, matches, strict=True) if match.kind == "not_found")


def find_in_other_posts(quotes: Iterable[str], posts: Iterable[str]) -> frozenset[str]:
    """The quotations that occur in one of the posts word for word, ignoring case.

    Parameters
    ----------
    quotes
        Quotations that are missing from their own posts. Those of fewer than `MIN_OTHER_POST_WORDS` words are skipped.
    posts
        Texts of posts; read once, streaming.
    """
    by_opening: defaultdict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for quote in quotes:
        words = word_tokens(quote)
        if len(words) >= MIN_OTHER_POST_WORDS:
            by_opening[tuple(words[:MIN_OTHER_POST_WORDS])][quote] = _space_joined(words)
    matched_quotes: set[str] = set()
    for post in posts if by_opening else ():
        words = word_tokens(post)
        openings = {opening for opening in _opening_ngrams(words) if opening in by_opening}
        text = _space_joined(words) if openings else ""
        matched_quotes.update(
            quote
            for opening in openings
            for quote, quote_text in by_opening[opening].items()
            if quote_text in text
        )
    return frozenset(matched_quotes)


def mark_other_post_quotes(
    quotes: Sequence[str], matches: Sequence[QuoteMatch], other_post_quotes: Container[str]
) -> tuple[QuoteMatch, ...]:
    """The same matches, with `other_post` in place of `not_found` for quotations that are in another post."""
    return tuple(
        QuoteMatch(kind="other_post") if match.kind == "not_found" and text in other_post_quotes else match
        for text, match in zip(quotes, matches, strict=True)
    )


def _opening_ngrams(words: list[str]) -> Iterable[tuple[str, ...]]:
    return zip(*(words[offset:] for offset in range(MIN_OTHER_POST_WORDS)), strict=False)


def _space_joined(words: list[str]) -> str:
    return f" {' '.join(words)} "


def _is_task_term(quote: str, task: Task) -> bool:
    """Whether the quotation only names a label, a question, an answer or a placeholder."""
    words = [word.removesuffix("s") for word in word_tokens(quote)]
    text = _space_joined(words)
    if words and sum(map(len, words)) < MIN_TERM_LETTERS:
        return text in _task_terms(task)
    return any(text in term for term in _task_terms(task))


@cache
def _task_terms(task: Task) -> tuple[str, ...]:
    """The task's own wording, as texts padded with spaces so that any run of whole words is a substring.

    A trailing `s` is removed from every word, to ignore plurals.
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
