"""Interpretable mental-health analysis of social-media posts: a label and the reason for it.

    import mentallama as ml
    analyst = ml.open_analyst("linear:runs/sample-linear/train")
    answers = analyst.analyze(["I can't sleep, everything is due"], task="dreaddit")
    answers[0].label, answers[0].probability, answers[0].explanation, answers[0].evidence

For research, never for diagnosis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mentallama.analysts.answer import Answer, Answers, Quotation
    from mentallama.analysts.base import Analyst
    from mentallama.answers.format import write_answer
    from mentallama.answers.parse import read_answer
    from mentallama.attribution.opening import open_analyst
    from mentallama.errors import DataError, MentallamaError, TooManyRejectsError, UsageError
    from mentallama.evaluate.answers import evaluate, evaluate_folder
    from mentallama.pipeline.run import Run, run
    from mentallama.records import Reading
    from mentallama.symptoms import (
        SymptomMention,
        SymptomTable,
        find_symptoms,
        load_packs,
        score_answer,
        score_scale,
    )
    from mentallama.tasks import Task, load_tasks
    from mentallama.tasks.answer_values import answer_value

__all__ = [
    "Analyst",
    "Answer",
    "Answers",
    "DataError",
    "MentallamaError",
    "Quotation",
    "Reading",
    "Run",
    "SymptomMention",
    "SymptomTable",
    "Task",
    "TooManyRejectsError",
    "UsageError",
    "__version__",
    "answer_value",
    "evaluate",
    "evaluate_folder",
    "find_symptoms",
    "load_packs",
    "load_tasks",
    "open_analyst",
    "read_answer",
    "run",
    "score_answer",
    "score_scale",
    "write_answer",
]

_MODULES = {
    "Analyst": "mentallama.analysts.base",
    "Answer": "mentallama.analysts.answer",
    "Answers": "mentallama.analysts.answer",
    "DataError": "mentallama.errors",
    "MentallamaError": "mentallama.errors",
    "Quotation": "mentallama.analysts.answer",
    "Reading": "mentallama.records",
    "Run": "mentallama.pipeline.run",
    "SymptomMention": "mentallama.symptoms",
    "SymptomTable": "mentallama.symptoms",
    "Task": "mentallama.tasks",
    "TooManyRejectsError": "mentallama.errors",
    "UsageError": "mentallama.errors",
    "answer_value": "mentallama.tasks.answer_values",
    "evaluate_folder": "mentallama.evaluate.answers",
    "find_symptoms": "mentallama.symptoms",
    "load_packs": "mentallama.symptoms",
    "load_tasks": "mentallama.tasks",
    "open_analyst": "mentallama.attribution.opening",
    "read_answer": "mentallama.answers.parse",
    "run": "mentallama.pipeline.run",
    "score_answer": "mentallama.symptoms",
    "score_scale": "mentallama.symptoms",
    "write_answer": "mentallama.answers.format",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package loads nothing."""
    from importlib import import_module

    if name == "evaluate":  # a package that can be called: see there
        return import_module("mentallama.evaluate")
    if name not in _MODULES:
        raise AttributeError(f"module 'mentallama' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
