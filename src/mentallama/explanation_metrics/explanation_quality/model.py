"""The fitted combination of features: a versioned JSON file of weights, which holds no text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from math import inf
from pathlib import Path

from pydantic import ValidationError

from mentallama.errors import DataError, UsageError
from mentallama.explanation_metrics.explanation_quality.features import FEATURES
from mentallama.records import RATING_SCORES, Record

WEIGHTS_FILE = "weights.json"
FORMAT_VERSION = 1
"""Changes when a feature changes its meaning: weights of another version are refused."""
MAX_SCORE = float(RATING_SCORES[-1])


class FitDescription(Record):
    """The ratings that weights were fitted to, and how well weights predict ratings that they had not seen.

    `data_sha256` is over posts, answers, labels and ratings; `fitted_to` are hashes of post and answer. `features`,
    `prior` and `shrinkage` were chosen by cross-validation. `pearson` is the out-of-fold correlation with the mean
    rating, with its 95 % interval over posts.
    """

    aspect: str
    task: str
    data_sha256: str
    rows: dict[str, int]
    prior: str
    shrinkage: float
    outer_folds: int
    inner_folds: int
    seed: int
    pearson: float
    pearson_interval: tuple[float, float] | None
    fitted_to: tuple[str, ...] = ()


class QualityModel(Record):
    """Weights of features, and where they come from.

    The score is the weighted sum, on the raters' scale of 0 to 3: there is no intercept, so that nothing right is 0.
    """

    version: int
    weights: dict[str, float]
    fit: FitDescription

    def score(self, features: Mapping[str, float | None]) -> float:
        """The score of an explanation, 0-3.

        A feature that is None, as the agreement with a reference label that is not known, counts as the weighted mean
        of the others.
        """
        present = {
            name: value for name, weight in self.weights.items() if (value := features[name]) is not None
        }
        share = sum(self.weights[name] for name in present) / sum(self.weights.values())
        total = sum(self.weights[name] * value for name, value in present.items())
        return min(MAX_SCORE, max(0.0, total / share)) if share else 0.0


def holds_weights(path: Path) -> bool:
    """Whether a file is one of weights, of this version or another."""
    try:
        return path.is_file() and bool(QualityModel.model_validate_json(path.read_bytes()))
    except ValidationError:
        return False


def read_quality_model(path: Path) -> QualityModel:
    """Read a file of weights.

    Raises
    ------
    UsageError
        There is no such file.
    DataError
        It is no file of weights, or one of another version.
    """
    if not path.is_file():
        raise UsageError(
            f"{path}: there is no such file of weights; write one with mentallama meta-evaluate --fit"
        )
    try:
        model = QualityModel.model_validate_json(path.read_bytes())
    except ValidationError:
        raise DataError("this is no file of weights of explanation_quality", path) from None
    if model.version != FORMAT_VERSION or not model.weights.keys() <= FEATURES.keys():
        raise DataError(
            f"these weights are for other features than those of version {FORMAT_VERSION}; fit them again",
            path,
        )
    if not (0 < sum(model.weights.values()) < inf and all(weight >= 0 for weight in model.weights.values())):
        raise DataError("its weights are not all numbers from 0, with one above 0; fit them again", path)
    return model


@cache
def default_quality_model() -> QualityModel:
    """The weights of the package."""
    content = files("mentallama.explanation_metrics.explanation_quality") / WEIGHTS_FILE
    return QualityModel.model_validate_json(content.read_bytes())
