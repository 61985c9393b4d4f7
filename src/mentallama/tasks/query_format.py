"""Write a query (post and question) and read it back, in both published forms."""

from __future__ import annotations

import re
from functools import cache

from mentallama.records import Form
from mentallama.tasks.schema import Task

_QUERY_PATTERNS: dict[Form, str] = {
    "instruction": r'Consider this post: "(.*)" Question: %s\s*',
    # The published training files have one space before "Question", the test files two.
    "completion": r"Post: (.*?) {1,2}Question: %s\s*",
}


def write_query(task: Task, question: str, form: Form, text: str) -> str:
    """Write the query for a language model, exactly as published."""
    wording = task.questions[question].wording.for_form(form)
    if form == "instruction":
        return f'Consider this post: "{text}" Question: {wording}'
    return f"Post: {text}  Question: {wording} "


def read_query(task: Task, query: str, form: Form) -> tuple[str, str]:
    """Split a published query into question name and post text.

    Raises
    ------
    ValueError
        The query is not in this form, or asks none of the task's questions.
    """
    for name, question in task.questions.items():
        match = _query_pattern(form, question.wording.for_form(form)).fullmatch(query)
        if match:
            return name, match[1]
    raise ValueError(f"not a query of {task.set} in {form} form")


@cache
def _query_pattern(form: Form, wording: str) -> re.Pattern[str]:
    return re.compile(_QUERY_PATTERNS[form] % re.escape(wording), re.DOTALL)
