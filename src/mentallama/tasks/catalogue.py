"""Read task files and find tasks by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from mentallama.errors import DataError, UsageError
from mentallama.files.schema_faults import read_yaml_model
from mentallama.tasks.schema import Task
from mentallama.text.suggestions import did_you_mean

QuestionKey = tuple[str, str]
"""A set and the name of one of its questions."""

_LONGEST_SHOWN = 40
"""Characters of an unknown name that an error shows."""


def read_task(path: Path) -> Task:
    """Read one task file.

    Raises
    ------
    DataError
        The file is not YAML, or not a task; the message lists every error.
    """
    return read_yaml_model(path, Task, "task")


@cache
def _shipped_tasks() -> Mapping[str, Task]:
    folder = Path(str(files("mentallama.tasks") / "data"))
    tasks = [read_task(path) for path in sorted(folder.glob("*.yaml"), key=lambda p: p.name.lower())]
    return MappingProxyType({task.set: task for task in tasks})


def load_tasks(folder: str | PathLike[str] | None = None) -> Mapping[str, Task]:
    """Load all tasks by set name, read-only: those of the package, overridden and extended by those in `folder`.

    Parameters
    ----------
    folder
        A folder of task files (`.yaml`), one per task; None: only the tasks of the package.

    Raises
    ------
    UsageError
        There is no such folder, or no task file in it.
    DataError
        A file is not a task, or two files are of one set.

    Examples
    --------
    >>> tasks = load_tasks()
    >>> list(tasks)
    ['CAMS', 'CLP', 'DR', 'dreaddit', 'Irf', 'loneliness', 'MultiWD', 'SAD', 'swmh', 't-sid']
    >>> list(tasks["dreaddit"].questions), list(tasks["dreaddit"].labels)
    (['stress'], ['yes', 'no'])
    """
    if folder is None:
        return _shipped_tasks()
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of task files")
    paths = sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"})
    if not paths:
        raise UsageError(f"{folder}: there is no task file (.yaml) in this folder")
    files_by_set: dict[str, Path] = {}
    tasks = dict(_shipped_tasks())
    own_spelling = {name.casefold(): name for name in tasks}
    for path in paths:
        task = read_task(path)
        if task.set in files_by_set:
            raise DataError(f"the set {task.set} is in {files_by_set[task.set].name} already", path)
        known = own_spelling.setdefault(task.set.casefold(), task.set)
        if known != task.set:  # sets are found in any case
            raise DataError(f"the set {task.set} differs from {known} in nothing but case", path)
        files_by_set[task.set], tasks[task.set] = path, task
    return MappingProxyType(tasks)


def find_task(name: str, tasks: Mapping[str, Task] | None = None) -> Task:
    """Find a task by its name, ignoring case.

    Raises
    ------
    UsageError
        There is no such task; the message suggests a similar name.
    """
    tasks = _shipped_tasks() if tasks is None else tasks
    by_lower = {key.lower(): task for key, task in tasks.items()}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    own = " (the folder of your own tasks is given with --tasks, tasks: in a recipe, or tasks= in Python)"
    hint = own if tasks is _shipped_tasks() else ""
    # arguments may have been exchanged, and a post is not quoted
    named = f"named {name!r}" if len(name) <= _LONGEST_SHOWN else f"of this name of {len(name):,} characters"
    raise UsageError(f"there is no task {named}; {did_you_mean(name, tasks)}{hint}")


def select_questions(
    names: Iterable[str], supported: Collection[QuestionKey] | None, tasks: Mapping[str, Task], model: str
) -> tuple[QuestionKey, ...]:
    """The questions that are named by their task (`MultiWD`) or as one of it (`MultiWD:social`), in that order.

    Parameters
    ----------
    names
        Without any, all questions that the model supports are selected.
    supported
        The questions that the model supports; None: all.
    model
        The model's name, for messages.

    Raises
    ------
    UsageError
        There is no such task or question, or the model does not support it; or no name is given, and the model
        supports every question.
    """
    if supported is not None and (unknown := [name for name, _ in supported if name not in tasks]):
        raise UsageError(
            f"{model} answers {unknown[0]}, which no known task describes; name the folder of its file with --tasks, "
            "in Python with tasks="
        )
    named = [key for name in names for key in _named_questions(name, tasks)]
    if not named:
        if supported is None:
            raise UsageError(f"{model} takes any task; name one, such as dreaddit: {', '.join(tasks)}")
        return tuple(supported)
    for name, question in named:
        if supported is not None and (name, question) not in supported:
            known = ", ".join(dict.fromkeys(name for name, _ in supported))
            raise UsageError(f"{model} does not answer {name} ({question}); it answers {known}")
    return tuple(dict.fromkeys(named))


def _named_questions(name: str, tasks: Mapping[str, Task]) -> list[QuestionKey]:
    set_name, _, question = name.partition(":")
    task = find_task(set_name, tasks)
    if not question:
        return [(task.set, known) for known in task.questions]
    by_lower = {known.lower(): known for known in task.questions}
    if question.lower() not in by_lower:
        raise UsageError(f"{task.set} has no question {question!r}; {did_you_mean(question, task.questions)}")
    return [(task.set, by_lower[question.lower()])]
