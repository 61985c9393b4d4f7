"""Sequence classifiers of transformers with the same logits as a head of our encoder.

Our head is linear: `weight @ pooled + bias`, divided by its temperature. The classifiers of transformers have a second
layer between pooling and output, with an activation or a norm, in which these logits have to pass unchanged:

* An activation with f(z) - f(-z) = z, as of ReLU, GELU and SiLU: the first layer computes z and -z, the second
  subtracts. Exact.
* tanh: the first layer computes z scaled down by a power of two, where tanh is the identity to float32 rounding; the
  second layer scales up.
* LayerNorm: beside z, the first layer computes 0, C and -C with C much larger than z, so that the standard deviation is
  that of C to float32 rounding; the second layer subtracts the 0 from z, which cancels the mean, and scales up.

These scales and C are representable in float16 too.

Most families read the first token's state only. Where our encoder averages the states of all tokens, one more layer in
the layout of the family puts the logits of that average into the first token's state: with queries and keys of zero its
attention is the same for all tokens, and its residual connections and norms are dealt with as above. Its numbers exceed
float16, so that such a classifier runs in float32 and bfloat16.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from mentallama.analysts.checkpoints.metadata import EncoderHead
from mentallama.analysts.encoder.model import MultiTaskEncoder
from mentallama.errors import UsageError

_TANH_SCALE = 2.0**-15
"""tanh(x) = x (1 - x²/3 + ...): for logits up to 16, x²/3 is below 2^-23, one unit of float32's last place."""
_NORM_CONSTANT = 2.0**15
"""C of a LayerNorm. With logits z, the standard deviation is off by a factor of 1 + sum(z²) / 4C²: for two logits of
16, 1 + 2^-23."""


_AVERAGE_SCALE = 2.0**27
"""Of the average's logits against the first token's own state, which the residual connection adds: below float32's
rounding."""


@dataclass(frozen=True)
class LayerNames:
    """Names of the parts of an encoder layer with residual connections and a norm after them, in order.

    `layers` is the list of layers below the base model.
    """

    layers: str
    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    intermediate: str
    output: str
    output_norm: str


@dataclass(frozen=True)
class StockHead:
    """The head of a family's sequence classifier.

    Parameters
    ----------
    hidden, output
        Names of its two linear layers in the model.
    fill
        `(model, head, weight, bias)` sets their weights for logits `weight @ pooled + bias`.
    poolings
        Pooling of our encoder that the family offers -> the settings of its configuration that select it.
    norm
        Name of the LayerNorm between the two layers, if there is one.
    layer_names
        Parts of the family's layers, if a layer of them can average the tokens' states.
    """

    hidden: str
    output: str
    fill: Callable[[Any, StockHead, torch.Tensor, torch.Tensor], None]
    poolings: Mapping[str, Mapping[str, object]]
    norm: str = ""
    layer_names: LayerNames | None = None


def _fill_odd_part(model: Any, head: StockHead, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """For an activation with f(z) - f(-z) = z."""
    n_labels = len(bias)
    hidden, output = _cleared(model, head.hidden), _cleared(model, head.output)
    _require_width(hidden, 2 * n_labels)
    for first, sign in ((0, 1.0), (n_labels, -1.0)):
        rows = slice(first, first + n_labels)
        hidden.weight[rows], hidden.bias[rows] = sign * weight, sign * bias
        output.weight[:, rows] = sign * torch.eye(n_labels)


def _fill_tanh(model: Any, head: StockHead, weight: torch.Tensor, bias: torch.Tensor) -> None:
    n_labels = len(bias)
    hidden, output = _cleared(model, head.hidden), _cleared(model, head.output)
    _require_width(hidden, n_labels)
    hidden.weight[:n_labels], hidden.bias[:n_labels] = _TANH_SCALE * weight, _TANH_SCALE * bias
    output.weight[:, :n_labels] = torch.eye(n_labels) / _TANH_SCALE


def _fill_layer_norm(model: Any, head: StockHead, weight: torch.Tensor, bias: torch.Tensor) -> None:
    n_labels = len(bias)
    hidden, output, norm = (
        _cleared(model, head.hidden),
        _cleared(model, head.output),
        model.get_submodule(head.norm),
    )
    _require_width(hidden, n_labels + 3)
    norm.weight.fill_(1.0)
    if norm.bias is not None:
        norm.bias.zero_()
    zero, plus, minus = range(n_labels, n_labels + 3)
    hidden.weight[:n_labels], hidden.bias[:n_labels] = weight, bias
    hidden.bias[plus], hidden.bias[minus] = _NORM_CONSTANT, -_NORM_CONSTANT
    deviation = math.sqrt(2 * _NORM_CONSTANT**2 / hidden.out_features + norm.eps)
    output.weight[:, :n_labels] = deviation * torch.eye(n_labels)
    output.weight[:, zero] = -deviation


def _fill_averaging_layer(
    model: Any, names: LayerNames, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Set the last layer's weights so that the first token's state holds the logits of the average state.

    Returns weight and bias of the head that reads them from there.
    """
    layer = getattr(model, model.base_model_prefix).get_submodule(names.layers)[-1]
    n_labels, width = weight.shape
    value, attention_output = _cleared(layer, names.value), _cleared(layer, names.attention_output)
    _require_width(value, n_labels + 3)
    for name in (names.query, names.key, names.intermediate, names.output):
        _cleared(layer, name)
    norms = [layer.get_submodule(name) for name in (names.attention_norm, names.output_norm)]
    for norm in norms:
        norm.weight.fill_(1.0)
        norm.bias.zero_()
    value.weight[:n_labels], value.bias[:n_labels] = weight, bias
    constant = _NORM_CONSTANT * _AVERAGE_SCALE
    zero, plus, minus = range(n_labels, n_labels + 3)
    attention_output.weight[:n_labels, :n_labels] = _AVERAGE_SCALE * torch.eye(n_labels)
    attention_output.bias[plus], attention_output.bias[minus] = constant, -constant
    # The first norm leaves C and -C as the only large entries, with a variance of 1 for the second.
    deviation = math.sqrt(2 / width) * _NORM_CONSTANT * math.sqrt(1 + norms[1].eps)
    reads = torch.zeros(n_labels, width)
    reads[:, :n_labels] = deviation * torch.eye(n_labels)
    reads[:, zero] = -deviation
    return reads, torch.zeros(n_labels)


def _cleared(model: Any, name: str) -> torch.nn.Linear:
    """The linear layer of this name, filled with zeros."""
    layer: torch.nn.Linear = model.get_submodule(name)
    layer.weight.zero_()
    layer.bias.zero_()
    return layer


def _require_width(layer: torch.nn.Linear, width: int) -> None:
    if layer.out_features < width:
        raise UsageError(
            f"the encoder's states have {layer.out_features} dimensions, and a sequence classifier needs {width} for "
            "this question's labels; train a larger encoder"
        )


_FIRST_TOKEN: Mapping[str, Mapping[str, object]] = {"cls": {}}
_GELU_POOLER = {"cls": {"pooler_hidden_act": "gelu"}}
_MODERN_HEAD = {"classifier_bias": True, "classifier_activation": "linear"}
_BERT_LAYER = LayerNames(
    layers="encoder.layer",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    intermediate="intermediate.dense",
    output="output.dense",
    output_norm="output.LayerNorm",
)
_DISTILBERT_LAYER = LayerNames(
    layers="transformer.layer",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_output="attention.out_lin",
    attention_norm="sa_layer_norm",
    intermediate="ffn.lin1",
    output="ffn.lin2",
    output_norm="output_layer_norm",
)
_ROBERTA = StockHead(
    "classifier.dense", "classifier.out_proj", _fill_tanh, _FIRST_TOKEN, layer_names=_BERT_LAYER
)

STOCK_HEADS: dict[str, StockHead] = {
    "bert": StockHead("bert.pooler.dense", "classifier", _fill_tanh, _FIRST_TOKEN, layer_names=_BERT_LAYER),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "electra": StockHead(
        "classifier.dense", "classifier.out_proj", _fill_odd_part, _FIRST_TOKEN, layer_names=_BERT_LAYER
    ),
    "distilbert": StockHead(
        "pre_classifier", "classifier", _fill_odd_part, _FIRST_TOKEN, layer_names=_DISTILBERT_LAYER
    ),
    "albert": StockHead("albert.pooler", "classifier", _fill_tanh, _FIRST_TOKEN),
    "mpnet": StockHead("classifier.dense", "classifier.out_proj", _fill_tanh, _FIRST_TOKEN),
    "deberta": StockHead("pooler.dense", "classifier", _fill_odd_part, _GELU_POOLER),
    "deberta-v2": StockHead("pooler.dense", "classifier", _fill_odd_part, _GELU_POOLER),
    "modernbert": StockHead(
        "head.dense",
        "classifier",
        _fill_layer_norm,
        {name: {**_MODERN_HEAD, "classifier_pooling": name} for name in ("cls", "mean")},
        norm="head.norm",
    ),
    "eurobert": StockHead(
        "dense",
        "classifier",
        _fill_odd_part,
        {"cls": {"classifier_pooling": "bos"}, "mean": {"classifier_pooling": "mean"}},
    ),
}
"""Families whose sequence classifiers can hold our heads, by `model_type`."""


def find_stock_head(model_type: str, pooling: str) -> StockHead:
    """The head of a family's sequence classifier.

    Raises
    ------
    UsageError
        transformers has no classifier for this family that can hold our head with this pooling.
    """
    head = STOCK_HEADS.get(model_type)
    if head is None:
        raise UsageError(
            f"there is no exact sequence classifier for a {model_type} encoder; there is one for "
            f"{', '.join(STOCK_HEADS)}"
        )
    if pooling not in head.poolings and not _adds_layer(head, pooling):
        others = [
            name for name, other in STOCK_HEADS.items() if pooling in other.poolings or other.layer_names
        ]
        raise UsageError(
            f"the sequence classifier of {model_type} reads the first token's state, and no layer of the family can "
            f"average the states of all tokens as this encoder does; train it with pooling: cls, or train one of "
            f"{', '.join(others)}"
        )
    return head


def _adds_layer(head: StockHead, pooling: str) -> bool:
    """Whether the classifier needs one more layer than the encoder."""
    return pooling == "mean" and "mean" not in head.poolings and head.layer_names is not None


def sequence_classifier(encoder: MultiTaskEncoder, columns: slice, head: EncoderHead) -> Any:
    """A sequence classifier of transformers with the probabilities of one head of an encoder.

    Parameters
    ----------
    encoder
        The encoder and all of its heads, on the CPU in float32.
    columns
        The rows of the stacked heads that belong to `head`.

    Raises
    ------
    UsageError
        As `find_stock_head`; or the encoder's states are too narrow for the number of labels.
    """
    stock_head = find_stock_head(encoder.encoder.config.model_type, encoder.pooling)
    adds_layer = _adds_layer(stock_head, encoder.pooling)
    config = _classifier_config(encoder, stock_head, head.labels, adds_layer)
    model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32).eval()
    added_layer = f".layer.{config.num_hidden_layers - 1}." if adds_layer else None
    _copy_weights(encoder.encoder, getattr(model, model.base_model_prefix), added_layer)
    with torch.no_grad():
        weight = encoder.heads.weight[columns] / head.temperature
        bias = encoder.heads.bias[columns] / head.temperature
        if adds_layer and stock_head.layer_names is not None:
            weight, bias = _fill_averaging_layer(model, stock_head.layer_names, weight, bias)
        stock_head.fill(model, stock_head, weight, bias)
    return model


def _classifier_config(
    encoder: MultiTaskEncoder, stock_head: StockHead, labels: Sequence[str], adds_layer: bool
) -> Any:
    config = deepcopy(encoder.encoder.config)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = "single_label_classification"
    config.num_hidden_layers += adds_layer
    for name, value in stock_head.poolings.get(encoder.pooling, {}).items():
        setattr(config, name, value)
    return config


def _copy_weights(encoder: Any, base: Any, added_layer: str | None) -> None:
    """Copy all weights but those of a pooler, which the head replaces, and those of a layer that is added."""
    report = base.load_state_dict(encoder.state_dict(), strict=False)
    missing = [name for name in report.missing_keys if added_layer is None or added_layer not in name]
    others = [name for name in (*missing, *report.unexpected_keys) if "pooler" not in name]
    if others:
        raise UsageError(
            f"the encoder's weights do not fit the sequence classifier ({others[0]}, for example)"
        )
