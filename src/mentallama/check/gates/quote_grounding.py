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

from mentallama.check.placing import apart_from_marks, exactly, is_one_place, nearly, pieces, with_gaps
from mentallama.check.response_row import Row
from mentallama.records import FORMS, Post, Record, Span, Verdict
from mentallama.tasks import Task
from mentallama.text.pii import KINDS
from mentallama.text.tokenize import tokens

Kind = Literal["exact", "near", "spliced", "term", "elsewhere", "invented"]
KINDS_OF_QUOTES: tuple[Kind, ...] = ("exact", "near", "spliced", "term", "elsewhere", "invented")
GROUNDED: frozenset[Kind] = frozenset(("exact", "near", "spliced"))
"""Kinds that the post bears out."""
UNGROUNDED: frozenset[Kind] = frozenset(("elsewhere", "invented"))

BORROWED = 4
"""Words of the shortest quotation that is looked for in other posts; shorter ones stand somewhere by chance."""

SHORTEST_PART = 5
"""Letters of the shortest part of a question or an answer that is a term: "the" and "show" are anybody's words."""


class Quote(Record):
    """What one quotation of a row was found to be; `spans` are offsets into the row's post.

    exact: as written. near: apart from case, spaces and marks, with an ellipsis, or with small changes. spliced: put
    together from several places without a sign of it. term: a word of the question or of its answers. elsewhere: in
    another post of the run only. invented: in none.
    """

    kind: Kind
    spans: tuple[Span, ...] = ()


def place_quotes(row: Row) -> tuple[Quote, ...]:
    """What each of `row.quotes` is, in their order; `elsewhere` is told apart by `tell_elsewhere` only."""
    return tuple(_place(row.post.text, quote, row.task) for quote in row.quotes)


def _place(text: str, quote: str, task: Task) -> Quote:
    if spans := exactly(text, quote):
        return Quote(kind="exact", spans=spans)
    spans = apart_from_marks(text, quote)
    if not spans and _is_term(quote, task):
        return Quote(kind="term")
    if spans := spans or with_gaps(text, quote):
        return Quote(kind="near", spans=spans)
    if spans := pieces(text, quote):
        return Quote(kind="near" if is_one_place(text, spans) else "spliced", spans=spans)
    if spans := nearly(text, quote):
        return Quote(kind="near", spans=spans)
    return Quote(kind="invented")


def invented(row: Row, threshold: float, borrowed: Container[str] = frozenset()) -> Verdict:
    """Pass a row where at most this share of its quotations, terms left out, stands nowhere in the post.

    Parameters
    ----------
    threshold
        0-1.
    borrowed
        Quotations that stand in other posts, as `elsewhere` gives them. They only make the reason more telling:
        `elsewhere` and `invented` weigh the same.

    Returns
    -------
    Verdict
        The score is the share; None where the explanation quotes nothing, which passes.
    """
    kinds = Counter(quote.kind for quote in tell_elsewhere(row, place_quotes(row), borrowed))
    counted = kinds.total() - kinds["term"]
    lost = sum(kinds[kind] for kind in UNGROUNDED)
    if not counted:
        return row.verdict("invented")
    if lost / counted <= threshold:
        return row.verdict("invented", score=lost / counted)
    other = f", {kinds['elsewhere']} of them in another post" if kinds["elsewhere"] else ""
    reason = f"{lost} of {counted} quotations not in the post{other}"
    return row.verdict("invented", reason, lost / counted)


def unplaced(row: Row, placed: Iterable[Quote]) -> tuple[str, ...]:
    """The quotations that stand nowhere in the row's own post."""
    return tuple(text for text, quote in zip(row.quotes, placed, strict=True) if quote.kind == "invented")


def elsewhere(quotes: Iterable[str], posts: Iterable[Post]) -> frozenset[str]:
    """Those of the quotations, each not in its own post, that stand in one of the posts, word by word in any case.

    Reads the posts once and holds the quotations only. Those of fewer than BORROWED words are never found.
    """
    waiting: defaultdict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for quote in quotes:
        words = tokens(quote)
        if len(words) >= BORROWED:
            waiting[tuple(words[:BORROWED])][quote] = _line(words)
    found: set[str] = set()
    for post in posts if waiting else ():
        words = tokens(post.text)
        begun = {start for start in _starts(words) if start in waiting}
        line = _line(words) if begun else ""
        found.update(quote for start in begun for quote, wanted in waiting[start].items() if wanted in line)
    return frozenset(found)


def tell_elsewhere(row: Row, placed: tuple[Quote, ...], borrowed: Container[str]) -> tuple[Quote, ...]:
    """The same quotations, with those that other posts hold told apart from the invented ones."""
    return tuple(
        Quote(kind="elsewhere") if quote.kind == "invented" and text in borrowed else quote
        for text, quote in zip(row.quotes, placed, strict=True)
    )


def _starts(words: list[str]) -> Iterable[tuple[str, ...]]:
    return zip(*(words[at:] for at in range(BORROWED)), strict=False)


def _line(words: list[str]) -> str:
    return f" {' '.join(words)} "


def _is_term(quote: str, task: Task) -> bool:
    """Whether the quotation only names a label, a question or an answer, or is a placeholder's word."""
    words = [word.removesuffix("s") for word in tokens(quote)]
    line = _line(words)
    if words and sum(map(len, words)) < SHORTEST_PART:
        return line in _terms(task)
    return any(line in term for term in _terms(task))


@cache
def _terms(task: Task) -> tuple[str, ...]:
    """The task's own words, each text with spaces at its ends: a part of one, cut at words, is a term.

    A plural `s` does not count.
    """
    texts = [task.title, *KINDS, "yes", "no", *task.questions, *task.labels]
    texts += [question.ask.of(form) for question in task.questions.values() for form in FORMS]
    texts += [label.answer.of(form) for label in task.labels.values() for form in FORMS]
    aliases = [alias for label in task.labels.values() for alias in (*label.aliases, *label.denies)]
    texts += [
        part for alias in aliases for part in alias.split("*") if part == alias or len(part) > SHORTEST_PART
    ]
    return tuple(dict.fromkeys(_line([word.removesuffix("s") for word in tokens(text)]) for text in texts))
