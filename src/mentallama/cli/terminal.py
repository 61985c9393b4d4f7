"""Print the analysis of a post in a terminal."""

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


def print_analysis(analysis: PostAnalysis) -> None:
    """Print label, probability, the post with its evidence highlighted, the explanation, and the notice."""
    # Piped output has a fixed width, whatever the terminal of its reader.
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    for example, prediction in analysis:
        console.print(_headline(example, prediction))
        console.print(Padding(highlight_evidence(analysis.text, prediction.evidence), (0, 0, 0, 2)))
        reading = prediction.reading
        explanation = reading.explanation or f"No answer could be parsed: {reading.reason}."
        console.print(Padding(Text(explanation), (0, 0, 1, 2)))
    if console.is_terminal:
        console.print(
            Text.assemble(("for", SUPPORTING_STYLE), " the answer, ", ("against", OPPOSING_STYLE), " it"),
            style="dim",
        )
    console.print(Text(f"{analysis.model}. {NOTICE}"), style="dim")


def _headline(example: Example, prediction: Prediction) -> Text:
    label = prediction.reading.label
    question = find_task(example.task).questions[example.question].wording.instruction
    line = Text.assemble((example.task, "bold"), f": {question} ")
    line.append(label or prediction.reading.status, style="bold")
    if label in prediction.probabilities:
        line.append(f" ({prediction.probabilities[label]:.0%})")
    return line


def highlight_evidence(text: str, evidence: tuple[Span, ...]) -> Text:
    """The post with its evidence in colour. Without colour, the quotes of the explanation show the evidence."""
    highlighted = Text(text)
    for span in evidence:
        highlighted.stylize(
            SUPPORTING_STYLE if (span.weight or 0.0) >= 0 else OPPOSING_STYLE, span.start, span.end
        )
    return highlighted
