"""Train: fit an analyst to what earlier stages wrote.

    mentallama train recipes/imhi-linear.yaml

Reads rows of the splits train and validation; test rows are not looked at. What is read depends on the analyst:
posts (`collect/posts.jsonl.zst`), or rows with answers (`check/instructions.jsonl.zst`; without check, the release's
own `collect/responses.jsonl.zst`). Writes the model's folder, to be opened as `ANALYST:runs/NAME/train`, and
`summary.json`. No file holds a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mentallama.config import LinearSettings, Recipe
from mentallama.files.record_files import read_records, write_json
from mentallama.progress import progress_bar
from mentallama.records import Post
from mentallama.run_files import POSTS_PATH, SUMMARY_FILE

Trainer = Callable[[Recipe, Path, Path], dict[str, Any]]
"""`(recipe, run folder, out)`; returns counts for the manifest."""


def run(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Train the recipe's analyst into `out`; see each trainer for what can go wrong."""
    assert recipe.train is not None
    return TRAINERS[recipe.train.analyst, getattr(recipe.train, "objective", "sft")](recipe, folder, out)


def _linear(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.train.linear.trainer import train_linear

    settings = recipe.train
    assert isinstance(settings, LinearSettings)
    with progress_bar("train: fit", None) as advance:
        posts = read_records(folder / POSTS_PATH, Post)
        summary = train_linear(posts, out, settings, recipe.jobs, recipe.catalogue(), lambda _: advance(1))
    write_json(
        out / SUMMARY_FILE, summary.model_dump(mode="json", exclude={"sets": {"__all__": {"seconds"}}})
    )
    return summary.model_dump(mode="json")


def _causal_sft(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.train.objectives.language import train_causal_sft

    return train_causal_sft(recipe, folder, out)


def _pretrain(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.train.objectives.continued_pretraining import train_pretraining

    return train_pretraining(recipe, folder, out)


def _dpo(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.train.objectives.dpo import train_dpo

    return train_dpo(recipe, folder, out)


def _encoder(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.train.objectives.encoder_classification import train_encoder

    return train_encoder(recipe, folder, out)


def _seq2seq(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.train.objectives.seq2seq_sft import train_seq2seq

    return train_seq2seq(recipe, folder, out)


TRAINERS: dict[tuple[str, str], Trainer] = {
    ("linear", "sft"): _linear,
    ("encoder", "sft"): _encoder,
    ("causal", "sft"): _causal_sft,
    ("causal", "pretrain"): _pretrain,
    ("causal", "dpo"): _dpo,
    ("seq2seq", "sft"): _seq2seq,
}
"""By what a recipe calls the analyst, and what it learns."""
