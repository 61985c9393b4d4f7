"""Join a Ray cluster that somebody has started: shared by all that work on one."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any
from urllib.parse import urlsplit

from mentallama import __version__
from mentallama.errors import MentallamaError, UsageError
from mentallama.llm_api.transport.http import CONNECT_SECONDS

WORKER_START_SECONDS = 120.0
"""A cluster that has not started a worker by then has no room for it; one that grows on demand takes about a minute."""


def connect_to_cluster(address: str) -> tuple[Any, bool]:
    """Ray, connected to the cluster; and whether the connection was made here."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read on import
    try:
        import ray
    except ImportError:
        raise UsageError("--ray needs Ray: pip install 'mentallama[ray]'") from None
    if ray.is_initialized():
        return ray, False
    try:
        _check_reachable(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError):  # Ray's own words fill a page
        raise MentallamaError(
            f"no Ray cluster answers at {address}: check the address, and its token where it asks for one "
            "(RAY_AUTH_MODE, RAY_AUTH_TOKEN); `ray start --head` starts a cluster"
        ) from None
    return ray, True


def _check_reachable(address: str) -> None:
    """Fail at once where nobody listens: Ray itself goes on trying for minutes."""
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), CONNECT_SECONDS).close()


def no_worker_error(address: str) -> MentallamaError:
    """What is said where workers do not start."""
    return MentallamaError(
        f"the Ray cluster at {address} starts no worker: each node needs room for one and mentallama {__version__}"
    )


def version_mismatch(address: str, found: set[str], own: str) -> UsageError | None:
    """What is said where nodes have another version of mentallama."""
    if found == {own}:
        return None
    others = ", ".join(sorted(found - {own}))
    return UsageError(
        f"the Ray cluster at {address} has mentallama {others} and this machine {own}: install one version everywhere"
    )
