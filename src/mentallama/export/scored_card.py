"""The model card of a run with its test scores, also as the hub's `model-index`.

The model's own folder stays as it was trained: its card is read, and the card with the scores is returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mentallama.analysts.checkpoints.digests import CARD_FILE
from mentallama.analysts.checkpoints.hub_card import (
    dataset_name,
    render_front_matter,
    split_card,
    synthetic_sets,
)
from mentallama.analysts.checkpoints.metadata import read_model_metadata
from mentallama.errors import UsageError
from mentallama.evaluate.score_file import ScoreFile, read_scores
from mentallama.evaluate.scores import Scores
from mentallama.files.markdown import markdown_table
from mentallama.metrics.registry import METRICS
from mentallama.records import Split
from mentallama.run_files import POSTS_PATH, SCORES_PATH, TRAIN_FOLDER
from mentallama.tasks import Task, find_task

_HUB_METRICS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "weighted_f1": ("f1", {"average": "weighted"}),
    "macro_f1": ("f1", {"average": "macro"}),
    "accuracy": ("accuracy", {}),
}
"""Name in `METRICS` -> the hub's name of the metric, and its arguments."""
_SCORED_SPLITS: tuple[Split, ...] = ("test",)
_SECTION = "## Test scores"
_FOLLOWING_SECTION = "## Limitations"


def render_scored_card(run: Path, tasks: Mapping[str, Task]) -> str:
    """The card of a run's model with the run's test scores.

    Raises
    ------
    UsageError
        The run has no trained model with a card, no scores, scores of another model, or those of an unknown task.
    DataError
        A file of it is damaged.
    """
    card, scores_path = run / TRAIN_FOLDER / CARD_FILE, run / SCORES_PATH
    if not card.is_file():
        raise UsageError(f"{run}: there is no trained model with a card here ({TRAIN_FOLDER}/{CARD_FILE})")
    if not scores_path.is_file():
        raise UsageError(
            f"{run}: there are no scores to add ({SCORES_PATH}); run the recipe's predict and evaluate, or use {card} "
            "as it is"
        )
    scores = read_scores(scores_path)
    _require_same_model(run, scores)
    synthetic = synthetic_sets(run / POSTS_PATH, _SCORED_SPLITS)
    metadata, body = split_card(card.read_text(encoding="utf-8"))
    metadata["model-index"] = model_index(run.resolve().name, scores, tasks, synthetic)
    section = "\n".join(_score_lines(scores, synthetic))
    before, heading, after = body.partition(_FOLLOWING_SECTION)
    return f"{render_front_matter(metadata)}{before}{section}\n{heading}{after}"


def _require_same_model(run: Path, scores: ScoreFile) -> None:
    """Raise `UsageError` if the scores are not those of the run's own model."""
    trained, scored = _model_name(run / TRAIN_FOLDER), scores.source.get("model")
    if scored != trained:
        raise UsageError(
            f"{run / SCORES_PATH}: the scores are those of {scored or 'other outputs'}, not of the model in "
            f"{TRAIN_FOLDER}/ ({trained}); score that model first"
        )


def _model_name(folder: Path) -> str:
    """The name of a trained model in predictions."""
    metadata = read_model_metadata(folder)
    if metadata is not None:
        return f"{metadata.analyst}:{metadata.fingerprint}"
    from mentallama.analysts.linear.analyst import LinearAnalyst

    return LinearAnalyst.load(folder).name


def model_index(
    name: str, scores: ScoreFile, tasks: Mapping[str, Task], synthetic: frozenset[str]
) -> list[dict[str, Any]]:
    """Test scores in the hub's format, a result per set. Scores are in percent, as in `scores.json`."""
    return [
        {
            "name": name,
            "results": [
                _result(find_task(set_name, tasks), of_set, synthetic)
                for set_name, of_set in scores.sets.items()
            ],
        }
    ]


def _result(task: Task, scores: Scores, synthetic: frozenset[str]) -> dict[str, Any]:
    note = ", synthetic posts" if task.set in synthetic else ""
    return {
        "task": {"type": "text-classification", "name": task.title},
        "dataset": {
            "type": dataset_name(task, synthetic),
            "name": f"{task.set}: {task.title}{note}",
            "split": "test",
        },
        "metrics": list(_metrics(scores)),
    }


def _metrics(scores: Scores) -> Iterator[dict[str, Any]]:
    for metric in METRICS:
        if metric.name in scores.metrics and metric.name in _HUB_METRICS:
            kind, arguments = _HUB_METRICS[metric.name]
            shown = {
                "type": kind,
                "value": round(scores.metrics[metric.name], metric.digits),
                "name": f"{metric.title} (percent)",
            }
            yield shown | ({"args": dict(arguments)} if arguments else {})


def _score_lines(scores: ScoreFile, synthetic: frozenset[str]) -> Iterator[str]:
    metrics = [metric for metric in METRICS if metric.in_terminal]
    header = ("set", "posts", "rows", *(metric.title for metric in metrics), "95 % interval of weighted F1")
    rows = (
        (
            name,
            "synthetic" if name in synthetic else "people's",
            of_set.n,
            *(of_set.metrics.get(metric.name) for metric in metrics),
            _interval(of_set),
        )
        for name, of_set in scores.sets.items()
    )
    yield from (_SECTION, "", "In percent, on the labelled test rows of this run.", "")
    yield markdown_table(header, rows).rstrip()
    if synthetic & set(scores.sets):
        yield from (
            "",
            "A score on synthetic posts shows that the software works; it says nothing about people.",
        )
    yield ""


def _interval(scores: Scores) -> str | None:
    interval = scores.weighted_f1_interval
    return None if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
