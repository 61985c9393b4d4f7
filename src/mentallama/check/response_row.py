"""One teacher response with everything that gates judge it by."""

from __future__ import annotations

from dataclasses import dataclass

from mentallama.answers.parse import read_answer
from mentallama.records import Example, Post, Reading, Response, Verdict
from mentallama.tasks import Task
from mentallama.text.quote_extraction import extract_quotes, replace_quotes

NOT_JUDGED_PREFIX = "not judged: "
"""Begins the reason of a verdict that passes only because the gate could not judge the row."""


@dataclass(frozen=True)
class ResponseRow:
    """One response with its post, task, question and parsed answer. `example.label` is the label from the data set.

    `quotes` are the passages that the explanation presents as the post's own words, in order.
    """

    post: Post
    task: Task
    example: Example
    response: Response
    reading: Reading
    quotes: tuple[str, ...] = ()

    def unquoted_explanation(self, placeholder: str = "“”") -> str:
        """The explanation with `placeholder` for each of its quotations: only what it says in its own words."""
        return replace_quotes(self.reading.explanation, self.quotes, placeholder)

    def verdict(self, gate: str, reason: str | None = None, score: float | None = None) -> Verdict:
        """A gate's verdict on this row: it fails if there is a `reason`, else it passes."""
        return Verdict(
            example_id=self.example.id,
            model=self.response.model,
            gate=gate,
            ok=reason is None,
            reason=reason,
            score=score,
        )

    def not_judged(self, gate: str, reason: str) -> Verdict:
        """A verdict that passes because the gate could not judge this row, and says why."""
        return self.verdict(gate).model_copy(update={"reason": f"{NOT_JUDGED_PREFIX}{reason}"})


def parse_response(post: Post, example: Example, response: Response, task: Task) -> ResponseRow:
    """Parse a response's answer and, if that succeeds, the quotations in its explanation."""
    reading = read_answer(task, response.text, example.form, response.finish_reason)
    quotes = extract_quotes(response.text, reading.explanation) if reading.status == "parsed" else ()
    return ResponseRow(post, task, example, response, reading, quotes)
