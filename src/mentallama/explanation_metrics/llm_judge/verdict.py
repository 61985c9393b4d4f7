"""Read a judge's verdict. What is no whole rating of every aspect is no verdict: it never becomes a number."""

from __future__ import annotations

import re

from mentallama.answers.json_answers import Fields, split_json
from mentallama.answers.markup import answer_body
from mentallama.explanation_metrics.llm_judge.rubric import ASPECTS, HIGHEST

Ratings = dict[str, int]
"""A rating from 0 to 3 by aspect, in the order of the rubric."""

_RATING = re.compile(r"\s*\+?(\d)(?:\.0+)?\s*")


def read_verdict(text: str) -> Ratings | None:
    """The ratings that a reply states; None if it states none, only some, impossible ones, or two different ones.

    Thoughts before the reply are skipped, and words or code fences around the JSON object are ignored.

    >>> read_verdict('{"consistency": 3, "reliability": 2, "professionality": 2, "overall": 2}')
    {'consistency': 3, 'reliability': 2, 'professionality': 2, 'overall': 2}
    >>> read_verdict("A solid explanation: 3 of 3") is None
    True
    """
    parts = split_json(answer_body(text))
    if parts.truncated:
        return None
    verdicts = [ratings for fields in parts.objects if (ratings := _ratings(fields)) is not None]
    is_unanimous = bool(verdicts) and all(verdict == verdicts[0] for verdict in verdicts)
    return verdicts[0] if is_unanimous and len(verdicts) == len(parts.objects) else None


def _ratings(fields: Fields) -> Ratings | None:
    ratings = {name: _rating(fields.get(name)) for name in ASPECTS}
    found = {name: rating for name, rating in ratings.items() if rating is not None}
    return found if len(found) == len(ratings) else None


def _rating(value: object) -> int | None:
    """A whole number from 0 to 3, as JSON holds it or as text; None if it is anything else, true and 2.5 included."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    match = _RATING.fullmatch(str(value))
    return int(match[1]) if match and int(match[1]) <= HIGHEST else None
