"""A tiny BERT with its tokenizer, and made-up posts of two sets that it can learn."""

from __future__ import annotations

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


def tokenizer(pad: bool = True) -> Any:
    """Whole words in lower case, [CLS] in front and [SEP] behind."""
    vocabulary = {word: at for at, word in enumerate((*SPECIAL, *WORDS, *MORE, *map(str, range(10))))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"} | (
        {"pad_token": "[PAD]"} if pad else {}
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, **names)


def saved_bert(folder: Path, pad: bool = True, **config: Any) -> Path:
    """A random BERT of two layers, with its pooler as published ones have it."""
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        **config,
    }
    own = tokenizer(pad)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(own), **shape)).save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def saved_roberta(folder: Path) -> Path:
    """A random RoBERTa of 18 places, the first of which is taken by padding and never counted."""
    own = tokenizer()
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=len(own), max_position_embeddings=18, pad_token_id=0, **shape)
    RobertaModel(config).save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def made_post(name: str, split: Split, at: int, labels: dict[str, str], text: str) -> Post:
    where = Provenance(file="made-up.csv", row=at + 2, origin="release")
    return Post(id=f"{name}{split}{at}", set=name, split=split, text=text, labels=labels, provenance=where)


def posts() -> list[Post]:
    """dreaddit: noise and rent are stress. MultiWD: a walk is social, work vocational."""
    found = []
    for split, first, count in (("train", 0, 36), ("validation", 36, 12), ("test", 48, 12)):
        for at in range(first, first + count):
            text = f"Day {at}: the {WORDS[at % 12]} and the {WORDS[at * 5 % 12]} again, number {at * 7}."
            stress = "yes" if "noise" in text or "rent" in text or "stairs" in text else "no"
            found.append(made_post("dreaddit", split, at, {"stress": stress}, text))
            said = f"The {WORDS[at * 7 % 12]} and the {WORDS[at % 12]}, number {at * 3}."
            asked = {
                "social": "walk" in said or "tea" in said,
                "vocational": "work" in said or "letter" in said,
            }
            labels = {dimension: "yes" if there else "no" for dimension, there in asked.items()}
            found.append(made_post("MultiWD", split, at, labels, said))
    return found


def made(folder: Path, reads: str = "posts", **settings: Any) -> Recipe:
    """A run's folder after collect, and the recipe that trains in it."""
    everything = posts()
    write_records(folder / "collect/posts.jsonl.zst", everything)
    write_records(
        folder / "collect/responses.jsonl.zst", [each for post in everything for each in responses(post)]
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
    """An answer with a reason for dreaddit's posts; the reason holds a word of its own for each label."""
    if post.set != "dreaddit":
        return []
    reasons = {
        "yes": "Yes, the poster suffers from stress. Reasoning: the day is heavy because the noise is heavy.",
        "no": "No, the poster does not suffer from stress. Reasoning: the tone is calm and the day is calm.",
    }
    example = example_of(post, "stress", "instruction")
    return [Response(example_id=example.id, text=reasons[post.labels["stress"]], model="m")]
