"""Answers as notebooks show them: HTML with the evidence marked in the post."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from mentallama.errors import printable
from mentallama.safety import NOTICE

if TYPE_CHECKING:
    from jinja2 import Template

MAX_SHOWN = 10
"""Answers that are shown of a long list."""

MAX_SHOWN_CHARS = 5000
"""Characters that are shown of a long post: notebooks store what they show."""

MarkKind = Literal["", "for", "against"]


class WeightedSpan(Protocol):
    """Characters of a post with a weight in log-odds, as `answer.Quotation` has them."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def weight(self) -> float | None: ...


class Segment(NamedTuple):
    """A part of a post that is marked as a whole or not at all; `weight` is what a hint says of it."""

    text: str
    kind: MarkKind
    weight: str


def answers_html(answers: Sequence[Any], n_left: int = 0) -> str:
    """A card per answer, a legend and the notice; all texts are escaped.

    Parameters
    ----------
    answers
        With the attributes of `answer.Answer`.
    n_left
        How many more there are, which are not shown.
    """
    return _template().render(
        answers=answers,
        n_left=n_left,
        segments=lambda answer: first_segments(post_segments(answer.post, answer.evidence), MAX_SHOWN_CHARS),
        max_chars=MAX_SHOWN_CHARS,
        has_evidence=any(answer.evidence for answer in answers),
        models=list(dict.fromkeys(answer.model for answer in answers)),
        notice=NOTICE,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    source = Path(__file__).with_name("templates") / "answers.html"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(source.read_text(encoding="utf-8"))


def post_segments(post: str, evidence: Sequence[WeightedSpan]) -> list[Segment]:
    """A post cut where its evidence begins and ends. Where spans overlap, their weights add up.

    >>> from mentallama.records import Span
    >>> [segment[:2] for segment in post_segments("so tired", [Span(start=3, end=8, weight=0.5)])]
    [('so ', ''), ('tired', 'for')]
    """
    cuts = sorted({0, len(post), *(place for span in evidence for place in (span.start, span.end))})
    return [_segment(post, start, end, evidence) for start, end in pairwise(cuts)]


def first_segments(segments: Sequence[Segment], max_chars: int) -> list[Segment]:
    """The segments of the first `max_chars` characters.

    >>> first_segments([Segment("so ", "", ""), Segment("tired", "for", ""), Segment("!", "", "")], 6)
    [Segment(text='so ', kind='', weight=''), Segment(text='tir', kind='for', weight='')]
    """
    starts = accumulate((len(segment.text) for segment in segments), initial=0)
    return [
        segment._replace(text=segment.text[: max_chars - start])
        for segment, start in zip(segments, starts, strict=False)
        if start < max_chars
    ]


def _segment(post: str, start: int, end: int, evidence: Sequence[WeightedSpan]) -> Segment:
    text = printable(post[start:end].replace("\r\n", "\n"))
    covering = [span for span in evidence if span.start <= start and end <= span.end]
    if not covering:
        return Segment(text, "", "")
    weights = [span.weight for span in covering if span.weight is not None]
    hint = f" ({sum(weights):+.2f} log-odds)" if weights else ""
    return Segment(text, "for" if sum(weights) >= 0 else "against", hint)
