"""Exports: the data and predictions of a run in the formats of other tools.

A format is one module and one line in `EXPORTERS`. An exporter writes files into an empty folder and returns what it
wrote; folder.py adds the README and publishes the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from mentallama.errors import UsageError
from mentallama.text.suggestions import did_you_mean

if TYPE_CHECKING:
    from mentallama.export.folder import ExportSummary
    from mentallama.export.source import ExportSource


@dataclass(frozen=True)
class Exporter:
    """A format. `write` puts its files into an empty folder.

    `description` says for which tool, and `reads` which folders can be exported; both are shown in the help.
    """

    write: Callable[[ExportSource, Path], ExportSummary]
    description: str
    reads: str


def _trl(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.trl import export_trl

    return export_trl(source, out)


def _transformers(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.sequence_classifiers import export_sequence_classifiers

    return export_sequence_classifiers(source, out)


_DATASET = "a run's folder, or a built data set (the folder of check)"

EXPORTERS: Mapping[str, Exporter] = MappingProxyType(
    {
        "trl": Exporter(
            _trl, "Conversations, prompts with completions, and preference pairs for TRL", _DATASET
        ),
        "transformers": Exporter(
            _transformers,
            "A text classifier per question for transformers' pipeline, with our labels and probabilities",
            "the folder of a trained encoder, such as runs/NAME/train",
        ),
    }
)
"""Name of a format -> its exporter, in the order of the help. Every command loads this table, so the functions import
what they need."""


def export(format_name: str, source: ExportSource, out: Path) -> ExportSummary:
    """Export to a new folder.

    Raises
    ------
    UsageError
        There is no such format, the source lacks what it needs, or `out` holds something else.
    """
    from mentallama.export.folder import export_folder, finish_export

    if format_name not in EXPORTERS:
        raise UsageError(f"there is no export format {format_name!r}; {did_you_mean(format_name, EXPORTERS)}")
    with export_folder(out) as folder:
        summary = EXPORTERS[format_name].write(source, folder)
        finish_export(folder, format_name, summary, source.tasks)
    return summary
