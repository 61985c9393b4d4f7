"""The command `robustness`, with a linear model and with a server whose answers are known."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentallama.answers.format import write_answer
from mentallama.cli import app as cli
from mentallama.config import Predict
from mentallama.errors import UsageError
from mentallama.files.record_files import read_json, read_records, write_records
from mentallama.records import FailedRequest
from mentallama.robustness.flips import FlipRow
from mentallama.robustness.report import RobustnessReport
from mentallama.robustness.run import RobustnessCommand, measure_robustness
from mentallama.safety import NOTICE
from mentallama.tasks import load_tasks
from tests.factories.answer_kinds import task_of_kind
from tests.factories.endpoint_server import Body, Plan, Server, serving
from tests.factories.linear_cases import make_post

WORDS = ("canal", "garden", "bicycle", "orchestra")
Robustness = Callable[..., tuple[int, str, str]]


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    made = [
        make_post(
            "DR", "test", f"Walked along the {word}", {"depression": "yes" if word == "canal" else "no"}
        )
        for word in WORDS
    ]
    write_records(tmp_path / "posts.jsonl.zst", made)
    return tmp_path / "posts.jsonl.zst"


@pytest.fixture
def robustness(
    posts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Robustness:
    """Run the command in this process; its exit code and its streams."""

    def run(server: Server, *options: str, models: tuple[str, ...] = ("test-model",)) -> tuple[int, str, str]:
        named = [word for model in models for word in ("--model", f"remote:{model}@{server.url}")]
        words = ["robustness", *named, "--data", str(posts), "--out", str(tmp_path / "out"), "--mode", "free"]
        monkeypatch.setattr(sys, "argv", ["mentallama", *words, *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        streams = capsys.readouterr()
        return int(str(ended.value.code)), streams.out, streams.err

    return run


def answer(label: str) -> str:
    return write_answer("DR", None, label, "It says so.")


def asked(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def says_yes(*words: str) -> Callable[[Body], str]:
    """Yes where the query holds one of the words as they are spelled here."""
    return lambda body: answer("yes" if any(word in asked(body) for word in words) else "no")


def report_in(tmp_path: Path) -> RobustnessReport:
    return RobustnessReport.model_validate(read_json(tmp_path / "out/robustness.json"))


def rates(report: RobustnessReport) -> dict[str, tuple[int, int]]:
    return {score.perturbation: (score.flips, score.pairs) for score in report.flips}


def test_a_model_that_reads_spelling_flips_with_it(robustness: Robustness, tmp_path: Path) -> None:
    with serving(Plan(reply=says_yes("canal"))) as server:
        code, out, _ = robustness(server, "--typo-rate", "1")
    report = report_in(tmp_path)
    assert code == 0
    # In capitals the word is gone, and no first letter is a capital within a post but that of its first word.
    assert rates(report) == {
        "typos": (1, 4),
        "upper": (1, 4),
        "lower": (0, 4),
        "wording-1": (0, 4),
        "wording-2": (0, 4),
        "form": (0, 4),
    }
    upper = next(score for score in report.flips if score.perturbation == "upper")
    assert (upper.toward_high_risk, upper.from_high_risk, upper.rate) == (0, 1, 25.0)
    assert (upper.f1_before, upper.labelled) == (100.0, 4)
    assert upper.f1_change is not None
    assert upper.f1_change < 0
    assert NOTICE in report.notice
    assert NOTICE in (tmp_path / "out/robustness.md").read_text(encoding="utf-8")
    assert "not a diagnosis" in out


def test_a_model_that_reads_the_question_flips_with_its_wording(
    robustness: Robustness, tmp_path: Path
) -> None:
    task = load_tasks()["DR"].questions["depression"]
    with serving(Plan(reply=says_yes(task.wording.instruction))) as server:
        code, _, _ = robustness(server, "--perturbation", "wording-1", "--perturbation", "form")
        queries = [asked(body) for body in server.bodies]
    assert code == 0
    assert rates(report_in(tmp_path)) == {"wording-1": (4, 4), "form": (4, 4)}
    assert sum(task.paraphrases[0] in query for query in queries) == 4
    assert sum(task.wording.completion in query for query in queries) == 4


def test_negated_statements_are_expected_to_change_the_label(robustness: Robustness, tmp_path: Path) -> None:
    """Answers yes unless it finds a negation."""
    negations = (" not ", " never ", " no longer ")
    reply = lambda body: answer("no" if any(word in asked(body) for word in negations) else "yes")  # noqa: E731
    with serving(Plan(reply=reply)) as server:
        assert robustness(server, "--perturbation", "negation")[0] == 0
    (score,) = report_in(tmp_path).negation
    assert (score.set, score.question, score.pairs, score.stated, score.changed) == (
        "DR",
        "depression",
        8,
        8,
        8,
    )
    assert report_in(tmp_path).flips == ()


def test_models_of_other_seeds_are_compared_with_the_first(robustness: Robustness, tmp_path: Path) -> None:
    def reply(body: Body) -> str:
        return says_yes("canal")(body) if body["model"] == "a" else says_yes("canal", "garden")(body)

    with serving(Plan(reply=reply, models=("a", "b"))) as server:
        code, _, _ = robustness(server, "--perturbation", "seed", models=("a", "b"))
    (score,) = report_in(tmp_path).flips
    assert code == 0
    assert (score.model.partition("@")[0], score.flips, score.pairs) == ("remote:b", 1, 4)
    (flipped,) = [
        row
        for row in read_records(tmp_path / "out/flips.jsonl.zst", FlipRow)
        if row.label != row.perturbed_label
    ]
    assert (flipped.label, flipped.perturbed_label, flipped.gold) == ("no", "yes", "no")


def test_what_does_not_apply_is_said(robustness: Robustness, tmp_path: Path) -> None:
    with serving(Plan(reply=says_yes("canal"))) as server:
        _, out, _ = robustness(server)
    (reasons,) = report_in(tmp_path).not_applicable.values()
    assert set(reasons) == {"order", "seed"}
    assert "order not tried: the prompt does not list the answers" in out
    assert "seed not tried" in (tmp_path / "out/robustness.md").read_text(encoding="utf-8")


def test_no_text_of_a_post_is_written(robustness: Robustness, tmp_path: Path) -> None:
    with serving(Plan(reply=says_yes("canal"))) as server:
        _, out, err = robustness(server)
    rows = "".join(row.model_dump_json() for row in read_records(tmp_path / "out/flips.jsonl.zst", FlipRow))
    written = (
        rows
        + out
        + err
        + "".join(
            path.read_text(encoding="utf-8")
            for path in (tmp_path / "out").glob("*.*")
            if path.suffix != ".zst"
        )
    )
    assert not [word for word in WORDS if word in written.lower()]
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == [
        "flips.jsonl.zst",
        "manifest.json",
        "robustness.json",
        "robustness.md",
    ]


def test_the_same_command_does_nothing_and_another_is_refused(robustness: Robustness, tmp_path: Path) -> None:
    with serving(Plan(reply=says_yes("canal"))) as server:
        assert robustness(server)[0] == 0
        first, calls = (tmp_path / "out/robustness.json").read_bytes(), server.hashes.total()
        code, out, err = robustness(server)
        assert (code, server.hashes.total(), "up to date" in err) == (0, calls, True)
        assert "flips, %" in out
        code, _, err = robustness(server, "--typo-rate", "0.5")
        assert code == 2
        assert "holds results of other models, other data, settings" in err
        (tmp_path / "out/robustness.md").write_text("damaged", encoding="utf-8")
        assert robustness(server)[0] == 0
    assert (tmp_path / "out/robustness.json").read_bytes() == first
    assert "damaged" not in (tmp_path / "out/robustness.md").read_text(encoding="utf-8")


def test_a_folder_of_others_is_not_touched(robustness: Robustness, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/robustness.json").write_text("{}", encoding="utf-8")
    with serving(Plan(reply=says_yes("canal"))) as server:
        code, _, err = robustness(server)
        assert (code, server.hashes.total()) == (2, 0)
    assert "did not make this file" in err
    assert (tmp_path / "out/robustness.json").read_text(encoding="utf-8") == "{}"


def test_a_budget_stops_and_nothing_is_paid_twice(robustness: Robustness, tmp_path: Path) -> None:
    prices = ("--input-price", "2", "--output-price", "10")
    with serving(Plan(reply=says_yes("canal"))) as server:
        code, _, err = robustness(server, *prices, "--budget", "0.007")
        asked_so_far = server.hashes.total()
        assert code == 1
        assert "does not cover the next request" in err
        assert asked_so_far > 0
        assert robustness(server, *prices, "--budget", "1")[0] == 0
        assert set(server.hashes.values()) == {1}
        assert server.hashes.total() > asked_so_far
    assert rates(report_in(tmp_path))["upper"] == (1, 4)
    assert not list((tmp_path / "out").glob("predicted-*"))


def test_failed_calls_are_in_no_count_and_asked_again(robustness: Robustness, tmp_path: Path) -> None:
    bad = {"object": "error", "message": "bad template", "code": 400}
    plan = Plan(
        reply=says_yes("canal"), respond=lambda body, _: (400, bad) if "GARDEN" in asked(body) else None
    )
    with serving(plan) as server:
        code, _, err = robustness(server, "--perturbation", "upper")
        assert code == 3
        assert "1 of 8 requests failed" in err
        assert rates(report_in(tmp_path)) == {"upper": (1, 3)}
        assert report_in(tmp_path).failed == {f"remote:test-model@{server.url}": {"HTTP 400": 1}}
        assert len(list(read_records(tmp_path / "out/failed_requests.jsonl", FailedRequest))) == 1
        plan.respond = None
        assert robustness(server, "--perturbation", "upper")[0] == 0
        assert server.hashes.total() == 9
    assert rates(report_in(tmp_path)) == {"upper": (1, 4)}
    assert not (tmp_path / "out/failed_requests.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--perturbation", "typo"), "--perturbation typo: did you mean typos?"),
        (("--sets", "DRR"), "--sets DRR: there is no such set"),
        (("--typo-rate", "1.5"), "less than or equal to 1"),
        (("--limit", "0"), "greater than or equal to 1"),
        (("--split", "tests"), "--split"),
    ],
)
def test_wrong_use_is_one_sentence(
    options: tuple[str, ...], message: str, robustness: Robustness, tmp_path: Path
) -> None:
    with serving(Plan()) as server:
        code, _, err = robustness(server, *options)
        assert (code, server.hashes.total()) == (2, 0)
    assert message in err
    assert not (tmp_path / "out").exists()


def test_posts_under_an_agreement_are_not_sent(robustness: Robustness, posts: Path, tmp_path: Path) -> None:
    real = make_post("DR", "test", "Walked along the canal", {"depression": "yes"})
    provenance: Any = real.provenance.model_copy(update={"synthetic": False})
    write_records(posts, [real.model_copy(update={"provenance": provenance})])
    with serving(Plan(reply=says_yes("canal"))) as server:
        code, _, err = robustness(server)
        assert (code, server.hashes.total()) == (2, 0)
        assert "--allow-remote DR" in err
        assert robustness(server, "--allow-remote", "DR")[0] == 0


def test_the_limit_takes_the_first_posts(robustness: Robustness, tmp_path: Path) -> None:
    with serving(Plan(reply=says_yes("canal"))) as server:
        assert robustness(server, "--limit", "2", "--perturbation", "upper")[0] == 0
    assert rates(report_in(tmp_path)) == {"upper": (1, 2)}


def test_answers_of_several_parts_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    task = task_of_kind("multi")
    file = tmp_path / "parts.jsonl.zst"
    write_records(file, [make_post(task.set, "test", "Walked along the canal", {"about": "sleep"})])
    settings = Predict(model="remote:m@http://127.0.0.1:9")
    command = RobustnessCommand((settings.model or "",), settings, file, {task.set: task})
    with pytest.raises(UsageError, match="synthetic-multi: its answers have several parts"):
        measure_robustness(command, tmp_path / "out", print)
    assert not (tmp_path / "out").exists()
