"""Have scales filled: all posts advance together, one step of their dialogues at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from mentallama.llm_api.dialogues import Dialogue, replay, run_dialogues
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.types import Request
from mentallama.progress import progress_bar
from mentallama.teach.answer_source import AnswerSource
from mentallama.teach.endpoint_options import N_FIRST_REQUESTS, settle_options
from mentallama.teach.remote_teachers import RequestSender, progress_callback
from mentallama.teach.requests import labelled_questions
from mentallama.teach.scales.cost_estimate import estimate_scale_costs, revisions_note
from mentallama.teach.scales.definition import question_scales
from mentallama.teach.scales.filling import CHECKER, TEACHER
from mentallama.teach.scales.questions import ScaleAnswer
from mentallama.teach.scales.teacher import ROLES, ScaleTeacher
from mentallama.teach.teachers import AnalystLoader, unique_names


def ask_scale_teachers(sender: RequestSender, _: AnalystLoader) -> list[AnswerSource]:
    """Have every teacher of the job fill the scales; returns the teachers as sources of their answers.

    Raises
    ------
    UsageError
        A question has no scale, or the criterion pack cannot be filled.
    MentallamaError, UsageError
        As `llm_api.dispatcher.dispatch`. Completed requests are kept, and the same call continues.
    """
    job, settings = sender.job, sender.job.settings
    scales = question_scales(
        {question.task.set: question.task for question in labelled_questions(job)}, settings.scale
    )
    teachers = [sender.endpoints[teacher.spec] for teacher in settings.teacher]
    checker = settings.scale.checker
    sources: list[AnswerSource] = []
    for name, endpoint in zip(unique_names(teachers), teachers, strict=True):
        roles = {TEACHER: endpoint, CHECKER: endpoint if checker is None else sender.endpoints[checker.spec]}
        teacher = ScaleTeacher(name, job, scales, roles, sender.ledger)
        estimates = estimate_scale_costs(teacher, sender.n_questions)
        sender.log_estimates(estimates)
        sender.log(f"teach: {revisions_note(teacher)}")
        sources.append(_fill_scales(teacher, sender))
    return sources


def _fill_scales(teacher: ScaleTeacher, sender: RequestSender) -> ScaleTeacher:
    """Ask until every dialogue has ended; returns the teacher with the settings that its models were found to need."""
    current = teacher

    def settle(role: str) -> None:
        """Find out with the first requests which options the role's model rejects."""
        nonlocal current
        if role == CHECKER and current.endpoints[CHECKER] == current.endpoints[TEACHER]:
            return
        settled = settle_options(
            lambda endpoint: _first_requests(current, role, endpoint),
            current.endpoints[role],
            sender.ledger,
            sender.dispatch,
            sender.log,
        )
        current = _with_endpoint(current, role, settled)

    def send(role: str, requests: Iterable[Request]) -> None:
        with progress_bar(f"teach: ask the {role}", None, unit="requests") as advance:
            sender.dispatch(current.endpoints[role], requests, progress_callback(advance, None))

    def start() -> Iterator[Dialogue[ScaleAnswer]]:
        return current.dialogues()

    run_dialogues(start, ROLES, sender.ledger.get_completions, send, settle)
    return current


def _first_requests(teacher: ScaleTeacher, role: str, endpoint: Endpoint) -> list[Request]:
    """The first requests of a role to an endpoint, one for each of as many posts."""
    changed = _with_endpoint(teacher, role, endpoint)
    replays = (replay(dialogue, teacher.ledger.get_completions) for dialogue in changed.dialogues())
    asks = (ask for each in replays if (ask := each.first_of(role)) is not None)
    return [ask.request for ask in islice(asks, N_FIRST_REQUESTS)]


def _with_endpoint(teacher: ScaleTeacher, role: str, endpoint: Endpoint) -> ScaleTeacher:
    """The teacher with another endpoint in a role, and in the other role too if it was the same one."""
    before = teacher.endpoints[role]
    changed = {name: endpoint if each == before else each for name, each in teacher.endpoints.items()}
    return replace(teacher, endpoints=changed)
