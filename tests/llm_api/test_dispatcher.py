"""Asking: against our own server on loopback, with all that can go wrong."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sqlite3
import subprocess
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mentallama.config import EndpointSettings
from mentallama.errors import DataError, MentallamaError, UsageError
from mentallama.llm_api.dispatcher import dispatch, dispatch_sync
from mentallama.llm_api.endpoint import Endpoint, open_endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.limits.budget import worst_case
from mentallama.llm_api.transport.http import encode_body
from mentallama.llm_api.types import Limits, Request, RunStats
from tests.factories.ask_driver import PRICES, ROOT, calls, command, environment, make
from tests.factories.endpoint_server import Plan, Server, serving
from tests.factories.ledgers import all_completions

QUICK = Limits(max_concurrency=8, timeout=5.0, max_attempts=3, initial_backoff=0.01, max_outage=0.2)
KEY = "sk-synthetic-key"


def endpoint_of(server: Server, **terms: Any) -> Endpoint:
    return open_endpoint(
        f"remote:test-model@{server.url}",
        EndpointSettings(key_env_var="SOME_KEY", **terms),
        {"SOME_KEY": KEY},
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def states(ledger: Ledger) -> list[str]:
    return [answer.state for answer in all_completions(ledger)]


# The usual way


def test_every_request_is_sent_once_and_a_rerun_sends_nothing(ledger: Ledger) -> None:
    with serving(Plan(reply=lambda body: body["messages"][0]["content"][-4:])) as server:
        reported: list[int] = []
        listen = lambda so_far: reported.append(so_far.done)  # noqa: E731
        tally = dispatch_sync(calls(server.url, 300), endpoint_of(server), ledger, QUICK, listen)
        assert (tally.attempts, tally.answered, tally.retries, tally.done) == (300, 300, 0, 300)
        assert reported == sorted(reported)
        assert reported[-1] == 300
        texts = {answer.example_id: answer.text for answer in all_completions(ledger)}
        assert texts == {f"e{number}": f"{number:04d}" for number in range(300)}
        assert server.most <= QUICK.max_concurrency
        again = dispatch_sync(calls(server.url, 310), endpoint_of(server), ledger, QUICK)
        assert (again.cached, again.attempts, again.done) == (300, 10, 310)
        assert set(server.hashes.values()) == {1}


def test_a_repeated_request_is_sent_once(ledger: Ledger) -> None:
    with serving(Plan(delay=0.02)) as server:
        twice = [make(server.url, number % 150) for number in range(600)]  # within a slice and beyond it
        tally = dispatch_sync(twice, endpoint_of(server), ledger, replace(QUICK, max_concurrency=100))
        assert server.hashes.total() == 150
        assert tally.answered == 150


def test_completions_are_stored_with_all_fields(ledger: Ledger) -> None:
    with serving(Plan(script=["500", "ok"])) as server:
        tally = dispatch_sync(
            calls(server.url, 1), endpoint_of(server, input_price=1, output_price=10), ledger, QUICK
        )
    (answer,) = all_completions(ledger)
    assert (answer.state, answer.model, answer.attempts, answer.finish_reason) == (
        "answered",
        "test-model",
        2,
        "stop",
    )
    # for this server, 17 characters of prompt are 4 + 8 tokens, 87 of answer 21 + 1
    assert answer.usage == {"input": 12, "output": 22}
    assert answer.cost == pytest.approx((12 * 1 + 22 * 10) / 1e6)
    assert (tally.tokens_in, tally.tokens_out, tally.cost, tally.uncertain) == (12, 22, answer.cost, 0.0)
    assert tally.ledger_spent == ledger.total_spent() == answer.cost


def test_refusals_are_a_state_of_their_own(ledger: Ledger) -> None:
    with serving(Plan(script=["filter", "refusal", "filtered", "ok"])) as server:
        tally = dispatch_sync(
            calls(server.url, 4), endpoint_of(server), ledger, replace(QUICK, max_concurrency=1)
        )
    assert (tally.refused, tally.answered, tally.retries) == (3, 1, 0)
    assert [(answer.state, answer.reason) for answer in all_completions(ledger)] == [
        ("refused", "content filter"),
        ("refused", "refusal"),
        ("refused", "HTTP 400 content filter"),
        ("answered", None),
    ]


@pytest.mark.parametrize("fault", ["429", "500", "503", "cut", "malformed"])
def test_retryable_failures_are_retried(fault: str, ledger: Ledger) -> None:
    with serving(Plan(script=[fault, fault])) as server:
        tally = dispatch_sync(calls(server.url, 5), endpoint_of(server), ledger, QUICK)
        assert (tally.answered, tally.retries, tally.attempts) == (5, 2, 7)
        assert server.outcomes == {fault: 2, "ok": 5}


def test_a_request_that_keeps_failing_is_failed_and_stops_nothing(ledger: Ledger) -> None:
    with serving(Plan(faults={"500": 1.0})) as server:
        tally = dispatch_sync(calls(server.url, 20), endpoint_of(server), ledger, QUICK)
        assert tally.failed == {"HTTP 500 server_error": 20}
        assert set(server.hashes.values()) == {3}
        assert {answer.attempts for answer in all_completions(ledger)} == {3}
        assert dispatch_sync(calls(server.url, 20), endpoint_of(server), ledger, QUICK).attempts == 0
        server.plan.faults.clear()
        assert ledger.delete_failed() == 20
        assert dispatch_sync(calls(server.url, 20), endpoint_of(server), ledger, QUICK).answered == 20


def test_a_request_that_times_out_is_retried(ledger: Ledger) -> None:
    with serving(Plan(script=["hang", "ok"])) as server:
        tally = dispatch_sync(calls(server.url, 1), endpoint_of(server), ledger, replace(QUICK, timeout=0.2))
    assert (tally.answered, tally.retries) == (1, 1)


def test_a_request_that_backs_off_gives_up_its_slot(ledger: Ledger) -> None:
    """One slot; the first call fails and waits: the others are answered before it is tried again."""
    with serving(Plan(script=["500"])) as server:
        dispatch_sync(
            calls(server.url, 2),
            endpoint_of(server),
            ledger,
            replace(QUICK, max_concurrency=1, initial_backoff=0.2),
        )
        assert [answer.example_id for answer in all_completions(ledger)] == ["e1", "e0"]


def test_overload_lowers_concurrency(ledger: Ledger) -> None:
    class Narrow(Server):
        """Answers 429 to all that is beyond four at a time."""

        def see(self, body: dict[str, Any], key: str | None) -> tuple[str, str]:
            digest, outcome = super().see(body, key)
            return digest, "429" if self.flying > 4 else outcome

    with serving(Plan(delay=0.01, retry_after="0.01")) as server:
        server.__class__ = Narrow
        tally = dispatch_sync(
            calls(server.url, 400),
            endpoint_of(server),
            ledger,
            replace(QUICK, max_concurrency=64, max_attempts=8),
        )
        assert (tally.answered, tally.done) == (400, 400)
        assert server.outcomes["429"] < 200  # a fixed 64 in flight meets fifteen for each answer


def test_requests_keep_to_a_limit_per_minute(ledger: Ledger) -> None:
    """1,200 a minute are 20 a second: 20 at once and 10 more take half a second, in the loop's own time."""
    with serving(Plan()) as server:

        async def go() -> float:
            clock = asyncio.get_running_loop().time
            started = clock()
            await dispatch(
                calls(server.url, 30), endpoint_of(server, requests_per_minute=1200), ledger, QUICK
            )
            return clock() - started

        assert asyncio.run(go()) >= 0.5 - 0.01


def test_memory_does_not_grow_with_the_requests(ledger: Ledger) -> None:
    def peak(first: int, last: int) -> int:
        tracemalloc.reset_peak()
        dispatch_sync(
            (make(server.url, number) for number in range(first, last)), endpoint_of(server), ledger, QUICK
        )
        return tracemalloc.get_traced_memory()[1]

    with serving(Plan()) as server:
        dispatch_sync(calls(server.url, 200), endpoint_of(server), ledger, QUICK)
        server.bodies = [{}] * 1000  # it keeps no more
        tracemalloc.start()
        try:
            few, many = peak(200, 500), peak(500, 3000)
        finally:
            tracemalloc.stop()
    assert many < few * 1.5 + 500_000  # the server's own counts of 2,500 hashes are in it
    assert len(states(ledger)) == 3000


# What stops a run


def test_a_wrong_key_or_an_unknown_model_is_one_error(ledger: Ledger) -> None:
    with serving(Plan(key="another")) as server:
        with pytest.raises(
            UsageError, match="rejects the API key in the environment variable SOME_KEY"
        ) as found:
            dispatch_sync(calls(server.url, 50), endpoint_of(server), ledger, QUICK)
        assert KEY not in str(found.value)
        keyless = open_endpoint(
            f"remote:test-model@{server.url}", EndpointSettings(key_env_var="SOME_KEY"), {}
        )
        with pytest.raises(
            UsageError, match="requires an API key, but the environment variable SOME_KEY is not set"
        ):
            dispatch_sync(calls(server.url, 50), keyless, ledger, QUICK)
    with (
        serving(Plan(models=("another",))) as server,
        pytest.raises(UsageError, match="has no model test-model"),
    ):
        dispatch_sync(calls(server.url, 50), endpoint_of(server), ledger, QUICK)
    assert states(ledger) == []
    assert ledger.total_spent() == 0.0


def test_an_unsupported_response_format(ledger: Ledger) -> None:
    with serving(Plan(formats=("text", "json_object"))) as server:
        call = make(server.url, 1)
        body = call.body | {
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
        }
        with pytest.raises(UsageError, match="set schema_mode to json_object or none"):
            dispatch_sync([call.model_copy(update={"body": body})], endpoint_of(server), ledger, QUICK)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("count", [1, 100])
def test_an_endpoint_that_was_never_reachable(count: int, ledger: Ledger) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    settings = EndpointSettings(input_price=1, output_price=1)
    sentence = r"no connection to 127\.0\.0\.1:\d+: .* the same command resumes"
    with pytest.raises(MentallamaError, match=sentence) as found:
        dispatch_sync(
            calls(url, count), open_endpoint(f"remote:test-model@{url}", settings, {}), ledger, QUICK
        )
    assert found.value.exit_code == 1
    assert states(ledger) == []
    assert ledger.total_spent() == 0.0


def test_an_endpoint_that_goes_down_ends_the_run_and_keeps_completions(
    ledger: Ledger,
) -> None:
    with serving(Plan()) as server:

        def leave(tally: RunStats) -> None:
            if tally.answered >= 100:
                server.drop()

        with pytest.raises(MentallamaError, match="no connection to"):
            dispatch_sync(calls(server.url, 3000), endpoint_of(server), ledger, QUICK, leave)
        assert 100 <= len(states(ledger)) < 3000
        assert set(states(ledger)) == {"answered"}  # an outage is no row's fault


def test_a_short_outage_is_survived(ledger: Ledger) -> None:
    with serving(Plan()) as server:
        dropped: list[int] = []

        def leave(tally: RunStats) -> None:
            if tally.answered >= 100 and not dropped:
                dropped.append(tally.answered)
                server.drop(for_seconds=0.3)

        limits = replace(QUICK, max_outage=20.0, initial_backoff=0.02)
        tally = dispatch_sync(calls(server.url, 500), endpoint_of(server), ledger, limits, leave)
        assert dropped
        assert tally.answered == 500
        assert tally.retries > 0


def test_a_ledger_that_cannot_be_written_stops_the_run(ledger: Ledger) -> None:
    ledger._writing.execute("PRAGMA max_page_count = 12")
    with serving(Plan(reply=lambda _: "words " * 300)) as server:
        with pytest.raises(MentallamaError, match="the disk is full"):
            dispatch_sync(calls(server.url, 500), endpoint_of(server), ledger, QUICK)
        kept = len(states(ledger))
        ledger._writing.execute("PRAGMA max_page_count = 100000")
        again = dispatch_sync(calls(server.url, 500), endpoint_of(server), ledger, QUICK)
        assert (again.cached, again.answered) == (kept, 500 - kept)
        assert server.hashes.total() <= 500 + QUICK.max_concurrency


def test_a_failing_request_source_ends_the_run_after_requests_in_flight(ledger: Ledger) -> None:
    def broken(url: str) -> Iterator[Request]:
        yield from calls(url, 200)
        raise DataError("cut off", "posts.jsonl", 201)

    with serving(Plan(delay=0.02)) as server, pytest.raises(DataError, match=r"posts\.jsonl, row 201"):
        dispatch_sync(broken(server.url), endpoint_of(server), ledger, QUICK)
    assert states(ledger) == ["answered"] * 128  # the slices before


def test_an_error_of_on_commit_is_raised(ledger: Ledger) -> None:
    def reported(tally: RunStats) -> None:
        raise ZeroDivisionError

    with serving(Plan()) as server, pytest.raises(ZeroDivisionError):
        dispatch_sync(calls(server.url, 100), endpoint_of(server), ledger, QUICK, reported)


def test_a_retry_after_of_a_day_ends_the_run(ledger: Ledger) -> None:
    sentence = "asks to wait for more than an hour"
    with (
        serving(Plan(script=["429"], retry_after="86400")) as server,
        pytest.raises(MentallamaError, match=sentence),
    ):
        dispatch_sync(calls(server.url, 1), endpoint_of(server), ledger, QUICK)


# Money


def bound(url: str) -> float:
    body = make(url, 1).body
    return worst_case(EndpointSettings(**PRICES), body, len(encode_body(body)))[1]


def test_the_budget_is_a_hard_limit_and_a_higher_one_resumes(ledger: Ledger) -> None:
    with serving(Plan(delay=0.01)) as server:
        endpoint = endpoint_of(server, **PRICES)
        # each call costs (12 + 22) * 0.001 = 0.034, and its bound is some six times that
        limits = replace(QUICK, budget=1.0, total_requests=60)
        sentence = r"the budget of 1 does not cover the next request: .* of 60 requests completed; .* higher"
        with pytest.raises(MentallamaError, match=sentence) as found:
            dispatch_sync(calls(server.url, 60), endpoint, ledger, limits)
        assert found.value.exit_code == 1
        count = len(states(ledger))
        assert ledger.total_spent() == pytest.approx(0.034 * count)
        assert f"{ledger.total_spent():.6g} spent (of which 0 is uncertain), {count} of 60" in str(
            found.value
        )
        assert 1.0 - bound(server.url) < ledger.total_spent() <= 1.0  # as far as it would go
        assert server.hashes.total() == count
        with pytest.raises(MentallamaError, match="the budget of 1 does not cover the next request"):
            dispatch_sync(calls(server.url, 60), endpoint, ledger, limits)  # earlier runs count
        assert server.hashes.total() == count
        tally = dispatch_sync(calls(server.url, 60), endpoint, ledger, replace(limits, budget=5.0))
        assert (tally.cached, tally.answered) == (count, 60 - count)


def test_requests_in_flight_are_reserved_at_their_maximum_cost(ledger: Ledger) -> None:
    with serving(Plan(delay=0.05)) as server:
        limits = replace(QUICK, budget=3.5 * bound(server.url))
        with pytest.raises(MentallamaError, match="the budget of"):
            dispatch_sync(calls(server.url, 100), endpoint_of(server, **PRICES), ledger, limits)
        assert server.most == 3


@pytest.mark.parametrize("fault", ["cut", "malformed", "hang"])
def test_a_lost_answer_stays_counted(fault: str, ledger: Ledger) -> None:
    with serving(Plan(script=[fault])) as server:
        limits = replace(QUICK, timeout=0.3, budget=10.0)
        tally = dispatch_sync(calls(server.url, 1), endpoint_of(server, **PRICES), ledger, limits)
        assert tally.uncertain == pytest.approx(bound(server.url))
        assert tally.cost == pytest.approx(0.034)
        assert tally.ledger_spent == ledger.total_spent() == pytest.approx(tally.cost + tally.uncertain)


def test_an_answer_without_usage_counts_at_its_maximum_cost(ledger: Ledger) -> None:
    with serving(Plan(usage=False)) as server:
        tally = dispatch_sync(calls(server.url, 2), endpoint_of(server, **PRICES), ledger, QUICK)
        assert (tally.cost, tally.uncertain) == (0.0, pytest.approx(2 * bound(server.url)))
        assert [answer.cost for answer in all_completions(ledger)] == [None, None]


@pytest.mark.parametrize("fault", ["429", "500", "503", "filtered"])
def test_unserved_requests_cost_nothing(fault: str, ledger: Ledger) -> None:
    with serving(Plan(faults={fault: 1.0})) as server:
        tally = dispatch_sync(calls(server.url, 3), endpoint_of(server, **PRICES), ledger, QUICK)
        assert tally.done == 3
        assert tally.ledger_spent == ledger.total_spent() == 0.0


# Ends that nobody planned


def test_cancellation_keeps_finished_requests(ledger: Ledger) -> None:
    """Forty calls are answered and eight hang when the run is cancelled: those may have been paid for."""
    with serving(Plan(script=["ok"] * 40, faults={"hang": 1.0})) as server:
        endpoint = endpoint_of(server, **PRICES)

        async def go() -> None:
            asking = asyncio.create_task(dispatch(calls(server.url, 200), endpoint, ledger, QUICK))
            while server.hashes.total() < 48:
                await asyncio.sleep(0.001)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

        asyncio.run(go())
        assert states(ledger) == ["answered"] * 40
        assert ledger.total_spent() == pytest.approx(40 * 0.034 + 8 * bound(server.url))
        server.plan.faults.clear()
        dispatch_sync(calls(server.url, 200), endpoint, ledger, QUICK)
        assert server.hashes.total() == 208
        assert sorted(states(ledger)) == ["answered"] * 200


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_requests_in_flight_of_a_killed_run_count_as_spent(how: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with serving(Plan(delay=0.02)) as server:
        with subprocess.Popen(
            command(server.url, path, 2000, in_flight=8, timeout=30),
            cwd=ROOT,
            env=environment(),
            stderr=subprocess.PIPE,
            # what a shell runs in the background ignores Ctrl-C, and so would what is started from there
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - takes no lock
        ) as driver:
            while server.outcomes.total() < 60:
                assert driver.poll() is None
            driver.send_signal(how)
            _, stderr = driver.communicate()
        assert driver.returncode == -how
        assert (b"KeyboardInterrupt" in stderr) == (how == signal.SIGINT)
        assert b"never retrieved" not in stderr
        with Ledger(path) as ledger:
            kept = len(states(ledger))
            perhaps = ledger.total_spent() - kept * 0.034
            assert kept >= 60 - 8
            # the most that eight calls may cost, and an eighth of it to spare
            assert -1e-9 <= perhaps <= 8 * bound(server.url) * 1.125 + 1e-9
            if how == signal.SIGKILL:
                assert perhaps >= 8 * bound(server.url) * 0.99  # never less than what was in flight


# Privacy


def test_no_message_contains_a_post_a_key_or_text_of_the_server(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    faults = {"429": 0.1, "500": 0.1, "503": 0.1, "cut": 0.1, "malformed": 0.1, "filtered": 0.1}
    with caplog.at_level(logging.DEBUG), serving(Plan(faults=faults)) as server:
        endpoint = endpoint_of(server)
        tally = dispatch_sync(calls(server.url, 200), endpoint, ledger, QUICK)
        assert tally.failed
        assert tally.refused
    outputs = [caplog.text, *capfd.readouterr(), repr(endpoint), repr(tally)]
    outputs += [answer.reason or "" for answer in all_completions(ledger)]
    for secret in (KEY, "synthetic post", "SECRET"):
        assert not any(secret in output for output in outputs)


def test_two_runs_share_one_ledger_and_one_budget(ledger: Ledger) -> None:
    """As two teachers in one process: each counts what the other has in flight, and the last uses up the rest."""
    with serving(Plan(delay=0.01)) as one, serving(Plan(delay=0.01)) as two:
        limits = replace(QUICK, budget=3.0)

        async def go() -> list[RunStats | BaseException]:
            return await asyncio.gather(
                *(
                    dispatch(calls(each.url, 100), endpoint_of(each, **PRICES), ledger, limits)
                    for each in (one, two)
                ),
                return_exceptions=True,
            )

        ends = asyncio.run(go())
        assert all(isinstance(end, MentallamaError) for end in ends)  # a hundred calls cost 3.4
        assert ledger.total_spent() == pytest.approx(0.034 * len(states(ledger)))
        assert 3.0 - 2 * bound(one.url) < ledger.total_spent() <= 3.0
    assert sqlite3.connect(ledger.path).execute("SELECT sum(reserved) FROM accounts").fetchone() == (0.0,)
