"""Load a neural model from a folder, an adapter's folder or the Hugging Face hub, and choose its device and dtype."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from mentallama.analysts.base import Device, Dtype
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
"""Context in tokens of models whose configuration gives no limit (T5)."""


@dataclass(frozen=True)
class LoadedModel:
    """A model with its tokenizer.

    `context` is the largest number of tokens that it can process; `metadata` is None unless this project trained it.
    """

    model: Any
    tokenizer: Any
    context: int
    name: str
    metadata: ModelMetadata | None


def choose_device(setting: Device, local_rank: int = 0) -> torch.device:
    """The device for a setting; `local_rank` is the index of this process on its machine.

    Raises
    ------
    UsageError
        `cuda` is requested and torch sees no GPU.
    """
    available = torch.cuda.is_available()
    if setting == "cuda" and not available:
        raise UsageError(
            "device: cuda is requested, but torch sees no GPU here; use device: cpu, or install a CUDA build of torch"
        )
    return torch.device("cuda", local_rank) if available and setting != "cpu" else torch.device("cpu")


def choose_dtype(setting: Dtype, device: torch.device) -> torch.dtype:
    """The dtype for a setting; `auto` is bfloat16 on a GPU and float32 on a CPU."""
    if setting == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.float32 if setting == "float32" else torch.bfloat16


def load_pretrained(
    location: str,
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
    location
        A folder, or an id on the Hugging Face hub such as `klyang/MentaLLaMA-chat-7B-hf`. For an adapter's folder, its
        base is loaded as well.
    kind
        `causal`, `seq2seq` or `encoder`.
    dtype
        Dtype of the weights.
    device
        None leaves the weights where they were loaded.
    quantised
        Quantise the weights to 4 bits (NF4), to train adapters on them.
    dropout
        Dropout probability of all layers; None keeps what was published.

    Raises
    ------
    UsageError
        There is no model at that location, it lacks weights or a tokenizer, is of another kind, or its adapter does not
        fit its base.
    """
    folder = Path(location)
    if folder.is_dir():
        _check_folder(folder, location)
    adapter = _read_adapter_config(folder)
    base = location if adapter is None else str(adapter["base_model_name_or_path"])
    if adapter is not None and Path(base).is_dir():
        _check_folder(Path(base), base)
    model = _load_or_explain(lambda: _load_base_model(base, kind, dtype, quantised, dropout), base, "model")
    tokenizer = _load_or_explain(
        lambda: AutoTokenizer.from_pretrained(_tokenizer_source(folder, location, base)),
        location,
        "tokenizer",
    )
    if not tokenizer.is_fast:
        raise UsageError(
            f"{location}: its tokenizer has no fast version, which is needed to truncate posts; convert it first"
        )
    if adapter is not None:
        model = _load_adapter(model, location, base)
    _check_vocabulary(model, tokenizer, location)
    if device is not None and not quantised:
        model = model.to(device)
    metadata = read_model_metadata(folder) if folder.is_dir() else None
    name = metadata.fingerprint if metadata else folder.name if folder.is_dir() else location
    return LoadedModel(model, tokenizer, context_length(model, tokenizer), f"{kind}:{name}", metadata)


def context_length(model: Any, tokenizer: Any) -> int:
    """Number of tokens that a model can process, according to its configuration and its tokenizer."""
    positions = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding_index = getattr(positions, "padding_idx", None)
    # RoBERTa and its relatives number positions from the one after that of padding.
    n_reserved = 0 if padding_index is None else padding_index + 1
    limits = [(getattr(model.config, key, 0) or 0) - n_reserved for key in _CONTEXT_KEYS]
    limits.append(tokenizer.model_max_length)
    return min((int(limit) for limit in limits if 0 < limit < UNBOUNDED_CONTEXT), default=UNBOUNDED_CONTEXT)


def _check_folder(folder: Path, where: str) -> None:
    """Raise a one-sentence error if a file is missing, before a library raises a longer one."""
    if (folder / ADAPTER_CONFIG).is_file():
        if not any(folder.glob("adapter_model.*")):
            raise UsageError(
                f"{where}: it describes an adapter but holds no weights (adapter_model.safetensors)"
            )
        return
    if not (folder / "config.json").is_file():
        raise UsageError(f"{where}: this folder holds no model: there is no config.json")
    if not any(path for pattern in WEIGHT_PATTERNS for path in folder.glob(pattern)):
        raise UsageError(
            f"{where}: this model folder holds no weights (*.safetensors); was it copied completely?"
        )


def _read_adapter_config(folder: Path) -> dict[str, Any] | None:
    path = folder / ADAPTER_CONFIG
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _tokenizer_source(folder: Path, where: str, base: str) -> str:
    """Where to load the tokenizer from: an adapter published without one uses that of its base."""
    return base if folder.is_dir() and not any(folder.glob("tokenizer*")) else where


def _load_or_explain(load: Callable[[], Any], where: str, what: str) -> Any:
    """Load, and replace errors of the libraries by a one-sentence error."""
    try:
        return load()
    except torch.OutOfMemoryError:
        raise MentallamaError(f"{where}: the model does not fit into the device's memory") from None
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        local = Path(where).is_dir()
        hint = "is the folder complete?" if local else "it is not a folder, and the hub did not provide it"
        raise UsageError(f"{where}: the {what} cannot be loaded ({type(error).__name__}); {hint}") from error


def _load_base_model(
    where: str, kind: str, dtype: torch.dtype, quantised: bool, dropout: float | None
) -> Any:
    config = AutoConfig.from_pretrained(where)
    if dropout is not None:
        for name in config.to_dict():
            if name.endswith(("dropout", "dropout_prob")) and getattr(config, name) is not None:
                setattr(config, name, dropout)
    if bool(config.is_encoder_decoder) != (kind == "seq2seq"):
        raise UsageError(f"{where}: a {config.model_type} is not a {kind} model")
    extra: dict[str, Any] = {}
    if quantised:
        from transformers import BitsAndBytesConfig

        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    return _AUTO_CLASSES[kind].from_pretrained(where, dtype=dtype, config=config, **extra)


def _load_adapter(model: Any, where: str, base: str) -> Any:
    """The model with its adapter.

    peft only warns about weights that it cannot place; here they are an error.
    """
    require_peft()
    from peft import PeftModel

    try:
        adapted = PeftModel.from_pretrained(model, where)
    except (ValueError, RuntimeError, KeyError):
        raise UsageError(
            f"{where}: this adapter does not fit its base {base}; it was made for another model"
        ) from None
    result = adapted.load_adapter(where, adapter_name="default")
    unplaced_weights = [*result.unexpected_keys, *(key for key in result.missing_keys if "lora_" in key)]
    if unplaced_weights:
        raise UsageError(
            f"{where}: {len(unplaced_weights)} of the adapter's weights do not fit its base {base}"
        )
    return adapted


def _check_vocabulary(model: Any, tokenizer: Any, where: str) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise UsageError(
            f"{where}: its tokenizer has {len(tokenizer)} tokens but its model only {rows} embeddings"
        )


def unwrap_peft(loaded: LoadedModel) -> Any:
    """The model with its adapters, without the wrapper of peft.

    Raises
    ------
    UsageError
        The adapter is a prompt-learning one.
    """
    configs = getattr(loaded.model, "peft_config", None)
    if configs is None or not hasattr(loaded.model, "get_base_model"):
        return loaded.model
    if any(config.is_prompt_learning for config in configs.values()):
        raise UsageError(
            f"{loaded.name}: adapters that prepend learned tokens to the prompt are not supported; merge it or use LoRA"
        )
    return loaded.model.get_base_model()


def published_eos_ids(model: Any) -> list[int]:
    """The end-of-sequence tokens of a model's published generation configuration."""
    eos = model.generation_config.eos_token_id
    return eos if isinstance(eos, list) else [] if eos is None else [eos]


@contextmanager
def inference_mode(model: Any) -> Iterator[None]:
    """Run without gradients and dropout; afterwards the model is back in its previous mode."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)
