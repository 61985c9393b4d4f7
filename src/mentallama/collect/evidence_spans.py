"""Place the annotators' evidence, given as text, as character offsets into the cleaned post."""

from __future__ import annotations

from mentallama.records import Span
from mentallama.text.quote_matching import find_quote


def locate_evidence(text: str, cell: str, separator: str | None) -> tuple[tuple[Span, ...], int]:
    """Find the spans a cell quotes.

    The whole cell is tried first, then its parts: a comma may separate spans or stand within one.

    Parameters
    ----------
    text
        The cleaned post.
    cell
        The annotators' text, repaired and scrubbed as the post was.
    separator
        What separates several spans in the cell; None where there is only one.

    Returns
    -------
    tuple
        Spans in order of their start, without repeats, and how many quotes could not be placed.
    """
    quotes = [cell.strip(" \n\"'")]
    if not quotes[0]:
        return (), 0
    whole = find_quote(text, quotes[0], fuzzy=separator is None or separator not in cell)
    if whole is None and separator:
        quotes = [part for part in (piece.strip(" \n\"'") for piece in cell.split(separator)) if part]
    found = [whole] if whole else [find_quote(text, quote) for quote in quotes]
    spans = {span for span in found if span}
    return tuple(sorted(spans, key=lambda span: (span.start, span.end))), sum(span is None for span in found)
