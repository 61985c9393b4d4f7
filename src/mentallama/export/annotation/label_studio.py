"""Export for Label Studio: a labelling configuration a set, and tasks with predictions.

Label, explanation and evidence of an answer are a choice, a text and regions of the post, which people correct.
Offsets of regions count code points, as ours do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

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
from mentallama.files.atomic import write_text
from mentallama.records import Span
from mentallama.tasks import Task
from mentallama.text.names import identifiers

CONFIG_FILE = "labeling_config.xml"

USAGE = f"""1. Create a project for a set and paste `SET/{CONFIG_FILE}` under Labeling Interface, Code.
2. Import `SET/SPLIT.json`; the answers of each model are the predictions of the tasks.
3. Export the annotations as JSON; `data.post_id` says which post each is about.

With the SDK:

```python
from label_studio_sdk import LabelStudio
config = open("SET/{CONFIG_FILE}", encoding="utf-8").read()
LabelStudio(base_url=URL, api_key=KEY).projects.create(title="SET", label_config=config)
```

Labels of the data set are not exported, so that they cannot bias whoever annotates."""

_POST = "post"
_EVIDENCE = "evidence"
_COLOURS = ("#f2c14e", "#7fb7be", "#b8d8ba", "#d9a5b3", "#a8a4ce", "#e0b084")
"""Backgrounds of the evidence for each question, on which black text is readable."""


def export_label_studio(source: ExportSource, out: Path) -> ExportSummary:
    """Write a folder for every set: the configuration, and the tasks of each split."""
    summary = ExportSummary(USAGE)
    for (name, split), posts in read_answered_posts(source, summary).items():
        controls = Controls(source.task(name))
        write_text(out / name / CONFIG_FILE, labelling_config(controls))
        file = posts_file(name, split)
        tasks = (labelling_task(post, controls) for post in posts)
        summary.add_rows(file, split, write_json_array(out / file, tasks))
    return summary


class Controls:
    """Names of the controls for the questions of a task."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._names = dict(zip(task.questions, identifiers(task.questions), strict=True))

    def label(self, question: str) -> str:
        """The control in which a label is chosen."""
        return f"label_{self._names[question]}"

    def explanation(self, question: str) -> str:
        """The control in which the reason is written."""
        return f"explanation_{self._names[question]}"


def labelling_config(controls: Controls) -> str:
    """The labelling interface of a task, as XML."""
    view = Element("View")
    SubElement(view, "Header", value=INTRODUCTION, size="6")
    labels = SubElement(view, "Labels", name=_EVIDENCE, toName=_POST)
    for number, question in enumerate(controls.task.questions):
        SubElement(labels, "Label", value=question, background=_COLOURS[number % len(_COLOURS)])
    SubElement(view, "Text", name=_POST, value="$text")
    for question, wording in controls.task.questions.items():
        SubElement(view, "Header", value=wording.wording.instruction)
        for field in label_fields(controls.task):
            _add_label_field(view, field, f"{controls.label(question)}{field.suffix}")
        SubElement(
            view, "TextArea", name=controls.explanation(question), toName=_POST,
            placeholder="The reason, in a sentence or two", editable="true", maxSubmissions="1", rows="3",
        )  # fmt: skip
    indent(view)
    return tostring(view, encoding="unicode") + "\n"


def _add_label_field(view: Element, field: LabelField, name: str) -> None:
    if field.title:
        SubElement(view, "Header", value=field.title, size="5")
    if field.choice == "passages":
        control, option = SubElement(view, "Labels", name=name, toName=_POST), "Label"
    else:
        choice = "single-radio" if field.choice == "one" else "multiple"
        control, option = SubElement(view, "Choices", name=name, toName=_POST, choice=choice), "Choice"
    for value in field.options:
        SubElement(control, option, value=value)


def labelling_task(post: AnsweredPost, controls: Controls) -> dict[str, Any]:
    """A task with one prediction a model."""
    return {
        "data": {"text": post.text, "post_id": post.post_id, "set": post.task.set, "split": post.split or ""},
        "predictions": [
            _prediction(model, answers, post, controls) for model, answers in post.by_model().items()
        ],
    }


def _prediction(
    model: str, answers: Sequence[PostAnswer], post: AnsweredPost, controls: Controls
) -> dict[str, Any]:
    """The score, by which Label Studio can order tasks, is the smallest probability of a label."""
    probabilities = [answer.probability for answer in answers if answer.probability is not None]
    score = {"score": min(probabilities)} if probabilities else {}
    results = [result for answer in answers for result in _results(answer, post, controls)]
    return {
        "model_version": model,
        **score,
        "result": [{"id": f"r{number}", **result} for number, result in enumerate(results)],
    }


def _results(answer: PostAnswer, post: AnsweredPost, controls: Controls) -> Iterator[dict[str, Any]]:
    for field in label_fields(post.task) if answer.label is not None else ():
        yield from _label_results(field, f"{controls.label(answer.question)}{field.suffix}", answer, post)
    if answer.explanation:
        yield _result(controls.explanation(answer.question), "textarea", {"text": [answer.explanation]})
    for span in answer.evidence:
        yield _result(_EVIDENCE, "labels", _region(span, post.text, answer.question))


def _label_results(
    field: LabelField, name: str, answer: PostAnswer, post: AnsweredPost
) -> Iterator[dict[str, Any]]:
    label = answer.label or ""
    if field.choice == "passages":
        for kind, span in quoted_passages(post.task, post.text, label):
            yield _result(name, "labels", _region(span, post.text, kind))
    elif options := chosen_options(post.task, field, label):
        yield _result(name, "choices", {"choices": list(options)})


def _region(span: Span, text: str, label: str) -> dict[str, Any]:
    passage = text[span.start : span.end]
    return {"start": span.start, "end": span.end, "text": passage, "labels": [label]}


def _result(control: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"from_name": control, "to_name": _POST, "type": kind, "value": value}
