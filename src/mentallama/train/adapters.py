"""Low-rank adapters on a frozen base (LoRA, Hu et al. 2021; QLoRA, Dettmers et al. 2023), and merged back into it."""

from __future__ import annotations

from typing import Any

import torch

from mentallama.config import Adapter
from mentallama.errors import WrongUse
from mentallama.models.libraries import need_peft


def adapt(model: Any, adapter: Adapter, seed: int) -> Any:
    """The model with new adapters, which alone learn; a quantised base is prepared for it.

    Raises
    ------
    WrongUse
        No layer of the model is called by one of the targets.
    """
    need_peft()
    from peft import LoraConfig, TaskType, get_peft_model, prepare_model_for_kbit_training

    if adapter.quantised:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets),
    )
    torch.manual_seed(seed)
    try:
        return get_peft_model(model, config)
    except ValueError:
        raise WrongUse(
            f"adapter.targets: no layer of the model is called {', '.join(adapter.targets)}; use all-linear"
        ) from None
