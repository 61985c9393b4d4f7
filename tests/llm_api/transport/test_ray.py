"""Calls from the workers of a Ray cluster: a real one of two CPUs on loopback, started for these tests."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mentallama.config import EndpointSettings
from mentallama.errors import MentallamaError, UsageError
from mentallama.llm_api.dispatcher import dispatch_sync
from mentallama.llm_api.endpoint import Endpoint, open_endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.limits.budget import worst_case
from mentallama.llm_api.transport import ray as module
from mentallama.llm_api.transport.http import RetryableFailure, encode_body
from mentallama.llm_api.transport.ray import ray_transport
from mentallama.llm_api.types import Limits, Request, RunStats, request_hash
from mentallama.teach.remote_teachers import DispatchMode
from tests.factories.endpoint_server import Plan, serving
from tests.factories.ledgers import all_completions, assert_intact
from tests.factories.linear_cases import depression_posts
from tests.factories.teach_cases import make_job, run_teach, sensible_reply

LIMITS = Limits(max_concurrency=16, timeout=10.0, max_attempts=3, initial_backoff=0.01)
KEY = "sk-synthetic-key"
PRICES = {"input_price": 1.0, "output_price": 10.0}


def endpoint(url: str, **terms: Any) -> Endpoint:
    return open_endpoint(
        f"remote:test-model@{url}", EndpointSettings(key_env_var="SOME_KEY", **terms), {"SOME_KEY": KEY}
    )


def calls(url: str, count: int) -> Iterator[Request]:
    for number in range(count):
        body = {
            "model": "test-model",
            "messages": [{"role": "user", "content": f"synthetic post {number:04d}"}],
            "max_tokens": 100,
        }
        about = {"example_id": f"e{number}", "post_id": f"p{number}", "task": "DR", "question": "q"}
        yield Request(hash=request_hash(url, body), body=body, **about)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """The token is given, for Ray would write one into the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "synthetic-token-of-a-cluster-for-tests")
        ray = pytest.importorskip("ray")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 << 20,
            _node_ip_address="127.0.0.1",
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        yield ray
        ray.shutdown()


@pytest.mark.usefixtures("ray")
def test_every_request_is_answered_once_and_the_driver_keeps_the_ledger(ledger: Ledger) -> None:
    log_lines: list[str] = []
    plan = Plan(
        delay=0.01, key=KEY, script=["500", "429"], reply=lambda body: body["messages"][0]["content"][-4:]
    )
    with serving(plan) as server:
        sending = ray_transport("auto", log_lines.append, n_workers=2)
        tally = dispatch_sync(calls(server.url, 200), endpoint(server.url), ledger, LIMITS, transport=sending)
        assert (tally.answered, tally.retries, tally.attempts) == (200, 2, 202)
        assert 2 <= server.most <= LIMITS.max_concurrency
        again = dispatch_sync(calls(server.url, 210), endpoint(server.url), ledger, LIMITS, transport=sending)
        assert (again.cached, again.attempts) == (200, 10)
        assert server.outcomes == {"ok": 210, "500": 1, "429": 1}
    assert {each.example_id: each.text for each in all_completions(ledger)} == {
        f"e{n}": f"{n:04d}" for n in range(210)
    }
    assert_intact(ledger.path)
    assert log_lines == []


@pytest.mark.usefixtures("ray")
def test_requests_of_a_killed_worker_are_retried(ledger: Ledger) -> None:
    """One of two is killed at the first commit: no more calls are repeated than were in flight."""
    log_lines: list[str] = []
    killed: list[int] = []

    def kill_one(tally: RunStats) -> None:
        if tally.answered and not killed:
            killed.append(min(workers()))
            os.kill(killed[0], signal.SIGKILL)

    with serving(Plan(delay=0.05)) as server:
        sending = ray_transport("auto", log_lines.append, n_workers=2)
        teacher = endpoint(server.url, **PRICES)
        tally = dispatch_sync(calls(server.url, 150), teacher, ledger, LIMITS, kill_one, sending)
        repeated = server.hashes.total() - 150
    assert len(killed) == 1
    assert tally.answered == 150
    assert len({answer.hash for answer in all_completions(ledger)}) == 150
    assert 1 <= tally.retries <= LIMITS.max_concurrency
    assert 0 <= repeated <= tally.retries
    (sentence,) = log_lines
    found = re.fullmatch(
        r"a worker of the Ray cluster was lost; its (\d+) requests? in flight will be sent again", sentence
    )
    assert found
    assert tally.retries <= int(found[1]) <= LIMITS.max_concurrency
    most = max(
        worst_case(teacher.settings, call.body, len(encode_body(call.body)))[1]
        for call in calls(server.url, 1)
    )
    assert tally.uncertain == pytest.approx(tally.retries * most)  # what was in flight may have been paid for
    assert_intact(ledger.path)


def workers() -> list[int]:
    """Our workers' process ids: below this process, which started the cluster."""
    parents, found = {}, []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            title = status.with_name("cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        parents[int(fields["Pid"])] = int(fields["PPid"])
        if title.startswith(b"ray::RequestWorker"):
            found.append(int(fields["Pid"]))
    return [pid for pid in found if os.getpid() in ancestors(pid, parents)]


def ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while pid := parents.get(pid, 0):
        yield pid


@pytest.mark.usefixtures("ray")
def test_the_budget_limits_the_workers(ledger: Ledger) -> None:
    with serving(Plan(delay=0.01)) as server:
        teacher = endpoint(server.url, **PRICES)
        call = next(calls(server.url, 1))
        budget = 20 * worst_case(teacher.settings, call.body, len(encode_body(call.body)))[1]
        limits = replace(LIMITS, budget=budget)
        with pytest.raises(MentallamaError, match="does not cover the next request"):
            dispatch_sync(
                calls(server.url, 300),
                teacher,
                ledger,
                limits,
                transport=ray_transport("auto", print, n_workers=2),
            )
        assert 20 <= server.hashes.total() < 300
    assert ledger.total_spent() <= budget


@pytest.mark.usefixtures("ray")
def test_a_wrong_key_is_one_error(ledger: Ledger, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(Plan(key="another")) as server, pytest.raises(UsageError) as raised:
        dispatch_sync(
            calls(server.url, 5), endpoint(server.url), ledger, LIMITS, transport=ray_transport("auto", print)
        )
    assert "rejects the API key in the environment variable SOME_KEY: check it (the server says: " in str(
        raised.value
    )
    assert KEY not in "".join(capfd.readouterr())


@pytest.mark.usefixtures("ray")
def test_a_cluster_with_another_version_is_refused(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__version__", "9.9.9")
    with pytest.raises(UsageError, match=r"and this machine 9\.9\.9: install the same version everywhere"):
        dispatch_sync(
            [], endpoint("http://127.0.0.1:9/v1"), ledger, LIMITS, transport=ray_transport("auto", print)
        )


@pytest.mark.usefixtures("ray")
def test_the_stage_sends_from_a_cluster(tmp_path: Path) -> None:
    with serving(Plan(reply=sensible_reply)) as server:
        job = make_job(tmp_path, depression_posts()[:6], teacher=f"remote:test-model@{server.url}")
        summary = run_teach(job, tmp_path, dispatch_mode=DispatchMode(ray_address="auto"))[0]
        assert server.hashes.total() == 6
    assert summary.outcomes == {"test-model": {"parsed": 6}}


def test_without_ray_the_error_says_what_to_install(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"--ray needs Ray: pip install .*\[ray\]"):
        dispatch_sync(
            [], endpoint("http://127.0.0.1:9/v1"), ledger, LIMITS, transport=ray_transport("auto", print)
        )


class Lost(Exception):
    """Stands for ray.exceptions.RayError."""


class NoRay:
    """A cluster that answers at no address, or (`joined`) one that loses every worker at its first call."""

    exceptions = SimpleNamespace(RayError=Lost, RayTaskError=ZeroDivisionError)

    def __init__(self, joined: bool) -> None:
        self.joined, self.killed = joined, 0

    def is_initialized(self) -> bool:
        return self.joined

    def init(self, **_: Any) -> None:
        raise AssertionError("Ray was asked where nobody listens: it would go on trying for minutes")

    def nodes(self) -> list[dict[str, bool]]:
        return [{"Alive": True}, {"Alive": False}, {"Alive": True}]

    def remote(self, **_: Any) -> Any:
        async def version() -> str:
            return module.__version__

        async def send(_: bytes) -> None:
            raise Lost

        worker = SimpleNamespace(version=SimpleNamespace(remote=version), send=SimpleNamespace(remote=send))
        return lambda _: SimpleNamespace(remote=lambda *_: worker)

    def kill(self, _: Any) -> None:
        self.killed += 1


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_an_address_where_nothing_listens(
    address: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", NoRay(joined=False))
    with pytest.raises(MentallamaError, match=f"no Ray cluster answers at {address}: check the address"):
        dispatch_sync(
            [], endpoint("http://127.0.0.1:9/v1"), ledger, LIMITS, transport=ray_transport(address, print)
        )


def test_a_cluster_that_keeps_losing_workers_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two live nodes, so two workers; the seventh loss in a row is the last that is replaced."""
    ray, log_lines = NoRay(joined=True), list[str]()
    monkeypatch.setitem(sys.modules, "ray", ray)

    async def send_all() -> None:
        async with ray_transport("auto", log_lines.append)(endpoint("http://127.0.0.1:9/v1"), LIMITS) as send:
            for _ in range(7):
                assert await send(b"{}") == RetryableFailure("worker lost", maybe_billed=True)
            with pytest.raises(MentallamaError, match="the Ray cluster at auto keeps losing workers"):
                await send(b"{}")

    asyncio.run(send_all())
    assert (
        log_lines == ["a worker of the Ray cluster was lost; its 1 request in flight will be sent again"] * 7
    )
    assert ray.killed == 7 + 2
