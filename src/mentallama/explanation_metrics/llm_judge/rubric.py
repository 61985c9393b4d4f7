"""The rubric by which a language model rates explanations, and the prompt that it makes; texts are in `rubric.yaml`."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from mentallama.answers.format import label_sentence
from mentallama.explanation_metrics.base import ExplanationCase, ScoreColumn
from mentallama.prompts import ChatMessage, break_markup
from mentallama.records import Record
from mentallama.tasks import Task
from mentallama.text.pii import scrub

JUDGE_METRIC = "llm_judge"
"""Name of the metric."""

ASPECTS = ("consistency", "reliability", "professionality", "overall")
"""The rated aspects, as in the human evaluation of the paper (Yang et al. 2024); `rubric.yaml` describes each."""

HIGHEST = 3
"""The highest rating; the lowest is 0."""

SPREAD_COLUMN = "judge_spread"

JUDGE_COLUMNS = (
    *(ScoreColumn(f"judge_{aspect}", f"judge: {aspect}", (0.0, HIGHEST), 2) for aspect in ASPECTS),
    ScoreColumn(SPREAD_COLUMN, "judge: spread", (0.0, HIGHEST / 2), 2, direction=0),
)
"""The mean rating of each aspect, and the standard deviation of `overall` over the samples of an explanation."""

_EXPLANATION_MARK = re.compile(r"<(?=\s*/?\s*explanation\b)", re.IGNORECASE)


class Aspect(Record):
    """One aspect of an explanation, and what each rating from 0 to 3 means."""

    description: str
    levels: tuple[str, str, str, str]


class PromptWords(Record):
    """Words of the message with the post and the explanation."""

    question: str
    answer: str
    no_answer: str
    request: str


class Rubric(Record):
    """The content of `rubric.yaml`; `version` changes with every letter of the other texts."""

    version: str
    role: str
    untrusted: str
    aspects: dict[str, Aspect]
    closing: str
    format: PromptWords


@cache
def load_rubric() -> Rubric:
    """Read the rubric."""
    text = (files("mentallama.explanation_metrics.llm_judge") / "rubric.yaml").read_text(encoding="utf-8")
    return Rubric.model_validate(yaml.safe_load(text))


def judge_prompt(case: ExplanationCase, task: Task) -> list[ChatMessage]:
    """The messages that ask for ratings of one explanation: the rubric as instructions, then the material.

    Neither the post nor the explanation can end its section: a space is inserted after the bracket of any markup that
    this prompt or a chat template uses. Personal data are masked in both, wherever they come from.

    Raises
    ------
    ValueError
        The answer's label is not one of the task's.
    """
    words, label = load_rubric().format, case.reading.label
    question = task.questions[case.example.question].wording.instruction
    material = [
        "<post>",
        _material(case.example.text),
        "</post>",
        "",
        f"{words.question}: {question}",
        f"{words.answer}: {words.no_answer if label is None else label_sentence(task, label)}",
        "",
        "<explanation>",
        _material(case.explanation),
        "</explanation>",
        "",
        words.request,
    ]
    return [
        {"role": "system", "content": _instructions()},
        {"role": "user", "content": "\n".join(material)},
    ]


def verdict_schema() -> dict[str, Any]:
    """JSON schema of a verdict, valid in the strict modes of providers."""
    rating = {"type": "integer", "enum": list(range(HIGHEST + 1))}
    return {
        "type": "object",
        "properties": dict.fromkeys(ASPECTS, rating),
        "required": list(ASPECTS),
        "additionalProperties": False,
    }


@cache
def _instructions() -> str:
    rubric = load_rubric()
    aspects = [
        "\n".join(
            [
                f"{name}: {aspect.description}",
                *(f"- {rating}: {level}" for rating, level in enumerate(aspect.levels)),
            ]
        )
        for name, aspect in rubric.aspects.items()
    ]
    keys = ", ".join(f'"{name}"' for name in ASPECTS)
    return "\n\n".join([rubric.role, rubric.untrusted, *aspects, f"{rubric.closing} {keys}."])


def _material(text: str) -> str:
    """A text of others as it may stand in the prompt."""
    return _EXPLANATION_MARK.sub(r"\g<0> ", break_markup(scrub(text)[0]))
