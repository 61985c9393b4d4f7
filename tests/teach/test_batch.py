"""`mentallama teach` by batch files: rounds of one command, with the same results as by calls."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mentallama.cli import app as cli
from mentallama.erasure.erase import erase
from mentallama.errors import MentallamaError
from mentallama.files.record_files import write_records
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.records import Post
from mentallama.run_files import RESPONSES_FILE
from mentallama.teach.remote_teachers import DispatchMode
from tests.factories.endpoint_server import Plan, Server, serving
from tests.factories.ledgers import all_completions
from tests.factories.linear_cases import depression_posts
from tests.factories.project import ROOT
from tests.factories.teach_cases import BUILD_RECIPE, N_DR, build_tables, make_job, run_teach, sensible_reply

Body = dict[str, Any]
NOWHERE = "remote:test-model@http://127.0.0.1:9/v1"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Plan(reply=sensible_reply)) as server:
        yield server


def provide(batch: Path, answer: Callable[[Body], tuple[int, Body]]) -> int:
    """A provider takes every request file up; returns how many results it gives back."""
    requests = [
        json.loads(line) for path in sorted(batch.glob("requests-*")) for line in path.open(encoding="utf-8")
    ]
    number = len(list((batch / "results").iterdir()))
    with (batch / "results" / f"output-{number}.jsonl").open("w", encoding="utf-8") as file:
        for request in requests:
            status, body = answer(request["body"])
            line = {"custom_id": request["custom_id"], "response": {"status_code": status, "body": body}}
            file.write(json.dumps(line | {"id": f"{number} {request['custom_id']}", "error": None}) + "\n")
    return len(requests)


def completed_by(server: Server) -> Callable[[Body], tuple[int, Body]]:
    def answer(body: Body) -> tuple[int, Body]:
        with urllib.request.urlopen(f"{server.url}/chat/completions", json.dumps(body).encode()) as response:
            return response.status, json.loads(response.read())

    return answer


def rejected(_: Body) -> tuple[int, Body]:
    return 400, {"error": {"message": "too long", "code": "context_length_exceeded"}}


def few(count: int = 6) -> list[Post]:
    return depression_posts()[:count]


def test_batch_files_give_the_same_results_as_live_requests(server: Server, tmp_path: Path) -> None:
    by_calls, by_batch = tmp_path / "calls", tmp_path / "batch"
    by_calls.mkdir()
    by_batch.mkdir()
    teacher = f"remote:test-model@{server.url}"
    run_teach(make_job(by_calls, few(), teacher=teacher), by_calls)
    assert server.hashes.total() == 6
    job, mode = make_job(by_batch, few(), teacher=teacher), DispatchMode(batch_folder=by_batch / "batch")
    with pytest.raises(MentallamaError, match="6 requests in 1 new file"):
        run_teach(job, by_batch, dispatch_mode=mode)
    assert not (by_batch / "teach" / RESPONSES_FILE).exists()
    assert server.hashes.total() == 6  # nothing was called
    assert provide(by_batch / "batch", completed_by(server)) == 6
    assert set(server.hashes.values()) == {2}  # the requests are the calls
    summary, _, said = run_teach(job, by_batch, dispatch_mode=mode)
    assert server.hashes.total() == 12
    assert summary.outcomes == {"test-model": {"parsed": 6}}
    assert not any("of no request of this run" in line for line in said)
    names = sorted(path.name for path in (by_calls / "teach").iterdir())
    assert len(names) >= 4
    for name in names:
        assert (by_calls / "teach" / name).read_bytes() == (by_batch / "teach" / name).read_bytes(), name


def test_results_of_other_runs_are_reported(server: Server, tmp_path: Path) -> None:
    mode = DispatchMode(batch_folder=tmp_path / "batch")
    with pytest.raises(MentallamaError):
        run_teach(make_job(tmp_path, few(), teacher=NOWHERE), tmp_path, dispatch_mode=mode)
    provide(tmp_path / "batch", completed_by(server))
    said = run_teach(make_job(tmp_path, few(4), teacher=NOWHERE), tmp_path, dispatch_mode=mode)[2]
    assert said[-1] == f"teach: 2 results in {tmp_path / 'batch'} are of no request of this run"


def test_a_person_is_erased_from_requests_and_results(server: Server, tmp_path: Path) -> None:
    """A result names nobody: before it is read the request's record tells, and after that the ledger."""
    run = tmp_path / "run"
    everyone = few()
    everyone[2] = everyone[2].model_copy(update={"text": "so tired"})  # too short to be looked for
    write_records(run / "collect/posts.jsonl.zst", everyone)
    mode, results = DispatchMode(batch_folder=run / "batch"), run / "batch/results/output-0.jsonl"
    with pytest.raises(MentallamaError):
        run_teach(make_job(run, everyone, teacher=NOWHERE), run, dispatch_mode=mode)
    provide(run / "batch", completed_by(server))
    erase(run, everyone[2].id)
    assert (
        lines(run / "batch/requests-0001.jsonl")
        == lines(run / "batch/metadata-0001.jsonl")
        == lines(results)
        == 5
    )
    rest = [post for post in everyone if post.id != everyone[2].id]
    run_teach(make_job(run, rest, teacher=NOWHERE), run, dispatch_mode=mode)
    for path in (run / "batch").glob("*.jsonl"):
        path.unlink()
    erase(run, everyone[4].id)
    assert lines(results) == 4
    with Ledger(run / "ledger.sqlite") as ledger:
        assert len(all_completions(ledger)) == 4


def test_rounds_of_the_command(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written, set aside, written again with --retry, answered; the endpoint itself is never called."""

    def teach(*options: str) -> tuple[int, str]:
        changes = [
            f"data={ROOT / 'sample'}",
            "sets=[DR]",
            "jobs=1",
            f"teach.teacher={NOWHERE}",
            "teach.use_batch_api=true",
        ]
        changes.append(f"collect.tables={json.dumps(build_tables('[DR]'))}")
        given = [part for change in changes for part in ("--set", change)]
        monkeypatch.setattr(
            sys,
            "argv",
            ["mentallama", "teach", str(BUILD_RECIPE), *given, "--out", str(tmp_path / "run"), *options],
        )
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(str(ended.code or 0))
        return code, capsys.readouterr().err

    batch = tmp_path / "run/batch"
    code, output = teach()
    assert code == 1
    assert (
        f"mentallama: {N_DR} requests in 1 new file in {batch} (requests-0001.jsonl): upload each as a batch"
        in output
    )
    code, output = teach()
    assert code == 1
    assert f"mentallama: {N_DR} requests written earlier without a result yet" in output
    provide(batch, rejected)
    code, output = teach()
    assert code == 1
    assert (
        f"teach: {N_DR} of {N_DR} requests to test-model failed ({N_DR} HTTP 400 context_length_exceeded: too long)"
        in output
    )
    code, output = teach("--retry")
    assert code == 1
    assert f"mentallama: {N_DR} requests in 1 new file in {batch} (requests-0002.jsonl)" in output
    (batch / "requests-0001.jsonl").unlink()
    provide(batch, completed_by(server))
    code, output = teach()
    assert code == 0
    assert "failed" not in output
    assert "teach: up to date\n" in teach()[1]


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
