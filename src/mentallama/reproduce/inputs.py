"""All that a check may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mentallama.metrics.bootstrap import Resampling
from mentallama.reproduce.claims import ClaimFinding, PaperClaim
from mentallama.reproduce.release_data import ReleaseData


@dataclass(frozen=True)
class ReproductionInputs:
    """The data and the settings of intervals."""

    data: ReleaseData
    resampling: Resampling = field(default_factory=Resampling)


ClaimCheck = Callable[[PaperClaim, ReproductionInputs], Iterable[ClaimFinding]]
"""Checks one claim; yields a finding for each of its numbers."""
