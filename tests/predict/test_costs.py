"""Money in predict: the estimate before, the sum after, a budget that does not reach, and nothing paid twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mentallama.analysts.language_model.remote import RemoteAnalyst
from mentallama.answers.format import write_answer
from mentallama.attribution.opening import open_analyst
from mentallama.cli import app as cli
from mentallama.errors import MentallamaError
from mentallama.files.record_files import read_json, read_records, write_records
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.records import Prediction
from tests.factories.endpoint_server import Plan, Server, serving
from tests.factories.linear_cases import make_post
from tests.factories.project import ROOT

ANSWER = write_answer("DR", None, "yes", "It says so.")
PRICES = ("--set", "input_price=2", "--set", "output_price=10")
N_POSTS = 30

Predict = Callable[..., tuple[int, str]]


@pytest.fixture
def arguments(tmp_path: Path) -> Callable[..., list[str]]:
    """The command's words, for thirty made-up posts."""
    made = [
        make_post("DR", "test", f"A canal walk, number {n}.", {"depression": "yes"}) for n in range(N_POSTS)
    ]
    write_records(tmp_path / "posts.jsonl.zst", made)

    def words(server: Server, *options: str) -> list[str]:
        model, posts = f"remote:test-model@{server.url}", str(tmp_path / "posts.jsonl.zst")
        concurrency = ("--set", "max_concurrency=4")
        return [
            *("predict", "--model", model, "--data", posts, "--out", str(tmp_path / "out")),
            *concurrency,
            *options,
        ]

    return words


@pytest.fixture
def predict(
    arguments: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Predict:
    """Run the command in this process; its exit code and its error stream."""

    def run(server: Server, *options: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["mentallama", *arguments(server, *options)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(str(ended.value.code)), capsys.readouterr().err

    return run


def flat_chance(_text: str, _token: str) -> float:
    return -1.0


def spent_in(folder: Path) -> float:
    (path,) = folder.glob("predicted-*.ledger.sqlite")
    with Ledger(path) as ledger:
        return ledger.total_spent()


def cost_at(server: Server) -> float:
    """What the server's answers cost, at 2 and 10 for a million tokens in and out."""
    return (2 * server.tokens["prompt_tokens"] + 10 * server.tokens["completion_tokens"]) / 1e6


def predictions(folder: Path) -> list[Prediction]:
    return list(read_records(folder / "out/predictions.jsonl.zst", Prediction))


def test_the_estimate_comes_first_and_the_cost_last(predict: Predict, tmp_path: Path) -> None:
    with serving(Plan(reply=lambda _: ANSWER)) as server:
        code, err = predict(server, "--mode", "free", *PRICES)
    lines = err.splitlines()
    summary = read_json(tmp_path / "out/summary.json")
    assert code == 0
    assert lines[0].startswith(f"predict: test-model: an estimated {N_POSTS} requests; about ")
    assert f"tokens in and {N_POSTS * 135:,} out (at 4 bytes per token), cost about 0.0" in lines[0]
    assert summary["cost"] == pytest.approx(cost_at(server))
    assert lines[-1] == f"predict: the calls cost {summary['cost']:.6g}, in the currency of the prices"
    assert sorted(path.name for path in (tmp_path / "out").glob("predicted-*")) == []


def test_without_prices_there_are_tokens_and_no_cost(predict: Predict, tmp_path: Path) -> None:
    with serving(Plan(reply=lambda _: ANSWER)) as server:
        code, err = predict(server, "--mode", "free")
    assert (code, read_json(tmp_path / "out/summary.json")["cost"]) == (0, None)
    assert "an estimated 30 requests; about" in err
    assert "cost" not in err


@pytest.mark.parametrize("mode", ["free", "answer-first"])
def test_a_budget_stops_in_the_middle_and_nothing_is_paid_twice(
    mode: str, predict: Predict, tmp_path: Path
) -> None:
    """Answer-first stops among the explanations too, whose labels are paid for and in no journal yet."""
    with serving(
        Plan(reply=lambda _: ANSWER, chance=flat_chance if mode == "answer-first" else None)
    ) as server:
        budgets = [0.0, 0.0015, 0.004, 0.0053, 0.008, 1.0]
        for budget in budgets:
            code, err = predict(server, "--mode", mode, *PRICES, "--set", f"budget={budget}")
            if code == 0:
                break
            assert code == 1
            assert err.count("does not cover the next request") == 1
            assert "all answers are kept; the same command with a higher budget resumes" in err
            assert spent_in(tmp_path / "out") <= budget * (1 + 1e-9)
            assert not (tmp_path / "out/predictions.jsonl.zst").exists()
        assert code == 0
        assert set(server.hashes.values()) == {1}
        paid = cost_at(server)
    assert budgets.index(budget) >= 3
    assert len(predictions(tmp_path)) == N_POSTS
    assert read_json(tmp_path / "out/summary.json")["cost"] == pytest.approx(paid)


@pytest.mark.parametrize("mode", ["free", "answer-first"])
def test_a_killed_run_pays_again_for_the_calls_in_flight_only(
    mode: str, arguments: Callable[..., list[str]], predict: Predict, tmp_path: Path
) -> None:
    chance = flat_chance if mode == "answer-first" else None
    options = ("--mode", mode, *PRICES, "--set", "budget=0.05")
    with serving(Plan(reply=lambda _: ANSWER, chance=chance, delay=0.05)) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "mentallama", *arguments(server, *options)],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )
        enough = N_POSTS + 10 if mode == "answer-first" else 10
        while server.outcomes["ok"] < enough:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        code, err = predict(server, *options)
        assert code == 0
        # labels whose explanations are missing are in no journal, but they are paid for
        assert "more are in the ledger" in err or mode == "free"
        assert sum(count - 1 for count in server.hashes.values()) <= 4
        paid = cost_at(server)
    assert len(predictions(tmp_path)) == N_POSTS
    # what was in flight is counted at its largest cost, so the sum may be too high and is never too low
    assert paid * (1 - 1e-9) <= read_json(tmp_path / "out/summary.json")["cost"] <= 0.05


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--set", "input_price=2"), "input_price and output_price go together"),
        (("--set", "output_price=2"), "input_price and output_price go together"),
        (("--set", "budget=2"), "a budget needs input_price and output_price"),
        (("--set", "input_price=-1", "--set", "output_price=2"), "--input-price: should be"),
    ],
)
def test_a_price_alone_is_a_fault_before_any_call(
    options: tuple[str, ...], fault: str, predict: Predict, tmp_path: Path
) -> None:
    with serving(Plan(reply=lambda _: ANSWER)) as server:
        code, err = predict(server, *options)
        assert (code, err.count("\n"), server.hashes.total()) == (2, 1, 0)
    assert fault in err
    assert not (tmp_path / "out").exists()


def test_a_price_of_a_model_on_this_machine_is_a_fault(predict: Predict, tmp_path: Path) -> None:
    with serving(Plan(reply=lambda _: ANSWER)) as server:
        code, err = predict(server, "--model", "linear:model", *PRICES)
        assert (code, server.hashes.total()) == (2, 0)
    assert "only a remote model has a price, and linear:model is none" in err
    assert not (tmp_path / "out").exists()


def test_a_budget_in_python_bounds_all_calls_of_an_analyst() -> None:
    """Each call costs a few ten-thousandths; without a ledger their sum is kept in memory."""
    with serving(Plan(reply=lambda _: ANSWER)) as server:
        terms = {"input_price": 2.0, "output_price": 10.0, "budget": 0.01}
        analyst = open_analyst(f"remote:test-model@{server.url}", mode="free", **terms)
        assert isinstance(analyst, RemoteAnalyst)
        costs = []
        while (spent := analyst.spent() or 0.0) < 0.006:  # far from the worst case of the next call
            analyst.analyze(f"A canal walk, number {len(costs)}.", task="DR")
            costs.append((analyst.spent() or 0.0) - spent)
        with pytest.raises(MentallamaError, match=r"the budget of 0\.01 does not cover the next request"):
            analyst.analyze([f"A canal walk, number {number}." for number in range(100, 200)], task="DR")
        assert len(costs) > 1
        assert min(costs) > 0
        assert analyst.spent() == pytest.approx(cost_at(server))
        assert cost_at(server) <= 0.01
