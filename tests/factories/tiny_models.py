"""Small random decoders and tokenizers, made in the process: what tests of language models share.

Two layouts of tokenizers, each trained on made-up sentences: `bytes` is byte-level BPE as in GPT-2, Qwen and Llama 3;
`llama` is that of Llama 2 (BOS in front, spaces as `▁`, bytes where the vocabulary ends). Encoder-decoders have their
own: BART's is byte-level BPE between `<s>` and `</s>`, T5's a unigram model that closes with `</s>`.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from mentallama.answers.format import label_sentence
from mentallama.records import FORMS
from mentallama.tasks import load_tasks, write_query

Layout = Literal["bytes", "llama"]

WHO = ("I", "My sister", "A friend of mine", "Nobody here", "The whole team")
WHAT = (
    "walked to the lake",
    "slept badly again",
    "planted some beans",
    "worried about the exam",
    "cooked a soup",
)
WHEN = ("this morning.", "all week.", "after work.", "because it rained.", "and felt better.")

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_CHAT = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)


def made_up_posts() -> list[str]:
    """Posts of one to three sentences."""
    sentences = [" ".join(words) for words in product(WHO, WHAT, WHEN)]
    return sentences + [f"{a} {b}" for a, b in zip(sentences, sentences[7:], strict=False)]


def sentences() -> list[str]:
    """What tokenizers are trained on: posts, queries and answers of all tasks in both forms."""
    found = made_up_posts()
    for task, form in product(load_tasks().values(), FORMS):
        found += [write_query(task, question, form, found[0]) for question in task.questions]
        found += [f"{label_sentence(task, label, form)} Reasoning: {found[1]}" for label in task.labels]
    return found


def tiny_tokenizer(
    chat: bool = False, layout: Layout = "bytes", vocabulary: int = 600, pad: bool = True
) -> PreTrainedTokenizerFast:
    """A tokenizer, with a chat template where `chat` is set; without `pad` it has no padding token."""
    made = _bytes(vocabulary) if layout == "bytes" else _llama(vocabulary)
    ends = {"eos_token": "<|endoftext|>"} if layout == "bytes" else {"bos_token": "<s>", "eos_token": "</s>"}
    if layout == "llama":
        ends["unk_token"] = "<unk>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(made), **ends)
    if pad:
        tokenizer.pad_token = "<|pad|>" if layout == "bytes" else "<unk>"
    if chat and layout == "bytes":
        turns = [AddedToken(mark, special=True) for mark in ("<|im_start|>", "<|im_end|>")]
        tokenizer.add_special_tokens({"additional_special_tokens": turns})
    if chat:
        tokenizer.chat_template = CHATML if layout == "bytes" else LLAMA_CHAT
    return tokenizer


def tiny_llama(folder: Path | None = None, tokenizer: Any = None, seed: int = 0, **config: Any) -> Any:
    """A random Llama of two layers; with a folder, saved there with its tokenizer.

    `config` changes the configuration. Weights are larger than the usual start, so that answers differ in likelihood.
    """
    tokenizer = tokenizer or tiny_tokenizer()
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**{**shape, **config})).eval()
    if folder is not None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return model


Kind = Literal["bart", "t5"]
BART = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 512, "bos_token_id": 0, "pad_token_id": 1,
    "eos_token_id": 2, "decoder_start_token_id": 2, "init_std": 0.3,
}  # fmt: skip
T5 = {
    "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "pad_token_id": 0, "eos_token_id": 1,
    "decoder_start_token_id": 0, "initializer_factor": 1.0,
}  # fmt: skip


def tiny_pair(kind: Kind, seed: int = 0, pad: bool = True, **config: Any) -> tuple[Any, Any]:
    """A random encoder-decoder of two layers a side, and a tokenizer as those of its kind have it.

    `config` changes the configuration. Without `pad` the tokenizer has no padding token.
    """
    tokenizer = _side_tokenizer(kind)
    if not pad:
        tokenizer.pad_token = None
    torch.manual_seed(seed)
    if kind == "t5":
        return T5ForConditionalGeneration(
            T5Config(**{**T5, "vocab_size": len(tokenizer), **config})
        ).eval(), tokenizer
    model = BartForConditionalGeneration(
        BartConfig(**{**BART, "vocab_size": len(tokenizer), **config})
    ).eval()
    model.generation_config.forced_bos_token_id = 0
    # a little bias on every word, as published models may have one
    model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias) / 4)
    return model, tokenizer


def _side_tokenizer(kind: Kind) -> PreTrainedTokenizerFast:
    made = Tokenizer.from_str(_bart_tokenizer() if kind == "bart" else _t5_tokenizer())
    marks = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=made, **marks, **({"bos_token": "<s>"} if kind == "bart" else {})
    )


@cache
def _bart_tokenizer() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return str(tokenizer.to_str())


@cache
def _t5_tokenizer() -> str:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return str(tokenizer.to_str())


@cache
def _bytes(vocabulary: int) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    return str(tokenizer.to_str())


@cache
def _llama(vocabulary: int) -> str:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    # Llama 2 cuts at no words: spaces are marked by the normaliser, and merges stop at them by themselves.
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    made = json.loads(tokenizer.to_str())
    made["added_tokens"] = made["added_tokens"][:3]  # bytes are words of the vocabulary, not control tokens
    return json.dumps(made)


def bfloat16_attention_works() -> bool:
    """Whether torch computes bfloat16 attention on this CPU; some of its kernels exist for AVX-512 alone."""
    rows = torch.ones(1, 2, 64, 8, dtype=torch.bfloat16)
    try:
        torch.nn.functional.scaled_dot_product_attention(rows, rows, rows, is_causal=True)
    except RuntimeError:
        return False
    return True
