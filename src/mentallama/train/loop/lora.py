"""Low-rank adapters on a frozen base (LoRA, Hu et al. 2021; QLoRA, Dettmers et al. 2023): adding and merging them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from mentallama.analysts.checkpoints.digests import CARD_FILE, RECIPE_FILE, write_hashes
from mentallama.analysts.checkpoints.hub_card import merged_card
from mentallama.analysts.checkpoints.loading import ADAPTER_CONFIG, load_pretrained
from mentallama.analysts.checkpoints.metadata import METADATA_FILE, SEEN_FILE
from mentallama.analysts.checkpoints.optional_deps import require_peft
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.config import LoraSettings
from mentallama.errors import UsageError
from mentallama.files.atomic import full_disk_named, write_text
from mentallama.files.ownership import make_output_folder
from mentallama.progress import heartbeat
from mentallama.run_files import SUMMARY_FILE
from mentallama.tasks.terms import TERMS_FILE
from mentallama.train.loop.serving import prepare_for_serving

_QUANTIZATION_BLOCK = 64
"""Weights that share a scale in bitsandbytes' NF4."""


def add_lora(model: Any, settings: LoraSettings, seed: int) -> Any:
    """Wrap a model with new adapters, the only trainable weights; a quantised base is prepared for training.

    Raises
    ------
    UsageError
        The model has no linear layer named in `target_modules`, or its layers are too narrow for 4 bits.
    """
    require_peft()
    from peft import LoraConfig, TaskType, get_peft_model, prepare_model_for_kbit_training

    if settings.load_in_4bit:
        _check_block_size(model)
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    targets = settings.target_modules
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    torch.manual_seed(seed)
    try:
        return get_peft_model(model, config)
    except ValueError:
        if isinstance(targets, str):
            raise UsageError("lora: the model has no layer that LoRA can adapt; train without lora") from None
        raise UsageError(
            f"lora.target_modules: the model has no layer named {', '.join(targets)} that LoRA can adapt; use "
            "all-linear"
        ) from None


def _check_block_size(model: Any) -> None:
    """Raise `UsageError` if a layer's inputs do not fill whole blocks of quantised weights, which share a scale."""
    import bitsandbytes

    for name, layer in model.named_modules():
        if isinstance(layer, bitsandbytes.nn.Linear4bit) and layer.in_features % _QUANTIZATION_BLOCK:
            raise UsageError(
                f"lora.load_in_4bit: the layer {name} has {layer.in_features} inputs, not a multiple of "
                f"{_QUANTIZATION_BLOCK} as 4-bit weights need; use load_in_4bit: false, which a model this small allows"
            )


@heartbeat("merge")
def merge_lora(folder: Path, out: Path) -> None:
    """Merge the adapter in `folder` into its base and write the result, in float32, to `out`.

    Metadata, `seen.json`, model card, recipe and summary are copied along. `out` appears whole or not at all.

    Raises
    ------
    UsageError
        The folder holds no adapter, its base cannot be loaded, or `out` exists.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        raise UsageError(f"{folder}: there is no adapter to merge (no {ADAPTER_CONFIG})")
    if os.path.lexists(out):
        raise UsageError(f"{out} exists already; name a new folder")
    make_output_folder(out.parent)
    require_peft()
    opened = load_pretrained(str(folder), "causal", torch.float32, None)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    merged = opened.model.merge_and_unload()
    if opened.metadata is not None:
        template, form = opened.metadata.template, opened.metadata.form
        prepare_for_serving(merged, PromptEncoder(opened.tokenizer, form, template, opened.context))
    with full_disk_named(partial):
        merged.save_pretrained(partial, safe_serialization=True)
        opened.tokenizer.save_pretrained(partial)
        for name in (METADATA_FILE, SEEN_FILE, TERMS_FILE, RECIPE_FILE, SUMMARY_FILE):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, partial / name)
        if (folder / CARD_FILE).is_file():
            write_text(partial / CARD_FILE, merged_card((folder / CARD_FILE).read_text(encoding="utf-8")))
        write_hashes(partial)
    partial.rename(out)
