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
from mentallama.progress import heartbeat
from mentallama.text.suggestions import did_you_mean

if TYPE_CHECKING:
    from mentallama.export.folder import ExportSummary
    from mentallama.export.source import ExportSource


@dataclass(frozen=True)
class Exporter:
    """A format. `write` puts its files into an empty folder.

    `description` says for which tool, `reads` which folders can be exported, and `example` names one; all are shown in
    the help.
    """

    write: Callable[[ExportSource, Path], ExportSummary]
    description: str
    reads: str
    example: str
    takes_posts: bool = False
    """Whether `posts` and `text_column` of the source are read."""


def _trl(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.trl import export_trl

    return export_trl(source, out)


def _croissant(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.croissant import export_croissant

    return export_croissant(source, out)


def _transformers(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.sequence_classifiers import export_sequence_classifiers

    return export_sequence_classifiers(source, out)


def _alpaca(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.llama_factory import export_alpaca

    return export_alpaca(source, out)


def _sharegpt(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.llama_factory import export_sharegpt

    return export_sharegpt(source, out)


def _lm_eval(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.lm_eval import export_lm_eval

    return export_lm_eval(source, out)


def _inspect(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.inspect_ai import export_inspect

    return export_inspect(source, out)


def _label_studio(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.annotation.label_studio import export_label_studio

    return export_label_studio(source, out)


def _argilla(source: ExportSource, out: Path) -> ExportSummary:
    from mentallama.export.annotation.argilla import export_argilla

    return export_argilla(source, out)


_DATASET = "a run's folder, or a built data set (the folder of check)"
_LABELLED = "a run's folder (its labelled test posts, as evaluate scores them), or a built data set"
_ANSWERED = "predictions (a run's folder, or the folder or table that predict wrote), or a built data set"
_ENCODER = "the folder of a trained encoder, such as runs/NAME/train"
_BUILD, _LINEAR = "runs/sample-build", "runs/sample-linear"

EXPORTERS: Mapping[str, Exporter] = MappingProxyType(
    {
        "trl": Exporter(_trl, "Conversations, completions and preference pairs for TRL", _DATASET, _BUILD),
        "alpaca": Exporter(_alpaca, "Instructions in alpaca's format for LLaMA-Factory", _DATASET, _BUILD),
        "sharegpt": Exporter(
            _sharegpt, "Conversations in ShareGPT's format for LLaMA-Factory", _DATASET, _BUILD
        ),
        "lm-eval": Exporter(_lm_eval, "Tasks with our metrics for lm-evaluation-harness", _LABELLED, _LINEAR),
        "inspect": Exporter(
            _inspect, "Tasks with our scorer and metrics for Inspect (inspect_ai)", _LABELLED, _LINEAR
        ),
        "label-studio": Exporter(
            _label_studio, "Tasks with predictions and evidence for Label Studio", _ANSWERED, _LINEAR, True
        ),
        "argilla": Exporter(
            _argilla, "Settings and records with suggestions for Argilla", _ANSWERED, _LINEAR, True
        ),
        "croissant": Exporter(_croissant, "A built data set with its Croissant metadata", _DATASET, _BUILD),
        "transformers": Exporter(
            _transformers,
            "A text classifier per question for transformers' pipeline, with our labels and probabilities",
            _ENCODER,
            "runs/imhi-encoder/train",
        ),
    }
)
"""Name of a format -> its exporter, in the order of the help. Every command loads this table, so the functions import
what they need."""


@heartbeat("export")
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
    exporter = EXPORTERS[format_name]
    if not exporter.takes_posts and (source.posts is not None or source.text_column is not None):
        others = " and ".join(name for name, other in EXPORTERS.items() if other.takes_posts)
        raise UsageError(f"--posts and --text are for exports of answered posts: {others}")
    if not source.path.exists():
        raise UsageError(f"{source.path}: there is no such file or folder")
    with export_folder(out) as folder:
        summary = exporter.write(source, folder)
        finish_export(folder, format_name, summary, source.tasks)
    return summary
