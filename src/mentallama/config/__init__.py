"""Recipes: one YAML file per experiment, validated as a whole before any work starts."""

from mentallama.config.check import GATE_NAMES, Check, Publication
from mentallama.config.collect import Collect
from mentallama.config.endpoint import EndpointSettings, RemoteOptions, parse_remote_spec
from mentallama.config.evaluate import Evaluate, Judge
from mentallama.config.explain import Explain
from mentallama.config.loading import read_recipe
from mentallama.config.predict import Predict
from mentallama.config.recipe import Recipe, Report
from mentallama.config.teach import TEACHER_KINDS, Teach, Teacher
from mentallama.config.train import (
    TRAIN_SETTINGS,
    CausalSettings,
    EncoderSettings,
    FromScratchSettings,
    LinearSettings,
    LoraSettings,
    MajoritySettings,
    NeuralSettings,
    Seq2seqSettings,
    Train,
)

__all__ = [
    "GATE_NAMES",
    "TEACHER_KINDS",
    "TRAIN_SETTINGS",
    "CausalSettings",
    "Check",
    "Collect",
    "EncoderSettings",
    "EndpointSettings",
    "Evaluate",
    "Explain",
    "FromScratchSettings",
    "Judge",
    "LinearSettings",
    "LoraSettings",
    "MajoritySettings",
    "NeuralSettings",
    "Predict",
    "Publication",
    "Recipe",
    "RemoteOptions",
    "Report",
    "Seq2seqSettings",
    "Teach",
    "Teacher",
    "Train",
    "parse_remote_spec",
    "read_recipe",
]
