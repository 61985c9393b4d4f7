"""Show answers about one post in a terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from mentallama.analysis import PostAnalysis
from mentallama.records import Example, Prediction, Span
from mentallama.safety import NOTICE
from mentallama.tasks import find_task

SUPPORTING_STYLE, OPPOSING_STYLE = "bold green underline", "magenta"


def print_analysis(answers: PostAnalysis) -> None:
    """Print label, probability, the post with its evidence marked, the reason, and the notice."""
    # Piped output is wrapped by whoever reads it.
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    for example, prediction in zip(answers.examples, answers.predictions, strict=True):
        console.print(_headline(example, prediction))
        console.print(Padding(highlight_evidence(answers.text, prediction.evidence), (0, 0, 0, 2)))
        told = prediction.reading.explanation or f"No answer was read: {prediction.reading.reason}."
        console.print(Padding(Text(told), (0, 0, 1, 2)))
    if console.is_terminal:
        console.print(
            Text.assemble(("for", SUPPORTING_STYLE), " the answer, ", ("against", OPPOSING_STYLE), " it"),
            style="dim",
        )
    console.print(Text(f"{answers.model}. {NOTICE}"), style="dim")


def _headline(example: Example, prediction: Prediction) -> Text:
    label = prediction.reading.label
    asked = find_task(example.task).questions[example.question].wording.instruction
    line = Text.assemble((example.task, "bold"), f": {asked} ")
    line.append(label or prediction.reading.status, style="bold")
    if label in prediction.probabilities:
        line.append(f" ({prediction.probabilities[label]:.0%})")
    return line


def highlight_evidence(text: str, evidence: tuple[Span, ...]) -> Text:
    """The post with its evidence in colours; without colours it stands in the reason's quotes."""
    shown = Text(text)
    for span in evidence:
        shown.stylize(SUPPORTING_STYLE if (span.weight or 0.0) >= 0 else OPPOSING_STYLE, span.start, span.end)
    return shown
