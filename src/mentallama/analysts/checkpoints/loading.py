"""Open a neural model: a folder of this project or anybody's, an adapter, or an id on the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from mentallama.analysts.checkpoints.metadata import ModelMetadata, read_model_metadata
from mentallama.analysts.checkpoints.optional_deps import require_peft
from mentallama.errors import MentallamaError, UsageError

WEIGHT_PATTERNS = ("*.safetensors", "pytorch_model*.bin")
ADAPTER_CONFIG = "adapter_config.json"
_AUTO_CLASSES: dict[str, Any] = {
    "causal": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
    "encoder": AutoModel,
}
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_target_positions")
UNBOUNDED_CONTEXT = 1 << 20
"""Tokens of models whose configuration names no longest text (T5)."""


@dataclass(frozen=True)
class LoadedModel:
    """A model with its tokenizer. `context`: tokens it can hold. `file`: what training here has said of it, if so."""

    model: Any
    tokenizer: Any
    context: int
    name: str
    metadata: ModelMetadata | None


def load_pretrained(
    where: str,
    kind: str,
    dtype: torch.dtype,
    device: torch.device | None,
    *,
    quantised: bool = False,
    dropout: float | None = None,
) -> LoadedModel:
    """Load weights and tokenizer.

    Parameters
    ----------
    where
        A folder, or an id on the hub as `klyang/MentaLLaMA-chat-7B-hf`. An adapter's folder brings its base with it.
    kind
        `causal`, `seq2seq` or `encoder`.
    device
        None leaves the weights where they were loaded.
    quantised
        Hold the weights in 4 bits (NF4), to train adapters on.
    dropout
        Of all the model's layers; None: as it was published.

    Raises
    ------
    WrongUse
        There is no model at that place, it lacks weights or a tokenizer, is of another kind, or its adapter belongs to
        another base.
    """
    folder = Path(where)
    if folder.is_dir():
        _check_folder(folder, where)
    adapter = _read_adapter_config(folder)
    base = where if adapter is None else str(adapter["base_model_name_or_path"])
    if adapter is not None and Path(base).is_dir():
        _check_folder(Path(base), base)
    model = _load_or_explain(lambda: _load_base_model(base, kind, dtype, quantised, dropout), base, "model")
    tokenizer = _load_or_explain(
        lambda: AutoTokenizer.from_pretrained(_tokenizer_source(folder, where, base)), where, "tokenizer"
    )
    if not tokenizer.is_fast:
        raise UsageError(
            f"{where}: its tokenizer has no fast version, which is needed to cut posts; convert it first"
        )
    if adapter is not None:
        model = _load_adapter(model, where, base)
    _check_vocabulary(model, tokenizer, where)
    if device is not None and not quantised:
        model = model.to(device)
    file = read_model_metadata(folder) if folder.is_dir() else None
    name = f"{kind}:{file.fingerprint if file else folder.name if folder.is_dir() else where}"
    return LoadedModel(model, tokenizer, context_length(model, tokenizer), name, file)


def context_length(model: Any, tokenizer: Any) -> int:
    """Tokens that a model can hold, by its configuration and its tokenizer."""
    positions = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    filler = getattr(positions, "padding_idx", None)
    taken = (
        0 if filler is None else filler + 1
    )  # RoBERTa and its kin count places from behind that of padding
    bounds = [getattr(model.config, key, 0) for key in _CONTEXT_KEYS]
    bounds = [(bound or 0) - taken for bound in bounds] + [tokenizer.model_max_length]
    return min((int(bound) for bound in bounds if 0 < bound < UNBOUNDED_CONTEXT), default=UNBOUNDED_CONTEXT)


def _check_folder(folder: Path, where: str) -> None:
    """Say what a folder lacks before a library says it in a page."""
    if (folder / ADAPTER_CONFIG).is_file():
        if not any(folder.glob("adapter_model.*")):
            raise UsageError(
                f"{where}: it describes an adapter but holds no weights (adapter_model.safetensors)"
            )
        return
    if not (folder / "config.json").is_file():
        raise UsageError(f"{where}: this folder holds no model, there is no config.json")
    if not any(path for pattern in WEIGHT_PATTERNS for path in folder.glob(pattern)):
        raise UsageError(f"{where}: this model folder holds no weights (*.safetensors); was it copied whole?")


def _read_adapter_config(folder: Path) -> dict[str, Any] | None:
    path = folder / ADAPTER_CONFIG
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _tokenizer_source(folder: Path, where: str, base: str) -> str:
    """An adapter published alone has its base's tokenizer."""
    return base if folder.is_dir() and not any(folder.glob("tokenizer*")) else where


def _load_or_explain(load: Callable[[], Any], where: str, what: str) -> Any:
    """Load, and say in one sentence what a library could not."""
    try:
        return load()
    except torch.OutOfMemoryError:
        raise MentallamaError(f"{where}: the model does not fit into the device's memory") from None
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as fault:
        local = Path(where).is_dir()
        hint = "is the folder complete?" if local else "it is no folder, and the hub could not give it"
        raise UsageError(f"{where}: the {what} cannot be loaded ({type(fault).__name__}); {hint}") from fault


def _load_base_model(
    where: str, kind: str, dtype: torch.dtype, quantised: bool, dropout: float | None
) -> Any:
    config = AutoConfig.from_pretrained(where)
    if dropout is not None:
        for name in config.to_dict():
            if name.endswith(("dropout", "dropout_prob")) and getattr(config, name) is not None:
                setattr(config, name, dropout)
    if bool(config.is_encoder_decoder) != (kind == "seq2seq"):
        raise UsageError(f"{where}: a {config.model_type} is no {kind} model")
    more: dict[str, Any] = {}
    if quantised:
        from transformers import BitsAndBytesConfig

        more["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    return _AUTO_CLASSES[kind].from_pretrained(where, dtype=dtype, config=config, **more)


def _load_adapter(model: Any, where: str, base: str) -> Any:
    """The model with its adapter.

    peft leaves out what it cannot place and says so in a warning; an adapter that does not fit is a fault here.
    """
    require_peft()
    from peft import PeftModel

    try:
        adapted = PeftModel.from_pretrained(model, where)
    except (ValueError, RuntimeError, KeyError):
        raise UsageError(
            f"{where}: this adapter does not fit its base {base}; it was made for another model"
        ) from None
    found = adapted.load_adapter(where, adapter_name="default")
    left = [*found.unexpected_keys, *(key for key in found.missing_keys if "lora_" in key)]
    if left:
        raise UsageError(f"{where}: {len(left)} of the adapter's weights have no place in its base {base}")
    return adapted


def _check_vocabulary(model: Any, tokenizer: Any, where: str) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise UsageError(
            f"{where}: its tokenizer has {len(tokenizer)} tokens and its model only {rows} embeddings"
        )
