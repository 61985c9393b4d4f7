"""Where the project and the real data stand."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
SAMPLE = ROOT / "sample"
RECIPES = ROOT / "recipes"
DATA = Path(os.environ.get("MENTALLAMA_DATA", ROOT.parent / "shared" / "imhi"))
"""The folder of real files, with `release/` and `sources/`."""
