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
from mentallama.llm_api.transport.fatal_errors import RESUME
from mentallama.llm_api.transport.http import Failure, Outcome, connect, try_once
from mentallama.llm_api.transport.local import Send, Sending
from mentallama.llm_api.transport.ray_cluster import START_SECONDS, join, no_room, other_version

GRACE_SECONDS = 60.0
"""How much longer than a call may take its worker may be silent."""

Say = Callable[[str], None]


def on_ray(address: str, say: Say, workers: int | None = None) -> Sending:
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
    async def sending(endpoint: Endpoint, limits: Limits) -> AsyncIterator[Send]:
        ray, own = join(address)
        crew = None
        try:
            nodes = sum(bool(node["Alive"]) for node in ray.nodes())
            crew = _Crew(ray, address, endpoint, limits, say)
            await crew.start(min(workers or max(1, nodes), limits.in_flight))
            yield crew.send
        finally:
            if crew is not None:
                crew.end()
            if own:
                ray.shutdown()

    return sending


class Worker:
    """One process of the cluster, with a session of its own."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        self._endpoint, self._limits = endpoint, limits
        self._address = URL(endpoint.address)
        self._session: Any = None

    async def version(self) -> str:
        return __version__

    async def send(self, payload: bytes) -> Outcome | MentallamaError:
        """What stops the run is returned: raised, it would arrive with Ray's own words around it."""
        if self._session is None:
            self._session = connect(self._endpoint, self._limits.timeout, self._limits.in_flight)
        try:
            return await try_once(self._session, self._endpoint, self._address, payload)
        except MentallamaError as stop:
            return stop


class _Crew:
    """The workers, as the driver knows them. A lost one is replaced."""

    def __init__(self, ray: Any, address: str, endpoint: Endpoint, limits: Limits, say: Say) -> None:
        self._ray, self._address, self._say = ray, address, say
        self._endpoint, self._limits = endpoint, limits
        self._workers: list[Any] = []
        self._flying: list[int] = []
        self._lost = 0
        """Workers lost since the last answer."""

    def _hire(self) -> Any:
        # they wait for the network, and a cluster full of model servers has no CPU to reserve for that
        options = {"num_cpus": 0, "max_concurrency": self._limits.in_flight, "scheduling_strategy": "SPREAD"}
        return self._ray.remote(**options)(Worker).remote(self._endpoint, self._limits)

    async def start(self, size: int) -> None:
        self._workers = [self._hire() for _ in range(size)]
        self._flying = [0] * size
        try:
            async with asyncio.timeout(START_SECONDS):
                found = set(await asyncio.gather(*(worker.version.remote() for worker in self._workers)))
        except (TimeoutError, self._ray.exceptions.RayError):
            raise no_room(self._address) from None
        if (fault := other_version(self._address, found, __version__)) is not None:
            raise fault

    async def send(self, payload: bytes) -> Outcome:
        """Have the least busy worker send a call."""
        if self._lost > 3 * len(self._workers):
            raise MentallamaError(
                f"the Ray cluster at {self._address} keeps losing workers: look at its logs; {RESUME}"
            )
        place = min(range(len(self._workers)), key=self._flying.__getitem__)
        worker = self._workers[place]
        self._flying[place] += 1
        try:
            async with asyncio.timeout(self._limits.timeout + GRACE_SECONDS):
                outcome = await worker.send.remote(payload)
        except self._ray.exceptions.RayTaskError:
            raise  # a fault in our own code
        except (TimeoutError, self._ray.exceptions.RayError):
            self._replace(place, worker)
            return Failure("worker lost", lost=True)
        finally:
            if self._workers[place] is worker:
                self._flying[place] -= 1
        self._lost = 0
        if isinstance(outcome, MentallamaError):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    def _replace(self, place: int, worker: Any) -> None:
        """Once for all the calls that a lost worker had."""
        if self._workers[place] is not worker:
            return
        count = self._flying[place]
        self._say(f"a worker of the Ray cluster is lost; its {count} calls in flight are asked again")
        self._lost += 1
        self._ray.kill(worker)
        self._workers[place], self._flying[place] = self._hire(), 0

    def end(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
