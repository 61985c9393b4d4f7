"""Analysts on a Ray cluster: `--ray ADDRESS`.

Each worker opens the analyst once and answers whole batches with the same function as a local run. There is one worker
per GPU; without GPUs, one per node for neural models and one per CPU for the others. At most two batches per worker are
pending, so the stream of posts is never held in memory. The driver writes the journal. Ray replaces a lost worker and
gives its batches to the new one.

Each node needs the same version of mentallama, and the model at the same path.
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
from mentallama.analysts.registry import analyst_kind
from mentallama.attribution.opening import open_with_evidence
from mentallama.errors import MentallamaError
from mentallama.llm_api.transport.ray import (
    WORKER_START_SECONDS,
    connect_to_cluster,
    no_worker_error,
    version_mismatch,
)
from mentallama.predict.analyst_pool import AnalystPool, PoolEvent, answer_batch
from mentallama.progress import LogFn
from mentallama.records import Example
from mentallama.tasks import QuestionKey

MAX_WORKER_LOSSES = 3
"""If this many workers are lost during one batch, the run ends, since the batch may be the cause."""

BATCHES_PER_WORKER = 2
"""Pending batches per worker: one in progress and one waiting."""


@dataclass(frozen=True)
class BatchResult:
    """Result of a batch. `worker` changes if the worker was lost and replaced."""

    worker: str
    events: list[PoolEvent]
    log_lines: list[str]
    error: MentallamaError | None = None


class AnalystWorker:
    """A process of the cluster with its own analyst."""

    def __init__(self, spec: str, options: InferenceOptions) -> None:
        self._name, self._log_lines = uuid4().hex, list[str]()
        self._open = partial(open_with_evidence, spec, replace(options, log=self._log_lines.append))
        self._analyst: Analyst | None = None

    def version(self) -> str:
        return __version__

    def supported_questions(self) -> tuple[QuestionKey, ...] | MentallamaError | None:
        """The questions that the analyst supports, None for all; or the error that keeps it from opening.

        The error is returned because Ray would wrap a raised one in its own.
        """
        try:
            supported = getattr(self._get_analyst(), "supported_questions", None)
        except MentallamaError as error:
            return error
        return None if supported is None else tuple(supported)

    def answer(self, batch: list[Example]) -> BatchResult:
        try:
            events, error = list(answer_batch(self._get_analyst(), batch)), None
        except MentallamaError as raised:
            events, error = [], raised
        log_lines = self._log_lines.copy()
        self._log_lines.clear()
        return BatchResult(self._name, events, log_lines, error)

    def _get_analyst(self) -> Analyst:
        self._analyst = self._analyst or self._open()
        return self._analyst


@contextmanager
def ray_pool(address: str, spec: str, options: InferenceOptions, log: LogFn) -> Iterator[AnalystPool]:
    """Workers of a cluster as a pool.

    `log` receives the log lines of the workers' analysts, and a line for each lost worker.

    Raises
    ------
    UsageError
        Ray is not installed, the nodes have another version of mentallama, or the analyst does not open.
    MentallamaError
        There is no cluster at the address, or it starts no worker. Later: it keeps losing workers.
    """
    ray, connected_here = connect_to_cluster(address)
    workers: list[Any] = []
    try:
        n_workers, resources = _worker_resources(ray, spec, options)
        actor_options = {
            **resources,
            "max_restarts": -1,
            "max_task_retries": MAX_WORKER_LOSSES,
            "scheduling_strategy": "SPREAD",
        }
        workers += [
            ray.remote(**actor_options)(AnalystWorker).remote(spec, replace(options, log=_discard_line))
            for _ in range(n_workers)
        ]
        supported = _wait_until_open(ray, address, workers)
        yield AnalystPool(supported, partial(_dispatch_batches, ray, address, workers, log))
    finally:
        for worker in workers:
            ray.kill(worker)
        if connected_here:
            ray.shutdown()


def _discard_line(_: str) -> None:
    """Workers collect log lines themselves."""


def _worker_resources(ray: Any, spec: str, options: InferenceOptions) -> tuple[int, dict[str, int]]:
    """Number of workers, and the resources that each takes of its node."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(node.get("CPU", 0)) for node in alive]
    gpus = sum(int(node.get("GPU", 0)) for node in alive)
    if analyst_kind(spec).single_cpu:
        return max(1, sum(cpus)), {"num_cpus": 1}
    if options.device == "cuda" or (options.device == "auto" and gpus):
        return max(1, gpus), {"num_gpus": 1, "num_cpus": 1}
    cpus_per_node = [count for count in cpus if count]
    return max(1, len(cpus_per_node)), {"num_cpus": min(cpus_per_node, default=1)}


def _wait_until_open(ray: Any, address: str, workers: list[Any]) -> tuple[QuestionKey, ...] | None:
    """Wait until all analysts are open; returns the questions that they support."""
    errors = ray.exceptions
    try:
        versions = set(ray.get([worker.version.remote() for worker in workers], timeout=WORKER_START_SECONDS))
        if (mismatch := version_mismatch(address, versions, __version__)) is not None:
            raise mismatch
        # No time-out: a large model takes minutes to open.
        answers = ray.get([worker.supported_questions.remote() for worker in workers])
    except errors.RayTaskError:
        raise  # a bug in this package
    except (errors.RayError, TimeoutError):
        raise no_worker_error(address) from None
    for answer in answers:
        if isinstance(answer, MentallamaError):
            raise answer
    supported: tuple[QuestionKey, ...] | None = answers[0]
    return supported


def _dispatch_batches(
    ray: Any, address: str, workers: list[Any], log: LogFn, batches: Iterator[list[Example]]
) -> Iterator[PoolEvent]:
    """Give each batch to the worker with the fewest pending ones; yield results as they arrive."""
    pending: dict[Any, int] = {}
    names: dict[int, str] = {}
    for batch in batches:
        if len(pending) >= BATCHES_PER_WORKER * len(workers):
            yield from _next_result(ray, address, pending, names, log)
        busy = list(pending.values())
        index = min(range(len(workers)), key=busy.count)
        pending[workers[index].answer.remote(batch)] = index
    while pending:
        yield from _next_result(ray, address, pending, names, log)


def _next_result(
    ray: Any, address: str, pending: dict[Any, int], names: dict[int, str], log: LogFn
) -> list[PoolEvent]:
    """Wait for the next batch to finish."""
    (done, *_), _ = ray.wait(list(pending), num_returns=1)
    index = pending.pop(done)
    try:
        result: BatchResult = ray.get(done)
    except ray.exceptions.RayTaskError:
        raise  # a bug in this package
    except ray.exceptions.RayError:
        raise MentallamaError(
            f"the Ray cluster at {address} keeps losing workers: see its logs; answers so far are saved, and the same "
            "command resumes"
        ) from None
    for line in result.log_lines:
        log(line)
    if result.error is not None:
        raise result.error
    if names.setdefault(index, result.worker) != result.worker:
        log("a worker of the Ray cluster was lost; its batches are repeated")
        names[index] = result.worker
    return result.events
