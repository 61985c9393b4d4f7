"""Mean log-probabilities of target texts under an encoder-decoder, given source texts.

Each distinct source is encoded once, in batches of similar length, and each distinct pair is decoded once, in batches
of its own. Encoder states are kept for one window of sources at a time, so memory is bounded by the token budget. The
output layer runs on real target tokens only, some at a time: a batch's logits, which take more memory than all else
together, never exist as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutput

from mentallama.analysts.base import NonFiniteOutputError
from mentallama.analysts.checkpoints.loading import inference_mode
from mentallama.analysts.inference.batching import TokenBudget, run_in_batches
from mentallama.errors import UsageError
from mentallama.explanation_metrics.neural.checkpoints import Tokens, padded

WINDOW_BATCHES = 4
"""Encoder states are kept of at most as many tokens as this many batches hold."""

MAX_SOURCE_RATIO = 2
"""The longest source of a window is at most this many times as long as the shortest. Padding of sources costs little:
the decoder only attends to them."""

LOGITS_CELLS = {"cpu": 1 << 24, "cuda": 1 << 27}
"""Logits (positions x vocabulary) that are computed together, by type of device: 64 and 512 MiB in float32."""

IGNORE_INDEX = -100
"""Target value that cross-entropy and transformers skip."""

Pair = tuple[Tokens, Tokens]
"""Tokens of a source and of a target, both with special tokens."""


@dataclass(frozen=True)
class EncodedText:
    """A source text to be encoded."""

    ids: Tokens

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    def halves(self) -> list[EncodedText]:
        """A single text cannot be split."""
        return [self]


@dataclass(frozen=True)
class DecodedPair:
    """A target to be scored; its source is padded to the `n_source` tokens of the longest in the window."""

    source: Tokens
    target: Tokens
    n_source: int

    @property
    def n_tokens(self) -> int:
        return self.n_source + len(self.target)

    def halves(self) -> list[DecodedPair]:
        """A single pair cannot be split."""
        return [self]


def mean_logprobs(model: Any, pairs: Sequence[Pair], budget: TokenBudget, name: str) -> dict[Pair, float]:
    """Mean log-probability in nats per target token of each distinct pair, special tokens of the target included.

    The mean is over t of log p(y_t | x, y_<t), as transformers computes it from labels. It does not depend on the order
    of pairs.

    Raises
    ------
    NonFiniteOutputError
        A mean is NaN or infinite; `name` is the model's.
    MentallamaError
        Memory does not suffice for a single pair.
    """
    by_source: dict[Tokens, list[Tokens]] = defaultdict(list)
    for source, target in sorted(set(pairs)):
        by_source[source].append(target)
    means: dict[Pair, float] = {}
    with inference_mode(model, name):
        head = OutputLayer(model)
        for sources in _windows(by_source, budget):
            targets = {source: by_source[source] for source in sources}
            means |= _window_means(model, head, targets, budget)
    if not all(map(isfinite, means.values())):
        raise NonFiniteOutputError(name)
    return means


def _windows(sources: Mapping[Tokens, object], budget: TokenBudget) -> Iterator[list[Tokens]]:
    """Sources of similar length, the longest first, that are encoded and kept together."""
    window: list[Tokens] = []
    for source in sorted(sources, key=lambda ids: (-len(ids), ids)):
        n_tokens = sum(map(len, window)) + len(source)
        too_short = window and len(source) * MAX_SOURCE_RATIO < len(window[0])
        if window and (too_short or n_tokens > WINDOW_BATCHES * budget.max_tokens):
            yield window
            window = []
        window.append(source)
    if window:
        yield window


def _window_means(
    model: Any, head: OutputLayer, targets: Mapping[Tokens, Sequence[Tokens]], budget: TokenBudget
) -> dict[Pair, float]:
    """Means of the pairs of some sources, each with its targets."""
    states = _encode(model, list(targets), budget)
    longest = max(map(len, targets))
    items = [DecodedPair(source, target, longest) for source, row in targets.items() for target in row]
    batches = list(run_in_batches(items, budget, lambda batch: _decode(model, head, batch, states)))
    pairs = [(pair.source, pair.target) for batch, _ in batches for pair in batch]
    return dict(zip(pairs, torch.cat([means for _, means in batches]).tolist(), strict=True))


def _encode(model: Any, sources: Sequence[Tokens], budget: TokenBudget) -> dict[Tokens, torch.Tensor]:
    """Encoder states (tokens, hidden) of each source."""
    encoder = model.get_encoder()

    def run(batch: Sequence[EncodedText]) -> torch.Tensor:
        ids = padded([text.ids for text in batch], 0, model.device)
        mask = length_mask([text.n_tokens for text in batch], model.device)
        states: torch.Tensor = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return states

    return {
        text.ids: row[: text.n_tokens]
        for batch, states in run_in_batches(map(EncodedText, sources), budget, run)
        for text, row in zip(batch, states, strict=True)
    }


def _decode(
    model: Any, head: OutputLayer, batch: Sequence[DecodedPair], states: Mapping[Tokens, torch.Tensor]
) -> torch.Tensor:
    """The mean log-probability of each pair's target (pairs,). A GPU is not waited for: it works on while the next
    batch is prepared."""
    device = model.device
    labels = padded([pair.target for pair in batch], IGNORE_INDEX, device)
    hidden = head.inputs(
        encoder_outputs=BaseModelOutput(
            last_hidden_state=pad_sequence([states[pair.source] for pair in batch], batch_first=True)
        ),
        attention_mask=length_mask([len(pair.source) for pair in batch], device),
        decoder_input_ids=model.prepare_decoder_input_ids_from_labels(labels),
    )
    lengths = [len(pair.target) for pair in batch]
    width = labels.shape[1]
    positions = [row * width + column for row, length in enumerate(lengths) for column in range(length)]
    is_target = torch.tensor(positions, device=device)
    logprobs = head.logprobs(hidden.flatten(0, 1)[is_target], labels.flatten()[is_target])
    sums = (
        torch.zeros(labels.numel(), device=device).index_copy_(0, is_target, logprobs).view_as(labels).sum(1)
    )
    return sums / torch.tensor(lengths, device=device)


def length_mask(lengths: Sequence[int], device: torch.device) -> torch.Tensor:
    """Mask (rows, longest) that is 1 at the first `lengths[row]` positions of each row."""
    columns = torch.arange(max(lengths), device=device)
    return (columns < torch.tensor(lengths, device=device)[:, None]).long()


class OutputLayer:
    """The layer of an encoder-decoder that turns decoder states into logits, run on some positions at a time.

    Raises
    ------
    UsageError
        The model does something to its logits that is not known here, so log-probabilities would be wrong.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._layer = model, model.get_output_embeddings()
        bias = getattr(model, "final_logits_bias", None)
        self._bias = bias[0] if bias is not None and bool(bias.any()) else None
        self._check()

    def inputs(self, **inputs: Any) -> torch.Tensor:
        """The layer's input, of shape (rows, tokens, hidden), in a pass of the model over `inputs`."""
        with self._one_position() as received:
            self._model(**inputs, use_cache=False)
        return received[0]

    def logprobs(self, hidden: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Log-probabilities in float32 (positions,) of `tokens` at positions with states `hidden`."""
        n_together = max(1, LOGITS_CELLS[hidden.device.type] // self._layer.weight.shape[0])
        chunks = zip(torch.split(hidden, n_together), torch.split(tokens, n_together), strict=True)
        return torch.cat(
            [-cross_entropy(self._logits(states).float(), ids, reduction="none") for states, ids in chunks]
        )

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._layer(hidden)
        return logits if self._bias is None else logits + self._bias

    @contextmanager
    def _one_position(self) -> Iterator[list[torch.Tensor]]:
        """Record what the layer receives, and let it compute one position of it only."""
        received: list[torch.Tensor] = []

        def narrow(module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            received.append(inputs[0])
            return (inputs[0][:1, :1], *inputs[1:])

        hook = self._layer.register_forward_pre_hook(narrow)
        try:
            yield received
        finally:
            hook.remove()

    def _check(self) -> None:
        """Compare the logits of one position with the model's own."""
        token = torch.zeros((1, 1), dtype=torch.long, device=self._model.device)
        with inference_mode(self._model, "the model"), self._one_position() as received:
            logits = self._model(input_ids=token, decoder_input_ids=token, use_cache=False).logits[0, 0]
        with torch.inference_mode():
            if not torch.allclose(
                self._logits(received[0][0, 0]), logits, rtol=1e-2, atol=1e-2, equal_nan=True
            ):
                raise UsageError(
                    f"a {self._model.config.model_type} changes its logits in a way that is not known here; use a BART "
                    "or T5 model"
                )
