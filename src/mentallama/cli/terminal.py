"""Print the analysis of a post in a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from mentallama.analysis import PostAnalysis
from mentallama.cli.console import terminal_width
from mentallama.errors import printable
from mentallama.records import Example, Prediction, Reading, Span
from mentallama.safety import NOTICE
from mentallama.tasks import Task

SUPPORTING_STYLE, OPPOSING_STYLE = "bold green underline", "magenta"

PIPE_WIDTH = 100
"""Piped output has a fixed width, whatever the terminal of its reader."""

INDENT = "  "


def print_analysis(analysis: PostAnalysis, tasks: Mapping[str, Task]) -> None:
    """Print label, probability, the post with its evidence highlighted, the explanation, and the notice."""
    console = Console(width=terminal_width() or PIPE_WIDTH, highlight=False)
    for example, prediction in analysis:
        _print_wrapped(console, _headline(example, prediction, tasks))
        _print_wrapped(console, highlight_evidence(analysis.text, prediction.evidence), INDENT)
        _print_wrapped(console, Text(printable(explanation_or_reason(prediction.reading))), INDENT)
        console.print()
    if console.is_terminal:
        legend = Text.assemble(("for", SUPPORTING_STYLE), " the answer, ", ("against", OPPOSING_STYLE), " it")
        console.print(legend, style="dim")
    _print_wrapped(console, Text(printable(f"{analysis.model}. {NOTICE}"), style="dim"))


def explanation_or_reason(reading: Reading) -> str:
    """The explanation, or why there is none."""
    if reading.explanation:
        return reading.explanation
    if reading.status == "parsed":
        return "There is no explanation: this model gives labels only."
    return f"The answer is {reading.status}: {reading.reason}."


def _print_wrapped(console: Console, text: Text, indent: str = "") -> None:
    """Print wrapped lines behind an indent. Unlike rich's own wrapping, it leaves no spaces at their ends."""
    for line in text.wrap(console, max(console.width - len(indent), 1)):
        line.rstrip()
        console.print(Text(indent) + line if line else "")


def _headline(example: Example, prediction: Prediction, tasks: Mapping[str, Task]) -> Text:
    label = prediction.reading.label
    question = tasks[example.task].questions[example.question].wording.instruction
    line = Text.assemble((printable(example.task), "bold"), printable(f": {question} "))
    line.append(printable(label or prediction.reading.status), style="bold")
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
