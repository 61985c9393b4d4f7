"""Which posts are answered, by whom and how."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt

from mentallama.config.base import PositiveFloat, Settings
from mentallama.records import Split


class Predict(Settings):
    """Which posts are answered, by whom and how."""

    model: str | None = None
    """An analyst's spec, as linear:DIR; None is the one that `train` made."""
    splits: tuple[Split, ...] = Field(default=("test",), min_length=1)
    mode: Literal["answer-first", "free"] = "answer-first"
    """answer-first: a language model's label is the likeliest of the question's written answers, its explanation is
    written after it. free: what the model writes is read, as in the paper; it may be unreadable, and has no
    probability."""
    labels_only: bool = False
    """No explanations, where a language model need not write any."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """auto: the model's chat template where it has one, else the published query as it stands."""
    max_new_tokens: PositiveInt = 256
    """The longest answer; the prompt is not counted."""
    tokens_at_once: PositiveInt = 8192
    """Tokens, padding counted, in one pass. Where memory is short it is halved, and said."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    in_flight: PositiveInt = 64
    """The most calls to a remote model at a time; fewer where the server pushes back."""
    timeout: PositiveFloat = 120.0
    """Seconds that one call to a remote model may take."""
    options: dict[str, Any] = {}
    """Further keys of the request to a remote model, as its provider wants them; null takes one out."""
    allow_remote: tuple[str, ...] = ()
    """Sets with an agreement that may be sent to a remote model all the same."""
