"""The LLM judge in evaluate: its agreement with people stands beside its scores, and its failed calls count."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mentallama.answers.format import write_answer
from mentallama.cli import app as cli
from mentallama.config import Recipe
from mentallama.evaluate.run import write_scores
from mentallama.evaluate.score_file import ScoreFile, read_scores
from mentallama.evaluate.stage import STAGE
from mentallama.explanation_metrics.llm_judge.rubric import ASPECTS
from mentallama.explanation_metrics.llm_judge.summary import AGREEMENT_UNKNOWN, JudgeSummary
from mentallama.files.manifest import read_manifest, write_manifest
from mentallama.metrics.bootstrap import Resampling
from mentallama.tasks import load_tasks, write_query
from tests.factories.endpoint_server import Body, Plan, Server, serving
from tests.factories.model_outputs import write_csv

N_ROWS = 12
ALLOWED = ("--set", "judge.allow_remote=[SAD,DR]")
PRICES = ("--set", "judge.input_price=2", "--set", "judge.output_price=10")

Evaluate = Callable[..., tuple[int, str, str]]


def verdict(rating: int) -> str:
    return json.dumps(dict.fromkeys(ASPECTS, rating))


def rates_by(number_of: Callable[[str], int]) -> Callable[[Body], str]:
    """Rates by what the judge reads."""
    return lambda body: verdict(number_of(body["messages"][-1]["content"]))


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """A release with made-up rows of SAD."""
    task = load_tasks()["SAD"]
    texts = [f"A made-up canal walk, number {number}." for number in range(N_ROWS)]
    columns = {
        "query": [write_query(task, "cause", "instruction", text) for text in texts],
        "gpt-3.5-turbo": [write_answer("SAD", None, "work", f"It says: {text}") for text in texts],
    }
    write_csv(tmp_path / "release/test_data/test_instruction/SAD.csv", columns)
    return tmp_path / "release"


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    """Made-up explanations with the ratings of three people: the higher the number, the better."""
    scores = [f"[{number}, {number}, {number}]" for number in range(4)]
    columns = {
        "text": [f"A made-up tea, number {number}." for number in range(4)],
        "response": [f"No. It speaks of tea, number {number}." for number in range(4)],
        "reliability": scores,
        "overall": scores,
    }
    write_csv(tmp_path / "ratings.csv", columns)
    return tmp_path / "ratings.csv"


@pytest.fixture
def words(benchmark: Path, tmp_path: Path) -> Callable[..., list[str]]:
    def of_command(server: Server, *options: str) -> list[str]:
        metric = ("--explanation-metric", f"llm_judge:remote:test-model@{server.url}")
        source = ("--benchmark", str(benchmark), "--responses", "reference")
        return ["evaluate", *source, *metric, "--out", str(tmp_path / "out"), *ALLOWED, *options]

    return of_command


@pytest.fixture
def evaluate(
    words: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Evaluate:
    """Run the command in this process; its exit code and its streams."""

    def run(server: Server, *options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mentallama", *words(server, *options)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        streams = capsys.readouterr()
        return int(str(ended.value.code)), streams.out, streams.err

    return run


def test_without_ratings_the_agreement_is_said_to_be_unknown(evaluate: Evaluate, tmp_path: Path) -> None:
    with serving(Plan(reply=lambda _: verdict(2))) as server:
        code, out, err = evaluate(server)
    scores = read_scores(tmp_path / "out/scores.json")
    assert code == 0
    assert scores.judge is not None
    assert (scores.judge.verdicts, scores.judge.agreement) == (N_ROWS, None)
    assert scores.judge.agreement_note == AGREEMENT_UNKNOWN
    assert "unknown" in out
    assert scores.explanation_metrics is not None
    assert scores.explanation_metrics["SAD"].columns["judge_overall"].mean == 2.0
    assert scores.metric_names["llm_judge"] == "llm_judge:test-model"
    assert err.count("an estimated 12 requests") == 1


def test_the_agreement_with_people_stands_beside_the_scores(
    evaluate: Evaluate, ratings: Path, tmp_path: Path
) -> None:
    """The judge gives tea the number that people give it, but 1 where they give 0."""
    reply = rates_by(lambda text: max(1, int(text.partition("tea, number ")[2][:1] or 3)))
    with serving(Plan(reply=reply)) as server:
        code, out, _ = evaluate(server, "--set", f"judge.ratings={ratings}")
    judge = read_scores(tmp_path / "out/scores.json").judge
    assert code == 0
    assert judge is not None
    assert judge.agreement is not None
    assert (judge.agreement.explanations, judge.agreement.scored, judge.verdicts) == (4, 4, N_ROWS + 4)
    assert list(judge.agreement.aspects) == ["reliability", "overall"]
    overall = judge.agreement.aspects["overall"]
    # (1, 1, 2, 3) against (0, 1, 2, 3): co-deviations by the roots of both sums of squares, of numbers and of ranks
    assert overall.pearson.value == pytest.approx(3.5 / (2.75 * 5) ** 0.5)
    assert overall.spearman.value == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    assert overall.alpha.value is not None
    assert "ratings.csv" in out
    assert "Krippendorff's alpha" in out
    assert "unknown, so its scores" not in out


def test_failed_calls_end_with_exit_code_3_and_are_asked_again(evaluate: Evaluate, tmp_path: Path) -> None:
    bad = {"object": "error", "message": "bad template", "code": 400}
    plan = Plan(
        reply=lambda _: verdict(1), respond=lambda body, _: (400, bad) if "number 7" in str(body) else None
    )
    with serving(plan) as server:
        code, out, err = evaluate(server)
        assert code == 3
        assert "evaluate.judge: 1 of 12 requests failed (1 HTTP 400)" in err
        assert "llm_judge: of 12 calls, 1 failed" in out
        assert evaluate(server, "--set", "judge.max_failed_share=0.1")[0] == 0
        plan.respond = None
        assert evaluate(server)[0] == 0
        assert server.hashes.total() == N_ROWS + 2
    judge = read_scores(tmp_path / "out/scores.json").judge
    assert judge is not None
    assert (judge.verdicts, judge.failed) == (N_ROWS, {})


def test_verdicts_are_kept_beside_the_scores_and_cost_nothing_again(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    with serving(Plan(reply=lambda _: verdict(2))) as server:
        code, out, _ = evaluate(server, *PRICES, "--set", "judge.budget=1")
        paid = (2 * server.tokens["prompt_tokens"] + 10 * server.tokens["completion_tokens"]) / 1e6
        first = (tmp_path / "out/scores.json").read_bytes()
        assert (code, evaluate(server, *PRICES)[0], server.hashes.total()) == (0, 0, N_ROWS)
    judge = read_scores(tmp_path / "out/scores.json").judge
    assert judge is not None
    assert judge.cost == pytest.approx(paid)
    assert "llm_judge: the calls cost" in out
    assert (tmp_path / "out/scores.json").read_bytes() == first
    assert (tmp_path / "out/judge.ledger.sqlite").is_file()


def test_nonsense_alone_is_one_sentence(evaluate: Evaluate, tmp_path: Path) -> None:
    with serving(Plan()) as server:
        code, _, err = evaluate(server)
    assert code == 1
    assert "llm_judge:test-model: none of 12 verdicts could be read" in err
    assert "canal" not in err
    assert not (tmp_path / "out/scores.json").exists()


def test_nothing_is_sent_before_all_sets_and_ratings_are_allowed(
    evaluate: Evaluate, ratings: Path, tmp_path: Path
) -> None:
    """The rated explanations are of DR, which is under an agreement; SAD, which would be judged first, is not."""
    with serving(Plan(reply=lambda _: verdict(1))) as server:
        code, _, err = evaluate(server, "--set", f"judge.ratings={ratings}", "--set", "judge.allow_remote=[]")
        assert (code, server.hashes.total()) == (2, 0)
    assert "--set evaluate.judge.allow_remote=[DR]" in err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("judge.sample=3", "judge.sample"),
        ("judge.samples=3", "need a temperature above 0"),
        ("judge.ratings=missing.csv", "missing.csv"),
        ("judge.ratings_task=DRR", "DRR"),
        ("resample=10", "resample"),
    ],
)
def test_wrong_settings_are_one_sentence(
    option: str, message: str, evaluate: Evaluate, ratings: Path
) -> None:
    with serving(Plan(reply=lambda _: verdict(1))) as server:
        code, _, err = evaluate(server, "--set", f"judge.ratings={ratings}", "--set", option)
        assert (code, server.hashes.total()) == (2, 0)
    assert message in err


def test_a_recipe_has_failed_calls_made_again_only_if_too_many_failed(tmp_path: Path) -> None:
    summary = JudgeSummary(
        model="m", rubric="1", samples=1, temperature=0.0, verdicts=3, failed={"timeout": 1}
    )
    scores = ScoreFile(
        form="instruction",
        source={},
        resampling=Resampling(resamples=10),
        sets={},
        missing=(),
        missing_reasons={},
        judge=summary,
    )
    write_scores(tmp_path / "evaluate", scores, {})
    write_manifest(tmp_path / "evaluate", "evaluate", {"rows": 4}, (), {}, 1.0)
    assert STAGE.verdict is not None
    assert STAGE.retry_failed is not None
    sentence = STAGE.verdict(recipe(0.2), tmp_path, print)
    assert sentence is not None
    assert "1 of 4 requests failed (1 timeout), more than evaluate.judge.max_failed_share (0.2)" in sentence
    assert STAGE.verdict(recipe(0.25), tmp_path, print) is None
    messages: list[str] = []
    STAGE.retry_failed(recipe(0.2), tmp_path, messages.append)
    manifest = read_manifest(tmp_path / "evaluate")
    assert manifest is not None
    assert manifest.cache_key == {}
    assert messages == ["evaluate: 1 failed call of the judge will be retried"]


def recipe(share: float) -> Recipe:
    evaluate = {"judge": {"max_failed_share": share}}
    return Recipe.model_validate({"name": "mine", "data": ".", "predict": {}, "evaluate": evaluate})
