"""Teach: every labelled question of the posts is asked of each teacher, and answered with an explanation.

    mentallama teach recipes/sample-build.yaml

Reads posts. Writes `responses.jsonl.zst` in the order of posts, questions and teachers, `set_aside.jsonl` (questions
without an answer, and why), `disagreements.jsonl` (questions that teachers answer differently) and `summary.json`:
counts, refusals by label, cost by task. No file holds a clock.

Every finished call is in the ledger, a file outside the stage's folder, before it counts. What the ledger answers is
not asked again, so a killed run is resumed by the same command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mentallama.errors import WrongUse
from mentallama.files.record_files import read_records, write_json
from mentallama.llm_api.batch_api.exchange import exchange
from mentallama.llm_api.data_agreements import refuse_agreements
from mentallama.llm_api.dispatcher import Limits, Tally, Told, ask_all
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.transport.local import from_here
from mentallama.llm_api.transport.ray import on_ray
from mentallama.llm_api.types import Call
from mentallama.progress import Advance, progress
from mentallama.records import Post
from mentallama.teach.cost_estimate import Estimate, estimate, short_budget
from mentallama.teach.few_shot import Draw, ShotRow, draw_shots, read_examples, refuse_test_rows
from mentallama.teach.governance import real_examples, real_posts
from mentallama.teach.requests import Lesson, asked, calls
from mentallama.teach.responses import compose
from mentallama.teach.summary import SUMMARY, TeachSummary
from mentallama.teach.teachers import OpenAnalyst, all_answers, open_endpoints

Say = Callable[[str], None]


@dataclass(frozen=True)
class Way:
    """How endpoints are asked: by batch files in the folder `batch`, by calls from the Ray cluster at `ray`, or, where
    there is neither, by calls from here."""

    batch: Path | None = None
    ray: str | None = None


def run(  # noqa: PLR0913, PLR0917 - what a stage cannot know by itself
    lesson: Lesson,
    out: Path,
    ledger: Path,
    open_analyst: OpenAnalyst,
    environ: Mapping[str, str],
    say: Say,
    way: Way = Way(),
) -> TeachSummary:
    """Ask all teachers, and write what they answered.

    Parameters
    ----------
    ledger
        The file of paid answers; made where there is none. Only remote teachers need it.
    open_analyst
        Opens the analyst behind `embedded` or `linear:DIR`.
    environ
        Holds the endpoints' keys.
    say
        Is told the estimate, before anything is sent.

    Raises
    ------
    WrongUse
        There is nothing to ask; a set with an agreement would be sent; a key, a model or an example is wrong.
    MentallamaError
        The endpoint is down or the budget used up: what was answered is kept. Or batch files wait for their results.
    """
    count = Counter((each.task.set, each.example.question) for each in asked(lesson))
    if not count:
        raise WrongUse(
            f"{lesson.posts}: no post of {' and '.join(lesson.settings.splits)} has a label to explain"
        )
    rows = [row for row in _examples(lesson) if (row.set, row.question) in count]
    _refuse_agreements(lesson, rows)
    lesson = replace(lesson, draws=_draws(lesson, rows, count))
    endpoints = open_endpoints(lesson.settings.teacher, environ)
    with ExitStack() as opened:
        kept = opened.enter_context(Ledger(ledger)) if endpoints else None
        teachers = all_answers(lesson, endpoints, kept, open_analyst)
        if kept is not None:
            _ask_remote(lesson, list(endpoints.values()), kept, count.total(), say, way)
        summary = compose(lesson, teachers, out, count.total()).summary(lesson)
    write_json(out / SUMMARY, summary.model_dump(mode="json"))
    return summary


def _refuse_agreements(lesson: Lesson, rows: Sequence[ShotRow]) -> None:
    settings, real = lesson.settings, real_posts(asked(lesson)) + real_examples(rows)
    remote = [teacher.spec for teacher in settings.teacher if teacher.remote]
    instead = "choose other sets or teacher: embedded"
    refuse_agreements(real, lesson.tasks, remote, settings.allow_remote, instead)


def _examples(lesson: Lesson) -> list[ShotRow]:
    """The examples of few-shot prompts; none of them may stand in a test split."""
    if lesson.settings.examples is None:
        return []
    rows = read_examples(lesson.settings.examples, lesson.tasks)
    refuse_test_rows(rows, read_records(lesson.posts, Post))
    return rows


def _draws(
    lesson: Lesson, rows: Sequence[ShotRow], wanted: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Draw]:
    settings = lesson.settings
    if settings.prompt != "few-shot":
        return {}
    return {
        (name, question): draw_shots(rows, lesson.tasks[name], question, settings.shots, lesson.seed)
        for name, question in wanted
    }


def _ask_remote(
    lesson: Lesson, endpoints: Sequence[Endpoint], ledger: Ledger, questions: int, say: Say, way: Way
) -> None:
    """Say what it will cost, then ask one endpoint after the other, or all by batch files."""
    settings = lesson.settings
    estimates = [estimate(lesson, endpoint, ledger, questions) for endpoint in endpoints]
    short = short_budget(estimates, settings.budget, ledger.spent())
    for line in [
        *(f"teach: {each.sentence()}" for each in estimates),
        *([f"teach: {short}"] if short else []),
    ]:
        say(line)
    limits = Limits(settings.in_flight, settings.timeout, settings.attempts, settings.budget, questions)
    if way.batch is not None:
        streams = [(endpoint, partial(_stream, lesson, endpoint)) for endpoint in endpoints]
        if foreign := exchange(way.batch, streams, ledger, limits).foreign:
            say(f"teach: {foreign} results in {way.batch} are of no call of this run")
        return
    sending = from_here if way.ray is None else on_ray(way.ray, say)
    for endpoint, expected in zip(endpoints, estimates, strict=True):
        with progress(f"teach: ask {endpoint.model}", questions) as advance:
            told = _follow(advance, expected)
            ask_all(_stream(lesson, endpoint), endpoint, ledger, limits, told, sending)


def _stream(lesson: Lesson, endpoint: Endpoint) -> Iterator[Call]:
    return calls(lesson, endpoint, asked(lesson))


def _follow(advance: Advance, expected: Estimate) -> Told:
    """Move the bar by what is done since it was last told, with the money beside it."""
    shown = 0

    def told(tally: Tally) -> None:
        nonlocal shown
        advance(tally.done - shown, live(tally, expected))
        shown = tally.done

    return told


def live(tally: Tally, expected: Estimate) -> str:
    """What stands behind the bar."""
    parts = [f"{tally.refused} refused"] * bool(tally.refused)
    parts += [f"{tally.aside.total()} set aside"] * bool(tally.aside)
    if expected.cost is not None:
        parts.insert(0, f"cost {tally.cost + tally.uncertain:.4g} of about {expected.cost:.4g}")
    return ", ".join(parts)
