"""A run to be killed by the tests.

`python -m tests.factories.ask_driver URL LEDGER CALLS IN_FLIGHT TIMEOUT`; its key is in $START."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mentallama.config import EndpointSettings
from mentallama.llm_api.dispatcher import dispatch_sync
from mentallama.llm_api.endpoint import open_endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.types import Limits, Request, request_hash
from tests.factories.project import ROOT

PRICES = {"input_price": 1000.0, "output_price": 1000.0}
"""Per million tokens: a token costs 0.001."""


def make(url: str, number: int) -> Request:
    body = {
        "model": "test-model",
        "messages": [{"role": "user", "content": f"synthetic post {number:04d}"}],
        "max_tokens": 100,
    }
    return Request(
        hash=request_hash(url, body),
        body=body,
        example_id=f"e{number}",
        post_id=f"p{number}",
        task="DR",
        question="q",
    )


def calls(url: str, count: int) -> Iterator[Request]:
    return (make(url, number) for number in range(count))


def command(url: str, path: Path, count: int, in_flight: int, timeout: float) -> list[str]:
    """The command line of such a run; its working directory is `ROOT`."""
    return [
        sys.executable,
        "-m",
        "tests.factories.ask_driver",
        url,
        str(path),
        str(count),
        str(in_flight),
        str(timeout),
    ]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src")} | more


def main(url: str, path: str, count: str, in_flight: str, timeout: str) -> None:
    settings = EndpointSettings(key_env_var="START", **PRICES)
    limits = Limits(max_concurrency=int(in_flight), timeout=float(timeout), initial_backoff=0.05)
    with Ledger(Path(path)) as ledger:
        dispatch_sync(
            calls(url, int(count)),
            open_endpoint(f"remote:test-model@{url}", settings, os.environ),
            ledger,
            limits,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
