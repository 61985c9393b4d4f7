"""Train a decoder language model on text as it stands (continued pre-training, Gururangan et al. 2020):
`train.analyst: causal` with `objective: pretrain`.

Reads `train.corpus` and `train.general_corpus`, and the run's posts, where it has some, to prove that no test post is learnt
from. Writes the model as `train.language` does, so that a later recipe can name the folder as its `base`. Perplexity,
the exponential of the mean loss of a token, is measured on documents that are held back and on general text, before
the first step and at every look.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from mentallama.analysts.checkpoints.device import choose_dtype
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.config import CausalSettings, Recipe
from mentallama.errors import UsageError
from mentallama.train.data.corpus import Corpus, Document, read_corpus, refuse_documents_with_test_posts
from mentallama.train.data.instructions import POSTS_PATH
from mentallama.train.loop.batching import PackingBin
from mentallama.train.loop.checkpointing import TrainingState
from mentallama.train.loop.distributed import DistributedContext, init_distributed, shard_model
from mentallama.train.loop.loop import Metrics, Objective, fit
from mentallama.train.loop.session import (
    cached_baseline,
    finalize_model,
    training_fingerprint,
    training_history,
    training_session,
)
from mentallama.train.loop.validation import summed_loss
from mentallama.train.objectives.causal_sft import CausalRow, CausalRows, causal_loss, collate_causal
from mentallama.train.objectives.language import prepare_causal_model, save_language_model


def train_pretraining(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Train on text; returns the counts of the manifest.

    Raises
    ------
    WrongUse
        As `read_corpus` and `open_weights`; a document is a test post of the run or holds one.
    BadData
        As `read_corpus`.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    assert settings.corpus is not None
    if settings.metric_for_best != "loss":
        raise UsageError(
            "metric_for_best: weighted_f1 needs labels, and text has none; with objective: pretrain use metric_for_best: loss"
        )
    devices = init_distributed(settings.device)
    corpus = read_corpus(settings.corpus, settings.general_corpus)
    if (folder / POSTS_PATH).is_file():
        refuse_documents_with_test_posts((*corpus.train, *corpus.validation), folder / POSTS_PATH)
    start = prepare_causal_model(settings, recipe, (document.text for document in corpus.train), devices)
    longest = min(settings.max_tokens, start.max_context_tokens)
    train, held, general = (
        chunk_documents(part, start.tokenizer, longest)
        for part in (corpus.train, corpus.validation, corpus.general)
    )
    objective = pretraining_objective(train, held, general, settings, devices)
    mark = training_fingerprint(
        recipe, (row.ids for row in (*train.rows, *held.rows, *general.rows)), start.base
    )
    model = shard_model(start.model, devices, choose_dtype(settings.dtype, devices.device))
    with training_session(recipe, folder, devices, objective, mark) as way:

        def measure() -> Metrics:
            model.eval()
            with torch.no_grad(), way.autocast():
                return objective.evaluate(model)

        before = cached_baseline(folder, devices, mark, measure)
        state = fit(model, objective, way)
    save_language_model(start, model, devices, out)
    file = ModelMetadata(
        analyst="causal", fingerprint=mark, form=recipe.form, max_tokens=longest, sets=(), base=start.base
    )
    counts = pretraining_summary(corpus, (train, held, general), before, state)
    finalize_model(way, recipe, out, file, corpus.seen_hashes(), counts)
    return counts


def chunk_documents(documents: Iterable[Document], tokenizer: Any, longest: int) -> CausalRows:
    """Documents as tokens, in rows of at most `longest`.

    A document begins with the tokenizer's first token (its end token, where it has no other) and ends with its end
    token. A row goes on with the last token of the one before it, so that every token but the first is foretold once.

    Raises
    ------
    WrongUse
        The tokenizer has no end token.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise UsageError(
            "the model's tokenizer has no end-of-sequence token, so that documents cannot be told apart"
        )
    first = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    rows = []
    for document in documents:
        ids = array("i", [first, *tokenizer(document.text, add_special_tokens=False)["input_ids"], end])
        rows += [CausalRow(ids[at : at + longest], 1) for at in range(0, len(ids) - 1, longest - 1)]
    return CausalRows(rows, 0)


def pretraining_objective(
    train: CausalRows,
    held: CausalRows,
    general: CausalRows,
    settings: CausalSettings,
    devices: DistributedContext,
) -> Objective:
    """Cross-entropy of all tokens behind the first; `loss` and perplexities are those of a token."""

    def loss_of(rows: CausalRows, model: Any, bins: Sequence[PackingBin]) -> torch.Tensor:
        return causal_loss(model, collate_causal(rows.rows, bins, devices.device))

    def mean_loss(rows: CausalRows, model: Any) -> float:
        summed = summed_loss(
            lambda bins: loss_of(rows, model, bins), rows.lengths, settings.max_batch_tokens, devices
        )
        return summed / _count_targets(rows)

    def measure(model: Any) -> Metrics:
        loss = mean_loss(held, model)
        found = {"loss": loss, "perplexity": math.exp(loss)}
        return found | ({"general_perplexity": math.exp(mean_loss(general, model))} if general.rows else {})

    return Objective(
        lengths=train.lengths,
        loss=lambda model, bins: loss_of(train, model, bins),
        normalizer=lambda bins: float(sum(train.rows[at].n_targets for each in bins for at in each)),
        evaluate=measure,
        packed_length=settings.max_tokens if settings.batching == "packed" else None,
    )


def _count_targets(rows: CausalRows) -> int:
    return sum(row.n_targets for row in rows.rows)


def pretraining_summary(
    corpus: Corpus, rows: Sequence[CausalRows], before: Metrics, state: TrainingState
) -> dict[str, Any]:
    """What was learnt from, and how it went."""
    names = ("train", "validation", "general")
    return {
        "documents": {
            "train": len(corpus.train),
            "validation": len(corpus.validation),
            "general": len(corpus.general),
        },
        "rows": {name: len(each.rows) for name, each in zip(names, rows, strict=True)},
        "tokens": {name: _count_targets(each) for name, each in zip(names, rows, strict=True)},
        "skipped": dict(corpus.skipped),
        "baseline": before,
        **training_history(state),
    }
