"""What a folder of a trained neural model says of itself: `mentallama.json`, and `seen.json`.

The weights and the tokenizer beside them are in transformers' own layout, safetensors only, so that any tool reads
them. `seen.json` holds hashes of the posts that training and its choices saw: with it, anyone who has the posts can
prove that none of them was among them, and nobody can read a post from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from mentallama.analysts.base import AnalystSpec
from mentallama.errors import DataError
from mentallama.files.record_files import read_json, write_json
from mentallama.records import Form, Record
from mentallama.text.fingerprint import text_key

METADATA_FILE, SEEN_FILE = "mentallama.json", "seen.json"


class EncoderHead(Record):
    """One question that an encoder answers: its labels in the order of the head's outputs, and its temperature."""

    set: str
    question: str
    labels: tuple[str, ...]
    temperature: float = 1.0


class ModelMetadata(Record):
    """How a model was made, as far as it must be known to use it.

    `fingerprint` names the model in predictions: a hash of the rows, the settings and the base. `max_tokens` is the
    longest row in training. `sets` are the sets that were trained on.
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
    """Write both files; `seen` are the hashes of `seen_hash`."""
    write_json(folder / SEEN_FILE, sorted(set(seen)))
    write_json(folder / METADATA_FILE, model.model_dump(mode="json"))


def read_model_metadata(folder: Path) -> ModelMetadata | None:
    """What the folder says; None where it is a model that was not trained here.

    Raises
    ------
    BadData
        The file does not hold what it should.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        return None
    try:
        return ModelMetadata.model_validate(read_json(path))
    except ValidationError as fault:
        fields = sorted({".".join(map(str, error["loc"])) for error in fault.errors()})
        raise DataError(f"not what training writes: see {', '.join(fields)}; train again", path) from None


def model_query_form(spec: str) -> Form:
    """The form in which the model of a spec was trained here; of any other model, the instruction form."""
    folder = AnalystSpec.parse(spec).folder
    metadata = read_model_metadata(folder) if folder is not None else None
    return metadata.form if metadata is not None else "instruction"


def read_seen_hashes(folder: Path) -> frozenset[str]:
    """Hashes of the posts that a model has seen.

    Raises
    ------
    BadData
        The file is missing or damaged: then nothing can be proved.
    """
    path = folder / SEEN_FILE
    if not path.is_file():
        raise DataError(
            "there is no such file, so that nobody can tell what the model has seen; train again", path
        )
    hashes = read_json(path)
    if not isinstance(hashes, list) or not all(isinstance(each, str) for each in hashes):
        raise DataError("not a list of hashes; train again", path)
    return frozenset(hashes)


def seen_hash(text: str) -> str:
    """The hash of a cleaned post, the same for copies that differ in case, marks or mis-decoding."""
    return hashlib.blake2b(text_key(text).encode(), digest_size=12).hexdigest()
