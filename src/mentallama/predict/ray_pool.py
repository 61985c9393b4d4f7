"""Answer on a Ray cluster: `--ray ADDRESS`.

Each worker opens the analyst once and answers whole batches by the same function as here. There is a worker a GPU;
where there is none, a worker a node for neural models, and a worker a CPU for the others. No more than two batches a
worker are out at a time, so a long stream is never held. The driver journals what comes back. Ray replaces a worker
that is lost and gives its batches to the new one.

Each node needs mentallama of the same version, and the model at the same place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import uuid4

from mentallama import __version__
from mentallama.analysts.base import Analyst, InferenceOptions
from mentallama.analysts.registry import analyst_kind, open_analyst
from mentallama.errors import MentallamaError
from mentallama.llm_api.transport.ray import (
    WORKER_START_SECONDS,
    connect_to_cluster,
    no_worker_error,
    version_mismatch,
)
from mentallama.predict.analyst_pool import AnalystPool, PoolEvent, answer_batch
from mentallama.predict.questions import QuestionKey
from mentallama.progress import LogFn
from mentallama.records import Example

MAX_WORKER_LOSSES = 3
"""A batch with which so many workers are lost ends the run: it may be what kills them."""

BATCHES_PER_WORKER = 2
"""Batches a worker has: one that it answers, and one that waits."""


@dataclass(frozen=True)
class BatchResult:
    """What came of a batch. `worker` changes when a worker was lost and replaced."""

    worker: str
    events: list[PoolEvent]
    log_lines: list[str]
    error: MentallamaError | None = None


class AnalystWorker:
    """One process of the cluster, with an analyst of its own."""

    def __init__(self, spec: str, asking: InferenceOptions) -> None:
        self._name, self._log_lines = uuid4().hex, list[str]()
        self._open = partial(open_analyst, spec, replace(asking, log=self._log_lines.append))
        self._analyst: Analyst | None = None

    def version(self) -> str:
        return __version__

    def supported_questions(self) -> tuple[QuestionKey, ...] | MentallamaError | None:
        """The questions that the analyst answers, None for all; or why it does not open.

        What stops the run is returned: raised, it would arrive with Ray's own words around it.
        """
        try:
            tasks = getattr(self._get_analyst(), "supported_questions", None)
        except MentallamaError as stop:
            return stop
        return None if tasks is None else tuple(tasks)

    def answer(self, batch: list[Example]) -> BatchResult:
        try:
            told, fault = list(answer_batch(self._get_analyst(), batch)), None
        except MentallamaError as stop:
            told, fault = [], stop
        said = self._log_lines.copy()
        self._log_lines.clear()
        return BatchResult(self._name, told, said, fault)

    def _get_analyst(self) -> Analyst:
        self._analyst = self._analyst or self._open()
        return self._analyst


@contextmanager
def ray_pool(address: str, spec: str, asking: InferenceOptions, log: LogFn) -> Iterator[AnalystPool]:
    """Workers of a cluster, as a crew.

    `say` hears of workers that are lost, and what their analysts have to say.

    Raises
    ------
    WrongUse
        Ray is not installed, the nodes have another version of mentallama, or the analyst does not open.
    MentallamaError
        No cluster answers at the address, or it starts no worker. Later: it keeps losing workers.
    """
    ray, own = connect_to_cluster(address)
    workers: list[Any] = []
    try:
        count, room = _worker_resources(ray, spec, asking)
        options = {
            **room,
            "max_restarts": -1,
            "max_task_retries": MAX_WORKER_LOSSES,
            "scheduling_strategy": "SPREAD",
        }
        workers += [
            ray.remote(**options)(AnalystWorker).remote(spec, replace(asking, log=_discard_line))
            for _ in range(count)
        ]
        tasks = _wait_until_open(ray, address, workers)
        yield AnalystPool(tasks, partial(_dispatch_batches, ray, address, workers, log))
    finally:
        for worker in workers:
            ray.kill(worker)
        if own:
            ray.shutdown()


def _discard_line(_: str) -> None:
    """A worker hears for itself."""


def _worker_resources(ray: Any, spec: str, asking: InferenceOptions) -> tuple[int, dict[str, int]]:
    """How many workers there are to be, and what each takes of a node."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(node.get("CPU", 0)) for node in alive]
    gpus = sum(int(node.get("GPU", 0)) for node in alive)
    if analyst_kind(spec).single_cpu:
        return max(1, sum(cpus)), {"num_cpus": 1}
    if asking.device == "cuda" or (asking.device == "auto" and gpus):
        return max(1, gpus), {"num_gpus": 1, "num_cpus": 1}
    useful = [count for count in cpus if count]
    return max(1, len(useful)), {"num_cpus": min(useful, default=1)}


def _wait_until_open(ray: Any, address: str, workers: list[Any]) -> tuple[QuestionKey, ...] | None:
    """Wait until all analysts are open; the questions that they answer."""
    errors = ray.exceptions
    try:
        found = set(ray.get([worker.version.remote() for worker in workers], timeout=WORKER_START_SECONDS))
        if (fault := version_mismatch(address, found, __version__)) is not None:
            raise fault
        tasks = ray.get(
            [worker.supported_questions.remote() for worker in workers]
        )  # a large model takes minutes to open
    except errors.RayTaskError:
        raise  # a fault in our own code
    except (errors.RayError, TimeoutError):
        raise no_worker_error(address) from None
    for each in tasks:
        if isinstance(each, MentallamaError):
            raise each
    answered: tuple[QuestionKey, ...] | None = tasks[0]
    return answered


def _dispatch_batches(
    ray: Any, address: str, workers: list[Any], say: LogFn, batches: Iterator[list[Example]]
) -> Iterator[PoolEvent]:
    flying: dict[Any, int] = {}
    names: dict[int, str] = {}
    for batch in batches:
        if len(flying) >= BATCHES_PER_WORKER * len(workers):
            yield from _next_result(ray, address, flying, names, say)
        held = list(flying.values())
        place = min(range(len(workers)), key=held.count)
        flying[workers[place].answer.remote(batch)] = place
    while flying:
        yield from _next_result(ray, address, flying, names, say)


def _next_result(
    ray: Any, address: str, flying: dict[Any, int], names: dict[int, str], say: LogFn
) -> list[PoolEvent]:
    """Wait for the first batch that is done."""
    (done, *_), _ = ray.wait(list(flying), num_returns=1)
    place = flying.pop(done)
    try:
        part: BatchResult = ray.get(done)
    except ray.exceptions.RayTaskError:
        raise  # a fault in our own code
    except ray.exceptions.RayError:
        raise MentallamaError(
            f"the Ray cluster at {address} keeps losing workers: look at its logs; what was answered is kept, and the "
            "same command goes on"
        ) from None
    for line in part.log_lines:
        say(line)
    if part.error is not None:
        raise part.error
    if names.setdefault(place, part.worker) != part.worker:
        say("a worker of the Ray cluster was lost; its batches are asked again")
        names[place] = part.worker
    return part.events
