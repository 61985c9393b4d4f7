"""Export an encoder as sequence classifiers of transformers: one folder per question, for `text-classification`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata
from mentallama.analysts.checkpoints.optional_deps import require_torch
from mentallama.errors import MentallamaError, UsageError
from mentallama.files.atomic import full_disk_named
from mentallama.files.ownership import make_output_folder
from mentallama.safety import NOTICE

PROBABILITY_TOLERANCE = 1e-5
"""Largest accepted difference of a probability: float32 rounding, which grows with the number of layers."""


def export_sequence_classifiers(folder: Path, out: Path) -> list[Path]:
    """Write a sequence classifier for every question of an encoder; returns their folders below `out`.

    `pipeline("text-classification", model=FOLDER, truncation=True)` gives the labels and the calibrated probabilities
    of `encoder:` for a post. `out` appears whole or not at all.

    Raises
    ------
    UsageError
        There is no encoder in the folder, transformers has no classifier that can hold its heads, or `out` exists.
    MentallamaError
        A classifier gives other probabilities than the encoder.
    """
    require_torch()
    from mentallama.analysts.encoder.model import open_encoder

    if os.path.lexists(out):
        raise UsageError(f"{out} exists already; name a new folder")
    classifier, metadata, _ = open_encoder(str(folder), "cpu", "float32")
    names = classifier_names(metadata)
    make_output_folder(out.parent)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with full_disk_named(partial):
        for name, model in zip(names, _sequence_classifiers(folder, classifier, metadata), strict=True):
            model.save_pretrained(partial / name, safe_serialization=True)
            _save_tokenizer(classifier, partial / name)
    partial.rename(out)
    return [out / name for name in names]


def classifier_names(metadata: ModelMetadata) -> list[str]:
    """Folder names of the classifiers, such as `dreaddit-stress`, in the order of the heads.

    Raises
    ------
    UsageError
        Two questions of a set differ only in characters that file names lack.
    """
    questions = [re.sub(r"[^\w.]+", "-", head.question).strip("-.") for head in metadata.heads]
    names = [f"{head.set}-{question}" for head, question in zip(metadata.heads, questions, strict=True)]
    if len({name.casefold() for name in names}) < len(names):
        raise UsageError("two questions of a set have the same letters; rename one in the task file")
    return names


def _sequence_classifiers(folder: Path, classifier: Any, metadata: ModelMetadata) -> Iterator[Any]:
    """The classifiers, in the order of the heads, each checked against the encoder."""
    from mentallama.analysts.encoder.model import head_slices
    from mentallama.export.stock_heads import sequence_classifier

    for head, columns in zip(metadata.heads, head_slices(metadata.heads), strict=True):
        try:
            model = sequence_classifier(classifier.model, columns, head)
        except UsageError as fault:
            raise UsageError(f"{folder}: {fault}") from None
        difference = _largest_difference(model, classifier, columns, head)
        if not difference <= PROBABILITY_TOLERANCE:
            raise MentallamaError(
                f"{folder}: the sequence classifier of {head.set} ({head.question}) differs from the encoder by "
                f"{difference:.1g} in a probability, so it was not written; please report this with the versions of "
                "torch and transformers"
            )
        yield model


def _largest_difference(model: Any, classifier: Any, columns: slice, head: EncoderHead) -> float:
    """Largest difference of a probability on a short text and on one that is truncated."""
    import torch

    rows, _ = classifier.tokenize([NOTICE, f"{NOTICE} " * classifier.max_length])
    differences = []
    with torch.inference_mode():
        for row in rows:
            ids = torch.tensor([row])
            mask = torch.ones_like(ids)
            ours = classifier.model(ids, mask)[:, columns] / head.temperature
            theirs = model(input_ids=ids, attention_mask=mask).logits
            differences.append((ours.softmax(1) - theirs.softmax(1)).abs().max().item())
    return float(max(differences))


def _save_tokenizer(classifier: Any, folder: Path) -> None:
    """Save the tokenizer so that it truncates where the encoder does, and returns what the encoder reads."""
    tokenizer = classifier.tokenizer
    tokenizer.model_max_length, tokenizer.padding_side = classifier.max_length, "right"
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    tokenizer.save_pretrained(folder)
