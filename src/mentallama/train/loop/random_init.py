"""A small Llama with random weights and a tokenizer trained on the training texts; needs no download."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mentallama.config import FromScratchSettings

BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """Train a BPE tokenizer (Sennrich et al. 2016); being byte-level, it can encode any text."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[BOS, EOS, PAD], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, bpe.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=BOS, eos_token=EOS, pad_token=PAD)


def random_llama(
    settings: FromScratchSettings, texts: Iterable[str], max_tokens: int, seed: int
) -> tuple[Any, Any]:
    """Create a Llama with random weights for sequences of `max_tokens` tokens, and a tokenizer trained on the texts."""
    tokenizer = train_tokenizer(texts, settings.vocab_size)
    tokenizer.model_max_length = max_tokens
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=_swiglu_width(settings.hidden_size),
        num_hidden_layers=settings.num_hidden_layers,
        num_attention_heads=settings.num_attention_heads,
        max_position_embeddings=max_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(config), tokenizer


def _swiglu_width(hidden_size: int) -> int:
    """Width of a SwiGLU layer with as many weights as an MLP of 4 * hidden_size, rounded up to a multiple of 64."""
    return -(-hidden_size * 8 // 3 // 64) * 64
