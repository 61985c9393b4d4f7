"""Train: fit an analyst to what earlier stages wrote.

    mentallama train recipes/imhi-linear.yaml

Reads rows of the splits train and validation, never test rows: posts (`collect/posts.jsonl.zst`), rows with answers
(`check/instructions.jsonl.zst`; without check, the release's own `collect/responses.jsonl.zst`), preference pairs or
text, depending on analyst and objective. Writes the model's folder, to be opened as `ANALYST:runs/NAME/train`, and
`summary.json`; neural trainers also write `metrics.jsonl`. No file contains a time stamp, and none but `metrics.jsonl`
depends on how long the training took.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mentallama.analysts.checkpoints.optional_deps import require_torch
from mentallama.analysts.registry import ANALYSTS
from mentallama.config import LinearSettings, Recipe
from mentallama.files.atomic import write_json
from mentallama.files.record_files import read_records
from mentallama.progress import progress_bar
from mentallama.records import Post
from mentallama.run_files import POSTS_PATH, SUMMARY_FILE

Trainer = Callable[[Recipe, Path, Path], dict[str, Any]]
"""`trainer(recipe, folder, out)` trains on the run in `folder`, writes the model to `out` and returns counts for the
manifest."""


def run(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Train the recipe's analyst and write it to `out`; raises what its trainer raises."""
    assert recipe.train is not None
    kind, objective = recipe.train.analyst, getattr(recipe.train, "objective", "sft")
    if "torch" in ANALYSTS[kind].libraries:
        require_torch()
    trainer = TRAINERS[kind, objective]()
    return trainer(recipe, folder, out)


def train_linear_stage(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Train the linear analyst on the run's posts; returns the counts for the manifest."""
    from mentallama.train.linear.trainer import train_linear
    from mentallama.train.model_card import write_linear_card

    settings = recipe.train
    assert isinstance(settings, LinearSettings)
    posts = list(read_records(folder / POSTS_PATH, Post))
    with progress_bar("train: fit", len({post.set for post in posts}), unit="sets") as advance:
        summary = train_linear(posts, out, settings, recipe.jobs, recipe.catalogue(), lambda _: advance(1))
    shown = summary.model_dump(mode="json", exclude={"sets": {"__all__": {"seconds"}}})
    write_json(out / SUMMARY_FILE, shown)
    write_linear_card(out, recipe, shown, folder)
    return summary.model_dump(mode="json")


def _majority() -> Trainer:
    from mentallama.train.majority import train_majority

    return train_majority


def _encoder() -> Trainer:
    from mentallama.train.objectives.encoder_classification import train_encoder

    return train_encoder


def _causal_sft() -> Trainer:
    from mentallama.train.objectives.causal_sft import train_causal_sft

    return train_causal_sft


def _causal_pretraining() -> Trainer:
    from mentallama.train.objectives.continued_pretraining import train_pretraining

    return train_pretraining


def _causal_dpo() -> Trainer:
    from mentallama.train.objectives.dpo import train_dpo

    return train_dpo


def _seq2seq() -> Trainer:
    from mentallama.train.objectives.seq2seq_sft import train_seq2seq

    return train_seq2seq


TRAINERS: dict[tuple[str, str], Callable[[], Trainer]] = {
    ("linear", "sft"): lambda: train_linear_stage,
    ("majority", "sft"): _majority,
    ("encoder", "sft"): _encoder,
    ("causal", "sft"): _causal_sft,
    ("causal", "pretrain"): _causal_pretraining,
    ("causal", "dpo"): _causal_dpo,
    ("seq2seq", "sft"): _seq2seq,
}
"""Trainers by analyst kind and objective, each imported when it is used, because torch is optional."""
