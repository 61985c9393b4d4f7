"""The gates and their thresholds."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PositiveInt, model_validator

from mentallama.config.base import PositiveFloat, Settings, Share
from mentallama.config.suggestions import did_you_mean

GATE_NAMES = (
    "correctness",
    "consistency",
    "invented",
    "language",
    "words",
    "leakage",
    "diagnosis",
    "advice",
    "personal",
    "boilerplate",
    "chrf",
)
"""In the order in which they are told. Before them all stands `read`: whether an answer can be read at all."""


class Check(Settings):
    """What fits to train on: each gate with its threshold. A gate that is null only does not exist for the run; one
    in `report_only` says what it found and drops nothing."""

    correctness: bool = True
    """The teacher's label is the set's label; disagreements go to the review file."""
    consistency: Share | None = 0.4
    """Least probability of the answer's label, read back from the explanation alone. On the release's validation files
    0.4 drops at most 3.3 % of the rows, and of explanations set beside another label it lets at most 4.7 % pass."""
    reader: Path | None = None
    """A folder of a trained label reader (train.analyst: encoder, reads: explanations), which then reads explanations
    about posts that it has not seen. All others are read by the embedded reader, which learns from the rows."""
    invented: Share | None = 0.0
    """Largest share of an explanation's quotations that may stand nowhere in the post."""
    language: bool = True
    words: tuple[PositiveInt, PositiveInt] | None = (5, 400)
    """Fewest and most words of an explanation."""
    leakage: PositiveInt | None = 8
    """Words in a row, taken from the prompt's instructions, that make a leak."""
    diagnosis: bool = True
    advice: bool = True
    personal: bool = True
    boilerplate: PositiveFloat | None = 90.0
    """Likeness (0-100) from which two explanations of different posts are one text."""
    chrf: float | None = Field(default=None, ge=0, le=100)
    """Least chrF against a reference, where there is one; null: only reported."""
    report_only: tuple[str, ...] = ()
    """Gates that drop nothing."""
    sample: PositiveInt = 100
    """Rows drawn for raters, over sets and labels."""
    acceptable: Share = 0.05
    unacceptable: Share = 0.15
    """Shares of poor rows at which the data should be accepted and rejected (sequential test, Wald 1945)."""

    @model_validator(mode="after")
    def _bounds_ascend(self) -> Check:
        if self.words is not None and self.words[0] > self.words[1]:
            raise ValueError("words must be two ascending numbers")
        if self.acceptable >= self.unacceptable:
            raise ValueError("acceptable must be a smaller share than unacceptable")
        unknown = [name for name in self.report_only if name not in GATE_NAMES]
        if unknown:
            raise ValueError(
                f"report_only: no gate is called {unknown[0]!r}; {did_you_mean(unknown[0], list(GATE_NAMES))}"
            )
        return self

    def disabled_gates(self) -> list[str]:
        """Gates that this run does without; chrF without a bound is not among them, it is reported."""
        settings = {name: getattr(self, name) for name in GATE_NAMES if name != "chrf"}
        return [name for name, value in settings.items() if value is None or value is False]
