"""Export an encoder as sequence classifiers of transformers: one folder per question, for `text-classification`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mentallama.analysts.checkpoints.digests import CARD_FILE
from mentallama.analysts.checkpoints.hub_card import read_card_metadata, render_front_matter
from mentallama.analysts.checkpoints.metadata import LINEAR_MODEL_FILE, EncoderHead, ModelMetadata
from mentallama.analysts.checkpoints.optional_deps import require_torch
from mentallama.errors import MentallamaError, UsageError
from mentallama.export.folder import ExportSummary
from mentallama.export.source import ExportSource
from mentallama.files.atomic import write_text
from mentallama.files.markdown import escape_markdown
from mentallama.run_files import TRAIN_FOLDER
from mentallama.safety import NOTICE
from mentallama.tasks.terms import TERMS_FILE

PROBABILITY_TOLERANCE = 1e-5
"""Largest accepted difference of a probability: float32 rounding, which grows with the number of layers."""


def export_sequence_classifiers(source: ExportSource, out: Path) -> ExportSummary:
    """Write a sequence classifier for every question of an encoder into folders below `out`.

    `pipeline("text-classification", model=FOLDER, truncation=True)` gives the labels and the calibrated probabilities
    of `encoder:` for a post.

    Raises
    ------
    UsageError
        There is no encoder in the folder, or transformers has no classifier that can hold its heads.
    MentallamaError
        A classifier gives other probabilities than the encoder.
    """
    if any((source.path / folder / LINEAR_MODEL_FILE).is_file() for folder in ("", TRAIN_FOLDER)):
        raise UsageError(f"{source.path}: transformers has no linear models; name the folder of an encoder")
    require_torch()
    from mentallama.analysts.encoder.model import open_encoder

    classifier, metadata, _ = open_encoder(str(source.path), "cpu", "float32")
    names = classifier_names(metadata)
    models = _sequence_classifiers(source.path, classifier, metadata)
    for name, head, model in zip(names, metadata.heads, models, strict=True):
        model.save_pretrained(out / name, safe_serialization=True)
        _save_tokenizer(classifier, out / name)
        _write_card(source.path, metadata, head, out / name)
    folders = ", ".join(f"`{name}`" for name in names)
    usage = f"One folder a question: {folders}.\n\n{_USAGE.format(folder=names[0])}"
    return ExportSummary(usage, [_READS[metadata.reads], _PRECISION])


def _write_card(model: Path, metadata: ModelMetadata, head: EncoderHead, folder: Path) -> None:
    """Write a classifier's card, and the terms of the encoder it is made from."""
    of_encoder = read_card_metadata(model / CARD_FILE)
    datasets = [
        name for name in of_encoder.get("datasets", []) if name.removesuffix("-synthetic") == head.set
    ]
    shown = of_encoder | {"datasets": datasets} | {"pipeline_tag": "text-classification"}
    shown = {key: value for key, value in shown.items() if value} | {"library_name": "transformers"}
    body = (
        f"# {escape_markdown(head.set)}: {escape_markdown(head.name)}\n\n> {NOTICE}\n\n"
        f"{_USAGE.format(folder=folder.name)}\nLabels: {', '.join(map(escape_markdown, head.labels))}. "
        f"{_READS[metadata.reads]} {_PRECISION}\n"
    )
    write_text(folder / CARD_FILE, f"{render_front_matter(shown)}\n{body}")
    if (model / TERMS_FILE).is_file():
        shutil.copyfile(model / TERMS_FILE, folder / TERMS_FILE)


_USAGE = """```python
from transformers import pipeline

classify = pipeline("text-classification", model="{folder}", truncation=True)
classify("text of a post", top_k=None)  # every label with its probability
```
"""
_READS = {
    "posts": "The probabilities are those of `encoder:` for a post whose personal details were replaced, as "
    "`mentallama` does for every post that it reads; give such posts here too.",
    "explanations": "The classifiers read explanations, not posts.",
}
_PRECISION = (
    "The calibration is part of the weights. These are for prediction, in float32 or bfloat16; float16 overflows where "
    "a layer was added to average the tokens' states. To train further, start from the encoder."
)


def classifier_names(metadata: ModelMetadata) -> list[str]:
    """Folder names of the classifiers, such as `dreaddit-stress`, in the order of the heads.

    Raises
    ------
    UsageError
        Two questions of a set differ only in characters that file names lack.
    """
    questions = [re.sub(r"[^\w.]+", "-", head.name).strip("-.") for head in metadata.heads]
    names = [f"{head.set}-{question}" for head, question in zip(metadata.heads, questions, strict=True)]
    if len({name.casefold() for name in names}) < len(names):
        raise UsageError("two questions of a set have the same letters; rename one in the task file")
    return names


def _sequence_classifiers(folder: Path, classifier: Any, metadata: ModelMetadata) -> Iterator[Any]:
    """The classifiers, in the order of the heads, each checked against the encoder."""
    from mentallama.analysts.encoder.model import head_slices
    from mentallama.export.stock_heads import sequence_classifier

    for head, columns in zip(metadata.heads, head_slices(metadata.heads), strict=True):
        if head.of_tokens:
            raise UsageError(
                f"{folder}: {head.set} asks for quotations, which a sequence classifier does not give; train an "
                "encoder of the other sets"
            )
        try:
            model = sequence_classifier(classifier.model, columns, head)
        except UsageError as fault:
            raise UsageError(f"{folder}: {fault}") from None
        difference = _largest_difference(model, classifier, columns, head)
        if not difference <= PROBABILITY_TOLERANCE:
            raise MentallamaError(
                f"{folder}: the sequence classifier of {head.set} ({head.name}) differs from the encoder by "
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
