"""Metadata that this project writes beside a trained neural model: `mentallama.json` and `seen.json`.

The weights and the tokenizer are in the layout of transformers, as safetensors only, so any tool can read them.
`seen.json` holds hashes of the posts that training or model selection used: anyone who has a set of posts can verify
that none of them was used, but nobody can recover a post from its hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from mentallama.analysts.answer_parts import head_name
from mentallama.analysts.base import AnalystSpec
from mentallama.errors import DataError
from mentallama.files.atomic import write_json
from mentallama.files.record_files import read_json, read_record
from mentallama.records import Form, Record
from mentallama.text.fingerprint import text_key

METADATA_FILE, SEEN_FILE = "mentallama.json", "seen.json"
LINEAR_MODEL_FILE = "model.json"
"""The metadata of a linear model, which has files of its own."""
MAJORITY_MODEL_FILE = "label_counts.json"
"""All that a majority model consists of."""


def _is_default(value: str | bool) -> bool:
    return not value


class EncoderHead(Record):
    """The head of one question or part: its labels in the order of its outputs, and the temperature of its softmax.

    The fields that only heads of parts have are left out of the file where they are "" and False.
    """

    set: str
    question: str
    part: str = Field(default="", exclude_if=_is_default)
    """The part of the question that it decides about; "" for an answer that is a single decision."""
    ordered: bool = Field(default=False, exclude_if=_is_default)
    """Whether its labels are levels, from lowest to highest."""
    of_tokens: bool = Field(default=False, exclude_if=_is_default)
    """Whether it decides about every token, so that passages can be quoted, and about the text by its best token."""
    labels: tuple[str, ...]
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @property
    def name(self) -> str:
        """The name of the head among those of its set."""
        return head_name(self.question, self.part)


class ModelMetadata(Record):
    """How a model was trained, as far as its use depends on it.

    `fingerprint` names the model in predictions: a hash of rows, settings and base. `max_tokens` is the length of the
    longest training row, `sets` are the sets trained on.
    """

    analyst: Literal["encoder", "causal", "seq2seq"]
    fingerprint: str
    form: Form
    max_tokens: int
    sets: tuple[str, ...]
    template: Literal["chat", "plain"] = "plain"
    base: str | None = None
    reads: Literal["posts", "explanations"] = "posts"
    pooling: Literal["mean", "cls"] = "mean"
    heads: tuple[EncoderHead, ...] = ()


def write_model_metadata(folder: Path, model: ModelMetadata, seen: Iterable[str]) -> None:
    """Write both files; `seen` are hashes made by `seen_hash`."""
    write_json(folder / SEEN_FILE, sorted(set(seen)))
    write_json(folder / METADATA_FILE, model.model_dump(mode="json"))


def read_model_metadata(folder: Path) -> ModelMetadata | None:
    """Metadata of a model, or None if it was not trained by this project.

    Raises
    ------
    DataError
        The file is not valid metadata.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        return None
    return read_record(path, ModelMetadata)


def model_query_form(spec: str) -> Form:
    """The form of query that the model of a spec was trained on; `instruction` if it was not trained here."""
    folder = AnalystSpec.parse(spec).folder
    metadata = read_model_metadata(folder) if folder is not None else None
    return metadata.form if metadata is not None else "instruction"


def read_seen_hashes(folder: Path) -> frozenset[str]:
    """Hashes of the posts that a model was trained on or selected by.

    Raises
    ------
    DataError
        The file is missing or damaged, so that leakage cannot be ruled out.
    """
    path = folder / SEEN_FILE
    if not path.is_file():
        raise DataError("missing, so nobody can tell which posts the model has seen; train again", path)
    hashes = read_json(path)
    if not isinstance(hashes, list) or not all(isinstance(item, str) for item in hashes):
        raise DataError("not a list of hashes; train again", path)
    return frozenset(hashes)


def seen_hash(text: str) -> str:
    """Hash of a cleaned post; copies that differ only in case, punctuation or encoding damage share it."""
    return hashlib.blake2b(text_key(text).encode(), digest_size=12).hexdigest()
