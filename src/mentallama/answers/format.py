"""Write an answer as text in a published form; `parse.read_answer` is the inverse."""

from __future__ import annotations

from mentallama.records import Form
from mentallama.tasks import Task, find_task
from mentallama.tasks.answer_values import canonical_value

REASONING_MARKER = "Reasoning:"
"""Separates the label sentence from the explanation in both published forms."""


def write_answer(
    task: Task | str, question: str | None, label: str, explanation: str, form: Form = "instruction"
) -> str:
    """Write an answer in a published form: the label sentence, "Reasoning:" and the explanation.

    Parameters
    ----------
    task
        A task, or the name of a task that ships with the package.
    question
        May be None if the task has only one.
    label
        A canonical label of the task; for the kinds multi, spans and scale the text of `tasks.answer_values`.
    explanation
        The reason for the label.
    form
        The published form: sentences ("instruction") or the bare label ("completion").

    Raises
    ------
    ValueError
        There is no such question or label.
    UsageError
        There is no task of that name.

    Examples
    --------
    >>> write_answer("dreaddit", "stress", "no", "The tone is calm.")
    'No, the poster does not suffer from stress. Reasoning: The tone is calm.'
    >>> write_answer("CAMS", None, "none", "No cause is named.", "completion")
    'none. Reasoning: No cause is named.'
    """
    task = find_task(task) if isinstance(task, str) else task
    task.resolve_question(question)
    return f"{label_sentence(task, label, form)} {REASONING_MARKER} {explanation.strip()}".rstrip()


def label_sentence(task: Task, label: str, form: Form = "instruction") -> str:
    """The sentence that states a label, with its full stop; in the completion form, the label's name.

    Raises
    ------
    ValueError
        There is no such label.
    """
    if task.answer is not None:
        return f"{task.answer.for_form(form).rstrip('.').format(answer=canonical_value(task, label))}."
    if label not in task.labels:
        raise ValueError(f"{label!r} is not a label of {task.set}; there are {', '.join(task.labels)}")
    return task.labels[label].answer.for_form(form).rstrip(".") + "."
