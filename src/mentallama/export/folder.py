"""The folder of an export: written whole or not at all, with a README that says which terms hold for its posts."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mentallama.check.output.dataset_card import PROVIDER_TERMS
from mentallama.errors import UsageError
from mentallama.export.source import DatasetRow, ExportSource
from mentallama.files.atomic import atomic_write, write_text
from mentallama.files.manifest import digest_folder, read_manifest, write_manifest
from mentallama.files.markdown import escape_markdown, markdown_table
from mentallama.files.ownership import make_output_folder
from mentallama.files.record_files import record_writer
from mentallama.pipeline.run_lock import run_lock
from mentallama.records import Split
from mentallama.safety import NOTICE
from mentallama.tasks import Task
from mentallama.text.fingerprint import identifying_hash, synthetic_post_hashes

COMMAND = "export"
README_FILE = "README.md"
_BYTECODE_FOLDER = "__pycache__"


@dataclass
class ExportSummary:
    """The files, sets and models of an export, for its README.

    Parameters
    ----------
    usage
        Markdown: how the other tool opens the folder.
    notes
        Sentences about what was left out or is different in the other tool.
    """

    usage: str
    notes: list[str] = field(default_factory=list)
    _rows: list[tuple[str, Split | None, int]] = field(default_factory=list)
    _sets: Counter[str] = field(default_factory=Counter)
    _real_sets: set[str] = field(default_factory=set)
    _configs: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    _models: dict[str, None] = field(default_factory=dict)

    @property
    def sets(self) -> list[str]:
        """The sets whose posts the folder holds."""
        return list(self._sets)

    @property
    def real_sets(self) -> frozenset[str]:
        """The sets of which at least one post was written by a person about themselves."""
        return frozenset(self._real_sets)

    @property
    def files(self) -> list[tuple[str, Split | None, int]]:
        """File, split and number of rows, in the order of writing; the split is None for a file that has none."""
        return list(self._rows)

    @property
    def models(self) -> list[str]:
        """The models whose responses the folder holds."""
        return list(self._models)

    @property
    def configs(self) -> dict[str, list[dict[str, str]]]:
        """Configuration -> its files by split, as `datasets.load_dataset` reads them."""
        return self._configs

    def add_rows(self, file: str, split: Split | None, rows: int) -> None:
        """Record a file that was written."""
        self._rows.append((file, split, rows))

    def add_post(self, name: str, text: str) -> None:
        """Record that the folder holds a post of a set."""
        self._sets[name] += 1
        if name not in self._real_sets and identifying_hash(text) not in self._synthetic:
            self._real_sets.add(name)

    def add_response(self, model: str) -> None:
        """Record that the folder holds a response of a model."""
        self._models[model] = None

    def add_posts(self, name: str, texts: Iterable[str]) -> None:
        """Record that the folder holds posts of a set."""
        for text in texts:
            self.add_post(name, text)

    def add_config(self, config: str, split: Split, file: str) -> None:
        """Record a file as the split of a configuration of a data set."""
        self._configs.setdefault(config, []).append({"split": split, "path": file})

    def counted(
        self, source: ExportSource, rows: Iterable[DatasetRow], file: str, split: Split
    ) -> Iterator[DatasetRow]:
        """The same rows; they, their sets and the file are recorded as they pass."""
        count = 0
        for count, row in enumerate(rows, 1):
            self.add_response(row.model)
            self.add_post(row.set, source.post_text(row, split))
            yield row
        self.add_rows(file, split, count)

    @cached_property
    def _synthetic(self) -> frozenset[int]:
        return synthetic_post_hashes()


def write_json_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> int:
    """Write rows as JSON Lines, one by one; returns their number."""
    count = 0
    with record_writer(path) as write:
        for count, row in enumerate(rows, 1):
            write(json.dumps(row, ensure_ascii=False, allow_nan=False))
    return count


def write_json_array(path: Path, rows: Iterable[Mapping[str, object]]) -> int:
    """Write a JSON array with a row in each line, one by one; returns their number."""
    count = 0
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write("[")
        for count, row in enumerate(rows, 1):
            file.write(
                ("," if count > 1 else "") + "\n" + json.dumps(row, ensure_ascii=False, allow_nan=False)
            )
        file.write("\n]\n")
    return count


@contextmanager
def export_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `out` if the block succeeds, and is deleted if it does not.

    An earlier export is replaced if nobody has changed it. The folder is made beside `out`; what a killed export left
    there is deleted by the next one.

    Raises
    ------
    UsageError
        `out` holds anything else, and nothing in it is touched; or another process is exporting to it.
    """
    _require_free(out)
    make_output_folder(out.parent)
    scratch = out.with_name(f".{out.name}.partial")
    scratch.mkdir(exist_ok=True)
    with run_lock(scratch):
        try:
            for left_by_a_killed_export in (scratch / "new", scratch / "replaced"):
                shutil.rmtree(left_by_a_killed_export, ignore_errors=True)
            (scratch / "new").mkdir()
            yield scratch / "new"
            _require_free(out)
            if out.exists():
                out.rename(scratch / "replaced")
            (scratch / "new").rename(out)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def finish_export(folder: Path, format_name: str, summary: ExportSummary, tasks: Mapping[str, Task]) -> None:
    """Write the README and, last, the manifest by which a later export knows the folder as its own."""
    write_text(folder / README_FILE, render_readme(format_name, summary, tasks))
    write_manifest(folder, COMMAND, {"format": format_name}, digest_folder(folder), {}, 0)


def render_readme(format_name: str, summary: ExportSummary, tasks: Mapping[str, Task]) -> str:
    """The content of the README: notice, files, terms by set, and how the other tool opens the folder."""
    return "".join(_readme_parts(format_name, summary, tasks))


def _require_free(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out}: this is no folder that export could make; choose another with --out")
    if not out.exists() or not any(out.iterdir()):
        return
    manifest = read_manifest(out)
    if manifest is None or manifest.stage != COMMAND:
        raise UsageError(
            f"{out}: this folder holds files that export did not make; choose another with --out"
        )
    for bytecode in out.rglob(_BYTECODE_FOLDER):  # left by whatever ran a file of the export
        shutil.rmtree(bytecode)
    if digest_folder(out) != manifest.outputs:
        raise UsageError(
            f"{out}: files of this export were changed or added; move them elsewhere, or choose another folder with "
            "--out"
        )


def _readme_parts(format_name: str, summary: ExportSummary, tasks: Mapping[str, Task]) -> Iterator[str]:
    if summary.configs:
        yield f"---\n{yaml.safe_dump(_front_matter(summary.configs), sort_keys=False)}---\n\n"
    yield f"# Export for {format_name}\n\n> {NOTICE}\n\n"
    yield f"Written by `mentallama export {format_name}`.\n\n"
    if summary.files:
        rows = [(file, split or "", count) for file, split, count in summary.files]
        yield "## Files\n\n" + markdown_table(("file", "split", "rows"), rows)
    yield "".join(f"- {note}\n" for note in summary.notes) + ("\n" if summary.notes else "")
    if summary.sets:
        yield f"## Terms\n\n{_terms(summary, tasks)}"
    yield f"## How to use it\n\n{summary.usage}\n"


def _front_matter(configs: Mapping[str, list[dict[str, str]]]) -> dict[str, Any]:
    return {"configs": [{"config_name": name, "data_files": files} for name, files in configs.items()]}


def _terms(summary: ExportSummary, tasks: Mapping[str, Task]) -> str:
    known = [tasks[name] for name in sorted(summary.sets)]
    text = markdown_table(
        ("set", "task", "licence", "how to get it", "by agreement or request", "posts in this folder"),
        (
            (
                *(task.set, task.title, task.licence, task.obtain or "not published", task.needs_agreement),
                "written by people" if task.set in summary.real_sets else "synthetic",
            )
            for task in known
        ),
    )
    restricted = [task.set for task in known if task.needs_agreement and task.set in summary.real_sets]
    if restricted:
        text += (
            f"**Do not redistribute: {', '.join(map(escape_markdown, restricted))}.** The posts of these sets are "
            "available by agreement or on request only: keep this folder on the machine it was made on, and send none "
            "of it to a service that the agreement does not allow.\n\n"
        )
    if summary.models:
        models = ", ".join(map(escape_markdown, summary.models))
        text += f"The responses were written by {models}. {PROVIDER_TERMS}\n\n"
    return text + (
        "Personal details were replaced by placeholders such as `[name]` and `[handle]`; do not try to identify the "
        "authors. A person who is erased with `mentallama forget` is not erased from this folder: delete it and "
        "export again.\n\n"
    )
