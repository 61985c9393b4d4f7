"""`mentallama sources`: which files of each set a data folder holds, and how many rows they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mentallama.files.imhi_release import ReleaseFile, find_release_files
from mentallama.records import Form
from mentallama.tasks import Task


@dataclass(frozen=True)
class SourceSurvey:
    """Rows of a set in a data folder: `release` by split, `upstream` by file name, and upstream files `missing`."""

    task: Task
    release: dict[str, int]
    upstream: dict[str, int]
    missing: tuple[str, ...]


def survey(data: Path, tasks: Mapping[str, Task], form: Form) -> list[SourceSurvey]:
    """Count the rows of each set's files; files that do not exist count as 0 or missing."""
    release = data / "release"
    published = find_release_files(release, form, tasks) if release.is_dir() else []
    return [
        _survey(data, task, [file for file in published if file.set == task.set]) for task in tasks.values()
    ]


def _survey(data: Path, task: Task, published: list[ReleaseFile]) -> SourceSurvey:
    from mentallama.files.tables import read_table

    rows: dict[str, int] = {file.split: sum(1 for _ in read_table(file.path)) for file in published}
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
    return SourceSurvey(task, rows, upstream, missing)


def format_survey(found: SourceSurvey) -> list[str]:
    """Describe a set as lines of text: source, licence, rows found and rows expected."""
    task, expected = found.task, found.task.published_rows.model_dump()
    release = ", ".join(
        f"{split} {found.release.get(split, 0):,} of {rows:,}" for split, rows in expected.items()
    )
    upstream = ", ".join(f"{name} ({rows:,} rows)" for name, rows in found.upstream.items()) or "nothing"
    lines = [
        f"{task.set}: {task.title} ({task.platform})",
        f"  licence   {task.licence}",
        f"  obtain    {task.obtain}",
        f"  release   {release} rows",
        f"  upstream  {upstream}",
    ]
    if found.missing:
        lines.append(f"  missing   {', '.join(found.missing)}")
    return lines
