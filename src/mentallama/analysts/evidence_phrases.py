"""Evidence as a person would quote it: whole phrases inside a clause, chosen by what their words contribute.

A clause ends at punctuation, commas included, and at a conjunction. A short one is quoted whole, without the
conjunction before it; of a longer one, phrases: words of content with the articles, negations and other function words
that belong to them. Nothing is quoted that consists of function words. `function_words.yaml` lists these by language.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from mentallama.analysts.linear.features import WORD_CACHE_SIZE, FloatArray, IndexArray, WordSequence
from mentallama.records import Span
from mentallama.text.tokenize import UNSPACED_LETTER

MAX_QUOTE_WORDS = 8
"""Words in one quotation; longer ones cannot be taken in at a glance."""

MAX_JOINED_WORDS = 2
"""Words behind a conjunction that belong to what stands before it, as in "numb and empty now"."""

UNSPACED_WORD = 2 / 3
"""Number of words that a character of a script without spaces counts as."""

MAX_SUPPORTING_QUOTES, MAX_OPPOSING_QUOTES = 4, 2
"""Quotations for and against; explanations in the published release have two to four."""

MIN_LOG_ODDS = 0.02
"""Log-odds below which a span changes a probability by less than half a percent."""

MIN_RELATIVE_WEIGHT = 0.25
"""Fraction of the strongest span's weight below which a span is not quoted."""

CONTENT, CONNECTOR, OPENER, CLOSER, NEUTRAL = range(5)
"""Roles of words: those with a meaning of their own, and the function words of `function_words.yaml`."""

_ROLES = {"connectors": CONNECTOR, "openers": OPENER, "closers": CLOSER, "neutral": NEUTRAL}

Roles = NDArray[np.int8]


@cache
def _function_words() -> dict[str, dict[str, int]]:
    """Language -> word -> role; the first list that has a word decides."""
    text = files("mentallama.analysts").joinpath("function_words.yaml").read_text(encoding="utf-8")
    languages: dict[str, dict[str, str]] = yaml.safe_load(text)
    return {
        language: {
            word: role for name, role in reversed(_ROLES.items()) for word in lists.get(name, "").split()
        }
        for language, lists in languages.items()
    }


@lru_cache(WORD_CACHE_SIZE)
def _word_traits(form: str) -> bytes:
    """A word's role in each language, and whether it is a character of a script without spaces."""
    word = form.lower().replace("’", "'")
    usual = NEUTRAL if word.isdigit() else CONTENT
    roles = [of_language.get(word, usual) for of_language in _function_words().values()]
    return bytes([*roles, UNSPACED_LETTER.match(form) is not None])


def _traits(forms: Sequence[str]) -> tuple[Roles, NDArray[np.bool_]]:
    """The role of each word, and whether it is a character of a script without spaces."""
    traits = np.frombuffer(b"".join(map(_word_traits, forms)), np.int8).reshape(len(forms), -1)
    # Of equals the first of the file, English.
    language = int((traits[:, :-1] != CONTENT).sum(0).argmax())
    return traits[:, language], traits[:, -1] > 0


def word_roles(forms: Sequence[str]) -> Roles:
    """The role of each word of a text, in the language that most of its function words are of.

    >>> word_roles(["And", "I", "can’t", "sleep"]).tolist()
    [1, 2, 2, 0]
    >>> word_roles(["Und", "ich", "will", "nicht", "mehr"]).tolist()
    [1, 2, 2, 2, 4]
    """
    return _traits(forms)[0] if forms else np.empty(0, np.int8)


def choose_spans(words: WordSequence, contributions: FloatArray) -> tuple[Span, ...]:
    """Pick the phrases that support and oppose a decision most clearly.

    Parameters
    ----------
    words
        The words of the post.
    contributions
        Each word's contribution to the decision, in log-odds; positive supports it.

    Returns
    -------
    Spans on word boundaries that do not overlap: at most `MAX_SUPPORTING_QUOTES` of positive weight, then at most
    `MAX_OPPOSING_QUOTES` of negative weight, each group from strongest to weakest. A span's weight is the
    sum of its words' contributions.
    """
    phrases = _phrases(words)
    if not len(phrases):
        return ()
    first, stop = phrases.T
    before = np.concatenate([[0.0], np.cumsum(contributions)])
    sums = before[stop] - before[first]
    floor = max(MIN_LOG_ODDS, MIN_RELATIVE_WEIGHT * float(np.abs(sums).max()))
    # Of two phrases that begin alike, the longer is better if it adds more than half the average contribution a word:
    # short quotations are clearer.
    price = np.abs(contributions).mean() / 2 * (stop - first - 1)
    chosen = _pick_best(phrases, np.where(sums >= floor, sums - price, -np.inf), MAX_SUPPORTING_QUOTES)
    against = np.where(sums <= -floor, -sums - price, -np.inf)
    for index in chosen:
        against[_overlapping(phrases, index)] = -np.inf
    chosen += _pick_best(phrases, against, MAX_OPPOSING_QUOTES)
    spans = (
        Span(start=int(words.starts[first[i]]), end=int(words.ends[stop[i] - 1]), weight=float(sums[i]))
        for i in chosen
    )
    return tuple(sorted(spans, key=_strongest_first))


def _strongest_first(span: Span) -> tuple[bool, float]:
    weight = span.weight or 0.0
    return weight < 0, -abs(weight)


def _pick_best(phrases: IndexArray, scores: FloatArray, most: int) -> list[int]:
    """Indices of the best phrases, picked greedily without overlaps; modifies `scores`."""
    chosen: list[int] = []
    while len(chosen) < most:
        best = int(scores.argmax())
        if not scores[best] > 0:
            break
        chosen.append(best)
        scores[_overlapping(phrases, best)] = -np.inf
    return chosen


def _overlapping(phrases: IndexArray, index: int) -> NDArray[np.bool_]:
    """Which phrases share a word with one of them."""
    first, stop = phrases[index]
    shared: NDArray[np.bool_] = (phrases[:, 0] < stop) & (phrases[:, 1] > first)
    return shared


def _phrases(words: WordSequence) -> IndexArray:
    """Phrases of a post that can be quoted: first word of each, and the word after its last; shape (phrases, 2)."""
    if not words.forms:
        return np.empty((0, 2), np.int64)
    roles, is_unspaced = _traits(words.forms)
    sizes = np.where(is_unspaced, UNSPACED_WORD, 1.0)
    text = _TextTraits(roles.tolist(), np.concatenate([[0.0], np.cumsum(sizes)]).tolist())
    found = [
        phrase
        for start, end in _clauses(words)
        for first, stop in text.pieces_of(start, end)
        for phrase in text.phrases_of(first, stop)
    ]
    return np.array(found, np.int64).reshape(-1, 2)


def _clauses(words: WordSequence) -> Iterator[tuple[int, int]]:
    """First word of each clause, and the one after its last; a placeholder ends a clause."""
    breaks = (np.diff(words.clauses) != 0) | words.is_placeholder[1:] | words.is_placeholder[:-1]
    borders = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(words.forms)]
    return ((start, end) for start, end in pairwise(borders) if not words.is_placeholder[start])


class _TextTraits(NamedTuple):
    """Roles of the words of a post, and the size of the words before each one; a word counts 1, or `UNSPACED_WORD`."""

    roles: list[int]
    sizes: list[float]

    def pieces_of(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """A clause cut at its conjunctions, but for those that join a word or two to what stands before."""
        cuts = [i for i in range(start, end) if self.roles[i] == CONNECTOR]
        first = start
        for cut, after in pairwise([*cuts, end]):
            if not (first < cut and 0 < after - cut - 1 <= MAX_JOINED_WORDS and self.fits(first, after)):
                yield self._trimmed(first, cut)
                first = cut + 1
        yield self._trimmed(first, end)

    def _trimmed(self, first: int, stop: int) -> tuple[int, int]:
        """A piece without what cannot begin or end a quotation."""
        while first < stop and self.roles[first] in {CLOSER, CONNECTOR}:
            first += 1
        while first < stop and self.roles[stop - 1] in {OPENER, CONNECTOR}:
            stop -= 1
        return first, stop

    def fits(self, first: int, stop: int) -> bool:
        return self.sizes[stop] - self.sizes[first] <= MAX_QUOTE_WORDS + 1e-9

    def phrases_of(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        """A clause that fits as a whole, or else the parts of it that can be quoted."""
        parts = [(first, stop)] if self.fits(first, stop) else self.parts_of(first, stop)
        return ((start, end) for start, end in parts if CONTENT in self.roles[start:end])

    def parts_of(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        """Runs of phrases of a clause that fit, of several words each."""
        cuts = [first, *self._cuts(first, stop), stop]
        for i, start in enumerate(cuts):
            for end in cuts[i + 1 :]:
                if not self.fits(start, end):
                    break
                if end - start > 1:
                    yield start, end

    def _cuts(self, first: int, stop: int) -> Iterator[int]:
        """Where phrases of a clause begin: at function words before a word, behind those after one, and, in what is too
        long otherwise, between any words of content."""
        phrase = [i for i in range(first + 1, stop) if self._begins_phrase(i)]
        for start, end in pairwise([first, *phrase, stop]):
            if start > first:
                yield start
            if not self.fits(start, end):
                yield from (i for i in range(start + 1, end) if self.roles[i - 1] == self.roles[i] == CONTENT)

    def _begins_phrase(self, index: int) -> bool:
        before, role = self.roles[index - 1], self.roles[index]
        return (role == OPENER and before != OPENER) or (before == CLOSER and role != CLOSER)
