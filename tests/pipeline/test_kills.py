"""A few random kills, each resumed by the same command; `benchmarks/kills.py` makes many, of every command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.factories.project import ROOT


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc here")
def test_killed_commands_end_with_the_bytes_of_undisturbed_ones() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/kills.py", "--kills", "20", "--only", "predict", "forget"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["predict", "forget"]
    assert all("3 kills" in line and " 0 deviations" in line for line in lines)
