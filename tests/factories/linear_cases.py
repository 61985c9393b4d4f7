"""Synthetic posts for the tests of the linear analyst, drawn from lists of words."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Literal

import numpy as np

from mentallama.analysts.linear.features import NgramConfig
from mentallama.analysts.linear.serialization import LinearHead, load_linear_model
from mentallama.config import LinearSettings
from mentallama.records import Post, Provenance, Span, Split, stable_id
from mentallama.train.linear.dataset import SetPosts, TfidfData, build_vocabulary, count_features, fit_tfidf
from mentallama.train.linear.fit import LinearHyperparameters

GLOOM = ["tired", "empty", "hopeless", "worthless", "crying", "numb", "alone", "dark", "heavy", "sleepless"]
CHEER = ["garden", "recipe", "bicycle", "holiday", "music", "football", "painting", "picnic", "puppy", "fair"]
FILLER = ["today", "i", "went", "to", "the", "and", "then", "my", "we", "it", "was", "so", "with", "maybe"]
ORDER: tuple[tuple[Split, int], ...] = (("train", 60), ("validation", 20), ("test", 20))


def make_post(
    name: str,
    split: Split,
    text: str,
    labels: dict[str, str],
    origin: Literal["release", "upstream", "table"] = "table",
) -> Post:
    provenance = Provenance(file="made-up", row=1, origin=origin, synthetic=True)
    return Post(
        id=stable_id(name, split, text),
        set=name,
        split=split,
        text=text,
        labels=labels,
        provenance=provenance,
    )


def marked(post: Post, *passages: str) -> Post:
    """The post with the first occurrence of each passage marked as evidence for all its questions."""
    starts = [(post.text.index(passage), passage) for passage in passages]
    spans = tuple(Span(start=start, end=start + len(passage)) for start, passage in starts)
    return post.model_copy(update={"evidence": dict.fromkeys(post.labels, spans)})


def sentence(words: list[str], draw: random.Random) -> str:
    picked = draw.choices(words, k=4) + draw.choices(FILLER, k=12)
    draw.shuffle(picked)
    return " ".join(picked).capitalize() + "."


def depression_posts(seed: int = 1) -> list[Post]:
    """A DR-like set that a linear model learns easily."""
    draw = random.Random(seed)
    return [
        make_post("DR", split, sentence(words, draw), {"depression": label})
        for split, count in ORDER
        for _ in range(count // 2)
        for words, label in ((GLOOM, "yes"), (CHEER, "no"))
    ]


def cause_posts(seed: int = 2) -> list[Post]:
    """A CAMS-like set with three of the six labels."""
    draw = random.Random(seed)
    words = {
        "jobs and career": [*GLOOM[:5], "boss"],
        "medication": [*CHEER[:5], "pills"],
        "none": CHEER[5:],
    }
    return [
        make_post("CAMS", split, sentence(words[label], draw), {"cause": label})
        for split, count in ORDER
        for _ in range(count // 3)
        for label in words
    ]


def wellness_posts(seed: int = 3) -> list[Post]:
    """A MultiWD-like set with two of the six questions asked of every post."""
    draw = random.Random(seed)
    posts = []
    for split, count in ORDER:
        for number in range(count):
            words = (GLOOM if number % 2 else CHEER)[: 5 if number % 3 else 10]
            labels = {"emotional": "yes" if number % 2 else "no", "social": "yes" if number % 3 else "no"}
            posts.append(make_post("MultiWD", split, sentence(words, draw), labels))
    return posts


QUICK = LinearSettings(C=(1.0,), topics=(0,), intercept_shifts=(False,))

PLAIN = LinearHyperparameters(
    C=1.0, class_weight="none", evidence_weight=0.0, topics=0, shift_intercepts=False
)

WORDS = NgramConfig(word_bigrams=False, min_chars=10, max_chars=10)
"""Whole words only, as long as they are short."""

TEXTS = ["so sad and so alone", "so glad", "sad, sad, sad", "glad and alone"]


def tfidf_of(posts: SetPosts, grams: NgramConfig = WORDS) -> TfidfData:
    """Tf-idf of posts and passages, every feature kept."""
    counted = count_features(posts.texts, grams)
    passages = {
        question: dict(zip(by_post, count_features(list(by_post.values()), grams), strict=True))
        for question, by_post in posts.evidence_passages.items()
    }
    return fit_tfidf(counted, passages, build_vocabulary(counted, 1))[0]


def row_of(word: str, posts: SetPosts) -> int:
    """The index of a word's feature in the matrices of `tfidf_of`."""
    ((key,), _) = count_features([word], WORDS)[0]
    return int(np.flatnonzero(build_vocabulary(count_features(posts.texts, WORDS), 1) == key)[0])


def set_posts(*posts: tuple[str, str]) -> SetPosts:
    """Training posts of DR as (text, label)."""
    return SetPosts.from_posts(
        "DR", [make_post("DR", "train", text, {"depression": label}) for text, label in posts]
    )


def head_of(folder: Path, name: str = "DR", question: str = "depression") -> LinearHead:
    return load_linear_model(folder)[1][name].heads[question]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rationales() -> list[Post]:
    """Posts that are all the same, so that nothing but the marked passages tells them apart."""
    return [
        marked(make_post("DR", split, "pagoda kayak", {"depression": label}), passage)
        for split, count in (("train", 6), ("validation", 3))
        for _ in range(count)
        for label, passage in (("yes", "pagoda"), ("no", "kayak"))
    ]
