"""Labelled questions for evaluation tools, and the scores of their answers: those of `mentallama evaluate`.

The tools run what this module exports with this package installed: answers are read by `read_answer`, and the metrics
are those of the registry, so an answer counts there as it counts here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mentallama.answers.format import label_sentence
from mentallama.answers.parse import read_answer
from mentallama.errors import UsageError
from mentallama.evaluate.prediction_source import iter_examples
from mentallama.evaluate.scores import NO_LABEL_STATUSES
from mentallama.export.folder import ExportSummary, write_json_lines
from mentallama.export.source import ExportSource, hashes_of_texts
from mentallama.files.atomic import write_json, write_text
from mentallama.files.record_files import read_json, read_records
from mentallama.metrics.classification import confusion_counts, round_score
from mentallama.metrics.registry import METRICS
from mentallama.records import Form, Record, Split
from mentallama.run_files import POSTS_PATH
from mentallama.tasks import Task, load_tasks, write_query
from mentallama.train.data.leakage import refuse_test_posts

TASKS_FOLDER, SETTINGS_FILE = "tasks", "settings.json"
METRIC_NAMES = tuple(metric.name for metric in METRICS)


class EvaluationRow(Record):
    """A labelled question: the query, the gold label, and the reference answer as a text."""

    id: str
    set: str
    question: str
    query: str
    label: str
    answer: str


def rows_path(name: str, split: Split) -> str:
    """Path of the rows of a set and split, relative to the export's folder."""
    return f"data/{name}/{split}.jsonl"


def evaluation_rows(source: ExportSource) -> Iterator[tuple[Split, str, EvaluationRow]]:
    """Split, text of the post, and the labelled question.

    Those of a run are all labelled questions about its posts, which `evaluate` scores; those of a built data set are
    its accepted rows.

    Raises
    ------
    UsageError
        The path holds neither.
    """
    if (source.path / POSTS_PATH).is_file():
        return _rows_of_posts(source)
    if not source.has_dataset:
        raise source.nothing_to_export("a run with posts or a built data set")
    return _rows_of_dataset(source)


def _rows_of_posts(source: ExportSource) -> Iterator[tuple[Split, str, EvaluationRow]]:
    for split, example in iter_examples(source.path / POSTS_PATH, source.form, source.tasks):
        if example.label is not None:
            task = source.task(example.task)
            row = EvaluationRow(
                id=example.id,
                set=task.set,
                question=example.question,
                query=write_query(task, example.question, source.form, example.text),
                label=example.label,
                answer=label_sentence(task, example.label, source.form),
            )
            yield split, example.text, row


def _rows_of_dataset(source: ExportSource) -> Iterator[tuple[Split, str, EvaluationRow]]:
    for split in source.dataset_splits():
        for row in source.dataset_rows(split):
            labelled = EvaluationRow(
                id=row.id,
                set=row.set,
                question=row.question,
                query=row.query,
                label=row.label,
                answer=row.response,
            )
            yield split, source.post_text(row, split), labelled


def write_evaluation_data(
    source: ExportSource, out: Path, summary: ExportSummary, splits: Sequence[Split] = ("test",)
) -> dict[str, tuple[Split, ...]]:
    """Write the rows by set and split, and the tasks by which answers are read; returns the splits of each set.

    Sets whose answers have several parts are left out, and the summary says so: the harnesses score single labels.

    Parameters
    ----------
    splits
        The splits that are written, of sets with labelled test rows.

    Raises
    ------
    UsageError
        There is no labelled test row, a row of another split is about a test post of its set, or all sets are left out.
    """
    composite: dict[str, str] = {}
    rows: dict[tuple[str, Split], list[EvaluationRow]] = {}
    texts: dict[tuple[str, Split], list[str]] = {}
    for split, text, row in evaluation_rows(source):
        task = source.task(row.set)
        if task.is_composite:
            composite[task.set] = f"{task.set} ({task.kind})"
        elif split in splits:
            rows.setdefault((row.set, split), []).append(row)
            texts.setdefault((row.set, split), []).append(text)
    written = {
        name: tuple(split for split in splits if (name, split) in rows)
        for name, split in rows
        if split == "test"
    }
    left_out = (
        f"answers of several parts, which this format has no metrics for: {', '.join(composite.values())}"
    )
    if composite and not rows:
        raise UsageError(f"{source.path}: there are only {left_out}; `mentallama evaluate` scores them")
    if composite:
        summary.notes.append(f"Left out are {left_out}. `mentallama evaluate` scores them.")
    if not written:
        raise UsageError(f"{source.path}: there are no labelled test posts, which an evaluation needs")
    for name, of_set in written.items():
        test_hashes = hashes_of_texts(texts[name, "test"])
        for split in of_set:
            if split != "test":
                refuse_test_posts(texts[name, split], test_hashes)
            _write_rows(out, rows_path(name, split), rows[name, split])
            summary.add_rows(rows_path(name, split), split, len(rows[name, split]))
            summary.add_posts(name, texts[name, split])
        write_text(out / TASKS_FOLDER / f"{name}.yml", _task_file(source.task(name)))
    write_json(out / SETTINGS_FILE, {"form": source.form})
    return written


def _write_rows(out: Path, path: str, rows: Sequence[EvaluationRow]) -> None:
    write_json_lines(out / path, (row.model_dump() for row in rows))


def _task_file(task: Task) -> str:
    """The task as a YAML file that `load_tasks` reads; the field maps of source files are left out."""
    content = task.model_dump(mode="json", exclude_defaults=True, exclude={"sources", "published_rows"})
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


class ExportedTasks:
    """The tasks of an exported folder: reads answers and computes scores as `mentallama evaluate` does.

    Parameters
    ----------
    folder
        The export's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by set."""
        return load_tasks(self._folder / TASKS_FOLDER)

    @cached_property
    def form(self) -> Form:
        """The form in which the questions are asked."""
        form: Form = read_json(self._folder / SETTINGS_FILE)["form"]
        return form

    def rows(self, name: str, split: Split) -> list[dict[str, Any]]:
        """The rows of a set and split, as plain dictionaries; [] if it has no such split."""
        path = self._folder / rows_path(name, split)
        return [row.model_dump() for row in read_records(path, EvaluationRow)] if path.is_file() else []

    def outcome(self, name: str, answer: str, finish_reason: str | None = None) -> tuple[str, str]:
        """The outcome that an answer counts as, and its explanation.

        The outcome is a label or, for an answer without one, "unparsed", "refused" or "truncated"; the explanation is
        then the reason for it.
        """
        reading = read_answer(self.tasks[name], answer, self.form, finish_reason)
        if reading.label is None:
            return reading.status, reading.reason or ""
        return reading.label, reading.explanation

    def score(self, metric: str, name: str, golds: Sequence[str], outcomes: Sequence[str]) -> float:
        """A metric of a set's rows, in percent, as `evaluate` writes it to `scores.json`.

        Raises
        ------
        ValueError
            There are no rows.
        """
        if not golds:
            raise ValueError(f"{name}: no rows to score")
        labels = list(self.tasks[name].labels)
        columns = [*labels, *NO_LABEL_STATUSES]
        counts = confusion_counts(
            [labels.index(gold) for gold in golds],
            [columns.index(outcome) for outcome in outcomes],
            (len(labels), len(columns)),
        )
        compute = next(each.compute for each in METRICS if each.name == metric)
        return round_score(compute(counts))


def quoted(value: str) -> str:
    """A string as a literal of Python and YAML."""
    return json.dumps(value, ensure_ascii=False)
