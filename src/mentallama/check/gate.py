"""Types of the quality gates: those that judge one response at a time, and those that compare all of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mentallama.check.human_review.disagreements import Decisions
from mentallama.check.output.gate_report_schema import GateReportRow
from mentallama.check.response_rows import CheckInputs, ResponseRow, read_expert_rows, read_response_rows
from mentallama.records import Verdict
from mentallama.tasks import Task


@dataclass(frozen=True)
class RowGate:
    """A gate that judges each response on its own, in a worker process.

    Parameters
    ----------
    name
        Identifies the gate in verdicts, in reports and in the recipe's `report_only`. The field of `config.Check` with
        its threshold is annotated with `GateSetting(name)`.
    passes_if
        Completes the sentence "a response passes if ...".
    check
        A module-level function of the row and, unless `on_off`, of the gate's threshold.
    on_off
        Whether the gate has no threshold; its setting then only enables it.
    """

    name: str
    passes_if: str
    check: Callable[..., Verdict]
    on_off: bool = False

    def judge(self, row: ResponseRow, threshold: Any) -> Verdict:
        return self.check(row) if self.on_off else self.check(row, threshold)


@dataclass(frozen=True)
class CorpusGate:
    """A gate that judges all parsed responses of a run together.

    `check` takes the corpus and the gate's threshold; it returns None if there is nothing to judge.
    `table_title` heads its table in the gate report, if it has one. `name` and `passes_if` are as in `RowGate`.
    """

    name: str
    passes_if: str
    check: Callable[[ResponseCorpus, Any], CorpusVerdicts | None]
    table_title: str = ""


Gate = RowGate | CorpusGate


@dataclass(frozen=True)
class CorpusVerdicts:
    """Verdicts of a corpus gate, one per row in the order of the rows, with a table and notes for the report."""

    verdicts: Iterable[Verdict]
    table: tuple[GateReportRow, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResponseCorpus:
    """The parsed responses of a run, and everything that corpus gates compare them with.

    `decisions` are people's decisions on label disagreements; `label_reader` is the folder of a trained label reader;
    `scratch_dir` is a temporary folder for data that does not fit into memory.
    """

    rows: Sequence[ResponseRow]
    inputs: CheckInputs
    tasks: Mapping[str, Task]
    decisions: Decisions
    label_reader: Path | None
    scratch_dir: Path

    @cached_property
    def expert_rows(self) -> list[ResponseRow]:
        """Explanations that experts wrote for the published release, if their answers can be parsed."""
        if self.inputs.release is None:
            return []
        return [
            row for row in read_expert_rows(self.inputs.release, self.tasks) if row.reading.status == "parsed"
        ]

    def reference_rows(self) -> Iterable[ResponseRow]:
        """The release's own responses, if the rows are those of other teachers."""
        if self.inputs.references is None or not self.rows:
            return ()
        form = self.rows[0].example.form
        return read_response_rows(self.inputs.posts, self.inputs.references, self.tasks, form)
