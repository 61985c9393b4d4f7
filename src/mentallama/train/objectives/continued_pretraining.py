"""Train a decoder language model on text as it stands (continued pre-training, Gururangan et al. 2020):
`train.analyst: causal` with `learns: text`.

Reads `train.text` and `train.general`, and the run's posts, where it has some, to prove that no test post is learnt
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
from mentallama.analysts.checkpoints.metadata import ModelFile
from mentallama.config import Causal, Recipe
from mentallama.errors import WrongUse
from mentallama.train.data.corpus import Corpus, Document, read_corpus, refuse_documents_with_test_posts
from mentallama.train.data.instructions import POSTS
from mentallama.train.loop.baseline import kept_before
from mentallama.train.loop.batching import Bin
from mentallama.train.loop.checkpointing import State
from mentallama.train.loop.distributed import Devices, join_devices, shard
from mentallama.train.loop.loop import Measures, Objective, fit
from mentallama.train.loop.session import fingerprint, hand_over, how_it_went, on_the_way
from mentallama.train.loop.validation import summed_loss
from mentallama.train.objectives.causal_sft import Row, Rows, collate, response_loss
from mentallama.train.objectives.language import begin, save


def train_text(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
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
    assert isinstance(settings, Causal)
    assert settings.text is not None
    if settings.best_by != "loss":
        raise WrongUse(
            "best_by: weighted_f1 needs labels, and text has none; with learns: text use best_by: loss"
        )
    devices = join_devices(settings.device)
    corpus = read_corpus(settings.text, settings.general)
    if (folder / POSTS).is_file():
        refuse_documents_with_test_posts((*corpus.train, *corpus.held), folder / POSTS)
    start = begin(settings, recipe, (document.text for document in corpus.train), devices)
    longest = min(settings.max_tokens, start.context)
    train, held, general = (
        chunks(part, start.tokenizer, longest) for part in (corpus.train, corpus.held, corpus.general)
    )
    objective = text_objective(train, held, general, settings, devices)
    mark = fingerprint(recipe, (row.ids for row in (*train.rows, *held.rows, *general.rows)), start.base)
    model = shard(start.model, devices, choose_dtype(settings.dtype, devices.device))
    with on_the_way(recipe, folder, devices, objective, mark) as way:

        def measure() -> Measures:
            model.eval()
            with torch.no_grad(), way.computing():
                return objective.measure(model)

        before = kept_before(folder, devices, mark, measure)
        state = fit(model, objective, way)
    save(start, model, devices, out)
    file = ModelFile(
        analyst="causal", fingerprint=mark, form=recipe.form, max_tokens=longest, sets=(), base=start.base
    )
    counts = summary(corpus, (train, held, general), before, state)
    hand_over(way, recipe, out, file, corpus.seen(), counts)
    return counts


def chunks(documents: Iterable[Document], tokenizer: Any, longest: int) -> Rows:
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
        raise WrongUse(
            "the model's tokenizer has no end-of-sequence token, so that documents cannot be told apart"
        )
    first = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    rows = []
    for document in documents:
        ids = array("i", [first, *tokenizer(document.text, add_special_tokens=False)["input_ids"], end])
        rows += [Row(ids[at : at + longest], 1) for at in range(0, len(ids) - 1, longest - 1)]
    return Rows(rows, 0)


def text_objective(train: Rows, held: Rows, general: Rows, settings: Causal, devices: Devices) -> Objective:
    """Cross-entropy of all tokens behind the first; `loss` and perplexities are those of a token."""

    def loss_of(rows: Rows, model: Any, bins: Sequence[Bin]) -> torch.Tensor:
        return response_loss(model, collate(rows.rows, bins, devices.device))

    def mean_loss(rows: Rows, model: Any) -> float:
        summed = summed_loss(
            lambda bins: loss_of(rows, model, bins), rows.lengths, settings.tokens_at_once, devices
        )
        return summed / _learnt(rows)

    def measure(model: Any) -> Measures:
        loss = mean_loss(held, model)
        found = {"loss": loss, "perplexity": math.exp(loss)}
        return found | ({"general_perplexity": math.exp(mean_loss(general, model))} if general.rows else {})

    return Objective(
        lengths=train.lengths,
        loss=lambda model, bins: loss_of(train, model, bins),
        weight=lambda bins: float(sum(train.rows[at].learnt for each in bins for at in each)),
        measure=measure,
        capacity=settings.max_tokens if settings.batching == "packed" else None,
    )


def _learnt(rows: Rows) -> int:
    return sum(row.learnt for row in rows.rows)


def summary(corpus: Corpus, rows: Sequence[Rows], before: Measures, state: State) -> dict[str, Any]:
    """What was learnt from, and how it went."""
    names = ("train", "held", "general")
    return {
        "documents": {"train": len(corpus.train), "held": len(corpus.held), "general": len(corpus.general)},
        "rows": {name: len(each.rows) for name, each in zip(names, rows, strict=True)},
        "tokens": {name: _learnt(each) for name, each in zip(names, rows, strict=True)},
        "skipped": dict(corpus.skipped),
        "before": before,
        **how_it_went(state),
    }
