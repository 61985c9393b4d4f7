"""The sections of the page. To add one, write its builder in this package and add a line to `SECTIONS`."""

from __future__ import annotations

from collections.abc import Callable

from mentallama.report.page_model import Section
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.report.sections.data import (
    drift_section,
    labels_section,
    leak_section,
    overlap_section,
    posts_section,
)
from mentallama.report.sections.explanations import explanations_section
from mentallama.report.sections.faithfulness import faithfulness_section
from mentallama.report.sections.gates import gates_section
from mentallama.report.sections.parts import parts_section
from mentallama.report.sections.provenance import provenance_section
from mentallama.report.sections.results import results_section
from mentallama.report.sections.scores import (
    as_published_section,
    calibration_section,
    confusion_section,
    high_risk_section,
    no_label_section,
    sets_section,
)
from mentallama.report.sections.selective import selective_section, upstream_section
from mentallama.report.sections.training import training_section

SectionBuilder = Callable[[RunArtifacts], Section | None]
"""Builds a section from a run; None where the section does not apply to it."""

SECTIONS: tuple[SectionBuilder, ...] = (
    results_section,
    sets_section,
    parts_section,
    high_risk_section,
    confusion_section,
    no_label_section,
    calibration_section,
    selective_section,
    upstream_section,
    as_published_section,
    explanations_section,
    faithfulness_section,
    gates_section,
    posts_section,
    labels_section,
    leak_section,
    overlap_section,
    drift_section,
    training_section,
    provenance_section,
)
"""In the order of the page."""
