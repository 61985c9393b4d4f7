"""The explain stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mentallama.analysts.base import AnalystSpec
from mentallama.attribution.registry import method_problem
from mentallama.config import Recipe
from mentallama.explain.results import FaithfulnessFile
from mentallama.explain.summary import BASELINE
from mentallama.files.manifest import digest_file
from mentallama.files.record_files import read_record, read_records
from mentallama.pipeline.stage import Stage
from mentallama.predict.questions import labelled_questions
from mentallama.predict.stage import (
    CACHE_EXCLUDED_SETTINGS,
    PredictJob,
    analyst_spec,
    answers_identity,
    open_job_analyst,
    predict_inputs,
    refuse_data_agreements,
)
from mentallama.progress import log_to_stderr
from mentallama.records import Post, Split
from mentallama.run_files import (
    EVIDENCE_FILE,
    FAITHFULNESS_FILE,
    FAITHFULNESS_PATH,
    METRICS_FILE,
    POSTS_PATH,
    PREDICTIONS_PATH,
    UPSTREAM_LABELS_PATH,
)
from mentallama.tasks import load_tasks

JOURNAL_NAME = "explained-{}.part.jsonl"
"""In the run's folder; the name depends on the analyst, its answers and the settings."""

LEDGER_NAME = "explained-{}.ledger.sqlite"
"""Beside the journal: paid completions of a remote model. It is deleted with the journal."""


def explain_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The files of the model, and upstream labels where there are any."""
    upstream = folder / UPSTREAM_LABELS_PATH
    found = {UPSTREAM_LABELS_PATH: upstream} if upstream.is_file() else {}
    return predict_inputs(recipe, folder) | found


def explain_problems(recipe: Recipe, folder: Path) -> Iterator[str]:
    """No predictions to explain, and methods that do not exist or cannot explain the model."""
    assert recipe.explain is not None
    if recipe.predict is None:
        yield "explain has no predictions to explain: add predict to the recipe"
        return
    kind = AnalystSpec.parse(analyst_spec(recipe, folder)).kind
    for name in recipe.explain.methods:
        if problem := method_problem(name, kind):
            yield f"explain.methods: {problem}"
