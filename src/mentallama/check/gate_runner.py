"""Parse all responses of a run and judge them with every gate that the recipe enables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import tee
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from mentallama.answers.quotations import (
    QuoteMatch,
    find_in_other_posts,
    mark_other_post_quotes,
    match_quotes,
    missing_quotes,
)
from mentallama.check.gate import CorpusGate, Gate, ResponseCorpus, RowGate
from mentallama.check.gates import GATES, PARSED_GATE
from mentallama.check.gates.quote_grounding import GATE as QUOTE_GROUNDING
from mentallama.check.gates.quote_grounding import check_quote_grounding
from mentallama.check.human_review.disagreements import Decisions
from mentallama.check.output.gate_report_schema import GateTable
from mentallama.check.response_rows import (
    CheckInputs,
    JoinedResponse,
    ResponseRow,
    join_responses,
    parse_response,
)
from mentallama.config import Check, Recipe
from mentallama.files.record_files import open_jsonl, read_records
from mentallama.parallel import batched, map_batches
from mentallama.progress import progress_bar
from mentallama.records import Post, Reading, Record, Verdict
from mentallama.tasks import Task

JOIN_BATCH_SIZE = 256

GateResult = tuple[bool, str | None, float | None]
"""The part of a verdict that stays in memory for every row and gate: ok, reason, score."""


class QuoteMatches(Record):
    """One line of `quotes.jsonl.zst`: how each quotation of an explanation matches the post, in their order."""

    example_id: str
    model: str
    quotes: tuple[QuoteMatch, ...]


class JudgedResponse(NamedTuple):
    """The result of a worker process for one response.

    `missing_quotes` are the quotations that are not in the post; `quote_line` is the JSON of a `QuoteMatches`, "" if
    nothing is quoted.
    """

    reading: Reading
    quotes: tuple[str, ...]
    results: dict[str, GateResult]
    missing_quotes: tuple[str, ...]
    quote_line: str


@dataclass
class GateRun:
    """Rows in the order of the responses, each with its gate results and the JSON of its quotations.

    `gates` are those that judged rows, in the order in which they are reported; `parsed` is the first.
    """

    rows: list[ResponseRow]
    results: list[dict[str, GateResult]]
    quote_lines: list[str]
    gates: list[str] = field(default_factory=list)
    tables: list[GateTable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def parsed_indices(self) -> list[int]:
        """Indices of the rows that gates can judge."""
        return [index for index, row in enumerate(self.rows) if row.reading.status == "parsed"]


def run_gates(
    inputs: CheckInputs,
    recipe: Recipe,
    decisions: Decisions,
    scratch_dir: Path,
    gates: Sequence[Gate] = GATES,
) -> GateRun:
    """Parse and judge every response.

    Parameters
    ----------
    decisions
        People's decisions on label disagreements.
    scratch_dir
        An empty folder for data that does not fit into memory.
    """
    settings, tasks = recipe.check, recipe.catalogue()
    assert settings is not None
    disabled = settings.disabled_gates()
    enabled = [gate for gate in gates if gate.name not in disabled]
    gate_run = _run_row_gates(inputs, recipe, tasks, [gate for gate in enabled if isinstance(gate, RowGate)])
    rows = [gate_run.rows[index] for index in gate_run.parsed_indices]
    corpus = ResponseCorpus(rows, inputs, tasks, decisions, settings.label_reader, scratch_dir)
    gate_run.gates = [PARSED_GATE]
    with progress_bar("check: compare", len(enabled), unit="gates") as advance:
        for gate in enabled:
            advance(0, gate.name)
            if isinstance(gate, RowGate) or _run_corpus_gate(gate, corpus, settings, gate_run):
                gate_run.gates.append(gate.name)
            advance(1)
    return gate_run


def _run_row_gates(
    inputs: CheckInputs, recipe: Recipe, tasks: Mapping[str, Task], gates: Sequence[RowGate]
) -> GateRun:
    """Parse all responses and judge each on its own, in several processes."""
    assert recipe.check is not None
    judge = partial(judge_batch, tasks_json=dump_tasks(tasks), settings=recipe.check, gates=gates)
    batches = batched(join_responses(inputs.posts, inputs.responses, tasks, recipe.form), JOIN_BATCH_SIZE)
    row_batches, worker_batches = tee(batches)
    rows: list[ResponseRow] = []
    judged: list[JudgedResponse] = []
    with progress_bar("check: judge", _count_lines(inputs.responses), unit="responses") as advance:
        results = map_batches(judge, worker_batches, recipe.jobs)
        for batch, batch_judged in zip(row_batches, results, strict=True):
            rows += (
                ResponseRow(post, tasks[post.set], example, response, result.reading, result.quotes)
                for (post, example, response), result in zip(batch, batch_judged, strict=True)
            )
            judged += batch_judged
            advance(len(batch))
    judged = _mark_other_post_quotes(inputs.posts, rows, judged, recipe.check)
    return GateRun(rows, [result.results for result in judged], [result.quote_line for result in judged])


def judge_batch(
    batch: Sequence[JoinedResponse], tasks_json: str, settings: Check, gates: Sequence[RowGate]
) -> list[JudgedResponse]:
    """Parse and judge a batch of responses; a pure function, run in worker processes.

    `tasks_json` is the output of `dump_tasks`.
    """
    tasks = _load_tasks(tasks_json)
    thresholds = [(gate, settings.threshold(gate.name)) for gate in gates]
    rows = (parse_response(post, example, response, tasks[post.set]) for post, example, response in batch)
    return [_judge(row, thresholds) for row in rows]


def _judge(row: ResponseRow, thresholds: Sequence[tuple[RowGate, object]]) -> JudgedResponse:
    if row.reading.status != "parsed":
        reason = f"{row.reading.status}: {row.reading.reason}"
        return JudgedResponse(row.reading, (), {PARSED_GATE: (False, reason, None)}, (), "")
    results: dict[str, GateResult] = {PARSED_GATE: (True, None, None)}
    results |= {gate.name: _gate_result(gate.judge(row, threshold)) for gate, threshold in thresholds}
    matches = match_quotes(row.post.text, row.quotes, row.task) if row.quotes else ()
    return JudgedResponse(
        row.reading, row.quotes, results, missing_quotes(row.quotes, matches), _quote_line(row, matches)
    )


def dump_tasks(tasks: Mapping[str, Task]) -> str:
    """Serialise tasks. A worker caches the tasks that it has loaded, and all that was derived from them, by this
    text."""
    return _TASKS_ADAPTER.dump_json(dict(tasks)).decode()


_TASKS_ADAPTER = TypeAdapter(dict[str, Task])


@cache
def _load_tasks(tasks_json: str) -> dict[str, Task]:
    return _TASKS_ADAPTER.validate_json(tasks_json)


def _mark_other_post_quotes(
    posts: Path, rows: Sequence[ResponseRow], judged: Sequence[JudgedResponse], settings: Check
) -> list[JudgedResponse]:
    """Distinguish quotations that come from another post from those that are in no post."""
    other_post_quotes = find_in_other_posts(
        (quote for result in judged for quote in result.missing_quotes),
        (post.text for post in read_records(posts, Post)),
    )
    return [
        _with_other_post_quotes(row, result, other_post_quotes, settings.max_ungrounded_quotes)
        for row, result in zip(rows, judged, strict=True)
    ]


def _with_other_post_quotes(
    row: ResponseRow, judged: JudgedResponse, other_post_quotes: frozenset[str], threshold: float | None
) -> JudgedResponse:
    if other_post_quotes.isdisjoint(judged.missing_quotes):
        return judged
    results = judged.results
    if QUOTE_GROUNDING in results and threshold is not None:
        verdict = check_quote_grounding(row, threshold, other_post_quotes)
        results = results | {QUOTE_GROUNDING: _gate_result(verdict)}
    matches = mark_other_post_quotes(
        row.quotes, match_quotes(row.post.text, row.quotes, row.task), other_post_quotes
    )
    return judged._replace(results=results, quote_line=_quote_line(row, matches))


def _run_corpus_gate(gate: CorpusGate, corpus: ResponseCorpus, settings: Check, gate_run: GateRun) -> bool:
    """Add the gate's verdicts, table and notes to `gate_run`; False if there was nothing for it to judge."""
    judged = gate.check(corpus, settings.threshold(gate.name))
    if judged is None:
        return False
    for index, verdict in zip(gate_run.parsed_indices, judged.verdicts, strict=True):
        gate_run.results[index][gate.name] = _gate_result(verdict)
    if judged.table:
        gate_run.tables.append(GateTable(gate=gate.name, title=gate.table_title, rows=judged.table))
    gate_run.notes += judged.notes
    return True


def _gate_result(verdict: Verdict) -> GateResult:
    return verdict.ok, verdict.reason, verdict.score


def _quote_line(row: ResponseRow, matches: tuple[QuoteMatch, ...]) -> str:
    if not matches:
        return ""
    record = QuoteMatches(example_id=row.example.id, model=row.response.model, quotes=matches)
    return record.model_dump_json(exclude_defaults=True)


def _count_lines(path: Path) -> int:
    with open_jsonl(path, "r") as lines:
        return sum(1 for _ in lines)
