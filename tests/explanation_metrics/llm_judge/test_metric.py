"""The LLM judge against a server on loopback: verdicts, samples, nonsense, refusals, failures and money."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mentallama.config.evaluate import Judge
from mentallama.errors import MentallamaError, UsageError
from mentallama.explanation_metrics.base import ExplanationCase, MetricOptions
from mentallama.explanation_metrics.llm_judge.metric import LlmJudge
from mentallama.explanation_metrics.llm_judge.rubric import ASPECTS
from mentallama.explanation_metrics.registry import open_metrics
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.records import Example, Reading
from tests.factories.endpoint_server import Body, Plan, Server, serving
from tests.factories.project import ROOT

PRICES: dict[str, Any] = {"input_price": 2, "output_price": 10}


def verdict(rating: int) -> str:
    return json.dumps(dict.fromkeys(ASPECTS, rating))


def case(number: int, explanation: str = "", task: str = "SAD") -> ExplanationCase:
    example = Example(
        id=f"e{number}",
        post_id=f"p{number}",
        task=task,
        question="cause" if task == "SAD" else "depression",
        form="instruction",
        text=f"A made-up canal walk, number {number}.",
    )
    label = "work" if task == "SAD" else "yes"
    text = explanation or f"It speaks of a walk, number {number}."
    return ExplanationCase(example=example, reading=Reading(status="parsed", label=label, explanation=text))


def opened(server: Server, tmp_path: Path | None = None, **settings: Any) -> tuple[LlmJudge, list[str]]:
    """The judge, and what it says."""
    messages: list[str] = []
    judge = Judge(**{"max_attempts": 1, "allow_remote": ("SAD",), **settings})
    ledger = None if tmp_path is None else tmp_path / "judge.sqlite"
    options = MetricOptions(judge=judge, ledger=ledger, log=messages.append)
    ((_, metric),) = open_metrics([f"llm_judge:remote:test-model@{server.url}"], options)
    assert isinstance(metric, LlmJudge)
    return metric, messages


def scripted(*replies: str) -> Callable[[Body], str]:
    """Replies in the order of the calls."""
    waiting = iter(replies)
    return lambda _: next(waiting)


def test_a_verdict_becomes_a_score() -> None:
    with serving(Plan(reply=lambda _: verdict(2))) as server:
        judge, messages = opened(server)
        (score,) = judge.score([case(1)])
        (body,) = server.bodies
    assert score.values == {f"judge_{name}": 2.0 for name in ASPECTS}
    assert (judge.summary.verdicts, judge.summary.calls) == (1, 1)
    assert judge.name == "llm_judge:test-model"
    assert body["response_format"]["json_schema"]["name"] == "verdict"
    assert body["temperature"] == 0.0
    assert messages[0].startswith("llm_judge: test-model: an estimated 1 request; about ")


def test_samples_are_asked_each_and_averaged_with_their_spread() -> None:
    with serving(Plan(reply=scripted(verdict(1), verdict(3), verdict(2)))) as server:
        judge, _ = opened(server, samples=3, temperature=0.7, max_concurrency=1)
        (score,) = judge.score([case(1)])
        assert server.hashes.total() == 3
        assert {body["temperature"] for body in server.bodies} == {0.7}
    assert score.values["judge_overall"] == pytest.approx(2.0)
    assert score.values["judge_spread"] == pytest.approx((2 / 3) ** 0.5)


def test_what_is_no_verdict_is_counted_and_is_no_number() -> None:
    replies = {"number 1": "Splendid!", "number 2": verdict(3), "number 3": '{"overall": 7}'}

    def reply(body: Body) -> str:
        return next(text for mark, text in replies.items() if mark in body["messages"][1]["content"])

    with serving(Plan(reply=reply)) as server:
        judge, _ = opened(server)
        scores = judge.score([case(1), case(2), case(3)])
    assert [score.values.get("judge_overall") for score in scores] == [None, 3.0, None]
    assert [score.reason for score in scores] == [
        "no verdict could be read",
        None,
        "no verdict could be read",
    ]
    assert (judge.summary.verdicts, judge.summary.unparsable) == (1, 2)


def test_the_mean_is_of_the_verdicts_that_could_be_read() -> None:
    with serving(Plan(reply=scripted("?", verdict(3), verdict(1)))) as server:
        judge, _ = opened(server, samples=3, temperature=1, max_concurrency=1)
        (score,) = judge.score([case(1)])
    assert score.values["judge_overall"] == 2.0
    assert judge.summary.unparsable == 1


def test_nothing_but_nonsense_is_an_error_in_the_end() -> None:
    with serving(Plan()) as server:
        judge, _ = opened(server)
        judge.score([case(1), case(2)])
        with pytest.raises(
            MentallamaError, match=r"none of 2 verdicts could be read \(2 without ratings"
        ) as error:
            judge.finish()
        assert "canal" not in str(error.value)
        server.plan.reply = lambda _: verdict(2)
        judge.score([case(3)])
        judge.finish()


def test_after_many_calls_without_a_verdict_no_more_are_made() -> None:
    with serving(Plan()) as server:
        judge, _ = opened(server)
        judge.score([case(number) for number in range(30)])
        with pytest.raises(MentallamaError, match="none of 60 verdicts"):
            judge.score([case(number) for number in range(30, 60)])


def test_refusals_are_counted() -> None:
    with serving(Plan(reply=lambda _: verdict(1), script=["refusal", "filter", "ok"])) as server:
        judge, _ = opened(server, max_concurrency=1)
        scores = judge.score([case(1), case(2), case(3)])
    assert [score.reason for score in scores] == ["refused by the judge", "refused by the judge", None]
    assert judge.summary.refused == 2


def test_a_failed_call_is_no_verdict_and_is_asked_again(tmp_path: Path) -> None:
    plan = Plan(
        reply=lambda _: verdict(1),
        fate=lambda body, seen: "500" if "number 2" in str(body) and seen == 1 else "ok",
    )
    with serving(plan) as server:
        judge, _ = opened(server, tmp_path)
        scores = judge.score([case(1), case(2)])
        assert [score.reason for score in scores] == [None, "call failed: HTTP 500 server_error"]
        assert judge.summary.failed == {"HTTP 500 server_error": 1}
        again, messages = opened(server, tmp_path)
        assert [score.reason for score in again.score([case(1), case(2)])] == [None, None]
        assert sorted(server.hashes.values()) == [1, 2]
    assert "1 request, 1 more are in the ledger" in messages[0]


def test_calls_that_all_fail_are_an_error() -> None:
    with serving(Plan(faults={"500": 1.0})) as server:
        judge, _ = opened(server)
        judge.score([case(1)])
        with pytest.raises(MentallamaError, match=r"no verdict was given \(1 HTTP 500 server_error\)"):
            judge.finish()


def test_nothing_is_paid_twice_and_the_budget_holds(tmp_path: Path) -> None:
    cases = [case(number) for number in range(20)]
    with serving(Plan(reply=lambda _: verdict(2))) as server:
        for budget in (0.0, 0.02, 0.04):
            judge, _ = opened(server, tmp_path, **PRICES, budget=budget, max_concurrency=3)
            with pytest.raises(MentallamaError, match="does not cover the next request"):
                judge.score(cases)
            with Ledger(tmp_path / "judge.sqlite") as ledger:
                assert ledger.total_spent() <= budget * (1 + 1e-9)
        assert 0 < len(server.hashes) < 20
        judge, _ = opened(server, tmp_path, **PRICES, budget=1.0)
        scores = judge.score(cases)
        paid = (2 * server.tokens["prompt_tokens"] + 10 * server.tokens["completion_tokens"]) / 1e6
        assert (len(server.hashes), set(server.hashes.values())) == (20, {1})
        assert opened(server, tmp_path)[0].score(cases) == scores
        assert server.hashes.total() == 20
    assert judge.summary.cost == pytest.approx(paid)


KILLED = """
import sys
from pathlib import Path
from mentallama.config.evaluate import Judge
from mentallama.explanation_metrics.base import ExplanationCase, MetricOptions
from mentallama.explanation_metrics.llm_judge.metric import LlmJudge

judge = Judge(allow_remote=("SAD",), max_concurrency=2, input_price=2, output_price=10)
options = MetricOptions(judge=judge, ledger=Path(sys.argv[2]) / "judge.sqlite")
cases = [ExplanationCase.model_validate_json(line) for line in sys.stdin]
LlmJudge.load(f"remote:test-model@{sys.argv[1]}", options).score(cases)
"""


def test_a_killed_evaluation_pays_again_for_the_calls_in_flight_only(tmp_path: Path) -> None:
    cases = [case(number) for number in range(20)]
    with serving(Plan(reply=lambda _: verdict(2), delay=0.05)) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, server.url, str(tmp_path)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )
        assert process.stdin is not None
        process.stdin.write("\n".join(each.model_dump_json() for each in cases))
        process.stdin.close()
        while server.outcomes["ok"] < 5:
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        process.wait()
        assert server.outcomes["ok"] < 20
        scores = opened(server, tmp_path, **PRICES)[0].score(cases)
        calls = server.hashes.total()
        assert 20 <= calls <= 24  # two in flight, and two whose answers were not kept yet
        assert opened(server, tmp_path, **PRICES)[0].score(cases) == scores
        assert server.hashes.total() == calls


def test_equal_cases_share_a_call() -> None:
    with serving(Plan(reply=lambda _: verdict(2))) as server:
        judge, _ = opened(server)
        scores = judge.score([case(1), case(1), case(2)])
        assert server.hashes.total() == 2
    assert [score.values["judge_overall"] for score in scores] == [2.0, 2.0, 2.0]


def test_options_that_the_model_rejects_are_changed() -> None:
    def respond(body: Body, _: str) -> tuple[int, Body] | None:
        if any(message["role"] == "system" for message in body["messages"]):
            return 400, {"error": {"message": "System role not supported", "type": "invalid_request_error"}}
        return None

    with serving(Plan(reply=lambda _: verdict(2), respond=respond)) as server:
        judge, messages = opened(server)
        assert [score.values["judge_overall"] for score in judge.score([case(1), case(2)])] == [2.0, 2.0]
        assert "You assess explanations" in server.bodies[-1]["messages"][0]["content"]
    assert sum("rejects the system role" in message for message in messages) == 1


def test_sets_under_an_agreement_are_not_sent() -> None:
    with serving(Plan(reply=lambda _: verdict(2))) as server:
        judge, _ = opened(server, allow_remote=())
        with pytest.raises(UsageError, match=r"--set evaluate\.judge\.allow_remote=\[DR\]") as error:
            judge.score([case(1, task="DR")])
        assert not server.hashes
        judge, _ = opened(server, allow_remote=("DR",))
        assert judge.score([case(1, task="DR")])[0].values
    assert "nothing was sent" in str(error.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("llm_judge", "llm_judge needs a remote model, remote:MODEL@URL"),
        ("llm_judge:test-model", "write llm_judge:remote:MODEL@URL"),
        ("llm_judge:remote:test-model", "write it as remote:MODEL@URL"),
        ("llm_judge:remote:m@http://user:pass@host/v1", "holds a user, password or key"),
    ],
)
def test_wrong_specs_are_named(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        open_metrics([spec], MetricOptions())
    assert message in str(error.value)
    assert "user:pass" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 3}, "need a temperature above 0"),
        ({"budget": 1}, "needs input_price"),
        ({"samples": 0}, "greater than or equal to 1"),
        ({"max_failed_share": 2}, "less than or equal to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Judge(**settings)


def test_a_key_that_was_named_and_is_not_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MADE_UP_KEY", raising=False)
    options = MetricOptions(judge=Judge(key_env_var="MADE_UP_KEY"))
    with pytest.raises(UsageError, match=r"evaluate\.judge\.key_env_var: .* MADE_UP_KEY is not set"):
        open_metrics(["llm_judge:remote:m@http://127.0.0.1:9/v1"], options)
