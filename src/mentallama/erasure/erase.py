"""Erase a person: remove their posts and everything written about them from every file of a run.

    mentallama forget ID [--dry-run] [--yes] [--out DIR]

Nothing is changed unless a post, an example or an author of the run has exactly this id, and no file that a run did
not make is changed at all. The list of erasure requests is written first. `collect` reads it, so the next run does not
bring the person back. If the command is killed, the same command finishes the erasure; once it is finished, the same
command changes nothing. Files computed from all posts (a model, scores, the page) are recomputed by the next run of
the recipe, because their inputs have changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.erasure.person import NothingToErase, Person, find_person
from mentallama.erasure.row_removal import mentions_person, remove_from_ledger, remove_rows
from mentallama.erasure.run_contents import RunContents, is_run, read_run_contents
from mentallama.errors import UsageError, counted
from mentallama.files.erasure_requests import read_erasure_list, write_erasure_list
from mentallama.progress import heartbeat
from mentallama.run_files import MANIFEST_FILE


@dataclass
class ErasureReport:
    """Rows and files removed from a run, or to be removed.

    Parameters
    ----------
    removed_rows
        Number of rows, by file.
    deleted_files
        Files without rows, deleted because they mentioned the person, and folders of stages that were killed.
    untouched_files
        Files in the run's folder that no run made and that mention the person.
    source_rows
        Rows of the data folder, which is left alone, that still hold the posts.
    stages_to_rerun
        Stages whose results the next run recomputes.
    was_erased
        Whether the person had been erased before.
    """

    removed_rows: dict[str, int] = field(default_factory=dict)
    deleted_files: list[str] = field(default_factory=list)
    untouched_files: list[str] = field(default_factory=list)
    source_rows: list[str] = field(default_factory=list)
    stages_to_rerun: list[str] = field(default_factory=list)
    n_posts: int = 0
    was_erased: bool = False

    @property
    def changes_nothing(self) -> bool:
        return not (self.removed_rows or self.deleted_files or self.n_posts)


def plan_erasure(folder: Path, target_id: str, ledgers: Iterable[Path] = ()) -> ErasureReport:
    """Find what `erase` would remove, without changing a file; parameters and errors as there."""
    return _plan(folder, target_id, tuple(ledgers))[0]


@heartbeat("forget: erase")
def erase(folder: Path, target_id: str, ledgers: Iterable[Path] = ()) -> ErasureReport:
    """Erase a person from a run.

    Parameters
    ----------
    folder
        The run's folder. The caller holds its lock.
    target_id
        The id of a post, of an example about it, or of an author (the hash in the posts). Copies of a post are erased
        too, in every set.
    ledgers
        Ledgers outside the run's folder that its teachers used.

    Raises
    ------
    NothingToErase
        No post, example or author of the run has this id.
    UsageError
        The folder is no run.
    DataError
        A file is damaged; nothing was changed.
    """
    ledgers = tuple(ledgers)
    report, person, contents = _plan(folder, target_id, ledgers)
    if not report.changes_nothing:
        erasures = read_erasure_list(folder).with_posts(person.posts).with_post_ids(person.post_ids)
        write_erasure_list(folder, erasures.with_authors(person.author_ids))
        for leftover in contents.leftovers:
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    for path in contents.files:
        name = path.relative_to(folder).as_posix()
        if name in report.removed_rows:
            remove_rows(path, person.matcher, write=True)
        elif name in report.deleted_files:
            path.unlink()
    for path in ledgers:
        if str(path) in report.removed_rows:
            remove_from_ledger(path, person.matcher, write=True)
    return report


@heartbeat("forget: search")
def _plan(folder: Path, target_id: str, ledgers: Sequence[Path]) -> tuple[ErasureReport, Person, RunContents]:
    if not target_id.strip():
        raise UsageError("the id is empty; give the id of a post, an example or an author")
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such run")
    if not is_run(folder):
        raise UsageError(f"{folder}: this folder is no run of mentallama; nothing was changed")
    missing = [path for path in ledgers if not path.is_file()]
    if missing:
        raise UsageError(f"{missing[0]}: there is no such ledger")
    contents = read_run_contents(folder)
    person = find_person(folder, target_id, (*contents.ledgers, *ledgers), contents.batch_metadata)
    report = ErasureReport(n_posts=person.n_posts, was_erased=person.was_erased)
    for path in contents.files:
        name = path.relative_to(folder).as_posix()
        rows = remove_rows(path, person.matcher, write=False)
        if rows:
            report.removed_rows[name] = rows
        elif rows is None and mentions_person(path, person.matcher):
            report.deleted_files.append(name)
    for path in ledgers:
        if rows := remove_from_ledger(path, person.matcher, write=False):
            report.removed_rows[str(path)] = rows
    report.untouched_files = [
        path.relative_to(folder).as_posix()
        for path in contents.foreign_files
        if mentions_person(path, person.matcher)
    ]
    if not report.changes_nothing:
        report.deleted_files += [path.relative_to(folder).as_posix() for path in contents.leftovers]
        report.source_rows = sorted(
            {f"{post.provenance.file}, row {post.provenance.row}" for post in person.posts}
        )
        report.stages_to_rerun = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST_FILE}"))
    return report, person, contents


def plan_for_runs(
    folders: Sequence[Path], target_id: str, ledgers: Sequence[Path] = ()
) -> list[tuple[Path, ErasureReport]]:
    """Plan the erasure of a person from several runs, changing nothing; runs without the person are left out.

    Raises
    ------
    UsageError
        A folder is no run, or none of them has the person.
    """
    if not folders:
        raise UsageError("there is no run below runs/; name a run's folder with --out")
    plans: list[tuple[Path, ErasureReport]] = []
    nothing: list[NothingToErase] = []
    for folder in folders:
        try:
            plans.append((folder, plan_erasure(folder, target_id, ledgers)))
        except NothingToErase as error:
            nothing.append(error)
    if not plans:
        raise (
            nothing[0]
            if len(folders) == 1
            else NothingToErase(f"no post, example or author of {len(folders)} runs has the id {target_id!r}")
        )
    return plans


def erase_from_runs(
    folders: Sequence[Path], target_id: str, ledgers: Sequence[Path] = ()
) -> Iterator[tuple[Path, ErasureReport]]:
    """Erase a person from several runs, all of whose locks are held from the start.

    Raises
    ------
    UsageError
        A folder is no run, none of them has the person, or another process is working on one of them.
    """
    from mentallama.pipeline.run_lock import run_lock

    planned = [folder for folder, _ in plan_for_runs(folders, target_id, ledgers)]
    with ExitStack() as locks:
        for folder in planned:
            locks.enter_context(run_lock(folder))
        for folder in planned:
            yield folder, erase(folder, target_id, ledgers)


def erasure_report_lines(folder: Path, report: ErasureReport, dry_run: bool = False) -> Iterator[str]:
    """The report as text; with `dry_run`, of what would be removed."""
    removed, deleted = ("to be removed", "to be deleted") if dry_run else ("removed", "deleted")
    if report.changes_nothing:
        yield f"{folder}: erased before, nothing is left to erase"
    else:
        yield f"{folder}: {counted(report.n_posts, 'post')} {'to be erased' if dry_run else 'erased'}"
    yield from (f"  {name}: {counted(rows, 'row')} {removed}" for name, rows in report.removed_rows.items())
    yield from (f"  {name}: {deleted}" for name in report.deleted_files)
    if report.untouched_files:
        yield "  these files mention the person, were not made by a run and are not changed; see to them yourself:"
        yield from (f"    {name}" for name in report.untouched_files)
    if report.stages_to_rerun:
        stages = ", ".join(report.stages_to_rerun)
        yield f"  the next run recomputes {stages}; until then, models and figures are as before"
    if report.source_rows:
        yield "  the data folder still holds these posts; remove them there too:"
        yield from (f"    {source}" for source in report.source_rows)
