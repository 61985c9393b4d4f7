"""A moving average of the weights that learn: it swings less than they do, and is often the better model (Polyak and
Juditsky 1992; with exponential weights as in Tarvainen and Valpola 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class WeightEMA:
    """The average of a model's learning weights.

    Attributes
    ----------
    held
        The average of each weight, by its name.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.averages = {name: weight.detach().clone() for name, weight in _trainable_parameters(model)}

    def update(self, model: torch.nn.Module, step: int) -> None:
        """Take the weights after `step` steps in; in the first steps they count for more, for little was averaged."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, weight in _trainable_parameters(model):
            self.averages[name].lerp_(weight.detach(), share)

    @contextmanager
    def applied_to(self, model: torch.nn.Module) -> Iterator[None]:
        """For the time of the block, the model has the average in place of its weights."""
        own = {name: weight.detach().clone() for name, weight in _trainable_parameters(model)}
        _copy_weights(model, self.averages)
        try:
            yield
        finally:
            _copy_weights(model, own)


def _trainable_parameters(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    return ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


def _copy_weights(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, weight in _trainable_parameters(model):
            weight.copy_(weights[name])
