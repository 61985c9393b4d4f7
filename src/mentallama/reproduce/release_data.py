"""The files that claims are checked against: references of the release, and posts of the sets' own files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from mentallama.answers.parse import read_answer
from mentallama.collect.inputs import find_input_files, read_inputs
from mentallama.collect.placeholders import Placeholders
from mentallama.collect.readers import RawPost
from mentallama.errors import UsageError
from mentallama.files.imhi_release import (
    ReleaseFile,
    find_expert_files,
    find_release_files,
    read_release_file,
    release_path,
)
from mentallama.progress import heartbeat
from mentallama.records import FORMS, Split
from mentallama.tasks import Task
from mentallama.text.fingerprint import text_key
from mentallama.text.repair import repair

Part = Literal["train", "validation", "test", "expert"]


def missing_file(split: Split) -> str:
    """A sentence that names the file of a split, the same for every set.

    >>> missing_file("test")
    'test_data/test_instruction/SET.csv is missing or empty'
    """
    return f"{release_path('SET', split, 'instruction').as_posix()} is missing or empty"


@dataclass(frozen=True)
class ReferenceRow:
    """A published row: its question, the key of its post, its reference and what that says; `label` None: no label."""

    question: str
    key: str
    reference: str
    label: str | None
    explanation: str


class ReleaseData:
    """A data folder with `release/` and `sources/`, or the release itself; files are read when they are needed.

    Raises
    ------
    UsageError
        There is no such folder, or it holds neither.
    """

    def __init__(self, folder: Path, tasks: Mapping[str, Task]) -> None:
        if not folder.is_dir():
            raise UsageError(f"{folder}: there is no such folder")
        self.folder, self.tasks = folder, tasks
        self.release = folder / "release" if (folder / "release").is_dir() else folder
        has_only_sources = self.release == folder and (folder / "sources").is_dir()
        self._files = {} if has_only_sources else self._find_files()
        self._read: dict[tuple[str, Part], list[ReferenceRow]] = {}

    def _find_files(self) -> dict[tuple[str, Part], ReleaseFile]:
        """The file of each set and part, in instruction form where there is one, else in completion form."""
        found: dict[tuple[str, Part], ReleaseFile] = {}
        for form in FORMS:
            for file in find_release_files(self.release, form, self.tasks):
                found.setdefault((file.set, file.split), file)
        return found | {(file.set, "expert"): file for file in find_expert_files(self.release, self.tasks)}

    def rows(self, name: str, part: Part) -> list[ReferenceRow] | None:
        """The rows of a file; None if there is no such file.

        Raises
        ------
        DataError
            The file is damaged, or a row is not a query of its task.
        """
        file = self._files.get((name, part))
        if file is None:
            return None
        if (name, part) not in self._read:
            with heartbeat(f"reproduce: read {file.path.name}"):
                self._read[name, part] = list(_reference_rows(file, self.tasks[name]))
        return self._read[name, part]

    @cached_property
    def upstream(self) -> Mapping[str, list[RawPost]]:
        """Posts of the sets' own files, by set; empty without `sources/`.

        Raises
        ------
        DataError
            A file is damaged, or lacks a column.
        """
        posts: dict[str, list[RawPost]] = defaultdict(list)
        if not (self.folder / "sources").is_dir():
            return posts
        inputs = [
            file
            for file in find_input_files(self.folder, self.tasks, "instruction")
            if file.origin == "upstream"
        ]
        with heartbeat("reproduce: read sources"):
            for _, rows in read_inputs(inputs, Placeholders()):
                for row in rows:
                    if isinstance(row, RawPost):
                        posts[row.set].append(row)
        return posts

    @cached_property
    def upstream_keys(self) -> Mapping[str, list[str]]:
        """The key of each upstream post, in the order of `upstream`."""
        with heartbeat("reproduce: compare posts"):
            return {name: [post_key(post.text) for post in posts] for name, posts in self.upstream.items()}

    def missing_sources(self, name: str) -> list[str]:
        """Files of a set that its authors give out and that are not here; a folder or pattern counts as one."""
        folder = self.folder / "sources" / name
        missing = (source.file for source in self.tasks[name].sources if not any(folder.glob(source.file)))
        return [f"sources/{name}/{file}" for file in missing]


def post_key(text: str) -> str:
    """Key by which copies of a post are recognised, also those that were decoded wrongly."""
    return text_key(repair(text))


def _reference_rows(file: ReleaseFile, task: Task) -> Iterator[ReferenceRow]:
    for row in read_release_file(file, task):
        reading = read_answer(task, row.reference, file.form)
        yield ReferenceRow(
            row.question, post_key(row.text), row.reference, reading.label, reading.explanation
        )
