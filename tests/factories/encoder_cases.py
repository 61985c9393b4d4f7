"""A tiny BERT with its tokenizer, and synthetic posts of two sets that it can learn."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from mentallama.config import Recipe
from mentallama.files.record_files import write_records
from mentallama.records import Post, Provenance, Response, Split, example_of

WORDS = ("rent", "bus", "tea", "rain", "work", "sleep", "garden", "letter", "noise", "walk", "stairs", "soup")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MORE = ("day", "the", "and", "again", ":", ".", "because", "heavy", "calm", "poster", "tone", "is", "number")
DIMENSIONS = ("social", "vocational")


def tokenizer(pad: bool = True, added_words: Iterable[str] = ()) -> Any:
    """A tokenizer of whole lower-case words that adds [CLS] and [SEP]."""
    known = dict.fromkeys((*SPECIAL, *WORDS, *MORE, *map(str, range(10)), *added_words))
    vocabulary = {word: index for index, word in enumerate(known)}
    words = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"} | (
        {"pad_token": "[PAD]"} if pad else {}
    )
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)


def saved_bert(folder: Path, pad: bool = True, added_words: Iterable[str] = (), **config: Any) -> Path:
    """Save a BERT of two layers with random weights, including the pooler that published ones have."""
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        **config,
    }
    words = tokenizer(pad, added_words)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(words), **shape)).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def saved_roberta(folder: Path) -> Path:
    """Save a RoBERTa with random weights and 18 positions, the first of which belongs to padding."""
    words = tokenizer()
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=len(words), max_position_embeddings=18, pad_token_id=0, **shape)
    RobertaModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def make_post(name: str, split: Split, number: int, labels: dict[str, str], text: str) -> Post:
    provenance = Provenance(file="made-up.csv", row=number + 2, origin="release")
    return Post(
        id=f"{name}{split}{number}", set=name, split=split, text=text, labels=labels, provenance=provenance
    )


def posts() -> list[Post]:
    """Posts of dreaddit, where noise, rent and stairs mean stress, and of MultiWD, where tea and walks are social, and
    work and letters vocational."""
    result = []
    for split, first, count in (("train", 0, 36), ("validation", 36, 12), ("test", 48, 12)):
        for number in range(first, first + count):
            first_word, second_word = WORDS[number % 12], WORDS[number * 5 % 12]
            text = f"Day {number}: the {first_word} and the {second_word} again, number {number * 7}."
            stress = "yes" if "noise" in text or "rent" in text or "stairs" in text else "no"
            result.append(make_post("dreaddit", split, number, {"stress": stress}, text))
            text = f"The {WORDS[number * 7 % 12]} and the {first_word}, number {number * 3}."
            present = {
                "social": "walk" in text or "tea" in text,
                "vocational": "work" in text or "letter" in text,
            }
            labels = {dimension: "yes" if value else "no" for dimension, value in present.items()}
            result.append(make_post("MultiWD", split, number, labels, text))
    return result


def make_run(folder: Path, reads: str = "posts", **settings: Any) -> Recipe:
    """Write a run's folder as collect leaves it, and return the recipe that trains in it."""
    all_posts = posts()
    write_records(folder / "collect/posts.jsonl.zst", all_posts)
    write_records(
        folder / "collect/responses.jsonl.zst",
        [response for post in all_posts for response in responses(post)],
    )
    base = folder / "base"
    if not base.exists():
        saved_bert(base)
    given = {
        "analyst": "encoder",
        "base": str(base),
        "reads": reads,
        "epochs": 14,
        "batch_size": 8,
        "learning_rate": 5e-3,
        "head_lr_multiplier": 3,
        "max_tokens": 40,
        **settings,
    }
    return Recipe(name="tiny", data=folder, sets=("dreaddit", "MultiWD"), train=given)


def responses(post: Post) -> list[Response]:
    """An answer with an explanation for dreaddit's posts; the explanations of the two labels use different words."""
    if post.set != "dreaddit":
        return []
    reasons = {
        "yes": "Yes, the poster suffers from stress. Reasoning: the day is heavy because the noise is heavy.",
        "no": "No, the poster does not suffer from stress. Reasoning: the tone is calm and the day is calm.",
    }
    example = example_of(post, "stress", "instruction")
    return [Response(example_id=example.id, text=reasons[post.labels["stress"]], model="m")]
