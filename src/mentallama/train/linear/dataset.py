"""The labelled posts of one set, on which the linear analyst is fitted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mentallama.analysts.linear.features import NgramConfig
from mentallama.config import LinearSettings
from mentallama.records import Post

FIT_SPLITS = ("train", "validation")

PostIndices = NDArray[np.int64]


def ngram_config(settings: LinearSettings) -> NgramConfig:
    """The n-grams that the settings ask for."""
    shortest, longest = settings.char_ngram_range
    return NgramConfig(word_bigrams=settings.max_word_ngram > 1, min_chars=shortest, max_chars=longest)


@dataclass(frozen=True)
class SetPosts:
    """The labelled training and validation posts of one set; all sequences have the same order.

    `same_origin_as_validation` marks the posts that come from the same kind of file (release, upstream, table) as the
    validation posts, so that their labels mean the same. `evidence_passages` holds, for each question, the text that
    annotators marked, by the index of the post.
    """

    name: str
    texts: Sequence[str]
    labels: Sequence[Mapping[str, str]]
    is_validation: NDArray[np.bool_]
    same_origin_as_validation: NDArray[np.bool_]
    evidence_passages: Mapping[str, Mapping[int, str]]

    @classmethod
    def from_posts(cls, name: str, posts: Iterable[Post]) -> SetPosts:
        """Select the labelled posts of the splits train and validation."""
        labelled = [post for post in posts if post.split in FIT_SPLITS and post.labels]
        origins = {post.provenance.origin for post in labelled if post.split == "validation"}
        passages: dict[str, dict[int, str]] = defaultdict(dict)
        for index, post in enumerate(labelled):
            for question, spans in post.evidence.items():
                passages[question][index] = "\n".join(post.text[span.start : span.end] for span in spans)
        return cls(
            name,
            texts=[post.text for post in labelled],
            labels=[post.labels for post in labelled],
            is_validation=np.array([post.split == "validation" for post in labelled], np.bool_),
            same_origin_as_validation=np.array(
                [post.provenance.origin in origins for post in labelled], np.bool_
            ),
            evidence_passages=passages,
        )

    def indices(self, question: str, *, validation: bool) -> PostIndices:
        """Indices of the training or the validation posts that have a label for the question."""
        labelled = np.array([question in labels for labels in self.labels], np.bool_)
        return np.flatnonzero(labelled & (self.is_validation == validation))

    def labels_of(self, question: str, indices: PostIndices) -> list[str]:
        """The labels of some posts for a question, in the order of the indices."""
        return [self.labels[index][question] for index in indices]
