"""Low-rank adapters on a frozen base (LoRA, Hu et al. 2021; QLoRA, Dettmers et al. 2023), and merged back into it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from mentallama.analysts.checkpoints.loading import ADAPTER_CONFIG, load_pretrained
from mentallama.analysts.checkpoints.metadata import METADATA_FILE, SEEN_FILE
from mentallama.analysts.checkpoints.optional_deps import require_peft
from mentallama.config import LoraSettings
from mentallama.errors import UsageError
from mentallama.run_files import SUMMARY_FILE
from mentallama.train.loop.model_card import CARD_FILE, RECIPE_FILE, write_hashes


def add_lora(model: Any, adapter: LoraSettings, seed: int) -> Any:
    """The model with new adapters, which alone learn; a quantised base is prepared for it.

    Raises
    ------
    WrongUse
        No layer of the model is called by one of the targets.
    """
    require_peft()
    from peft import LoraConfig, TaskType, get_peft_model, prepare_model_for_kbit_training

    if adapter.load_in_4bit:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.target_modules
        if isinstance(adapter.target_modules, str)
        else list(adapter.target_modules),
    )
    torch.manual_seed(seed)
    try:
        return get_peft_model(model, config)
    except ValueError:
        raise UsageError(
            f"adapter.targets: no layer of the model is called {', '.join(adapter.target_modules)}; use all-linear"
        ) from None


def merge_lora(folder: Path, out: Path) -> None:
    """Write a model of its own, in which the adapter of a folder is added to its base; float32.

    What the folder says of itself (`mentallama.json`, `seen.json`, the card and the recipe) goes with it. `out` appears
    whole or not at all.

    Raises
    ------
    WrongUse
        The folder holds no adapter, its base cannot be loaded, or there is something at `out`.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        raise UsageError(f"{folder}: there is no adapter to merge, no {ADAPTER_CONFIG}")
    if out.exists():
        raise UsageError(f"{out}: there is something already; name a folder that does not exist")
    require_peft()
    opened = load_pretrained(str(folder), "causal", torch.float32, None)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    opened.model.merge_and_unload().save_pretrained(partial, safe_serialization=True)
    opened.tokenizer.save_pretrained(partial)
    for name in (METADATA_FILE, SEEN_FILE, CARD_FILE, RECIPE_FILE, SUMMARY_FILE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, partial / name)
    write_hashes(partial)
    partial.rename(out)
