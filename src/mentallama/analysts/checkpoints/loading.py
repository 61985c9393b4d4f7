"""Load a neural model from a folder, an adapter's folder or the Hugging Face hub, and choose its device and dtype."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from mentallama.analysts.base import Device, Dtype, NonFiniteOutputError
from mentallama.analysts.checkpoints.digests import LIBRARY_SUFFIXES, verify_hashes
from mentallama.analysts.checkpoints.metadata import METADATA_FILE, ModelMetadata, read_model_metadata
from mentallama.analysts.checkpoints.optional_deps import require_peft
from mentallama.errors import MentallamaError, UsageError
from mentallama.files.record_files import read_json

WEIGHT_PATTERNS = ("*.safetensors", "pytorch_model*.bin")
ADAPTER_CONFIG = "adapter_config.json"
_AUTO_CLASSES: dict[str, Any] = {
    "causal": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
    "encoder": AutoModel,
    "classifier": AutoModelForSequenceClassification,
}
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_target_positions")
_HUB_ID_PARTS = 2
"""An id on the hub is NAME or OWNER/NAME."""
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
    quantized: bool = False,
    dropout: float | None = None,
) -> LoadedModel:
    """Load weights and tokenizer.

    Parameters
    ----------
    location
        A folder, or an id on the Hugging Face hub such as `klyang/MentaLLaMA-chat-7B-hf`. For an adapter's folder, its
        base is loaded as well.
    kind
        `causal`, `seq2seq`, `encoder`, or `classifier`: a sequence classifier of any architecture.
    dtype
        Dtype of the weights.
    device
        None leaves the weights where they were loaded.
    quantized
        Quantise the weights to 4 bits (NF4), to train adapters on them.
    dropout
        Dropout probability of all layers; None keeps what was published.

    Raises
    ------
    UsageError
        There is no model at that location, it lacks weights or a tokenizer, is of another kind, needs code of its own,
        or its adapter does not fit its base.
    DataError
        A file of a model made here is not the one that was saved.
    """
    folder = Path(location)
    check_location(location)
    adapter_base = _adapter_base(folder, location)
    base = adapter_base or location
    if adapter_base is not None:
        check_location(base)
    model = _load_or_explain(lambda: _load_base_model(base, kind, dtype, quantized, dropout), base, "model")
    tokenizer = _load_or_explain(
        lambda: AutoTokenizer.from_pretrained(
            _tokenizer_source(folder, location, base), trust_remote_code=False
        ),
        location,
        "tokenizer",
    )
    if not tokenizer.is_fast:
        raise UsageError(
            f"{location}: its tokenizer has no fast version, which is needed to truncate posts; convert it first"
        )
    if adapter_base is not None:
        _refuse_retrained_base(folder, base)
        model = _load_adapter(model, location, base)
    _guard_embeddings(model, tokenizer, location)
    if device is not None and not quantized:
        model = model.to(device)
    metadata = read_model_metadata(folder) if folder.is_dir() else None
    name = metadata.fingerprint if metadata else folder.name if folder.is_dir() else location
    return LoadedModel(model, tokenizer, context_length(model, tokenizer), f"{kind}:{name}", metadata)


def context_length(model: Any, tokenizer: Any) -> int:
    """Number of tokens that a model can process, according to its configuration and its tokenizer."""
    body = getattr(model, "base_model", model)
    positions = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    padding_index = getattr(positions, "padding_idx", None)
    # RoBERTa and its relatives number positions from the one after that of padding.
    n_reserved = 0 if padding_index is None else padding_index + 1
    limits = [(getattr(model.config, key, 0) or 0) - n_reserved for key in _CONTEXT_KEYS]
    limits.append(tokenizer.model_max_length)
    return min((int(limit) for limit in limits if 0 < limit < UNBOUNDED_CONTEXT), default=UNBOUNDED_CONTEXT)


def check_location(location: str) -> None:
    """Check a model's folder, and that its files are those that were saved, before a library reads them.

    Raises
    ------
    UsageError
        The location is a file or a folder that does not exist, or the folder holds no complete model.
    DataError
        A file of a model made here is not the one that was saved.
    """
    folder = Path(location)
    if not location.strip():
        raise UsageError("there is no model to load: name a folder, or an id on the Hugging Face hub")
    if folder.is_file():
        raise UsageError(f"{location}: this is a file; name the folder of the model")
    if folder.is_dir():
        _check_folder(folder, location)
        verify_hashes(folder, (folder / METADATA_FILE).is_file(), LIBRARY_SUFFIXES)
    elif folder.is_absolute() or location.startswith(("./", "../", "~")) or len(folder.parts) > _HUB_ID_PARTS:
        raise UsageError(f"{location}: there is no such folder")


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


def _adapter_base(folder: Path, where: str) -> str | None:
    """The base that an adapter's folder names, or None if the folder holds no adapter."""
    path = folder / ADAPTER_CONFIG
    if not path.is_file():
        return None
    config = read_json(path)
    base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(base, str) or not base:
        raise UsageError(f"{where}: its {ADAPTER_CONFIG} does not name its base (base_model_name_or_path)")
    return base


def _tokenizer_source(folder: Path, where: str, base: str) -> str:
    """Where to load the tokenizer from: an adapter published without one uses that of its base."""
    return base if folder.is_dir() and not any(folder.glob("tokenizer*")) else where


def _load_or_explain(load: Callable[[], Any], where: str, what: str) -> Any:
    """Load, and replace errors of the libraries by a one-sentence error.

    Files of unknown origin make transformers, tokenizers, safetensors and pickle fail in any way, tokenizers even with
    a bare Exception.
    """
    try:
        return load()
    except MentallamaError:
        raise
    except (torch.OutOfMemoryError, MemoryError):
        raise MentallamaError(
            f"{where}: the model does not fit into the device's memory; use a smaller model, dtype: bfloat16, or "
            "another device"
        ) from None
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise UsageError(
                f"{where}: the {what} needs Python code that comes with it (auto_map), and such code is never run "
                "here; use a model whose architecture transformers knows, or serve it yourself and name it as "
                "remote:MODEL@URL"
            ) from None
        local = Path(where).is_dir()
        hint = "is the folder complete?" if local else "it is not a folder, and the hub did not provide it"
        raise UsageError(f"{where}: the {what} cannot be loaded ({type(error).__name__}); {hint}") from error


def wrong_kind_error(where: str, model_type: str, kind: str) -> UsageError:
    """The error for a model whose architecture is not one of `kind`."""
    return UsageError(f"{where}: a {model_type} is not {'an' if kind == 'encoder' else 'a'} {kind} model")


def _load_base_model(
    where: str, kind: str, dtype: torch.dtype, quantized: bool, dropout: float | None
) -> Any:
    config = AutoConfig.from_pretrained(where, trust_remote_code=False)
    if dropout is not None:
        for name in config.to_dict():
            if name.endswith(("dropout", "dropout_prob")) and getattr(config, name) is not None:
                setattr(config, name, dropout)
    if kind != "classifier" and bool(config.is_encoder_decoder) != (kind == "seq2seq"):
        raise wrong_kind_error(where, config.model_type, kind)
    extra: dict[str, Any] = {}
    if quantized:
        from transformers import BitsAndBytesConfig

        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    model, report = _AUTO_CLASSES[kind].from_pretrained(
        where, dtype=dtype, config=config, trust_remote_code=False, output_loading_info=True, **extra
    )
    # transformers only warns about weights that are missing, and draws them at random.
    missing = sorted(name for name in report["missing_keys"] if kind != "encoder" or "pooler" not in name)
    if missing:
        raise UsageError(
            f"{where}: {len(missing)} of its weights are missing ({missing[0]}, for example); is the folder complete, "
            f"and is it a {kind} model?"
        )
    return model


def _refuse_retrained_base(folder: Path, base: str) -> None:
    """Raise `UsageError` if a base in a folder has been trained again since the adapter was trained on it."""
    adapter = read_model_metadata(folder) if folder.is_dir() else None
    now = read_model_metadata(Path(base)) if Path(base).is_dir() else None
    if adapter is None or now is None or adapter.base == f"{now.analyst}:{now.fingerprint}":
        return
    raise UsageError(
        f"{folder}: this adapter was trained on {adapter.base}, but {base} now holds {now.analyst}:{now.fingerprint}; "
        "train the adapter again, or put its base back"
    )


def _load_adapter(model: Any, where: str, base: str) -> Any:
    """The model with its adapter.

    An adapter may hold embeddings of its own with more rows than its base has, for tokens that were added. peft only
    warns about weights that it cannot place; here they are an error.
    """
    require_peft()
    from peft import PeftModel
    from peft.utils import load_peft_weights

    weights = _load_or_explain(lambda: load_peft_weights(where, device="cpu"), where, "adapter")
    _resize_embeddings(model, weights)
    try:
        adapted = PeftModel.from_pretrained(model, where)
    except RuntimeError as error:
        raise UsageError(f"{where}: this adapter does not fit its base {base}: {_shapes_in(error)}") from None
    except Exception as error:
        raise UsageError(
            f"{where}: this adapter cannot be added to its base {base} ({type(error).__name__}); it was made for "
            "another architecture, or its files are damaged"
        ) from error
    result = adapted.load_adapter(where, adapter_name="default")
    # Where embeddings were resized, peft saves modules_to_save twice, and reads the copy under the plain name.
    unexpected = [
        key
        for key in result.unexpected_keys
        if ".modules_to_save." not in key or key.replace(".modules_to_save.", ".") not in weights
    ]
    unplaced = [*unexpected, *(key for key in result.missing_keys if "lora_" in key)]
    if unplaced:
        raise UsageError(
            f"{where}: {len(unplaced)} of the adapter's weights do not fit its base {base} ({unplaced[0]}, for "
            "example); it was made for another model"
        )
    return adapted


def _resize_embeddings(model: Any, weights: Mapping[str, torch.Tensor]) -> None:
    """Give the base as many rows of embeddings as those that the adapter brings along, if it does."""
    embeddings = model.get_input_embeddings()
    name = next(name for name, module in model.named_modules() if module is embeddings)
    own = [tensor for key, tensor in weights.items() if key.endswith(f".{name}.weight")]
    if own and own[0].shape[0] != embeddings.weight.shape[0]:
        model.resize_token_embeddings(own[0].shape[0], mean_resizing=False)


def _shapes_in(error: RuntimeError) -> str:
    """The first mismatch of shapes that torch reports."""
    found = re.search(
        r"size mismatch for (\S+?):.*?torch\.Size\((.*?)\).*?torch\.Size\((.*?)\)", str(error), re.S
    )
    if found is None:
        return "it was made for another model"
    return f"{found[1]} has the shape {found[2]} in the adapter and {found[3]} in the base"


def _guard_embeddings(model: Any, tokenizer: Any, where: str) -> None:
    """Refuse token ids that have no embedding, where there are any, as soon as a text uses one.

    A tokenizer may have more tokens than its model, such as a padding token that nothing here uses.

    Raises
    ------
    UsageError
        The token that ends every answer has no embedding.
    """
    embeddings = model.get_input_embeddings()
    rows = embeddings.weight.shape[0]
    if len(tokenizer) <= rows:
        return

    def refuse(number: int) -> None:
        raise UsageError(
            f"{where}: its tokenizer has {len(tokenizer)} tokens but its model only {rows} embeddings, and token "
            f"{number} is used; resize the model's embeddings, or use the tokenizer that belongs to it"
        )

    def check(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs and int(inputs[0].max()) >= rows:
            refuse(int(inputs[0].max()))

    if (tokenizer.eos_token_id or 0) >= rows:
        refuse(int(tokenizer.eos_token_id))
    embeddings.register_forward_pre_hook(check)


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
def inference_mode(model: Any, name: str) -> Iterator[None]:
    """Run without gradients and dropout; afterwards the model is back in its previous mode.

    `name` is the model's, for the error if it computes NaN.
    """
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    except NonFiniteOutputError:
        raise NonFiniteOutputError(name) from None
    finally:
        model.train(training)
