"""Calls sent from the nodes of a Ray cluster: `--ray ADDRESS`.

Workers only send. Pace, budget, retries and the ledger stay with the driver, in `ask`: so all workers together never
have more calls out than may be in flight, limits per minute hold for the whole cluster, and every answer comes back by
itself and is committed before it counts. Ray Data, which other bulk work uses, hands out and returns whole blocks: what
is in flight, and lost when a process is killed, would be whole blocks of paid calls.

Each node needs mentallama of the same version. The key travels as an argument of the workers, never in an
environment of the cluster: Ray shows those on its dashboard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from yarl import URL

from mentallama import __version__
from mentallama.errors import MentallamaError
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.run_stats import Limits
from mentallama.llm_api.transport.fatal_errors import RESUME_HINT
from mentallama.llm_api.transport.http import AttemptOutcome, RetryableFailure, open_session, send_once
from mentallama.llm_api.transport.local import SendRequest, Transport
from mentallama.llm_api.transport.ray_cluster import (
    WORKER_START_SECONDS,
    connect_to_cluster,
    no_worker_error,
    version_mismatch,
)

WORKER_GRACE_SECONDS = 60.0
"""How much longer than a call may take its worker may be silent."""

LogFn = Callable[[str], None]


def ray_transport(address: str, log: LogFn, n_workers: int | None = None) -> Transport:
    """Send from a cluster; `workers`: how many processes send, None for one a node.

    `say` hears of workers that are lost. Their calls may have been paid for, and are asked again.

    Raises
    ------
    WrongUse
        On opening: Ray is not installed, or the nodes have another version of mentallama.
    MentallamaError
        On opening: no cluster answers at the address, or it starts no worker. Later: it keeps losing workers.
    """

    @asynccontextmanager
    async def sending(endpoint: Endpoint, limits: Limits) -> AsyncIterator[SendRequest]:
        ray, own = connect_to_cluster(address)
        crew = None
        try:
            nodes = sum(bool(node["Alive"]) for node in ray.nodes())
            crew = _RequestWorkerPool(ray, address, endpoint, limits, log)
            await crew.start(min(n_workers or max(1, nodes), limits.max_concurrency))
            yield crew.send
        finally:
            if crew is not None:
                crew.stop()
            if own:
                ray.shutdown()

    return sending


class RequestWorker:
    """One process of the cluster, with a session of its own."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        self._endpoint, self._limits = endpoint, limits
        self._address = URL(endpoint.request_url)
        self._session: Any = None

    async def version(self) -> str:
        return __version__

    async def send(self, payload: bytes) -> AttemptOutcome | MentallamaError:
        """What stops the run is returned: raised, it would arrive with Ray's own words around it."""
        if self._session is None:
            self._session = open_session(self._endpoint, self._limits.timeout, self._limits.max_concurrency)
        try:
            return await send_once(self._session, self._endpoint, self._address, payload)
        except MentallamaError as stop:
            return stop


class _RequestWorkerPool:
    """The workers, as the driver knows them. A lost one is replaced."""

    def __init__(self, ray: Any, address: str, endpoint: Endpoint, limits: Limits, say: LogFn) -> None:
        self._ray, self._address, self._log = ray, address, say
        self._endpoint, self._limits = endpoint, limits
        self._workers: list[Any] = []
        self._in_flight: list[int] = []
        self._consecutive_losses = 0
        """Workers lost since the last answer."""

    def _start_worker(self) -> Any:
        # they wait for the network, and a cluster full of model servers has no CPU to reserve for that
        options = {
            "num_cpus": 0,
            "max_concurrency": self._limits.max_concurrency,
            "scheduling_strategy": "SPREAD",
        }
        return self._ray.remote(**options)(RequestWorker).remote(self._endpoint, self._limits)

    async def start(self, size: int) -> None:
        self._workers = [self._start_worker() for _ in range(size)]
        self._in_flight = [0] * size
        try:
            async with asyncio.timeout(WORKER_START_SECONDS):
                found = set(await asyncio.gather(*(worker.version.remote() for worker in self._workers)))
        except (TimeoutError, self._ray.exceptions.RayError):
            raise no_worker_error(self._address) from None
        if (fault := version_mismatch(self._address, found, __version__)) is not None:
            raise fault

    async def send(self, payload: bytes) -> AttemptOutcome:
        """Have the least busy worker send a call."""
        if self._consecutive_losses > 3 * len(self._workers):
            raise MentallamaError(
                f"the Ray cluster at {self._address} keeps losing workers: look at its logs; {RESUME_HINT}"
            )
        place = min(range(len(self._workers)), key=self._in_flight.__getitem__)
        worker = self._workers[place]
        self._in_flight[place] += 1
        try:
            async with asyncio.timeout(self._limits.timeout + WORKER_GRACE_SECONDS):
                outcome = await worker.send.remote(payload)
        except self._ray.exceptions.RayTaskError:
            raise  # a fault in our own code
        except (TimeoutError, self._ray.exceptions.RayError):
            self._replace(place, worker)
            return RetryableFailure("worker lost", maybe_billed=True)
        finally:
            if self._workers[place] is worker:
                self._in_flight[place] -= 1
        self._consecutive_losses = 0
        if isinstance(outcome, MentallamaError):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    def _replace(self, index: int, worker: Any) -> None:
        """Once for all the calls that a lost worker had."""
        if self._workers[index] is not worker:
            return
        count = self._in_flight[index]
        self._log(f"a worker of the Ray cluster is lost; its {count} calls in flight are asked again")
        self._consecutive_losses += 1
        self._ray.kill(worker)
        self._workers[index], self._in_flight[index] = self._start_worker(), 0

    def stop(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
