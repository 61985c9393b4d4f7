"""Write a query and read it back, in both published forms (FACTS 2)."""

from __future__ import annotations

import re
from functools import cache

from mentallama.records import Form
from mentallama.tasks.schema import Task

_QUERY_PATTERNS: dict[Form, str] = {
    "instruction": r'Consider this post: "(.*)" Question: %s\s*',
    # The published training files leave one space before "Question", the test files two.
    "completion": r"Post: (.*?) {1,2}Question: %s\s*",
}


def write_query(task: Task, question: str, form: Form, text: str) -> str:
    """The query a language model is sent, letter by letter as published."""
    ask = task.questions[question].wording.for_form(form)
    if form == "instruction":
        return f'Consider this post: "{text}" Question: {ask}'
    return f"Post: {text}  Question: {ask} "


def read_query(task: Task, query: str, form: Form) -> tuple[str, str]:
    """Take a published query apart: (question name, post text).

    Raises
    ------
    ValueError
        It does not have the form, or asks none of the task's questions.
    """
    for name, question in task.questions.items():
        found = _query_pattern(form, question.wording.for_form(form)).fullmatch(query)
        if found:
            return name, found[1]
    raise ValueError(f"not a query of {task.set} in {form} form")


@cache
def _query_pattern(form: Form, ask: str) -> re.Pattern[str]:
    return re.compile(_QUERY_PATTERNS[form] % re.escape(ask), re.DOTALL)
