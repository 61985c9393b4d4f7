"""Write files of model outputs and of a release, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_csv(path: Path, columns: Mapping[str, Sequence[str]]) -> None:
    """Write columns of equal length as a CSV file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_outputs(
    folder: Path, references: Sequence[str], texts: Sequence[str], set_name: str = "DR"
) -> Path:
    """Write one set's outputs in the published layout; returns the folder."""
    write_csv(folder / f"{set_name}.csv", {"goldens": references, "generated_text": texts})
    return folder
