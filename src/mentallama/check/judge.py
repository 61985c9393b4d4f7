"""Read a batch of responses and judge each by itself: a pure function, run in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from mentallama.check.gates.form import check_length, check_personal_data
from mentallama.check.gates.language import check_language
from mentallama.check.gates.prompt_leakage import check_prompt_leakage
from mentallama.check.gates.quote_grounding import (
    QuoteMatch,
    check_quote_grounding,
    mark_other_post_quotes,
    match_quotes,
    unplaced,
)
from mentallama.check.gates.statements import check_advice, check_diagnosis
from mentallama.check.response_join import JoinedResponse, parse_response
from mentallama.check.response_row import ResponseRow
from mentallama.config import Check
from mentallama.prompts import prompt_instructions
from mentallama.records import Reading, Record, Verdict
from mentallama.tasks import Task

RowGate = Callable[[ResponseRow], Verdict]
GateResult = tuple[bool, str | None, float | None]
"""What is kept of a verdict until all gates are through: ok, reason, score."""

PARSED_GATE = "read"
"""The gate before all others: whether there is an answer to judge. It cannot be switched off."""

ROW_GATES: Mapping[str, Callable[[Any], RowGate]] = {
    "quote_grounding": lambda share: lambda row: check_quote_grounding(row, share),
    "language": lambda _: check_language,
    "length": lambda bounds: lambda row: check_length(row, bounds),
    "prompt_leakage": lambda count: (
        lambda row: check_prompt_leakage(row, prompt_instructions(row.task, row.example.question), count)
    ),
    "diagnosis": lambda _: check_diagnosis,
    "advice": lambda _: check_advice,
    "personal_data": lambda _: check_personal_data,
}
"""Gates that look at one row alone: from the recipe's setting to the gate."""


class QuoteMatches(Record):
    """One line of `quotes.jsonl.zst`: what each of an explanation's quotations was found to be, in their order."""

    example_id: str
    model: str
    quotes: tuple[QuoteMatch, ...]


class JudgedResponse(NamedTuple):
    """A response, read and judged. `lost` are its quotations that its post does not hold; `evidence` is the JSON of
    an `QuoteMatches`, "" where nothing is quoted."""

    reading: Reading
    quotes: tuple[str, ...]
    results: dict[str, GateResult]
    missing_quotes: tuple[str, ...]
    quote_line: str


def judge_batch(batch: Sequence[JoinedResponse], tasks_json: str, settings: Check) -> list[JudgedResponse]:
    """Read and judge a batch.

    Parameters
    ----------
    tasks
        What `dump_tasks` makes of the recipe's tasks.
    """
    known = _load_tasks(tasks_json)
    gates = enabled_row_gates(settings)
    rows = (parse_response(post, example, response, known[post.set]) for post, example, response in batch)
    return [_judge(row, gates) for row in rows]


def enabled_row_gates(settings: Check) -> dict[str, RowGate]:
    """The gates of `ROW_GATES` that the recipe wants."""
    off = settings.disabled_gates()
    return {name: make(settings.threshold(name)) for name, make in ROW_GATES.items() if name not in off}


def dump_tasks(tasks: Mapping[str, Task]) -> str:
    """Tasks as text: a worker that met them before knows them by it, with all that it has cached of them."""
    return _TASKS_ADAPTER.dump_json(dict(tasks)).decode()


_TASKS_ADAPTER = TypeAdapter(dict[str, Task])


@cache
def _load_tasks(tasks: str) -> dict[str, Task]:
    return _TASKS_ADAPTER.validate_json(tasks)


def _judge(row: ResponseRow, gates: Mapping[str, RowGate]) -> JudgedResponse:
    if row.reading.status != "parsed":
        why = f"{row.reading.status}: {row.reading.reason}"
        return JudgedResponse(row.reading, (), {PARSED_GATE: (False, why, None)}, (), "")
    found: dict[str, GateResult] = {PARSED_GATE: (True, None, None)}
    found |= {name: gate_result(gate(row)) for name, gate in gates.items()}
    placed = match_quotes(row) if row.quotes else ()
    return JudgedResponse(row.reading, row.quotes, found, unplaced(row, placed), _quote_line(row, placed))


def gate_result(verdict: Verdict) -> GateResult:
    return verdict.ok, verdict.reason, verdict.score


def with_other_post_quotes(
    row: ResponseRow, judged: JudgedResponse, other_post_quotes: frozenset[str], threshold: float | None
) -> JudgedResponse:
    """The same once it is known which quotations stand in other posts.

    Parameters
    ----------
    share
        The threshold of `check_quote_grounding`; None where the gate is off.
    """
    if other_post_quotes.isdisjoint(judged.missing_quotes):
        return judged
    found = judged.results
    if threshold is not None:
        found = found | {
            "quote_grounding": gate_result(check_quote_grounding(row, threshold, other_post_quotes))
        }
    placed = mark_other_post_quotes(row, match_quotes(row), other_post_quotes)
    return judged._replace(results=found, quote_line=_quote_line(row, placed))


def _quote_line(row: ResponseRow, placed: tuple[QuoteMatch, ...]) -> str:
    if not placed:
        return ""
    record = QuoteMatches(example_id=row.example.id, model=row.response.model, quotes=placed)
    return record.model_dump_json(exclude_defaults=True)
