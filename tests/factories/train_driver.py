"""A training started by torchrun, as tests compare it with one in a single process.

torchrun --nproc-per-node 2 tests/factories/train_driver.py RECIPE_JSON RUN_FOLDER OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from mentallama.config import Recipe
from mentallama.train.loop.distributed import destroy_group
from mentallama.train.run import run
from tests.factories.training import first_gradients_saved

if __name__ == "__main__":
    torch.set_num_threads(1)
    recipe, folder, out = (Path(argument) for argument in sys.argv[1:])
    with first_gradients_saved(folder):
        run(Recipe.model_validate_json(recipe.read_text(encoding="utf-8")), folder, out)
    destroy_group()
