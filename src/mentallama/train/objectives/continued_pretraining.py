"""Continued pre-training on text (Gururangan et al. 2020): `train.analyst: causal` with `objective: pretrain`.

Reads `train.corpus` and `train.general_corpus`, and the run's posts, if it has any, to make sure that no test post is
trained on. Writes a model folder that a later recipe can name as its `base`. Perplexity, the exponential of the mean
loss per token, is measured on validation documents and on general text, before the first step and at every evaluation.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mentallama.analysts.checkpoints.loading import choose_dtype
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.config import CausalSettings, Recipe
from mentallama.errors import UsageError
from mentallama.run_files import POSTS_PATH
from mentallama.train.data.corpus import Corpus, Document, read_corpus
from mentallama.train.data.leakage import refuse_documents_with_test_posts
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
from mentallama.train.objectives.causal_sft import (
    CausalRow,
    CausalRows,
    causal_loss,
    collate_causal,
    prepare_causal_model,
)
from mentallama.train.objectives.sft import save_language_model


def train_pretraining(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Train on text; returns the counts for the manifest.

    Raises
    ------
    UsageError
        As `read_corpus`, `prepare_causal_model` and `refuse_documents_with_test_posts`.
    DataError
        As `read_corpus`.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    assert settings.corpus is not None
    devices = init_distributed(settings.device)
    corpus = read_corpus(settings.corpus, settings.general_corpus)
    if (folder / POSTS_PATH).is_file():
        refuse_documents_with_test_posts((*corpus.train, *corpus.validation), folder / POSTS_PATH)
    prepared = prepare_causal_model(settings, recipe, (document.text for document in corpus.train), devices)
    max_tokens = min(settings.max_tokens, prepared.max_context_tokens)
    train, validation, general = (
        chunk_documents(part, prepared.tokenizer, max_tokens)
        for part in (corpus.train, corpus.validation, corpus.general)
    )
    objective = pretraining_objective(train, validation, general, settings, devices)
    token_ids = (row.ids for row in (*train.rows, *validation.rows, *general.rows))
    fingerprint = training_fingerprint(recipe, token_ids, prepared.base)
    model = shard_model(prepared.model, devices, choose_dtype(settings.dtype, devices.device))
    with training_session(recipe, folder, devices, objective, fingerprint) as session:

        def measure() -> Metrics:
            model.eval()
            with torch.no_grad(), session.autocast():
                return objective.evaluate(model)

        baseline = cached_baseline(folder, devices, fingerprint, measure)
        state = fit(model, objective, session)
    save_language_model(prepared, model, devices, out)
    metadata = ModelMetadata(
        analyst="causal",
        fingerprint=fingerprint,
        form=recipe.form,
        max_tokens=max_tokens,
        sets=(),
        base=prepared.base,
    )
    rows = {"train": train, "validation": validation, "general": general}
    counts = pretraining_summary(corpus, rows, baseline, state)
    finalize_model(session, recipe, out, metadata, corpus.seen_hashes(), counts)
    return counts


def chunk_documents(documents: Iterable[Document], tokenizer: Any, max_tokens: int) -> CausalRows:
    """Encode documents and split them into rows of at most `max_tokens` tokens.

    A document starts with the tokenizer's BOS token (its EOS token, if it has no other) and ends with its EOS token. A
    row starts with the last token of the row before it, so that every token but the document's first is predicted once.

    Raises
    ------
    UsageError
        The tokenizer has no EOS token.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise UsageError(
            "the model's tokenizer has no end-of-sequence token, which is needed to separate documents"
        )
    first = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    rows = []
    for document in documents:
        ids = array("i", [first, *tokenizer(document.text, add_special_tokens=False)["input_ids"], end])
        rows += [
            CausalRow(ids[start : start + max_tokens], 1) for start in range(0, len(ids) - 1, max_tokens - 1)
        ]
    return CausalRows(rows, 0)


def perplexity(loss: float) -> float:
    """exp of a mean loss in nats; infinite where that exceeds a float."""
    return math.exp(loss) if loss < math.log(sys.float_info.max) else math.inf


def pretraining_objective(
    train: CausalRows,
    validation: CausalRows,
    general: CausalRows,
    settings: CausalSettings,
    devices: DistributedContext,
) -> Objective:
    """Cross-entropy of all tokens after a row's first; `loss` and perplexities are per token."""

    def loss_of(rows: CausalRows, model: Any, bins: Sequence[PackingBin]) -> torch.Tensor:
        return causal_loss(model, collate_causal(rows.rows, bins, devices.device))

    def mean_loss(rows: CausalRows, model: Any) -> float:
        total = summed_loss(
            lambda bins: loss_of(rows, model, bins), rows.lengths, settings.max_batch_tokens, devices
        )
        return total / rows.n_targets

    def evaluate(model: Any) -> Metrics:
        loss = mean_loss(validation, model)
        metrics = {"loss": loss, "perplexity": perplexity(loss)}
        if general.rows:
            metrics["general_perplexity"] = perplexity(mean_loss(general, model))
        return metrics

    return Objective(
        lengths=train.lengths,
        loss=lambda model, bins: loss_of(train, model, bins),
        normalizer=lambda bins: float(
            sum(train.rows[index].n_targets for rows_of_bin in bins for index in rows_of_bin)
        ),
        evaluate=evaluate,
        packed_length=settings.max_tokens if settings.batching == "packed" else None,
    )


def pretraining_summary(
    corpus: Corpus, rows: Mapping[str, CausalRows], baseline: Metrics, state: TrainingState
) -> dict[str, Any]:
    """Counts of documents, rows and tokens, metrics before the first step, and the training history."""
    return {
        "documents": {
            "train": len(corpus.train),
            "validation": len(corpus.validation),
            "general": len(corpus.general),
        },
        "rows": {name: len(part.rows) for name, part in rows.items()},
        "tokens": {name: part.n_targets for name, part in rows.items()},
        "skipped": dict(corpus.skipped),
        "baseline": baseline,
        **training_history(state),
    }
