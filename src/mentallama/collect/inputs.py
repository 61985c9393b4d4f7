"""Find the input files in a data folder, and count their rows for `mentallama sources`.

A data folder has `release/` (the published layout) and `sources/<set>/<file>` (upstream files under their own
names). Both are optional and may be incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mentallama.collect.readers import RawPost, Reject, read_release_posts, read_table_posts
from mentallama.errors import UsageError
from mentallama.files.imhi_release import ReleaseFile, find_release_files
from mentallama.files.tables import read_table
from mentallama.records import Form, Origin
from mentallama.tasks import Source, Task


@dataclass(frozen=True)
class InputFile:
    """An input file. `name` is its path below the data folder."""

    task: Task
    origin: Origin
    name: str
    path: Path
    source: Source | ReleaseFile

    def read(self) -> Iterator[RawPost | Reject]:
        if isinstance(self.source, ReleaseFile):
            return read_release_posts(self.source, self.task, self.name)
        return read_table_posts(self.path, self.source, self.task, self.name, self.origin)


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
        raise UsageError(f"{data}: there is no such data folder")
    release = data / "release"
    published = find_release_files(release, form, tasks) if release.is_dir() else []
    inputs = []
    for task in tasks.values():
        folder = data / "sources" / task.set
        inputs += [
            _input(task, "release", data, file.path, file) for file in published if file.set == task.set
        ]
        upstream = [(folder / source.file, source) for source in task.sources]
        inputs += [
            _input(task, "upstream", data, path, source) for path, source in upstream if path.is_file()
        ]
        for source in (declared or {}).get(task.set, ()):
            path = folder / source.file
            if not path.is_file():
                raise UsageError(
                    f"{path}: the recipe declares this table for {task.set}, but there is no such file"
                )
            inputs.append(_input(task, "table", data, path, source))
    if not inputs:
        raise UsageError(f"{data}: neither release/ nor sources/<set>/ has a file of {', '.join(tasks)}")
    return inputs


def _input(task: Task, origin: Origin, data: Path, path: Path, source: Source | ReleaseFile) -> InputFile:
    return InputFile(task, origin, path.relative_to(data).as_posix(), path, source)


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
        if (folder / source.file).is_file():
            upstream[source.file] = sum(1 for _ in read_table(folder / source.file, source.encoding))
    others = (
        sorted(p.name for p in folder.glob("*") if p.is_file())
        if not task.sources and folder.is_dir()
        else []
    )
    upstream |= {name: sum(1 for _ in read_table(folder / name)) for name in others}
    missing = tuple(source.file for source in task.sources if source.file not in upstream)
    return SourceSurvey(task, release, upstream, missing)


def format_survey(entry: SourceSurvey) -> list[str]:
    """Describe a set as lines of text: source, licence, rows found and rows expected."""
    task, expected = entry.task, entry.task.published_rows.model_dump()
    release = ", ".join(
        f"{split} {entry.release.get(split, 0):,} of {rows:,}" for split, rows in expected.items()
    )
    upstream = ", ".join(f"{name} ({rows:,} rows)" for name, rows in entry.upstream.items()) or "nothing"
    lines = [
        f"{task.set}: {task.title} ({task.platform})",
        f"  licence   {task.licence}",
        f"  obtain    {task.obtain}",
        f"  release   {release} rows",
        f"  upstream  {upstream}",
    ]
    if entry.missing:
        lines.append(f"  missing   {', '.join(entry.missing)}")
    return lines
