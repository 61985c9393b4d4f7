"""Recipes: one YAML file an experiment, checked whole before work starts."""

from mentallama.config.check import GATES, Check
from mentallama.config.collect import Collect
from mentallama.config.loading import read_recipe
from mentallama.config.predict import Predict
from mentallama.config.recipe import STAGES, Evaluate, Recipe, Report
from mentallama.config.teach import TEACHERS, Teach, Teacher
from mentallama.config.train import ANALYSTS, Adapter, Causal, Encoder, Linear, Neural, New, Seq2seq, Train

__all__ = [
    "ANALYSTS",
    "GATES",
    "STAGES",
    "TEACHERS",
    "Adapter",
    "Causal",
    "Check",
    "Collect",
    "Encoder",
    "Evaluate",
    "Linear",
    "Neural",
    "New",
    "Predict",
    "Recipe",
    "Report",
    "Seq2seq",
    "Teach",
    "Teacher",
    "Train",
    "read_recipe",
]
