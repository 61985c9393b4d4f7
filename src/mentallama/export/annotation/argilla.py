"""Export for Argilla: the settings of a data set a set, and records with suggestions.

The files have the layout that Argilla's SDK writes and reads (`Settings.from_json`, `records.from_json`). A record
suggests one model's answers: label, explanation and evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mentallama.export.annotation.answered_posts import read_answered_posts
from mentallama.export.annotation.post_answers import (
    INTRODUCTION,
    AnsweredPost,
    LabelField,
    PostAnswer,
    chosen_options,
    label_fields,
    posts_file,
    quoted_passages,
)
from mentallama.export.folder import ExportSummary, write_json_array
from mentallama.export.source import ExportSource
from mentallama.files.atomic import write_json
from mentallama.records import Span
from mentallama.tasks import Task
from mentallama.text.names import identifiers

SETTINGS_FILE = "settings.json"

USAGE = f"""```python
import argilla as rg
client = rg.Argilla(api_url=URL, api_key=KEY)
dataset = rg.Dataset("SET", settings=rg.Settings.from_json("SET/{SETTINGS_FILE}"), client=client).create()
dataset.records.from_json("SET/SPLIT.json")
```

Every set is a data set of its own; `SET` and `SPLIT` name a file above. Labels of the data set are not exported, so
that they cannot bias whoever annotates."""

_POST = "post"


def export_argilla(source: ExportSource, out: Path) -> ExportSummary:
    """Write a folder for every set: the settings, and the records of each split."""
    summary = ExportSummary(USAGE)
    for (name, split), posts in read_answered_posts(source, summary).items():
        questions = QuestionNames(source.task(name))
        write_json(out / name / SETTINGS_FILE, argilla_settings(questions))
        file = posts_file(name, split)
        records = (record for post in posts for record in argilla_records(post, questions))
        summary.add_rows(file, split, write_json_array(out / file, records))
    return summary


class QuestionNames:
    """Names of Argilla's questions: three for each of a task's, in the characters that Argilla allows."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._names = dict(zip(task.questions, identifiers(task.questions, lower=True), strict=True))

    def label(self, question: str) -> str:
        """The question for the label."""
        return f"{self._names[question]}_label"

    def explanation(self, question: str) -> str:
        """The question for the reason."""
        return f"{self._names[question]}_explanation"

    def evidence(self, question: str) -> str:
        """The question for passages of the post."""
        return f"{self._names[question]}_evidence"


def argilla_settings(questions: QuestionNames) -> dict[str, Any]:
    """The settings of a data set, as `Settings.serialize` gives them."""
    task = questions.task
    asked = []
    for question, wording in task.questions.items():
        title = wording.wording.instruction
        asked += [
            _label_property(field, f"{questions.label(question)}{field.suffix}", field.title or title)
            for field in label_fields(task)
        ]
        asked += [
            _property(
                questions.explanation(question), f"{title} The reason", "text", False, {"use_markdown": False}
            ),
            _property(
                questions.evidence(question),
                f"{title} Evidence in the post",
                "span",
                False,
                _spans_of(["evidence"]),
            ),
        ]
    return {
        "guidelines": INTRODUCTION,
        "questions": asked,
        "fields": [_property(_POST, "Post", "text", True, {"use_markdown": False})],
        "vectors": [],
        "metadata": [_metadata(name) for name in ("post_id", "split", "model")],
        "allow_extra_metadata": False,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
        "mapping": None,
    }


def _label_property(field: LabelField, name: str, title: str) -> dict[str, Any]:
    """The question of a decision: a label, any number of labels, or passages of each type."""
    if field.choice == "passages":
        return _property(name, title, "span", False, _spans_of(field.options))
    kind = "label_selection" if field.choice == "one" else "multi_label_selection"
    # an item of a scale may stay open, and any number of labels may be none
    required = field.choice == "one" and not field.part
    return _property(name, title, kind, required, {"options": _options(field.options)})


def _options(values: Iterable[str]) -> list[dict[str, str]]:
    return [{"text": value, "value": value} for value in values]


def _spans_of(types: Iterable[str]) -> dict[str, Any]:
    return {"field": _POST, "allow_overlapping": False, "options": _options(types)}


def _property(
    name: str, title: str, kind: str, required: bool, settings: Mapping[str, Any]
) -> dict[str, Any]:
    return {"name": name, "title": title, "required": required, "settings": {"type": kind, **settings}}


def _metadata(name: str) -> dict[str, Any]:
    settings = {"type": "terms", "values": None, "visible_for_annotators": False}
    return {"name": name, "title": name, "settings": settings, "visible_for_annotators": False}


def argilla_records(post: AnsweredPost, questions: QuestionNames) -> list[dict[str, Any]]:
    """A record for each model that answered."""
    return [
        {
            "id": f"{post.post_id}-{number}" if number else post.post_id,
            "fields": {_POST: post.text},
            "metadata": {"post_id": post.post_id, "split": post.split or "none", "model": model},
            "suggestions": _suggestions(answers, questions, post),
            "responses": {},
            "vectors": {},
        }
        for number, (model, answers) in enumerate(post.by_model().items())
    ]


def _suggestions(
    answers: Sequence[PostAnswer], questions: QuestionNames, post: AnsweredPost
) -> dict[str, Any]:
    suggestions = {}
    for answer in answers:
        values: dict[str, tuple[Any, float | None]] = {
            f"{questions.label(answer.question)}{field.suffix}": (
                _label_value(field, answer, post),
                answer.probability,
            )
            for field in label_fields(post.task)
        } | {
            questions.explanation(answer.question): (answer.explanation, None),
            questions.evidence(answer.question): (
                _spans(("evidence", span) for span in answer.evidence),
                None,
            ),
        }
        for name, (value, score) in values.items():
            if value:
                suggestions[name] = {"value": value, "score": score, "agent": answer.model}
    return suggestions


def _label_value(field: LabelField, answer: PostAnswer, post: AnsweredPost) -> Any:
    """The value that an answer suggests in a field; None or empty if it suggests nothing."""
    if answer.label is None:
        return None
    if field.choice == "passages":
        return _spans(quoted_passages(post.task, post.text, answer.label))
    options = chosen_options(post.task, field, answer.label)
    return list(options) if field.choice == "several" else next(iter(options), None)


def _spans(typed: Iterable[tuple[str, Span]]) -> list[dict[str, Any]]:
    """Spans without overlaps, which Argilla refuses within a question: the first of two overlapping spans."""
    spans: list[dict[str, Any]] = []
    for label, span in sorted(typed, key=lambda each: (each[1].start, -each[1].end)):
        if span.start < span.end and (not spans or span.start >= spans[-1]["end"]):
            spans.append({"start": span.start, "end": span.end, "label": label})
    return spans
