"""The linear model, trained on the files at hand: a yardstick that needs minutes and no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from mentallama.config import Recipe
from mentallama.errors import UsageError
from mentallama.evaluate.score_file import ScoreFile, read_scores
from mentallama.pipeline.runner import run_recipe
from mentallama.progress import log_to_stderr
from mentallama.reproduce.claims import ClaimFinding, PaperClaim, judge, not_possible
from mentallama.reproduce.inputs import ReproductionInputs
from mentallama.run_files import SCORES_PATH

SEED = 7
"""That of the recipe imhi-linear."""


def check_linear_scores(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Weighted F1 of the linear model on the release's test files; trains it if the user asked for that."""
    if not inputs.train:
        for name in claim.values:
            yield not_possible(claim, name, "the linear model is trained only with --train")
        return
    try:
        scores = train_linear_yardstick(inputs.data.folder, tuple(claim.values))
    except UsageError as fault:  # there is nothing to train on
        for name in claim.values:
            yield not_possible(claim, name, str(fault))
        return
    for name in claim.values:
        if name not in scores.sets:
            yield not_possible(claim, name, scores.missing_reasons.get(name, "there are no posts of it"))
            continue
        of_set = scores.sets[name]
        yield judge(
            claim, name, round(of_set.weighted_f1, 2), interval=of_set.weighted_f1_interval,
            cause=f"{of_set.n:,} rows, seed {SEED}",
        )  # fmt: skip


def train_linear_yardstick(data: Path, sets: tuple[str, ...]) -> ScoreFile:
    """Train and score the linear model as the recipe imhi-linear does, without keeping the run.

    Raises
    ------
    UsageError
        The folder holds no posts to train on.
    DataError
        A file is damaged.
    """
    recipe = Recipe.model_validate({
        "name": "linear-yardstick", "data": data, "sets": sets, "seed": SEED,
        "collect": {"leak_guard": "question", "validation_share": 0.2},
        "train": {}, "predict": {}, "evaluate": {},
    })  # fmt: skip
    with TemporaryDirectory(prefix="linear-yardstick-") as folder:
        run_recipe(recipe, Path(folder), log_to_stderr)
        return read_scores(Path(folder) / SCORES_PATH)
