"""Ask questions about one post: the entry point of `mentallama analyze` and of any other front end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mentallama.analysts.base import Analyst, InferenceOptions
from mentallama.analysts.checkpoints.metadata import METADATA_FILE, model_query_form, read_model_metadata
from mentallama.analysts.registry import open_analyst
from mentallama.collect.readers import MAX_POST_CHARS
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, example_id, stable_id
from mentallama.run_files import TRAIN_FOLDER
from mentallama.safety import NOTICE
from mentallama.tasks import Task, find_task, load_tasks
from mentallama.text.pii import scrub
from mentallama.text.repair import repair


@dataclass(frozen=True)
class PostAnalysis:
    """Questions about a post and their predictions, in pairs.

    `text` is the post after cleaning and scrubbing; offsets of evidence refer to it.
    """

    text: str
    model: str
    examples: tuple[Example, ...]
    predictions: tuple[Prediction, ...]

    def __iter__(self) -> Iterator[tuple[Example, Prediction]]:
        return zip(self.examples, self.predictions, strict=True)

    def as_json(self) -> dict[str, Any]:
        """JSON-compatible values, with the non-clinical notice."""
        return {
            "text": self.text,
            "model": self.model,
            "answers": [_answer_as_json(example, prediction, self.text) for example, prediction in self],
            "notice": NOTICE,
        }


def _answer_as_json(example: Example, prediction: Prediction, text: str) -> dict[str, Any]:
    reading = prediction.reading
    return {
        "task": example.task,
        "question": example.question,
        "status": reading.status,
        "label": reading.label,
        "probability": prediction.probabilities.get(reading.label) if reading.label else None,
        "probabilities": prediction.probabilities,
        "explanation": reading.explanation,
        "evidence": [
            {"start": span.start, "end": span.end, "text": text[span.start : span.end], "weight": span.weight}
            for span in prediction.evidence
        ],
        "reason": reading.reason,
    }


def analyze_post(
    text: str,
    spec: str,
    task: str | None = None,
    tasks: Mapping[str, Task] | None = None,
    options: InferenceOptions | None = None,
) -> PostAnalysis:
    """Clean a post as `collect` does, and ask questions about it.

    Parameters
    ----------
    spec
        The analyst, for example `linear:runs/NAME/train`.
    task
        Ask only the questions of this set; None asks all that the analyst supports.
    tasks
        The known tasks; None means those of the package.
    options
        Options of inference; None means the defaults. `tasks` replaces its tasks.

    Raises
    ------
    UsageError
        The post is empty or too long, or the analyst supports no question of the set.
    """
    cleaned, _ = scrub(repair(text))
    if not cleaned:
        raise UsageError("the post is empty; pass its text, or - to read it from standard input")
    if len(cleaned) > MAX_POST_CHARS:
        raise UsageError(f"the post has {len(cleaned):,} characters; at most {MAX_POST_CHARS:,} are analyzed")
    known = load_tasks() if tasks is None else tasks
    analyst, form = (
        open_analyst(spec, replace(options or InferenceOptions(), tasks=known)),
        model_query_form(spec),
    )
    examples = tuple(
        Example(
            id=example_id(stable_id(cleaned), question, form, name),
            post_id=stable_id(cleaned),
            task=name,
            question=question,
            form=form,
            text=cleaned,
        )
        for name, question in _question_keys(analyst, spec, task, known)
    )
    return PostAnalysis(cleaned, spec, examples, tuple(analyst.predict(examples)))


def _question_keys(
    analyst: Analyst, spec: str, task: str | None, tasks: Mapping[str, Task]
) -> list[tuple[str, str]]:
    everything = [(name, question) for name, item in tasks.items() for question in item.questions]
    supported: Collection[tuple[str, str]] = getattr(analyst, "supported_questions", everything)
    wanted = find_task(task, tasks).set if task else None
    questions = [(name, question) for name, question in supported if wanted in (None, name)]
    if not questions:
        known = ", ".join(dict.fromkeys(name for name, _ in supported))
        raise UsageError(f"{spec} does not answer {wanted}; it answers {known}")
    undescribed = next((name for name, _ in questions if name not in tasks), None)
    if undescribed:
        raise UsageError(
            f"{spec} answers {undescribed}, which no known task describes; name the folder of its file with --tasks"
        )
    return questions


def newest_model(runs: Path) -> str:
    """Spec of the most recently trained model among the runs in a folder.

    Raises
    ------
    UsageError
        There is none.
    """
    from mentallama.analysts.linear.serialization import MODEL_FILE

    files = [path for name in (MODEL_FILE, METADATA_FILE) for path in runs.glob(f"*/{TRAIN_FOLDER}/{name}")]
    if not files:
        raise UsageError(
            f"there is no trained model in {runs}/; train one, for example with `mentallama run "
            "recipes/sample-linear.yaml` (`mentallama init DIR` writes this recipe), or name one with "
            "--model linear:DIR"
        )
    folder = max(files, key=lambda path: path.stat().st_mtime).parent
    metadata = read_model_metadata(folder)
    return f"{metadata.analyst if metadata else 'linear'}:{folder}"
