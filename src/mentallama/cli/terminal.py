"""Print the analysis of a post in a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from mentallama.analysts.answer import Answer, Answers
from mentallama.analysts.answer_html import MarkKind, post_segments
from mentallama.cli.console import terminal_width
from mentallama.errors import printable
from mentallama.records import Span
from mentallama.safety import NOTICE
from mentallama.symptoms import find_symptoms, score_answer
from mentallama.symptoms.named_evidence import NamedEvidence, name_evidence
from mentallama.tasks import Task
from mentallama.tasks.answer_values import value_levels

SUPPORTING_STYLE, OPPOSING_STYLE = "bold green underline", "magenta"
_STYLES: Mapping[MarkKind, str] = {"": "", "for": SUPPORTING_STYLE, "against": OPPOSING_STYLE}

PIPE_WIDTH = 100
"""Piped output has a fixed width, whatever the terminal of its reader."""

INDENT = "  "


def print_answers(answers: Answers, tasks: Mapping[str, Task], pack: str | None = None) -> None:
    """Print label, probability, the post with its evidence highlighted, the explanation, and the notice.

    `pack`: print the criteria of this pack that the evidence mentions, too.
    """
    console = Console(width=terminal_width() or PIPE_WIDTH, highlight=False)
    for answer in answers:
        _print_wrapped(console, _headline(answer, tasks))
        if parts := part_probabilities(answer, tasks[answer.task]):
            _print_wrapped(console, Text(printable(parts), style="dim"), INDENT)
        if total := scale_total(answer, tasks[answer.task]):
            _print_wrapped(console, Text(printable(total)), INDENT)
        _print_wrapped(console, highlight_evidence(answer), INDENT)
        reason = f"{explanation_or_reason(answer)} {evidence_sentences(answer)}".rstrip()
        _print_wrapped(console, Text(printable(reason)), INDENT)
        if pack is not None:
            _print_wrapped(console, Text(printable(f"{pack}: {_criteria(answer, pack)}")), INDENT)
        console.print()
    if console.is_terminal and any(answer.evidence for answer in answers):
        legend = Text.assemble(("for", SUPPORTING_STYLE), " the answer, ", ("against", OPPOSING_STYLE), " it")
        console.print(legend, style="dim")
    models = ", ".join(dict.fromkeys(answer.model for answer in answers))
    _print_wrapped(console, Text(printable(f"{models}. {NOTICE}"), style="dim"))


def explanation_or_reason(answer: Answer) -> str:
    """The explanation, or why there is none."""
    if answer.explanation:
        return answer.explanation
    if answer.status == "parsed":
        return "There is no explanation: this model gives labels only."
    return f"The answer is {answer.status}: {answer.reason}."


def evidence_sentences(answer: Answer) -> str:
    """The evidence in quotation marks, the heaviest first; empty if the explanation quotes of it."""
    if any(quote.text in answer.explanation for quote in answer.evidence):
        return ""
    supporting, opposing = _quotations(answer, 1), _quotations(answer, -1)
    sentences = (
        supporting and f"The answer rests on {supporting}.",
        opposing and f"Against it speaks {opposing}.",
    )
    return " ".join(filter(None, sentences))


def _quotations(answer: Answer, sign: int) -> str:
    """The quotations whose weights have a sign, the heaviest first. Those without a weight support the answer."""
    weights = [(1.0 if quote.weight is None else quote.weight, quote.text) for quote in answer.evidence]
    chosen = sorted((pair for pair in weights if pair[0] * sign > 0), key=lambda pair: -abs(pair[0]))
    return ", ".join(f"“{text}”" for _, text in chosen)


def named_evidence(answer: Answer, pack: str) -> tuple[NamedEvidence, ...]:
    """The criteria of a pack that the evidence of an answer mentions."""
    spans = [Span(start=quote.start, end=quote.end, weight=quote.weight) for quote in answer.evidence]
    return name_evidence(answer.post, spans, find_symptoms(answer.post), pack)


def _criteria(answer: Answer, pack: str) -> str:
    if not answer.evidence:
        return "the answer has no evidence to name; --evidence fast or full asks for it"
    return "; ".join(map(str, named_evidence(answer, pack))) or "not mentioned by the evidence"


def _print_wrapped(console: Console, text: Text, indent: str = "") -> None:
    """Print wrapped lines behind an indent. Unlike rich's own wrapping, it leaves no spaces at their ends."""
    for line in text.wrap(console, max(console.width - len(indent), 1)):
        line.rstrip()
        console.print(Text(indent) + line if line else "")


def _headline(answer: Answer, tasks: Mapping[str, Task]) -> Text:
    question = tasks[answer.task].questions[answer.question].wording.instruction
    line = Text.assemble((printable(answer.task), "bold"), printable(f": {question} "))
    line.append(printable(answer.label or answer.status), style="bold")
    if answer.probability is not None:
        line.append(f" ({answer.probability:.0%})")
    return line


def scale_total(answer: Answer, task: Task) -> str:
    """Sum and band of an answer of the kind scale, or why there is no sum; empty for other answers."""
    if task.kind != "scale" or answer.label is None:
        return ""
    score = score_answer(task, answer.label)
    if score.value is None:
        return f"no sum; {score.reason}"
    band = f", {score.band}" if score.band else ""
    return f"sum {score.value:g} of {score.maximum}{band}"


def part_probabilities(answer: Answer, task: Task) -> str:
    """The probability of each part of an answer of several parts: that it is present, or has the level of the answer.

    Empty for other answers, and without probabilities.
    """
    if not task.is_composite or answer.label is None:
        return ""
    levels = {} if task.kind != "scale" else value_levels(task, answer.label)
    names = [f"{item}: {level}" for item, level in levels.items()] or list(task.labels)
    shown = [f"{name} {answer.probabilities[name]:.0%}" for name in names if name in answer.probabilities]
    return ", ".join(shown)


def highlight_evidence(answer: Answer) -> Text:
    """The post with its evidence in colour. Without colour, the explanation or `evidence_sentences` quote it."""
    segments = post_segments(answer.post, answer.evidence)
    return Text.assemble(*((segment.text, _STYLES[segment.kind]) for segment in segments))
