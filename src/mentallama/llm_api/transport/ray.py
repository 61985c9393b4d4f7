"""Send requests from the nodes of a Ray cluster: `--ray ADDRESS`; and join a cluster, for all work that uses one.

Workers only send. Concurrency, rate limits, budget, retries and the ledger stay in the driver process, in
`dispatcher`: limits hold for the cluster as a whole, and every completion returns on its own and is committed at once.
Ray Data, which other bulk work uses, moves whole blocks: a kill would lose whole blocks of paid completions.

Each node needs the same version of mentallama. The API key is passed as an argument of the workers, never through the
cluster's environment, which Ray shows on its dashboard.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from mentallama import __version__
from mentallama.errors import MentallamaError, UsageError, counted
from mentallama.extras import install_hint
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.transport.fatal_errors import RESUME_HINT
from mentallama.llm_api.transport.http import (
    CONNECT_SECONDS,
    AttemptOutcome,
    RetryableFailure,
    SendRequest,
    Transport,
    open_session,
    send_once,
)
from mentallama.llm_api.types import Limits
from mentallama.progress import LogFn

WORKER_START_SECONDS = 120.0
"""A cluster that has not started a worker by then has no resources for it; autoscaling takes about a minute."""

WORKER_GRACE_SECONDS = 60.0
"""Seconds beyond the request timeout after which a worker counts as lost."""


def connect_to_cluster(address: str) -> tuple[Any, bool]:
    """Return the ray module, connected to the cluster, and whether this call connected it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray reads it on import
    try:
        import ray
    except ImportError:
        raise UsageError(f"--ray needs Ray: {install_hint('ray')}") from None
    if ray.is_initialized():
        return ray, False
    try:
        _check_reachable(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError):  # Ray's own message fills a page
        raise MentallamaError(
            f"no Ray cluster answers at {address}: check the address, and its token where it asks for one "
            "(RAY_AUTH_MODE, RAY_AUTH_TOKEN); `ray start --head` starts a cluster"
        ) from None
    return ray, True


def _check_reachable(address: str) -> None:
    """Raise `OSError` at once if nothing listens: Ray itself would retry for minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), CONNECT_SECONDS).close()


def no_worker_error(address: str) -> MentallamaError:
    """Error for workers that do not start."""
    return MentallamaError(
        f"the Ray cluster at {address} starts no worker: a node needs free resources and mentallama {__version__}"
    )


def version_mismatch(address: str, worker_versions: set[str], own_version: str) -> UsageError | None:
    """Error for nodes with another version of mentallama; None if all agree."""
    if worker_versions == {own_version}:
        return None
    others = ", ".join(sorted(worker_versions - {own_version}))
    return UsageError(
        f"the Ray cluster at {address} has mentallama {others} and this machine {own_version}: "
        "install the same version everywhere"
    )


def ray_transport(address: str, log: LogFn, n_workers: int | None = None) -> Transport:
    """Make a transport that sends from a cluster, by `n_workers` processes (None: one per node).

    `log` receives a line when a worker is lost. Its requests may have been billed, and are retried.

    Raises
    ------
    UsageError
        On opening: Ray is not installed, or the nodes have another version of mentallama.
    MentallamaError
        On opening: no cluster answers at the address, or it starts no worker. Later: it keeps losing workers.
    """

    @asynccontextmanager
    async def transport(endpoint: Endpoint, limits: Limits) -> AsyncIterator[SendRequest]:
        ray, connected_here = connect_to_cluster(address)
        pool = None
        try:
            nodes = sum(bool(node["Alive"]) for node in ray.nodes())
            pool = _RequestWorkerPool(ray, address, endpoint, limits, log)
            await pool.start(min(n_workers or max(1, nodes), limits.max_concurrency))
            yield pool.send
        finally:
            if pool is not None:
                pool.stop()
            if connected_here:
                ray.shutdown()

    return transport


class RequestWorker:
    """A process of the cluster with its own HTTP session."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        self._endpoint, self._limits = endpoint, limits
        self._request_url = URL(endpoint.request_url)
        self._session: aiohttp.ClientSession | None = None

    async def version(self) -> str:
        return __version__

    async def send(self, payload: bytes) -> AttemptOutcome | MentallamaError:
        """Send once. An error that ends the run is returned: raised, it would arrive wrapped in Ray's own message."""
        if self._session is None:
            self._session = open_session(self._endpoint, self._limits.timeout, self._limits.max_concurrency)
        try:
            return await send_once(self._session, self._endpoint, self._request_url, payload)
        except MentallamaError as error:
            return error


class _RequestWorkerPool:
    """The driver's view of its workers; lost ones are replaced."""

    def __init__(self, ray: Any, address: str, endpoint: Endpoint, limits: Limits, log: LogFn) -> None:
        self._ray, self._address, self._log = ray, address, log
        self._endpoint, self._limits = endpoint, limits
        self._workers: list[Any] = []
        self._in_flight: list[int] = []
        self._consecutive_losses = 0
        """Workers lost since the last result."""

    def _start_worker(self) -> Any:
        # workers wait for the network; a cluster full of model servers has no CPU to reserve for them
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
                versions = set(await asyncio.gather(*(worker.version.remote() for worker in self._workers)))
        except (TimeoutError, self._ray.exceptions.RayError):
            raise no_worker_error(self._address) from None
        if (error := version_mismatch(self._address, versions, __version__)) is not None:
            raise error

    async def send(self, payload: bytes) -> AttemptOutcome:
        """Send by the worker with the fewest requests in flight."""
        if self._consecutive_losses > 3 * len(self._workers):
            raise MentallamaError(
                f"the Ray cluster at {self._address} keeps losing workers: check its logs; {RESUME_HINT}"
            )
        index = min(range(len(self._workers)), key=self._in_flight.__getitem__)
        worker = self._workers[index]
        self._in_flight[index] += 1
        try:
            async with asyncio.timeout(self._limits.timeout + WORKER_GRACE_SECONDS):
                outcome = await worker.send.remote(payload)
        except self._ray.exceptions.RayTaskError:
            raise  # a bug in our own code
        except (TimeoutError, self._ray.exceptions.RayError):
            self._replace(index, worker)
            return RetryableFailure("worker lost", maybe_billed=True)
        finally:
            if self._workers[index] is worker:
                self._in_flight[index] -= 1
        self._consecutive_losses = 0
        if isinstance(outcome, MentallamaError):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    def _replace(self, index: int, worker: Any) -> None:
        """Replace a lost worker, once for all of its requests."""
        if self._workers[index] is not worker:
            return
        count = self._in_flight[index]
        self._log(
            f"a worker of the Ray cluster was lost; its {counted(count, 'request')} in flight will be sent again"
        )
        self._consecutive_losses += 1
        self._ray.kill(worker)
        self._workers[index], self._in_flight[index] = self._start_worker(), 0

    def stop(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
