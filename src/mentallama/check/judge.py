"""Read a batch of responses and judge each by itself: a pure function, run in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from mentallama.check.gates.form import personal, words
from mentallama.check.gates.language import language
from mentallama.check.gates.prompt_leakage import leakage
from mentallama.check.gates.quote_grounding import Quote, invented, place_quotes, tell_elsewhere, unplaced
from mentallama.check.gates.statements import advice, diagnosis
from mentallama.check.response_join import Joined, row_of
from mentallama.check.response_row import Row
from mentallama.config import Check
from mentallama.prompts import instructions
from mentallama.records import Reading, Record, Verdict
from mentallama.tasks import Task

Gate = Callable[[Row], Verdict]
Found = tuple[bool, str | None, float | None]
"""What is kept of a verdict until all gates are through: ok, reason, score."""

READ = "read"
"""The gate before all others: whether there is an answer to judge. It cannot be switched off."""

ROW_GATES: Mapping[str, Callable[[Any], Gate]] = {
    "invented": lambda share: lambda row: invented(row, share),
    "language": lambda _: language,
    "words": lambda bounds: lambda row: words(row, bounds),
    "leakage": lambda count: lambda row: leakage(row, instructions(row.task, row.example.question), count),
    "diagnosis": lambda _: diagnosis,
    "advice": lambda _: advice,
    "personal": lambda _: personal,
}
"""Gates that look at one row alone: from the recipe's setting to the gate."""


class Evidence(Record):
    """One line of `quotes.jsonl.zst`: what each of an explanation's quotations was found to be, in their order."""

    example_id: str
    model: str
    quotes: tuple[Quote, ...]


class Judged(NamedTuple):
    """A response, read and judged. `lost` are its quotations that its post does not hold; `evidence` is the JSON of
    an `Evidence`, "" where nothing is quoted."""

    reading: Reading
    quotes: tuple[str, ...]
    found: dict[str, Found]
    lost: tuple[str, ...]
    evidence: str


def judge_batch(batch: Sequence[Joined], tasks: str, settings: Check) -> list[Judged]:
    """Read and judge a batch.

    Parameters
    ----------
    tasks
        What `packed` makes of the recipe's tasks.
    """
    known = _unpacked(tasks)
    gates = row_gates(settings)
    rows = (row_of(post, example, response, known[post.set]) for post, example, response in batch)
    return [_judge(row, gates) for row in rows]


def row_gates(settings: Check) -> dict[str, Gate]:
    """The gates of `ROW_GATES` that the recipe wants."""
    off = settings.off()
    return {name: make(getattr(settings, name)) for name, make in ROW_GATES.items() if name not in off}


def packed(tasks: Mapping[str, Task]) -> str:
    """Tasks as text: a worker that met them before knows them by it, with all that it has cached of them."""
    return _TASKS.dump_json(dict(tasks)).decode()


_TASKS = TypeAdapter(dict[str, Task])


@cache
def _unpacked(tasks: str) -> dict[str, Task]:
    return _TASKS.validate_json(tasks)


def _judge(row: Row, gates: Mapping[str, Gate]) -> Judged:
    if row.reading.status != "read":
        why = f"{row.reading.status}: {row.reading.reason}"
        return Judged(row.reading, (), {READ: (False, why, None)}, (), "")
    found: dict[str, Found] = {READ: (True, None, None)}
    found |= {name: found_of(gate(row)) for name, gate in gates.items()}
    placed = place_quotes(row) if row.quotes else ()
    return Judged(row.reading, row.quotes, found, unplaced(row, placed), _evidence(row, placed))


def found_of(verdict: Verdict) -> Found:
    return verdict.ok, verdict.reason, verdict.score


def with_borrowed(row: Row, judged: Judged, borrowed: frozenset[str], share: float | None) -> Judged:
    """The same once it is known which quotations stand in other posts.

    Parameters
    ----------
    share
        The threshold of `invented`; None where the gate is off.
    """
    if borrowed.isdisjoint(judged.lost):
        return judged
    found = judged.found
    if share is not None:
        found = found | {"invented": found_of(invented(row, share, borrowed))}
    placed = tell_elsewhere(row, place_quotes(row), borrowed)
    return judged._replace(found=found, evidence=_evidence(row, placed))


def _evidence(row: Row, placed: tuple[Quote, ...]) -> str:
    if not placed:
        return ""
    record = Evidence(example_id=row.example.id, model=row.response.model, quotes=placed)
    return record.model_dump_json(exclude_defaults=True)
