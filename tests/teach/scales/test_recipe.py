"""The recipe of the sample's scale, from the command line, and what `forget` erases of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mentallama.cli import app as cli
from mentallama.files.record_files import read_json, read_records
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.teach.scales.traces import ScaleTrace
from tests.factories.endpoint_server import Body, Plan, serving
from tests.factories.ledgers import all_completions
from tests.factories.project import ROOT
from tests.factories.scale_cases import filled, objecting, step_of
from tests.factories.teach_cases import POST


def quoting_reply(body: Body) -> str:
    """Fill every item with the first words of the post; object to nothing."""
    if step_of(body) == "check":
        return objecting()
    post = POST.search(body["messages"][1]["content"])
    assert post is not None
    return filled("some days", " ".join(post[1].split()[:4]))


def mentallama(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mentallama", *arguments])
    try:
        cli.main()
    except SystemExit as ended:
        return int(str(ended.code or 0))
    return 0


def test_the_scale_of_the_sample_is_filled_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "sample/kinds", tmp_path / "sample/kinds")
    monkeypatch.chdir(tmp_path)
    teach = ("teach", str(ROOT / "recipes/sample-scale-teacher.yaml"), "--out", "run", "--set", "jobs=1")
    assert mentallama(monkeypatch, *teach) == 0
    run = tmp_path / "run"
    traces = list(read_records(run / "teach/scale_traces.jsonl.zst", ScaleTrace))
    n_filled = sum(any(item.level for item in trace.items) for trace in traces)
    n_revised = sum(item.revisions for trace in traces for item in trace.items)
    assert (len(traces), n_revised) == (46, 1)
    with Ledger(run / "ledger.sqlite") as ledger:
        # four items a post, a check for each that has a filled one, one revision and the check after it
        assert len(all_completions(ledger)) == 4 * 46 + n_filled + 1 + 1
    assert read_json(run / "teach/summary.json")["outcomes"] == {"scripted:scale_replies": {"parsed": 46}}
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "Items of scales: 134 not filled: the post tells no level; 37 filled: most days; 13 filled: some days"
        in shown
    )
    assert mentallama(monkeypatch, *teach) == 0
    assert "teach: up to date" in capsys.readouterr().err
    missing = ("--set", "teach.teacher=scripted:gone.jsonl", "--set", "teach.scale.pack=PHQ9")
    assert mentallama(monkeypatch, *teach, *missing) == 2
    said = capsys.readouterr().err
    assert "teach.teacher: there is no file gone.jsonl" in said
    assert "did you mean PHQ-9" in said
    assert mentallama(monkeypatch, "forget", traces[0].post_id, "--out", "run", "--yes") == 0
    left = list(read_records(run / "teach/scale_traces.jsonl.zst", ScaleTrace))
    assert left == traces[1:]
    with Ledger(run / "ledger.sqlite") as ledger:
        assert len(all_completions(ledger)) == 4 * 46 + n_filled + 2 - 7


def test_a_killed_run_asks_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "sample/kinds", tmp_path / "sample/kinds")
    monkeypatch.chdir(tmp_path)
    recipe = ("teach", str(ROOT / "recipes/sample-scale-teacher.yaml"), "--out", "run", "--set", "jobs=1")
    with serving(Plan(reply=quoting_reply, delay=0.02)) as server:
        changes = (
            f"teach.teacher=remote:test-model@{server.url}",
            "teach.splits=[test]",
            "teach.max_concurrency=2",
        )
        arguments = [*recipe, *(part for change in changes for part in ("--set", change))]
        with subprocess.Popen(
            [sys.executable, "-m", "mentallama", *arguments],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while len(server.hashes) < 15:
                assert process.poll() is None
                time.sleep(0.005)
            process.kill()
        assert not (tmp_path / "run/teach").exists()
        assert mentallama(monkeypatch, *arguments) == 0
        n_posts = len(list(read_records(tmp_path / "run/teach/scale_traces.jsonl.zst", ScaleTrace)))
        assert n_posts >= 6
        # four items and a check for each post; only what was in flight is asked again
        assert len(server.hashes) == 5 * n_posts
        assert server.hashes.total() <= 5 * n_posts + 2
