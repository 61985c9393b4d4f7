"""Extract the quotations of an answer: text in quotation marks, and the evidence list of a structured answer."""

from __future__ import annotations

from collections.abc import Iterable

from mentallama.answers.json_answers import first_json_object
from mentallama.answers.markup import answer_body
from mentallama.text.quotation_marks import quoted_spans, without_outer_marks

_TRAILING = " \t\n\r\u00a0\u3000.,;:!?…。，、；：！？-–—\\"
_LEADING = " \t\n\r\u00a0\u3000.…\\"

_MAX_SEARCHED = 200_000
"""Characters of an answer in which quotations are looked for: a hundred times the longest that a model is asked for."""


def extract_quotes(text: str, explanation: str) -> tuple[str, ...]:
    """Extract the quotations of an answer, in order and without duplicates.

    Parameters
    ----------
    text
        The whole answer; if it is a JSON object, the items of its `evidence` are quotations too.
    explanation
        The explanation, as `read_answer` parsed it.

    Returns
    -------
    tuple of str
        Quotations without the marks around them or punctuation at their ends; those without any letter or digit are
        left out.

    Examples
    --------
    >>> extract_quotes("", "The writer says “I can't sleep,” and later «rien ne va».")
    ("I can't sleep", 'rien ne va')
    >>> extract_quotes('{"label": "yes", "evidence": ["so tired"]}', "It's “so tired” again.")
    ('so tired',)
    """
    text, explanation = text[:_MAX_SEARCHED], explanation[:_MAX_SEARCHED]
    quoted = [explanation[span.inner_start : span.inner_end] for span in quoted_spans(explanation)]
    quotes = [*quoted, *_evidence_items(text, explanation)]
    return tuple(dict.fromkeys(quote for quote in map(_stripped, quotes) if any(map(str.isalnum, quote))))


def _stripped(quote: str) -> str:
    return quote.rstrip(_TRAILING).lstrip(_LEADING)


def _evidence_items(text: str, explanation: str) -> list[str]:
    """Items of a structured answer's `evidence`, without marks around them."""
    listed = (first_json_object(answer_body(text)) or {}).get("evidence")
    if isinstance(listed, str):  # one quotation, unless it serves as the explanation
        listed = [] if listed.strip() == explanation.strip() else [listed]
    items = [item for item in listed if isinstance(item, str)] if isinstance(listed, list) else []
    return [without_outer_marks(item.strip(), _TRAILING) for item in items]


def replace_quotes(explanation: str, quotes: Iterable[str], placeholder: str = "“”") -> str:
    """Replace those of `quotes` that are in quotation marks by `placeholder`, leaving the explanation's own words.

    >>> replace_quotes('The writer says "so tired," twice.', ["so tired"])
    'The writer says “” twice.'
    """
    wanted = set(quotes)
    pieces, position = [], 0
    for span in quoted_spans(explanation):
        if _stripped(explanation[span.inner_start : span.inner_end]) in wanted:
            pieces += [explanation[position : span.start], placeholder]
            position = span.end
    return "".join([*pieces, explanation[position:]])
