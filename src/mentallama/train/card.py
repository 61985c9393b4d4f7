"""The model card: what a folder with weights says to people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mentallama.config import Recipe
from mentallama.models.model_file import ModelFile
from mentallama.safety import NOTICE
from mentallama.store import write_json, write_text

SUMMARY = "summary.json"


def write_card(out: Path, recipe: Recipe, model: ModelFile, counts: dict[str, Any]) -> None:
    """Write `README.md` and `summary.json` beside the weights."""
    write_json(out / SUMMARY, counts)
    write_text(out / "README.md", f"# {recipe.name}\n\n{NOTICE}\n")
