"""A task as Markdown: for `mentallama tasks show` and for the catalogue page in the docs."""

from __future__ import annotations

from collections.abc import Iterable

from mentallama.tasks.schema import Task


def task_page(task: Task) -> str:
    """One task, with all that its file says to people."""
    counts = task.expected
    lines = [
        f"## {task.set}: {task.title}",
        "",
        f"- Platform: {task.platform}; annotation: {task.annotation}; language: {task.language}",
        f"- Licence: {task.licence}",
        f"- To get it: {task.obtain}",
        f"- Given by agreement or request, so sent to no remote endpoint unasked: {'yes' if task.agreement else 'no'}",
        f"- Published rows: {counts.train:,} train, {counts.validation:,} validation, {counts.test:,} test",
        f"- Grave label: {task.grave or 'none is graver than the others'}",
        "",
        *_markdown_table(
            ("Question", "Instruction form", "Completion form"),
            (
                (name, question.ask.instruction, question.ask.completion)
                for name, question in task.questions.items()
            ),
        ),
        "",
        *_markdown_table(
            ("Label", "Answer, instruction form", "Answer, completion form"),
            (
                (name, label.answer.instruction, label.answer.completion)
                for name, label in task.labels.items()
            ),
        ),
        "",
        f"The teacher is told: {task.teacher}",
        *(f"On {name}: {question.teacher}" for name, question in task.questions.items() if question.teacher),
    ]
    return "\n".join(lines)


def catalogue_page(tasks: Iterable[Task]) -> str:
    """All tasks on one page."""
    head = (
        "# The task catalogue\n\nGenerated from the task files in `src/mentallama/tasks/` by "
        "`python docs/generate.py`; do not edit by hand.\n"
    )
    return "\n".join([head, *(task_page(task) + "\n" for task in tasks)])


def _markdown_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [header, ("---",) * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
