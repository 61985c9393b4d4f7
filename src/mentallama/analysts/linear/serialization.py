"""A linear model on disk: `model.json` and one `SET.npz` per set.

The files contain no pickle, no words and no time stamps: the same model gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mentallama.analysts.checkpoints.digests import verify_hashes, write_hashes
from mentallama.analysts.checkpoints.metadata import LINEAR_MODEL_FILE
from mentallama.analysts.linear.features import Featurizer, HashArray, NgramConfig
from mentallama.analysts.linear.level_scale import LevelScale
from mentallama.errors import DataError, UsageError
from mentallama.files.atomic import atomic_write, write_json
from mentallama.files.manifest import digest_file
from mentallama.files.record_files import invalid_record
from mentallama.run_files import TRAIN_FOLDER

ClassWeight = Literal["none", "balanced"]


class LinearHeadMetadata(BaseModel):
    """The labels of one head, and how its weights were fitted.

    `part` is the part of the question that it decides about, "" for an answer that is a single decision; `ordered`:
    its labels are levels, from lowest to highest; `min_quote_weight`: the log-odds above which a type of quotation
    quotes a phrase. They are left out of the file where they are "", False and 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    part: str = Field(default="", exclude_if=lambda part: not part)
    ordered: bool = Field(default=False, exclude_if=lambda ordered: not ordered)
    min_quote_weight: float = Field(default=0.0, exclude_if=lambda weight: not weight)
    labels: tuple[str, ...]
    label_prior: tuple[float, ...]
    """Label distribution that the fit assumes (see `train.linear.fit`), from which evidence is counted; never 0."""
    C: float
    class_weight: ClassWeight
    evidence_weight: float
    topics: int
    shift: bool
    temperature: float
    weighted_f1: float


class LinearSetMetadata(BaseModel):
    """One set's part of a model: its heads, and the digest of its weights file, which enters the model's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    features: int
    questions: dict[str, LinearHeadMetadata]
    """The heads, by name (`answer_parts.head_name`)."""


class LinearModelMetadata(BaseModel):
    """Content of `model.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mentallama-linear"] = "mentallama-linear"
    version: Literal[1] = 1
    ngrams: NgramConfig
    sets: dict[str, LinearSetMetadata]


@dataclass(frozen=True)
class LinearHead:
    """Weights of one question, or of one part of it.

    `weights` has shape (features, labels) and sums to 0 over the labels of each feature; so do
    `intercepts`. They are divided by the temperature, so logits are calibrated.
    """

    metadata: LinearHeadMetadata
    weights: NDArray[np.float32]
    intercepts: NDArray[np.float32]

    @cached_property
    def level_scale(self) -> LevelScale:
        """The scale of the levels of an ordered head."""
        prior = np.array(self.metadata.label_prior)
        return LevelScale.of_weights(
            self.weights.astype(np.float64), self.intercepts.astype(np.float64), prior
        )


@dataclass(frozen=True)
class LinearSetModel:
    """Vocabulary of a set, and the weights of its heads, by name."""

    keys: HashArray
    idf: NDArray[np.float32]
    heads: Mapping[str, LinearHead]

    def featurizer(self, ngrams: NgramConfig) -> Featurizer:
        return Featurizer(self.keys, self.idf.astype(np.float64), ngrams)


def _write_set(path: Path, model: LinearSetModel) -> LinearSetMetadata:
    """Write a weights file. The last label is left out, since it is minus the sum of the others."""
    arrays: dict[str, NDArray[np.generic]] = {"keys": model.keys, "idf": model.idf}
    for number, head in enumerate(model.heads.values()):
        arrays[f"weights{number}"] = head.weights[:, :-1]
        arrays[f"intercepts{number}"] = head.intercepts[:-1]
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    questions = {question: head.metadata for question, head in model.heads.items()}
    return LinearSetMetadata(
        digest=digest_file(path, path.name).sha256, features=len(model.keys), questions=questions
    )


def restore_last_label(stored: NDArray[np.float32]) -> NDArray[np.float32]:
    """Append the last label, so that the last axis sums to 0; the result is contiguous by rows."""
    return np.ascontiguousarray(np.concatenate([stored, -stored.sum(axis=-1, keepdims=True)], axis=-1))


def _read_set(path: Path, metadata: LinearSetMetadata) -> LinearSetModel:
    """Read a weights file whose digest has been verified."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            heads = {
                question: LinearHead(
                    head,
                    restore_last_label(arrays[f"weights{i}"]),
                    restore_last_label(arrays[f"intercepts{i}"]),
                )
                for i, (question, head) in enumerate(metadata.questions.items())
            }
            keys, idf = np.array(arrays["keys"], np.uint32), np.array(arrays["idf"], np.float32)
            model = LinearSetModel(keys.reshape(-1), idf, heads)
    except Exception as error:  # a file of this kind that was not written here fails in any of numpy's ways
        raise DataError("not a weights file; copy the model again, or train again", path) from error
    _check_arrays(path, model)
    return model


def _check_arrays(path: Path, model: LinearSetModel) -> None:
    """Raise `DataError` if weights are NaN or infinite, or do not fit the features and labels."""
    features = len(model.keys)
    shapes: list[tuple[NDArray[np.float32], tuple[int, ...]]] = [(model.idf, (features,))]
    for head in model.heads.values():
        labels = len(head.metadata.labels)
        shapes += [(head.weights, (features, labels)), (head.intercepts, (labels,))]
    if any(array.shape != shape for array, shape in shapes):
        raise DataError("its weights do not fit the features and labels of the model; train again", path)
    if not all(np.isfinite(array).all() for array, _ in shapes):
        raise DataError("it holds NaN or infinite weights, which give no prediction; train again", path)


def save_linear_model(folder: Path, ngrams: NgramConfig, sets: Mapping[str, LinearSetModel]) -> None:
    """Write a model, then its digests; a folder that has digests is complete."""
    metadata = {name: _write_set(folder / f"{name}.npz", model) for name, model in sets.items()}
    write_json(folder / LINEAR_MODEL_FILE, LinearModelMetadata(ngrams=ngrams, sets=metadata).model_dump())
    write_hashes(folder)


def load_linear_model(folder: Path) -> tuple[NgramConfig, dict[str, LinearSetModel], str]:
    """Read a model: its n-grams, its sets, and a short hash of its content.

    Raises
    ------
    UsageError
        There is no model in the folder.
    DataError
        A file is missing, damaged, or of another version.
    """
    path = folder / LINEAR_MODEL_FILE
    if not path.is_file():
        in_run = folder / TRAIN_FOLDER
        hint = (
            f"did you mean linear:{in_run}?" if (in_run / LINEAR_MODEL_FILE).is_file() else "train one first"
        )
        raise UsageError(f"{folder}: there is no linear model here (no {LINEAR_MODEL_FILE}); {hint}")
    raw = path.read_bytes()
    try:
        metadata = LinearModelMetadata.model_validate_json(raw)
    except ValidationError as error:
        raise DataError(invalid_record(LinearModelMetadata, error, "the whole file"), path) from None
    verify_hashes(folder, made_here=True)
    sets = {name: _read_set(folder / f"{name}.npz", entry) for name, entry in metadata.sets.items()}
    return metadata.ngrams, sets, hashlib.sha256(raw).hexdigest()[:12]
