"""One process per run folder: a lock that ends with its process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mentallama.errors import UsageError
from mentallama.pipeline.run_lock import run_lock
from tests.factories.project import SOURCE

HOLD = """
import sys
from pathlib import Path
from mentallama.pipeline.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_folder_can_be_locked_again_once_it_is_released(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            run_lock(tmp_path),
            pytest.raises(UsageError, match="another process is working on this run"),
            run_lock(tmp_path),
        ):
            pass


def test_the_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), run_lock(tmp_path):
        raise ValueError("stop")
    with run_lock(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_released(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(UsageError, match="another process"), run_lock(tmp_path):
        pass
    process.kill()
    process.communicate()
    with run_lock(tmp_path):
        pass
