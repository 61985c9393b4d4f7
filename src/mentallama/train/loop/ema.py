"""Exponential moving average (EMA) of the trainable weights: less noisy than the weights, and often the better model
(Polyak and Juditsky 1992; with exponential weights as in Tarvainen and Valpola 2017).

Not torch's `AveragedModel`, which also copies the frozen weights and has a fixed decay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class WeightEMA:
    """EMA of a model's trainable weights; `averages` maps parameter names to averaged weights."""

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.averages = {name: weight.detach().clone() for name, weight in _trainable_parameters(model)}

    def update(self, model: torch.nn.Module, step: int) -> None:
        """Update with the weights after `step` steps. The decay starts at (1 + step) / (10 + step), so that the initial
        weights are soon forgotten."""
        weight_of_new = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, weight in _trainable_parameters(model):
            self.averages[name].lerp_(weight.detach(), weight_of_new)

    @contextmanager
    def applied_to(self, model: torch.nn.Module) -> Iterator[None]:
        """Within the block, the model has the averages in place of its weights."""
        original = {name: weight.detach().clone() for name, weight in _trainable_parameters(model)}
        _copy_weights(model, self.averages)
        try:
            yield
        finally:
            _copy_weights(model, original)


def _trainable_parameters(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    return ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


def _copy_weights(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, weight in _trainable_parameters(model):
            weight.copy_(weights[name])
