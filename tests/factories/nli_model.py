"""A classifier of natural language inference whose answer is known: it finds a contradiction where a word occurs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WIDTH = 8
CONTEXT = 32

FOUND, ABSENT = 4.0, 2.0
"""Logit of contradiction where the word occurs, and of neutral everywhere."""


def word_tokenizer(word: str) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words that knows one word."""
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, word))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=CONTEXT, **names)


def keyword_nli(folder: Path, word: str, labels: Sequence[str]) -> BertForSequenceClassification:
    """Save a BERT with these labels that says "contradiction" if `word` is in the premise or the hypothesis.

    The word's embedding is the only one that is not zero, attention averages all tokens, and the rest of the layer
    passes that on: the first token's state is zero exactly if the word is nowhere. The third label, in whatever place,
    is the one that begins with "c", and the second the one that begins with "n", in either case.
    """
    tokenizer = word_tokenizer(word)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=WIDTH,
        max_position_embeddings=CONTEXT,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    model = BertForSequenceClassification(config).eval()
    layer = model.bert.encoder.layer[0]
    first = {str(label).lower()[0]: number for number, label in enumerate(labels)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
        model.bert.embeddings.word_embeddings.weight[len(SPECIAL), 0] = 1.0
        for linear in (layer.attention.self.value, layer.attention.output.dense, model.bert.pooler.dense):
            linear.weight.copy_(torch.eye(WIDTH))
        if {"n", "c"} <= first.keys():
            # The pooled state's first value is tanh(sqrt(7)) where the word occurs, and 0 elsewhere.
            model.classifier.weight[first["c"], 0] = FOUND / torch.tensor(7.0).sqrt().tanh()
            model.classifier.bias[first["n"]] = ABSENT
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model
