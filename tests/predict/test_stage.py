"""The settings of predict as analysts take them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from mentallama.analysts.base import InferenceOptions
from mentallama.config import Predict
from mentallama.predict.stage import PredictJob, inference_options
from mentallama.tasks import load_tasks

NOT_FOR_ANALYSTS = {"max_failed_share", "model", "splits", "allow_remote", "max_rows_per_set", "examples"}


def values(options: InferenceOptions) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in fields(options)}


def test_every_setting_reaches_the_analyst() -> None:
    prediction = {
        "mode": "free",
        "labels_only": True,
        "template": "plain",
        "max_new_tokens": 3,
        "max_batch_tokens": 5,
        "dtype": "bfloat16",
        "device": "cpu",
        "max_concurrency": 7,
        "timeout": 9.0,
        "extra_body": {"top_k": 1},
        "max_attempts": 2,
        "key_env_var": "SOME_KEY",
        "requests_per_minute": 60,
        "tokens_per_minute": 600,
        "system_role": "user",
        "temperature": 0.5,
        "input_price": 1.5,
        "output_price": 6.0,
        "budget": 20.0,
        "scoring": "chat",
        "letter_orders": 2,
        "prompt": "zero-shot",
        "shots": 3,
        "seed": 5,
        "evidence": "full",
    }
    assert set(prediction) == set(Predict.model_fields) - NOT_FOR_ANALYSTS
    options = values(
        inference_options(PredictJob("linear:x", Predict.model_validate(prediction), load_tasks()))
    )
    assert {name: options[name] for name in prediction} == prediction


def test_without_a_recipe_an_analyst_has_the_defaults_of_the_recipe() -> None:
    options, settings = values(InferenceOptions()), Predict()
    shared = set(options) & set(Predict.model_fields)
    assert len(shared) == 26
    assert {name: options[name] for name in shared} == {name: getattr(settings, name) for name in shared}
