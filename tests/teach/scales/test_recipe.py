"""The recipe of the sample's scale, from the command line, and what `forget` erases of it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from mentallama.cli import app as cli
from mentallama.files.record_files import read_json, read_records
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.teach.scales.traces import ScaleTrace
from tests.factories.ledgers import all_completions
from tests.factories.project import ROOT


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
    assert "Items of scales: 134 not filled: the post tells no level, 37 level most days, 13 level some days" in shown
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
