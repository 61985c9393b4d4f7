"""Export with Croissant metadata: a built data set on its own, as mlcroissant and data set hubs read it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, Field

from mentallama.check.output.dataset import dataset_path
from mentallama.check.output.dataset_card import dataset_card_path
from mentallama.errors import DataError, UsageError
from mentallama.export.folder import ExportSummary
from mentallama.export.source import ExportSource
from mentallama.files.atomic import atomic_write
from mentallama.files.manifest import digest_file
from mentallama.files.record_files import read_record
from mentallama.records import FORMS, SPLITS, Split
from mentallama.run_files import CROISSANT_FILE, GATE_REPORT_FILE
from mentallama.tasks.terms import TERMS_FILE

CARD_FILE = "dataset_card.md"
"""The dataset card, which the metadata refers to; README.md is that of the export."""

USAGE = f"""```python
import mlcroissant as mlc
dataset = mlc.Dataset(jsonld="FOLDER/{CROISSANT_FILE}")
rows = dataset.records("instruction")
```

`FOLDER` is this folder. The record sets are `instruction` and `completion`; the field `split` says which rows are for
training. `{CARD_FILE}` is the dataset card."""


class _FileObject(BaseModel):
    """A file that the metadata describes."""

    path: str = Field(alias="contentUrl")
    sha256: str


class _Metadata(BaseModel):
    """The part of the metadata that names files; entries of `distribution` without an address are sets of files."""

    distribution: tuple[dict[str, object], ...]

    def files(self) -> Iterator[_FileObject]:
        return (_FileObject.model_validate(entry) for entry in self.distribution if "contentUrl" in entry)


def export_croissant(source: ExportSource, out: Path) -> ExportSummary:
    """Copy the metadata of a built data set, the files that it describes, the dataset card and the gate report.

    Raises
    ------
    UsageError
        The data set has no metadata.
    DataError
        A file that the metadata describes is missing or was changed.
    """
    folder = source.dataset_folder
    if not (folder / CROISSANT_FILE).is_file():
        raise UsageError(f"{folder}: there is no {CROISSANT_FILE} here; run check again, which writes it")
    summary = ExportSummary(USAGE)
    rows = {split: _record_rows(source, split, summary) for split in source.dataset_splits()}
    for file in read_record(folder / CROISSANT_FILE, _Metadata).files():
        _copy_file(folder, file, out)
        split = _FILES[file.path]
        summary.add_rows(file.path, split, rows[split])
    copies = {CROISSANT_FILE: CROISSANT_FILE, dataset_card_path(folder).name: CARD_FILE}
    copies |= {name: name for name in (GATE_REPORT_FILE, TERMS_FILE) if (folder / name).is_file()}
    for name, copied in copies.items():
        _copy(folder / name, out / copied)
    return summary


_FILES = {
    dataset_path(form, split, suffix).as_posix(): split
    for form in FORMS
    for split in SPLITS
    for suffix in (".jsonl", ".parquet")
}
"""The files that a data set may have, and their splits."""


def _record_rows(source: ExportSource, split: Split, summary: ExportSummary) -> int:
    count = 0
    for count, row in enumerate(source.dataset_rows(split), 1):
        summary.add_response(row.model)
        summary.add_post(row.set, source.post_text(row, split))
    return count


def _copy_file(folder: Path, file: _FileObject, out: Path) -> None:
    path = folder / file.path
    if file.path not in _FILES or not path.is_file():
        raise DataError(
            f"it describes {file.path}, which is not there; run check again", folder / CROISSANT_FILE
        )
    if digest_file(path, file.path).sha256 != file.sha256:
        raise DataError(f"its content is not what {CROISSANT_FILE} describes; run check again", path)
    _copy(path, out / file.path)


def _copy(path: Path, target: Path) -> None:
    with atomic_write(target) as partial:
        shutil.copyfile(path, partial)
