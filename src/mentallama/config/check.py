"""Settings of `check`: the gates, their thresholds and the sample for human raters."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveFloat, model_validator

from mentallama.config.base import PositiveInt, Settings, Share
from mentallama.text.suggestions import did_you_mean


@dataclass(frozen=True)
class GateSetting:
    """Marks a key of `Check` as the threshold of the gate called `gate`, or as its on/off switch.

    With `reports_when_null` the gate also runs without a threshold; it then scores responses and drops none.
    """

    gate: str
    reports_when_null: bool = False


class Publication(Settings):
    """The publication of a built data set, as its metadata tells it; only its publisher knows it."""

    creators: tuple[str, ...] = ()
    """Names of the people or organisations that built the data set."""
    url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Address of the data set."""
    version: str = Field(default="1.0.0", pattern=r"^\d+\.\d+\.\d+$")
    """MAJOR.MINOR.PATCH: rows were changed, rows were added, or only the files are others."""
    date: dt.date | None = None
    """Date of publication, as 2026-11-28."""
    citation: str | None = None
    """How to cite the data set, preferably as BibTeX."""


class Check(Settings):
    """Quality gates and their thresholds. A gate set to `null` or `false` is disabled; a gate listed in `report_only`
    records its verdicts but drops nothing."""

    label_match: Annotated[bool, GateSetting("label_match")] = True
    """The teacher's label must equal the label from the data set; disagreements go to the review file."""
    min_label_consistency: Annotated[Share | None, GateSetting("label_consistency")] = 0.4
    """Minimum probability of the answer's label when it is predicted from the explanation alone. On the release's
    validation files, 0.4 drops at most 3.3 % of the rows and lets at most 4.7 % of explanations paired with a wrong
    label pass."""
    label_reader: Path | None = None
    """Folder of a trained label reader (train.analyst: encoder, reads: explanations). It scores explanations of posts
    that it was not trained on; a classifier fitted on the responses themselves scores all others."""
    max_ungrounded_quotes: Annotated[Share | None, GateSetting("quote_grounding")] = 0.0
    """Maximum share of an explanation's quotations that may be absent from the post."""
    language: Annotated[bool, GateSetting("language")] = True
    """The explanation must be in the language of the post or of the task."""
    length: Annotated[tuple[PositiveInt, PositiveInt] | None, GateSetting("length")] = (5, 400)
    """Minimum and maximum number of words of an explanation."""
    prompt_leakage_ngram: Annotated[PositiveInt | None, GateSetting("prompt_leakage")] = 8
    """Number of consecutive words copied from the prompt's instructions that counts as leakage."""
    diagnosis: Annotated[bool, GateSetting("diagnosis")] = True
    """The explanation must not state a diagnosis as fact."""
    advice: Annotated[bool, GateSetting("advice")] = True
    """The explanation must not give the author advice."""
    personal_data: Annotated[bool, GateSetting("personal_data")] = True
    """The explanation must not contain personal data."""
    max_explanation_similarity: Annotated[PositiveFloat | None, GateSetting("repeated_explanation")] = 90.0
    """Similarity (0-100) at which explanations of two different posts count as the same text."""
    min_chrf: Annotated[
        float | None, Field(ge=0, le=100), GateSetting("reference_overlap", reports_when_null=True)
    ] = None
    """Minimum chrF against the reference explanation, where there is one; null: chrF is only reported."""
    report_only: tuple[str, ...] = ()
    """Gates that record verdicts but drop nothing."""
    rating_sample_size: PositiveInt = 100
    """Number of accepted rows drawn for human raters, stratified by set, question and label."""
    acceptable_poor_share: Share = 0.05
    """Share of poor rows at which the data should be accepted (sequential test, Wald 1945)."""
    unacceptable_poor_share: Share = 0.15
    """Share of poor rows at which the data should be rejected."""
    publication: Publication = Publication()
    """Creators, address, version, date and citation for `croissant.json`."""

    @classmethod
    def gate_keys(cls) -> dict[str, str]:
        """Gate -> its key among the settings, in the order in which gates are reported."""
        return {setting.gate: key for key, setting in cls._gate_settings().items()}

    @model_validator(mode="after")
    def _validate_bounds_and_names(self) -> Check:
        if self.length is not None and self.length[0] > self.length[1]:
            raise ValueError("length must be two ascending numbers")
        if self.acceptable_poor_share >= self.unacceptable_poor_share:
            raise ValueError("acceptable_poor_share must be smaller than unacceptable_poor_share")
        gates = list(self.gate_keys())
        unknown = [name for name in self.report_only if name not in gates]
        if unknown:
            raise ValueError(
                f"report_only: no gate is called {unknown[0]!r}; {did_you_mean(unknown[0], gates)}"
            )
        return self

    def threshold(self, gate: str) -> Any:
        """The value of a gate's setting in this recipe."""
        return getattr(self, self.gate_keys()[gate])

    def disabled_gates(self) -> list[str]:
        """Gates that this run skips. A gate that only reports when it has no threshold is not among them."""
        return [
            setting.gate
            for key, setting in self._gate_settings().items()
            if getattr(self, key) is False or (getattr(self, key) is None and not setting.reports_when_null)
        ]

    @classmethod
    def _gate_settings(cls) -> dict[str, GateSetting]:
        """Key -> the gate that it sets."""
        return {
            key: setting
            for key, field in cls.model_fields.items()
            for setting in field.metadata
            if isinstance(setting, GateSetting)
        }


GATE_NAMES = tuple(Check.gate_keys())
"""Every gate, in the order of its setting. The gate `parsed`, which cannot be disabled, comes before all of them."""
