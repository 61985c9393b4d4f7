"""A small run with posts and answers of dreaddit, on which language models are trained in tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from mentallama.config import FromScratchSettings, Recipe
from mentallama.files.record_files import write_records
from mentallama.records import Post, Provenance, Response, Split, example_of
from mentallama.train.loop.random_init import random_llama

YES = "Yes, the poster suffers from stress. Reasoning: the days are long."
NO = "No, the poster does not suffer from stress. Reasoning: the tone is calm."
WORDS = ("rent", "bus", "tea", "rain", "work", "sleep", "garden", "letter", "noise", "walk", "stairs", "soup")


def posts(split: Split, count: int, first: int = 0) -> list[Post]:
    """Synthetic posts; those that mention noise or rent are labelled as stress."""
    result = []
    for number in range(first, first + count):
        first_word, second_word = WORDS[number % 12], WORDS[number * 5 % 12]
        text = f"Day {number}: the {first_word} and the {second_word} again, number {number * 37}."
        result.append(make_post(split, number, text))
    return result


def plain_posts(split: Split, count: int, first: int = 0) -> list[Post]:
    """Synthetic posts of two kinds, in turn, that even a tiny model tells apart."""
    texts = ("Only noise, noise, noise and noise", "Tea in the garden with tea and tea")
    return [
        make_post(split, number, f"{texts[number % 2]} {number}.") for number in range(first, first + count)
    ]


def make_post(split: Split, number: int, text: str) -> Post:
    """A post of dreaddit, labelled as stress if it mentions noise or rent."""
    return Post(
        id=f"p{number}",
        set="dreaddit",
        split=split,
        text=text,
        labels={"stress": "yes" if "noise" in text or "rent" in text else "no"},
        provenance=Provenance(file="made-up.csv", row=number + 2, origin="release"),
    )


def make_run(folder: Path, all_posts: Sequence[Post] = (), **settings: Any) -> Recipe:
    """A run with some posts; without any, with 24 training rows and 8 validation rows of `posts`."""
    all_posts = all_posts or [*posts("train", 24), *posts("validation", 8, 24), *posts("test", 4, 40)]
    answers = {"yes": YES, "no": NO}
    write_records(folder / "collect/posts.jsonl.zst", all_posts)
    write_records(
        folder / "collect/responses.jsonl.zst",
        [
            Response(
                example_id=example_of(post, "stress", "instruction").id,
                text=answers[post.labels["stress"]],
                model="m",
            )
            for post in all_posts
        ],
    )
    given = {
        "analyst": "causal",
        "max_tokens": 200,
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 3e-3,
        **settings,
    }
    if "base" not in given:
        given["from_scratch"] = {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "vocab_size": 400,
        }
    return Recipe(name="tiny", data=folder, sets=("dreaddit",), train=given)


def save_llama(folder: Path) -> None:
    """Save a tiny Llama with random weights, with a tokenizer trained on posts and answers."""
    texts = [f"{post.text} {YES} {NO} Consider this post" for post in posts("train", 12)]
    model, tokenizer = random_llama(
        FromScratchSettings(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, vocab_size=400),
        texts,
        200,
        seed=0,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Weights of a model folder, or of its adapter."""
    name = "adapter_model.safetensors" if (folder / "adapter_config.json").is_file() else "model.safetensors"
    return dict(load_file(folder / name))


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    """Whether two models have the same weights, bit for bit."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
