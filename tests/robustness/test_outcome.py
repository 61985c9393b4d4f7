"""Answers of several models, compared with those of the first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mentallama.files.record_files import write_records
from mentallama.records import Example, Prediction, Reading
from mentallama.robustness.flips import FlipRow
from mentallama.robustness.outcome import RobustnessOutcome
from mentallama.robustness.perturbations import SEED

EXAMPLE = Example(
    id="e", post_id="p", task="DR", question="depression", form="instruction", text="So tired.", label="yes"
)


def _answer(label: str) -> list[Prediction]:
    return [Prediction(example_id="e", reading=Reading(status="parsed", label=label), model="m")]


def _compared(folder: Path, by_model: dict[str, list[Prediction]]) -> list[FlipRow]:
    question = SimpleNamespace(original=EXAMPLE, copies={})
    plan: Any = SimpleNamespace(posts=lambda: [(None, [question])], perturbations=(SEED,), pairs=())
    outcome, rows = RobustnessOutcome(), list[FlipRow]()
    for model, predictions in by_model.items():
        write_records(folder / f"{model}.jsonl", predictions)
        outcome.add(model, plan, folder / f"{model}.jsonl", rows.append)
    return rows


def test_models_are_compared_with_the_first(tmp_path: Path) -> None:
    rows = _compared(tmp_path, {"a": _answer("yes"), "b": _answer("no"), "c": _answer("yes")})
    assert [row.model for row in rows] == ["b", "c"]


def test_nothing_is_compared_where_every_call_of_the_first_failed(tmp_path: Path) -> None:
    assert _compared(tmp_path, {"a": [], "b": _answer("no"), "c": _answer("yes")}) == []
