"""Features of an explanation, each 0-1, higher values better, computed without a model.

Each grows with what it counts and is bounded, so that one long or odd explanation of another system cannot run away
with the score. Lengths are counted in distinct word trigrams: repeating a sentence, or copying the post, adds nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from mentallama.answers.quotations import GROUNDED_KINDS, UNGROUNDED_KINDS, match_quotes
from mentallama.answers.strip_label import strip_label
from mentallama.explanation_metrics.base import ExplanationCase
from mentallama.explanation_metrics.explanation_quality.criteria import (
    Criteria,
    common_stems,
    criteria_of,
    report_stems,
    stem,
    stop_words,
)
from mentallama.tasks import Task
from mentallama.text.quote_extraction import extract_quotes
from mentallama.text.tokenize import word_tokens

Trigrams = frozenset[tuple[str, str, str]]

COPY_ALLOWANCE = 2 / 3
"""Trigrams copied from the post that count, per trigram in the explanation's own words: a quotation needs a comment."""
TYPICAL_LENGTH = 40.0
"""Trigrams at which the length has reached 63 % of its value; explanations of the paper's teacher have about 90."""
MIN_LENGTH = 5.0
"""Trigrams at which it is 63 % certain that there is an explanation."""
FULL_SHARE = 0.5
"""Length of an explanation, as a share of its post's, that can account for all of the post."""
INVENTED_QUOTE_COST = 3
"""Words of evidence that a quotation which stands nowhere in the post takes back."""

_SENTENCE = re.compile(r"[.!?]+[\"'”’)]*\s+|\n+")
_NEGATION = frozenset(
    ("no", "not", "nor", "neither", "without", "t", "unlikely", "unclear", "absence", "absent", "insufficient",
     "rather", "necessarily")
)  # fmt: skip
"""Words that make a sentence on the topic speak against it; "t" ends isn't and doesn't."""
_WORD_OR_STOP = re.compile(r"\w+(?:['’]\w+)*|[.!?;:,]")
_BEFORE_NOUN = frozenset(
    ("a", "an", "the", "of", "from", "with", "for", "by", "at", "into", "their", "his", "her", "my")
)
_NEVER_AFTER = frozenset(
    (".", "!", "?", ";", ":", ",", "of", "and", "or", "is", "are", "was", "were", "they", "he", "she", "i", "we", "has",
     "have", "had", "be", "been", "to", "because", "but", "with", "from", "by", "for", "at", "into")
)  # fmt: skip
"""Words and marks that hardly ever follow `_BEFORE_NOUN` in English."""
_PLAUSIBILITY = {("yes", True): 1.0, ("yes", False): 0.5, ("no", False): 0.75, ("no", True): 0.25}
"""By the answer, and whether the post names the topic. Many who suffer do not name it, and few who do not suffer do."""
_SYMPTOM_WORDS = frozenset(
    ("sign", "signs", "symptom", "symptoms", "indication", "indications", "indicator", "indicators")
)
_PLAIN_MARKS = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "—": "-", "–": "-", "…": ".", "\u00a0": " "}
)
_ENDS = (".", "!", "?", '"', "”", "’", "'", ")", "]")


@dataclass(frozen=True)
class ExplainedPost:
    """A case as the features see it: word tokens and stems of the explanation without its answer, and of the post."""

    case: ExplanationCase
    task: Task

    @cached_property
    def explanation(self) -> str:
        """The explanation without the sentences that restate its answer."""
        return strip_label(self.task, self.case.explanation)

    @cached_property
    def tokens(self) -> list[str]:
        return _tokens(self.explanation)

    @cached_property
    def post_tokens(self) -> list[str]:
        return _tokens(self.case.example.text)

    @cached_property
    def post_stems(self) -> frozenset[str]:
        return _content_stems(self.post_tokens)

    @cached_property
    def shared_stems(self) -> frozenset[str]:
        """Content words of the post that the explanation takes up."""
        return (_content_stems(self.tokens) & self.post_stems) - report_stems()

    @cached_property
    def length(self) -> float:
        """Distinct trigrams, those copied from the post only as far as own words come with them."""
        trigrams = _trigrams(self.tokens)
        own = len(trigrams - _trigrams(self.post_tokens))
        return own + min(len(trigrams) - own, COPY_ALLOWANCE * own)

    @cached_property
    def presence(self) -> float:
        """Whether there is an explanation at all, 0-1; a sentence of ten words is most of one."""
        return _saturating(self.length, MIN_LENGTH)

    @cached_property
    def criteria(self) -> Criteria:
        return criteria_of(self.task)

    @cached_property
    def areas(self) -> set[str]:
        return self.criteria.areas_in(self.tokens)

    @cached_property
    def post_areas(self) -> set[str]:
        return self.criteria.areas_in(self.post_tokens)


def label_agreement(post: ExplainedPost) -> float | None:
    """Whether the answer has the reference label, as far as it is explained; None where there is no reference.

    An answer without a label agrees with none. A right answer without a reason is no good explanation.
    """
    gold = post.case.example.label
    return None if gold is None else post.presence * (post.case.reading.label == gold)


def label_support(post: ExplainedPost) -> float:
    """Whether the explanation argues for the answer that it belongs to.

    In a yes/no task: the share of its sentences with evidence that speak for the answer, where a sentence that negates
    the topic speaks for "no" and one that names an area for "yes". In others: whether it names an area of the label.
    """
    label = post.case.reading.label
    if label is None:
        return 0.0
    if not post.task.is_yes_no:
        return float(label in post.areas)
    for_yes, for_no = 0, 0
    for sentence in _SENTENCE.split(post.explanation):
        tokens = _tokens(sentence)
        is_on_topic = not _SYMPTOM_WORDS.isdisjoint(tokens) or post.criteria.names_topic(tokens)
        if is_on_topic and _is_negated(tokens):
            for_no += 1
        elif post.criteria.areas_in(tokens):
            for_yes += 1
    # explanations of "no" describe what they then discount, so a negated topic weighs as much as three sentences
    for_no *= 3
    return (for_yes if label == "yes" else for_no) / (for_yes + for_no + 1)


def _is_negated(tokens: Sequence[str]) -> bool:
    """Whether a sentence has a negation other than one of an activity: "not eating", "can't sleep"."""
    around = zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False)
    return any(
        token in _NEGATION and not following.endswith("ing") and previous != "can"
        for previous, token, following in around
    )


def label_plausibility(post: ExplainedPost) -> float:
    """Whether the post's own words make the answer of a yes/no task plausible: it names the topic or does not."""
    label = post.case.reading.label
    if label is None:
        return 0.0
    if not post.task.is_yes_no:
        return post.presence * 0.5
    plausibility = _PLAUSIBILITY[label, post.criteria.names_topic(post.post_tokens)]
    return post.presence * plausibility


def evidence(post: ExplainedPost) -> float:
    """Evidence from the post: content words of it that are taken up, and quotations; invented ones count against."""
    quotes = match_quotes(post.case.example.text, extract_quotes("", post.explanation), post.task)
    found = sum(quote.kind in GROUNDED_KINDS for quote in quotes)
    invented = sum(quote.kind in UNGROUNDED_KINDS for quote in quotes)
    amount = len(post.shared_stems) + found - INVENTED_QUOTE_COST * invented
    return _saturating(max(0.0, amount), 6.0)


def specificity(post: ExplainedPost) -> float:
    """Shared content words that few posts have."""
    return _saturating(len(post.shared_stems - common_stems()), 3.0)


def post_coverage(post: ExplainedPost) -> float:
    """Share of the post's content words that are taken up; a quarter is as much as a summary needs."""
    content = post.post_stems - report_stems()
    return min(1.0, 4 * len(post.shared_stems) / len(content)) if content else 0.0


def relative_length(post: ExplainedPost) -> float:
    """Length relative to the post's: a long post takes more to explain."""
    return min(1.0, post.length / (FULL_SHARE * max(1, len(post.post_tokens))))


def criterion_coverage(post: ExplainedPost) -> float:
    """Number of areas of the task's criteria that are named, as present or as absent."""
    return _saturating(len(post.areas), 2.0)


def criterion_recall(post: ExplainedPost) -> float:
    """Share of the areas that the post itself names which the explanation names too."""
    if not post.length:
        return 0.0
    return (len(post.areas & post.post_areas) + 1) / (len(post.post_areas) + 1)


def length(post: ExplainedPost) -> float:
    """Length, saturating."""
    return _saturating(post.length, TYPICAL_LENGTH)


def well_formedness(post: ExplainedPost) -> float:
    """Well-formedness: English word order after articles and prepositions, no repetition, a finished last sentence."""
    if not post.tokens:
        return 0.0
    trigrams = max(1, len(post.tokens) - 2)
    distinct = min(1.0, max(1, len(_trigrams(post.tokens))) / trigrams)
    is_finished = post.explanation.rstrip("*_ \n").endswith(_ENDS)
    return (
        _word_order(post.explanation)
        * distinct
        * (1.0 if is_finished else 0.8)
        * _saturating(len(post.tokens), 4.0)
    )


FEATURES: dict[str, Callable[[ExplainedPost], float | None]] = {
    "label_agreement": label_agreement,
    "label_support": label_support,
    "label_plausibility": label_plausibility,
    "evidence": evidence,
    "specificity": specificity,
    "post_coverage": post_coverage,
    "relative_length": relative_length,
    "criterion_coverage": criterion_coverage,
    "criterion_recall": criterion_recall,
    "length": length,
    "well_formedness": well_formedness,
}
"""Features by name, in the order of tables. None: not defined for the case."""


def explanation_features(case: ExplanationCase, task: Task) -> dict[str, float | None]:
    """All features of an explanation."""
    post = ExplainedPost(case, task)
    return {name: feature(post) for name, feature in FEATURES.items()}


def _tokens(text: str) -> list[str]:
    """Word tokens; typographic marks that end a word anyway are replaced first, which makes most texts ASCII."""
    return word_tokens(text.translate(_PLAIN_MARKS))


def _content_stems(tokens: Sequence[str]) -> frozenset[str]:
    return frozenset(stem(token) for token in set(tokens) - stop_words() if len(token) > 2)


def _trigrams(tokens: Sequence[str]) -> Trigrams:
    return frozenset(zip(tokens, tokens[1:], tokens[2:], strict=False))


def _saturating(amount: float, typical: float) -> float:
    """0 for nothing, 63 % at a typical amount, never above 1."""
    return 1 - math.exp(-amount / typical)


def _word_order(text: str) -> float:
    """1 where articles and prepositions stand before what can follow them, 0 where a quarter or more do not."""
    words = _WORD_OR_STOP.findall(text.lower())
    openers = misplaced = 0
    for word, following in zip(words, [*words[1:], "."], strict=True):
        if word in _BEFORE_NOUN:
            openers += 1
            misplaced += following in _NEVER_AFTER
    return max(0.0, 1 - 4 * misplaced / openers) if openers else 1.0
