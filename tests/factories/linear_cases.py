"""Made-up posts for the tests of the linear analyst: no line of them was written by anybody."""

from __future__ import annotations

import random
from typing import Literal

from mentallama.records import Post, Provenance, Span, Split, stable_id

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
    """The post with the first place of each passage marked as evidence for all its questions."""
    starts = [(post.text.index(passage), passage) for passage in passages]
    spans = tuple(Span(start=start, end=start + len(passage)) for start, passage in starts)
    return post.model_copy(update={"evidence": dict.fromkeys(post.labels, spans)})


def sentence(words: list[str], draw: random.Random) -> str:
    picked = draw.choices(words, k=4) + draw.choices(FILLER, k=12)
    draw.shuffle(picked)
    return " ".join(picked).capitalize() + "."


def depression_posts(seed: int = 1) -> list[Post]:
    """A DR-like set that a linear model learns without effort."""
    draw = random.Random(seed)
    return [
        make_post("DR", split, sentence(words, draw), {"depression": label})
        for split, count in ORDER
        for _ in range(count // 2)
        for words, label in ((GLOOM, "yes"), (CHEER, "no"))
    ]


def cause_posts(seed: int = 2) -> list[Post]:
    """A CAMS-like set of three of the six labels."""
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
