"""Calls that fail are no predictions: they are counted, listed and asked again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mentallama.answers.format import write_answer
from mentallama.cli import app as cli
from mentallama.files.record_files import read_json, read_records, write_records
from mentallama.records import FailedRequest, Prediction
from tests.factories.endpoint_server import Body, Plan, Server, serving
from tests.factories.linear_cases import make_post

BAD_REQUEST = {"object": "error", "message": "Cannot read 'canal walk': bad template", "code": 400}
ANSWER = write_answer("DR", None, "yes", "It says so.")

Predict = Callable[..., tuple[int, str]]


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    made = [make_post("DR", "test", f"A canal walk, number {n}.", {"depression": "yes"}) for n in range(40)]
    write_records(tmp_path / "posts.jsonl.zst", made)
    return tmp_path / "posts.jsonl.zst"


@pytest.fixture
def predict(
    posts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Predict:
    """Run the command in this process; its exit code and its error stream."""

    def run(server: Server, *options: str) -> tuple[int, str]:
        model = f"remote:test-model@{server.url}"
        words = [
            "predict",
            "--model",
            model,
            "--data",
            str(posts),
            "--mode",
            "free",
            "--out",
            str(tmp_path / "out"),
        ]
        monkeypatch.setattr(sys, "argv", ["mentallama", *words, *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(str(ended.value.code)), capsys.readouterr().err

    return run


def fails_for(number: str) -> Callable[[Body, str], tuple[int, Body] | None]:
    return lambda body, _: (400, BAD_REQUEST) if f"number {number}." in str(body) else None


@pytest.mark.parametrize(
    "answer",
    [
        (400, BAD_REQUEST),
        (422, {"detail": [{"msg": "bad template"}]}),
        (200, {"error": {"message": "bad template", "code": 400}}),
        (200, {"choices": [{"error": {"message": "bad template", "code": "422"}, "finish_reason": "error"}]}),
    ],
)
def test_calls_that_all_fail_stop_early_and_are_asked_again(
    answer: tuple[int, Body], predict: Predict, tmp_path: Path
) -> None:
    with serving(Plan(respond=lambda *_: answer)) as server:
        code, err = predict(server)
        first = server.hashes.total()
        assert (code, first < 25) == (1, True)
        assert "bad template" in err
        assert "canal" not in err
        assert not (tmp_path / "out/predictions.jsonl.zst").exists()
        assert predict(server)[0] == 1
        assert server.hashes.total() > first


def test_few_calls_that_all_fail_are_an_error_too(predict: Predict, posts: Path) -> None:
    write_records(posts, [make_post("DR", "test", "One canal walk.", {"depression": "yes"})])
    with serving(Plan(respond=lambda *_: (400, BAD_REQUEST))) as server:
        code, err = predict(server)
    assert code == 1
    assert "1 HTTP 400: Cannot read" in err
    assert "canal" not in err


def test_a_failed_call_is_listed_and_asked_again_by_the_same_command(
    predict: Predict, tmp_path: Path
) -> None:
    with serving(Plan(respond=fails_for("7"), reply=lambda _: ANSWER)) as server:
        code, err = predict(server)
        assert code == 3
        assert "1 of 40 requests failed (1 HTTP 400), more than predict.max_failed_share (0) allows" in err
        predictions = list(read_records(tmp_path / "out/predictions.jsonl.zst", Prediction))
        assert [each.reading.status for each in predictions] == ["parsed"] * 39
        (failed,) = read_records(tmp_path / "out/failed_requests.jsonl", FailedRequest)
        assert failed.reason.startswith("HTTP 400: Cannot read")
        assert failed.example_id not in {each.example_id for each in predictions}
        assert read_json(tmp_path / "out/summary.json")["failed"] == {"HTTP 400": 1}
        assert (predict(server)[0], server.hashes.total()) == (3, 41)
        server.plan.respond = None
        code, err = predict(server)
        assert (code, server.hashes.total(), "up to date" in err) == (0, 42, False)
        assert "up to date" in predict(server)[1]
    assert len(list(read_records(tmp_path / "out/predictions.jsonl.zst", Prediction))) == 40
    assert read_json(tmp_path / "out/summary.json")["failed"] == {}


def test_an_allowed_share_of_failures_is_retried_on_demand(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Plan(respond=fails_for("7"), reply=lambda _: ANSWER)) as server:
        code, err = predict(server, "--max-failed-share", "0.1")
        assert code == 0
        assert "note: predict: 1 failed (1 HTTP 400)" in err
        assert "--retry" in err
        code, err = predict(server, "--max-failed-share", "0.1")
        assert (code, server.hashes.total(), "up to date" in err) == (0, 40, True)
        server.plan.respond = None
        code, err = predict(server, "--max-failed-share", "0.1", "--retry")
        assert (code, server.hashes.total()) == (0, 41)
        assert "predict: 1 failed requests will be retried" in err


@pytest.mark.parametrize("message", [{"content": None}, {}, {"content": "", "tool_calls": [{"id": "1"}]}])
def test_an_answer_without_text_does_not_keep_the_others_back(
    message: Body, predict: Predict, tmp_path: Path
) -> None:
    empty = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    plan = Plan(
        respond=lambda body, _: (200, empty) if "number 7." in str(body) else None, reply=lambda _: ANSWER
    )
    with serving(plan) as server:
        code, err = predict(server)
        assert code == 0
        assert "note: predict: 1 of 40 answers have no label (1 unparsed)" in err
        assert "up to date" in predict(server)[1]
        assert server.hashes.total() == 40
    assert read_json(tmp_path / "out/summary.json")["answers"] == {"parsed": 39, "unparsed": 1}


def test_options_of_a_remote_model_have_the_names_of_the_recipe(
    predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "synthetic-key")
    with serving(Plan(reply=lambda _: ANSWER, key="synthetic-key")) as server:
        options = (
            "key_env_var=SOME_KEY",
            "predict.temperature=0.5",
            "extra_body={max_tokens: null, top_k: 1}",
        )
        assert predict(server, *(word for option in options for word in ("--set", option)))[0] == 0
        body = server.bodies[0]
        assert (body["temperature"], body["top_k"], "max_tokens" in body) == (0.5, 1, False)
        code, err = predict(server, "--set", "temprature=1")
        assert (code, "'temprature' is none of them" in err) == (2, True)


def test_analyze_takes_the_same_options_and_a_failed_call_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def analyze(server: Server, *options: str) -> tuple[int, str]:
        words = ["analyze", "A canal walk.", "--model", f"remote:test-model@{server.url}", "--task", "DR"]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["mentallama", *words, "--set", "mode=free", *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(str(ended.value.code)), "".join(capsys.readouterr())

    with serving(Plan(reply=lambda _: ANSWER)) as server:
        code, output = analyze(server, "--set", "temperature=0.5")
        assert (code, server.bodies[0]["temperature"]) == (0, 0.5)
        assert "It says so." in output
    with serving(Plan(respond=lambda *_: (400, BAD_REQUEST))) as server:
        code, output = analyze(server)
    assert code == 1
    assert "gave no answer (HTTP 400: Cannot read" in output
    assert "canal" not in output
