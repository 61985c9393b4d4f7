"""Find the input files in a data folder, and count their rows for `mentallama sources`.

A data folder has `release/` (the published layout) and `sources/<set>/<file>` (upstream files under their own
names). Both are optional and may be incomplete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mentallama.collect.placeholders import Placeholders
from mentallama.collect.readers import (
    AddedLabels,
    RawPost,
    Reject,
    RowRules,
    read_labels_file,
    read_release_posts,
    read_table_posts,
)
from mentallama.errors import UsageError
from mentallama.files.imhi_release import ReleaseFile, find_release_files
from mentallama.files.tables import is_table, read_rows, read_table
from mentallama.records import Form, Origin
from mentallama.tasks import Source, Task


@dataclass(frozen=True)
class InputFile:
    """An input file. `name` is its path below the data folder; `labels` is the file with its labels, if any."""

    task: Task
    origin: Origin
    name: str
    path: Path
    source: Source | ReleaseFile
    labels: Path | None = None

    def read(self, rules: RowRules) -> Iterator[RawPost | Reject]:
        if isinstance(self.source, ReleaseFile):
            return read_release_posts(self.source, self.task, self.name)
        return read_table_posts(self.path, self.source, self.task, self.name, self.origin, rules)

    def read_labels(self) -> AddedLabels | None:
        """Read the labels file, if there is one."""
        if self.labels is None or isinstance(self.source, ReleaseFile) or self.source.labels_file is None:
            return None
        return read_labels_file(self.labels, self.source.labels_file, self.source.added_columns)


def read_inputs(
    inputs: Iterable[InputFile], placeholders: Placeholders
) -> Iterator[tuple[InputFile, Iterator[RawPost | Reject]]]:
    """Yield each file with its rows; a labels file that consecutive files share is read once."""
    source: Source | ReleaseFile | None = None
    rules = RowRules(placeholders)
    for file in inputs:
        if file.source is not source:
            source, rules = file.source, RowRules(placeholders, file.read_labels())
        yield file, file.read(rules)


def _paths(folder: Path, source: Source) -> list[Path]:
    """The files that a source names: one file, the tables below a folder, or those that match a pattern."""
    path = folder / source.file
    if path.is_file():
        return [path]
    paths = path.rglob("*") if path.is_dir() else folder.glob(source.file)
    labels = folder / source.labels_file.file if source.labels_file else None
    return sorted(
        each
        for each in paths
        if each.is_file() and each != labels and is_table(each) and not _is_hidden(each.relative_to(folder))
    )


def _is_hidden(path: Path) -> bool:
    """Whether a file or a folder above it is hidden, or is a lock of a spreadsheet program, by its name."""
    return any(part.startswith((".", "~$")) for part in path.parts)


def find_input_files(
    data: Path, tasks: Mapping[str, Task], form: Form, declared: Mapping[str, Sequence[Source]] | None = None
) -> list[InputFile]:
    """Find the files of the sets in `tasks`, ordered by set, then release, upstream files, declared tables.

    Parameters
    ----------
    declared
        Tables that a recipe declares, by set; these must exist.

    Raises
    ------
    UsageError
        The data folder or a declared table does not exist, or no file was found.
    """
    if not data.is_dir():
        hint = (
            "" if data.is_absolute() else "; paths in a recipe start at the folder in which the command runs"
        )
        raise UsageError(f"{data}: there is no such data folder{hint}")
    release = data / "release"
    published = find_release_files(release, form, tasks) if release.is_dir() else []
    inputs = []
    for task in tasks.values():
        folder = data / "sources" / task.set
        inputs += [
            _input(task, "release", data, file.path, file) for file in published if file.set == task.set
        ]
        inputs += [
            _input(task, "upstream", data, path, source)
            for source in task.sources
            for path in _paths(folder, source)
        ]
        for source in (declared or {}).get(task.set, ()):
            paths = _paths(folder, source)
            if not paths:
                raise UsageError(
                    f"{folder / source.file}: the recipe declares this table for {task.set}, but there is no such "
                    "file"
                )
            inputs += [_input(task, "table", data, path, source) for path in paths]
    if not inputs:
        raise UsageError(f"{data}: neither release/ nor sources/<set>/ has a file of {', '.join(tasks)}")
    return inputs


def _input(task: Task, origin: Origin, data: Path, path: Path, source: Source | ReleaseFile) -> InputFile:
    labels = None
    if isinstance(source, Source) and source.labels_file:
        labels = data / "sources" / task.set / source.labels_file.file
        if not labels.is_file():
            raise UsageError(
                f"{labels}: the labels of {source.file} should be in this file, but there is none"
            )
    return InputFile(task, origin, path.relative_to(data).as_posix(), path, source, labels)


@dataclass(frozen=True)
class SourceSurvey:
    """Rows of a set in a data folder: `release` by split, `upstream` by file name; and the `missing` upstream files."""

    task: Task
    release: dict[str, int]
    upstream: dict[str, int]
    missing: tuple[str, ...]


def survey(data: Path, tasks: Mapping[str, Task], form: Form) -> list[SourceSurvey]:
    """Count the rows of each set's files, and list the upstream files that do not exist."""
    release = data / "release"
    published = find_release_files(release, form, tasks) if release.is_dir() else []
    return [
        _survey(data, task, [file for file in published if file.set == task.set]) for task in tasks.values()
    ]


def _survey(data: Path, task: Task, published: list[ReleaseFile]) -> SourceSurvey:
    release: dict[str, int] = {file.split: sum(1 for _ in read_table(file.path)) for file in published}
    folder, upstream = data / "sources" / task.set, {}
    for source in task.sources:
        paths = _paths(folder, source)
        if paths:
            layout = source.layout(source.needed_columns)
            upstream[source.file] = sum(
                sum(1 for _ in read_rows(path, source.encoding, layout)) for path in paths
            )
    others = sorted(p for p in folder.glob("*") if p.is_file() and is_table(p)) if not task.sources else []
    upstream |= {path.name: sum(1 for _ in read_rows(path)) for path in others}
    missing = tuple(source.file for source in task.sources if source.file not in upstream)
    return SourceSurvey(task, release, upstream, missing)
