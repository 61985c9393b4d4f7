"""Put questions to one post, as `mentallama analyze` does and any other front end may."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentallama.analysts.base import Analyst
from mentallama.analysts.checkpoints.metadata import METADATA_FILE, model_query_form, read_model_metadata
from mentallama.analysts.registry import open_analyst
from mentallama.collect.readers import MAX_POST_CHARS
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, stable_id
from mentallama.safety import NOTICE
from mentallama.tasks import find_task, load_tasks
from mentallama.text.pii import scrub
from mentallama.text.repair import repair


@dataclass(frozen=True)
class PostAnalysis:
    """What was asked of `text` (cleaned and scrubbed; offsets count in it) and what was answered, in pairs."""

    text: str
    model: str
    examples: tuple[Example, ...]
    predictions: tuple[Prediction, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON, with the notice."""
        return {
            "text": self.text,
            "model": self.model,
            "answers": [
                _answer_as_json(e, p, self.text) for e, p in zip(self.examples, self.predictions, strict=True)
            ],
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


def analyse_post(text: str, spec: str, task: str | None = None) -> PostAnalysis:
    """Clean a post as `collect` does and put questions to it.

    Parameters
    ----------
    spec
        The analyst, as `linear:runs/NAME/train`.
    task
        Ask the questions of this set; None asks all that the analyst answers.

    Raises
    ------
    WrongUse
        The post is empty or too long, or the model does not answer the set's questions.
    """
    cleaned, _ = scrub(repair(text))
    if not cleaned:
        raise UsageError("the post is empty; give its text, or - to read it from standard input")
    if len(cleaned) > MAX_POST_CHARS:
        raise UsageError(f"the post has {len(cleaned):,} characters; at most {MAX_POST_CHARS:,} are analysed")
    analyst, form = open_analyst(spec), model_query_form(spec)
    asked = tuple(
        Example(
            id=stable_id(cleaned, name, question),
            post_id=stable_id(cleaned),
            task=name,
            question=question,
            form=form,
            text=cleaned,
        )
        for name, question in _question_keys(analyst, spec, task)
    )
    return PostAnalysis(cleaned, spec, asked, tuple(analyst.analyse(asked)))


def _question_keys(analyst: Analyst, spec: str, task: str | None) -> list[tuple[str, str]]:
    everything = [(name, question) for name, each in load_tasks().items() for question in each.questions]
    answers: Collection[tuple[str, str]] = getattr(analyst, "supported_questions", everything)
    wanted = find_task(task).set if task else None
    questions = [(name, question) for name, question in answers if wanted in (None, name)]
    if not questions:
        known = ", ".join(dict.fromkeys(name for name, _ in answers))
        raise UsageError(f"{spec} does not answer {wanted}; it answers {known}")
    return questions


def newest_model(runs: Path) -> str:
    """The model of the run that was trained last, as a spec."""
    found = [path for name in ("model.json", METADATA_FILE) for path in runs.glob(f"*/train/{name}")]
    if not found:
        raise UsageError(
            f"no trained model below {runs}/; run `mentallama run recipes/sample-linear.yaml` first, or name one "
            "with --model linear:DIR"
        )
    folder = max(found, key=lambda path: path.stat().st_mtime).parent
    file = read_model_metadata(folder)
    return f"{file.analyst if file else 'linear'}:{folder}"
