"""The commands `tasks` and `sources`: what can be asked, and where its data comes from."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mentallama.cli.console import echo_wrapped, terminal_width
from mentallama.cli.options import CommandLine, ReleaseForm, TasksFolder, parse_form
from mentallama.cli.setup.completion import complete_tasks
from mentallama.errors import UsageError, counted, printable
from mentallama.program import command_line

if TYPE_CHECKING:
    from mentallama.collect.inputs import SourceSurvey
    from mentallama.tasks import Task

DEFAULT_DATA_FOLDER = Path("data")

COMMAND_INDENT = "  "
"""Before a command in a text."""

SURVEY_INDENT = 13
"""Columns of the names of facts about a set or a task."""

SYNTHETIC_MARK = "SYNTHETIC.txt"
"""The file by which the sample is known."""

AGREEMENT_NEEDED = "needed; posts reach a remote model only with --allow-remote"
NO_FILE_NAMES = "any table in {folder}, named in the recipe under collect.tables.{set}"
NO_DATA = (
    "There is no folder {folder}/ here. Put the release of the paper's authors into {folder}/release/ and the files of "
    "the sets' authors where they are listed above, or name another folder with --data DIR."
)

tasks_app = CommandLine(
    help="List the tasks, or show one. Reads the task files of the package and, with --tasks, those of a folder of "
    "yours; writes nothing.",
    invoke_without_command=True,
    epilog="mentallama tasks\nmentallama tasks show dreaddit",
)


def add_catalogue_commands(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(epilog="mentallama sources\nmentallama sources --data sample")(sources)
    app.add_typer(tasks_app, name="tasks")


@tasks_app.callback()
def tasks(context: typer.Context, tasks_folder: TasksFolder = None) -> None:
    """The list, if no other command is given."""
    context.obj = tasks_folder
    if context.invoked_subcommand is None:
        _print_tasks(tasks_folder)


@tasks_app.command("list", epilog="mentallama tasks list --tasks tasks")
def list_tasks(context: typer.Context, tasks_folder: TasksFolder = None) -> None:
    """List the tasks with their labels.

    Reads the task files of the package and those of --tasks; writes nothing.
    """
    _print_tasks(tasks_folder or context.obj)


@tasks_app.command("show", epilog="mentallama tasks show dreaddit\nmentallama tasks show sleep --tasks tasks")
def show_task(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="SET", help="A set's name, such as CAMS.", autocompletion=complete_tasks),
    ],
    tasks_folder: TasksFolder = None,
) -> None:
    """Show one task: its questions, labels, answer sentences and where to obtain its data.

    Reads the task files of the package and those of --tasks; writes Markdown if the output is a file or a pipe.
    """
    from mentallama.tasks import find_task, load_tasks
    from mentallama.tasks.task_page import task_page

    task = find_task(name, load_tasks(tasks_folder or context.obj))
    if terminal_width() is None:
        typer.echo(task_page(task))
        return
    for line in task_lines(task):
        echo_wrapped(printable(line), SURVEY_INDENT)


def task_lines(task: Task) -> Iterator[str]:
    """A task for a terminal, where the tables of its Markdown page are too wide."""
    from mentallama.tasks.answer_kinds import KIND_MEANINGS

    counts = task.published_rows.model_dump() if task.published_rows else {}
    facts = {
        "platform": f"{task.platform}; annotation: {task.annotation}; language: {task.language}",
        "licence": task.licence,
        "agreement": AGREEMENT_NEEDED if task.needs_agreement else "none",
        "obtain": task.obtain or "not published",
        "published": ", ".join(f"{split} {rows:,}" for split, rows in counts.items()) or "no rows",
        "high-risk": task.high_risk_label or "no label",
        "teachers": task.teacher_instruction,
    }
    if task.kind != "choice":
        facts["kind"] = f"{task.kind}, {KIND_MEANINGS[task.kind]}"
    yield f"{task.set}: {task.title}"
    yield from (_fact(name, text) for name, text in facts.items())
    texts = [(name, question.wording, "asked") for name, question in task.questions.items()]
    texts += [(name, label.answer, "label") for name, label in task.labels.items() if not task.is_composite]
    for name, wording, kind in texts:
        yield _fact(kind, f"{name}: {wording.instruction} (completion form: {wording.completion})")

    yield from (_fact(name, text) for name, text in _parts_of_answer(task))


def _parts_of_answer(task: Task) -> Iterator[tuple[str, str]]:
    """The parts of an answer, where it is not one of the labels shown."""
    if task.answer is not None:
        yield "answer", f"{task.answer.instruction} (completion form: {task.answer.completion})"
    if task.kind in {"multi", "spans"}:
        yield "types" if task.kind == "spans" else "labels", ", ".join(task.labels)
    if task.has_levels:
        yield "levels", ", ".join(f"{level} ({score})" for level, score in task.level_scores.items())
    yield from (("item", f"{item}: {text}") for item, text in task.items.items())
    if task.bands:
        yield "bands", ", ".join(f"{band} from {lowest}" for band, lowest in task.bands.items())


def _fact(name: str, text: str) -> str:
    return f"  {name:<{SURVEY_INDENT - 2}}{text}"


def _print_tasks(folder: Path | None) -> None:
    from mentallama.tasks import load_tasks

    known = load_tasks(folder)
    width = max(len(name) for name in known)
    for name, task in known.items():
        items = f"{', '.join(task.items)}: " if task.items else ""
        line = f"{name:<{width}}  {task.title} ({task.platform}): {items}{', '.join(task.labels)}"
        echo_wrapped(printable(line), width + 2)


def sources(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="The data folder, with release/ and sources/.")
    ] = DEFAULT_DATA_FOLDER,
    form: ReleaseForm = "instruction",
    tasks_folder: TasksFolder = None,
) -> None:
    """Show for each set where to obtain it, under which terms, which files are expected and found, and what is next.

    Reads the task files and the data folder, if there is one; writes nothing.
    """
    from mentallama.collect.inputs import survey
    from mentallama.tasks import load_tasks

    release_form = parse_form(form)
    if not data.is_dir() and data != DEFAULT_DATA_FOLDER:
        raise UsageError(f"{data}: there is no such folder; name yours with --data")
    entries = survey(data, load_tasks(tasks_folder), release_form)
    for entry in entries:
        for line in survey_lines(entry, data):
            echo_wrapped(printable(line), SURVEY_INDENT)
    for line in next_steps(entries, data):
        if line.startswith(COMMAND_INDENT):  # a command stays on one line, so that it can be copied
            typer.echo(printable(line))
        else:
            echo_wrapped(printable(line))


def survey_lines(entry: SourceSurvey, data: Path) -> list[str]:
    """A set as lines of text: its source, licence and agreement, and the files expected and found."""
    task = entry.task
    folder = data / "sources" / task.set
    files = [
        f"{folder / name}: {counted(entry.upstream[name], 'row') if name in entry.upstream else 'not here'}"
        for name in dict.fromkeys((*(source.file for source in task.sources), *entry.upstream))
    ]
    facts = [
        ("licence", task.licence),
        ("agreement", AGREEMENT_NEEDED if task.needs_agreement else "none"),
        ("obtain", task.obtain or "not published"),
        *(("file", file) for file in files or [NO_FILE_NAMES.format(folder=folder, set=task.set)]),
        ("release", _release(entry)),
    ]
    return [f"{task.set}: {task.title} ({task.platform})", *(_fact(*fact) for fact in facts)]


def _release(entry: SourceSurvey) -> str:
    published = entry.task.published_rows
    if published is None:
        return "not part of it"
    expected = published.model_dump()
    if not entry.release:
        return (
            f"not here ({', '.join(f'{split} {rows:,}' for split, rows in expected.items())} rows published)"
        )
    found = (f"{split} {entry.release.get(split, 0):,} of {rows:,}" for split, rows in expected.items())
    return f"{', '.join(found)} rows"


def next_steps(entries: Sequence[SourceSurvey], data: Path) -> Iterator[str]:
    """The next steps of a reader with these files, with commands to type."""
    complete = [entry for entry in entries if entry.release or (entry.task.sources and entry.upstream)]
    recipe = Path("recipes/sample-linear.yaml")
    yield ""
    if not data.is_dir():
        yield NO_DATA.format(folder=data)
    if not complete:
        yield "To begin without any of them, with the synthetic sample:"
        yield f"{COMMAND_INDENT}{command_line(f'run {recipe}' if recipe.is_file() else 'init study')}"
        yield "Once files are there, see what is found, and train and score on it:"
        yield f"{COMMAND_INDENT}{command_line(f'sources --data {shlex.quote(str(data))}')}"
    elif (data / SYNTHETIC_MARK).is_file():
        yield "This is the synthetic sample. To run it from posts to a report:"
        yield f"{COMMAND_INDENT}{command_line(f'run {recipe}')}"
        return
    else:
        yield "To train and score a linear model on the sets found:"
    chosen = "" if len(complete) in {0, len(entries)} else f"sets=[{', '.join(e.task.set for e in complete)}]"
    options = [f"data={data}", *([chosen] if chosen else [])]
    settings = " ".join(f"--set {shlex.quote(option)}" for option in options)
    yield f"{COMMAND_INDENT}{command_line(f'run recipes/imhi-linear.yaml {settings}')}"
