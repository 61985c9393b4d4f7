"""The weight above which a linear head quotes a phrase: the one with the best token F1 on the validation posts."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mentallama.analysts.linear.composite import supporting_spans
from mentallama.analysts.linear.decision import decide
from mentallama.analysts.linear.features import Featurizer
from mentallama.analysts.linear.serialization import LinearHead
from mentallama.tasks.answer_kinds import PRESENT
from mentallama.train.data.quotations import overlapping
from mentallama.train.linear.dataset import SetPosts


class QuotedPhrase(NamedTuple):
    """A phrase that could be quoted: its weight in log-odds, its words, and how many of them annotators quoted."""

    weight: float
    n_words: int
    n_annotated: int


def with_min_quote_weight(
    head: LinearHead, unseen: LinearHead, posts: SetPosts, name: str, featurizer: Featurizer
) -> LinearHead:
    """The head with the weight that suits the validation posts.

    Parameters
    ----------
    head
        The final head, fitted on all posts.
    unseen
        The same, fitted without the validation posts, on which it is tried. If it does not know all labels, everything
        is quoted.
    posts, name
        The posts, and the name of the head.
    """
    if unseen.metadata.labels != head.metadata.labels:
        return head
    tried = replace(unseen, metadata=head.metadata)  # with the same prior, from which evidence is counted
    weight = choose_min_quote_weight(posts, name, featurizer, tried)
    return replace(head, metadata=head.metadata.model_copy(update={"min_quote_weight": round(weight, 4)}))


def choose_min_quote_weight(posts: SetPosts, name: str, featurizer: Featurizer, head: LinearHead) -> float:
    """The weight above which phrases are best quoted in the validation posts, which the head must not have seen.

    Phrases are those of posts in which the head finds the type present, as when it is asked.
    """
    phrases: list[QuotedPhrase] = []
    n_annotated = 0
    for index in posts.indices(name, validation=True):
        annotated = [(span.start, span.end) for span in posts.evidence_spans[name].get(int(index), ())]
        vector = featurizer.transform(posts.texts[index])
        words = list(zip(vector.words.starts.tolist(), vector.words.ends.tolist(), strict=True))
        is_annotated = overlapping(words, annotated)
        n_annotated += int(is_annotated.sum())
        decision = decide(vector, head)
        if head.metadata.labels[decision.label] == PRESENT:
            for span in supporting_spans(vector.words, decision):
                quoted = overlapping(words, [(span.start, span.end)])
                phrases.append(
                    QuotedPhrase(span.weight or 0.0, int(quoted.sum()), int(is_annotated[quoted].sum()))
                )
    return best_weight(phrases, n_annotated)


def best_weight(phrases: list[QuotedPhrase], n_annotated: int) -> float:
    """The weight above which quoting phrases has the best F1 of words; 0, which quotes all, if none is right.

    `n_annotated` is the number of annotated words in all posts.

    >>> best_weight([QuotedPhrase(3, 2, 2), QuotedPhrase(1, 2, 1), QuotedPhrase(0.5, 4, 0)], 3)
    0.75
    """
    ranked = sorted(phrases, reverse=True)
    hits = np.cumsum([phrase.n_annotated for phrase in ranked])
    if not ranked or not hits[-1]:
        return 0.0
    f1 = 2 * hits / (np.cumsum([phrase.n_words for phrase in ranked]) + n_annotated)
    weights = np.array([phrase.weight for phrase in ranked] + [0.0])
    f1[weights[:-1] == weights[1:]] = -1  # no weight lies between equal ones
    best = int(f1.argmax())
    return float((weights[best] + weights[best + 1]) / 2) if best + 1 < len(ranked) else 0.0
