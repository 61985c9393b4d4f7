"""meta-evaluate with an LLM judge behind a server on loopback."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mentallama.cli import app as cli
from mentallama.explanation_metrics.llm_judge.rubric import ASPECTS
from mentallama.meta_evaluation.results import MetaEvaluation
from tests.factories.endpoint_server import Body, Plan, Server, serving
from tests.factories.model_outputs import write_csv

N_ROWS = 12
ALLOWED = "judge.allow_remote=[DR]"

MetaEvaluate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def meta_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> MetaEvaluate:
    """Run the command on made-up explanations, of which number N has the ratings N % 4 of three people."""
    scores = [f"[{number % 4}, {number % 4}, {number % 4}]" for number in range(N_ROWS)]
    columns = {
        "text": [f"A made-up tea, number {number}." for number in range(N_ROWS)],
        "response": [f"No. It speaks of tea, number {number}." for number in range(N_ROWS)],
        "reliability": scores,
        "overall": scores,
    }
    write_csv(tmp_path / "ratings.csv", columns)

    def run(server: Server, *settings: str) -> tuple[int, str, str]:
        metric = ("--explanation-metric", f"llm_judge:remote:test-model@{server.url}")
        paths = (str(tmp_path / "ratings.csv"), "--out", str(tmp_path / "out"))
        chosen = [word for setting in settings for word in ("--set", setting)]
        words = ["mentallama", "meta-evaluate", *paths, "--resamples", "100", *metric, *chosen]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        streams = capsys.readouterr()
        return int(str(ended.value.code)), streams.out, streams.err

    return run


def rating(body: Body) -> str:
    """The number that people give, but 1 where they give 0."""
    number = int(body["messages"][-1]["content"].partition("tea, number ")[2].partition(".")[0])
    return json.dumps(dict.fromkeys(ASPECTS, max(1, number % 4)))


def test_a_judge_is_correlated_with_people_and_asked_once(
    meta_evaluate: MetaEvaluate, tmp_path: Path
) -> None:
    with serving(Plan(reply=rating)) as server:
        assert meta_evaluate(server, ALLOWED)[0] == 0
        first = (tmp_path / "out/meta_evaluation.json").read_bytes()
        assert meta_evaluate(server, ALLOWED)[0] == 0
        assert server.hashes.total() == N_ROWS
    assert (tmp_path / "out/meta_evaluation.json").read_bytes() == first
    results = MetaEvaluation.model_validate_json(first)
    found = results.groups["all"].metrics["judge_overall"]
    # (1, 1, 2, 3) against (0, 1, 2, 3), three times over
    assert found.aspects["overall"]["pearson"].value == pytest.approx(3.5 / (2.75 * 5) ** 0.5)
    assert found.scored == N_ROWS
    assert results.judge is not None
    assert (results.judge.verdicts, results.judge.agreement is not None) == (N_ROWS, True)
    page = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert "agreement with the mean rating of people on 12 of 12 rated explanations" in page


def test_failed_calls_end_with_exit_code_3_and_are_asked_again(
    meta_evaluate: MetaEvaluate, tmp_path: Path
) -> None:
    def fate(body: Body, seen: int) -> str:
        return "500" if "tea, number 3." in str(body) and seen == 1 else "ok"

    with serving(Plan(reply=rating, fate=fate)) as server:
        code, _, err = meta_evaluate(server, ALLOWED, "judge.max_attempts=1")
        assert code == 3
        assert "evaluate.judge: 1 of 12 requests failed" in err
        kept = MetaEvaluation.model_validate_json((tmp_path / "out/meta_evaluation.json").read_bytes())
        assert kept.groups["all"].metrics["judge_overall"].scored == N_ROWS - 1
        assert meta_evaluate(server, ALLOWED, "judge.max_attempts=1")[0] == 0
        assert server.hashes.total() == N_ROWS + 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((), "--set evaluate.judge.allow_remote=[DR]"),
        ((ALLOWED, "resamples=50"), "meta-evaluate has the keys of evaluate.judge only"),
        ((ALLOWED, "judge.ratings=other.csv"), "the judge rates the explanations in RATINGS"),
        ((ALLOWED, "judge.sample=3"), "judge.sample"),
    ],
)
def test_nothing_is_sent_with_wrong_settings(
    settings: tuple[str, ...], message: str, meta_evaluate: MetaEvaluate
) -> None:
    with serving(Plan(reply=rating)) as server:
        code, _, err = meta_evaluate(server, *settings)
        assert (code, server.hashes.total()) == (2, 0)
    assert message in err
    assert "made-up tea" not in err
