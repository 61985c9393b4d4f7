"""A task as Markdown: for `mentallama tasks show` and for the catalogue page in the docs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mentallama.files.markdown import escape_markdown, markdown_table
from mentallama.tasks.answer_kinds import KIND_MEANINGS
from mentallama.tasks.schema import Task


def task_page(task: Task) -> str:
    """Describe one task: source and licence, published counts, questions, labels and teacher instructions."""
    lines = [
        f"## {task.set}: {escape_markdown(task.title)}",
        "",
        f"- Platform: {escape_markdown(task.platform)}; annotation: {escape_markdown(task.annotation)}; "
        f"language: {escape_markdown(task.language)}",
        f"- Licence: {escape_markdown(task.licence)}",
        f"- Data use: {', '.join(task.data_use) or 'as the licence says'}",
        f"- How to obtain it: {escape_markdown(task.obtain or 'not published')}",
        "- Needs an agreement, so it is sent to a remote endpoint only if you allow it: "
        f"{'yes' if task.needs_agreement else 'no'}",
        f"- Published rows: {_published_rows(task)}",
        f"- High-risk label: {escape_markdown(task.high_risk_label or 'none')}",
        *([] if task.kind == "choice" else [f"- Kind of answer: {task.kind}, {KIND_MEANINGS[task.kind]}"]),
        "",
        markdown_table(
            ("Question", "Instruction form", "Completion form"),
            (
                (name, question.wording.instruction, question.wording.completion)
                for name, question in task.questions.items()
            ),
        ).removesuffix("\n"),
        *_answer_tables(task),
        f"Instruction to the teacher: {escape_markdown(task.teacher_instruction)}",
        *(
            f"On {escape_markdown(name)}: {escape_markdown(question.teacher_instruction)}"
            for name, question in task.questions.items()
            if question.teacher_instruction
        ),
    ]
    return "\n".join(lines)


def _answer_tables(task: Task) -> Iterator[str]:
    """The labels with their answers or scores; for answers of several parts also items, bands and the sentence."""
    if task.answer is not None:
        yield _table(
            ("Answer, instruction form", "Answer, completion form"),
            [(task.answer.instruction, task.answer.completion)],
        )
    if task.items:
        yield _table(("Item", "What the level is given for"), task.items.items())
    if task.kind == "scale":
        yield _table(("Level", "Score"), task.level_scores.items())
        if task.bands:
            yield _table(("Band", "From the sum"), task.bands.items())
    elif task.is_composite:
        yield _table(
            ("Type" if task.kind == "spans" else "Label", "Wording"),
            ((n, v.because) for n, v in task.labels.items()),
        )
    else:
        scores = {name: (score,) for name, score in task.level_scores.items()}
        yield _table(
            ("Label", *(["Score"] if scores else []), "Answer, instruction form", "Answer, completion form"),
            (
                (name, *scores.get(name, ()), label.answer.instruction, label.answer.completion)
                for name, label in task.labels.items()
            ),
        )


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return markdown_table(header, rows).removesuffix("\n")


def _published_rows(task: Task) -> str:
    counts = task.published_rows
    if counts is None:
        return "none; not part of the published benchmark"
    return f"{counts.train:,} train, {counts.validation:,} validation, {counts.test:,} test"


def catalogue_page(tasks: Iterable[Task]) -> str:
    """Describe all tasks on one page."""
    head = (
        "# The task catalogue\n\nGenerated from the task files in `src/mentallama/tasks/data/` by "
        "`python docs/generate.py`; do not edit by hand.\n"
    )
    return "\n".join([head, *(task_page(task) + "\n" for task in tasks)])
