"""Runs a script with the tools that are exported to: in their own environment, without network, with an empty home."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.factories.project import ROOT, SOURCE

TOOLS = ROOT / ".venv-tools"
SCRIPTS = ROOT / "tests/export/tools"
LLAMA_FACTORY = TOOLS / "llamafactory/llamafactory"

needs_tools = pytest.mark.skipif(
    not (TOOLS / ".installed").is_file(),
    reason="THE EXPORTS ARE NOT TESTED IN THEIR TOOLS: there is no .venv-tools; run `make tools`",
)

_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "DISABLE_TELEMETRY": "1",
    "NO_COLOR": "1",
}


def run_script(name: str, *arguments: object, home: Path) -> Any:
    """Run a script of `tests/export/tools` and return the JSON that it prints last.

    Parameters
    ----------
    home
        Home and working folder of the script.
    """
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(TOOLS / "bin/python"), str(SCRIPTS / name), *map(str, arguments)],
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TMPDIR": str(home),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": f"{SCRIPTS / 'guard'}{os.pathsep}{SOURCE}",
            **_QUIET,
        },
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
    )
    assert done.returncode == 0, f"{name}: exit code {done.returncode}\n{done.stderr[-3000:]}"
    return json.loads(done.stdout.splitlines()[-1])
