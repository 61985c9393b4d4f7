"""BERTScore (Zhang et al. 2020): greedy matching of the contextual embeddings of two texts.

Precision is the mean, over the explanation's tokens, of the highest cosine similarity to a token of the reference;
recall is the same for the reference's tokens, and F1 their harmonic mean. As in the published package, the tokens that
open and close every text can be matched to, but do not count in the means. There are no idf weights: the score of a
text would then depend on which other texts are scored with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import torch
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

from mentallama.analysts.base import NonFiniteOutputError
from mentallama.analysts.checkpoints.loading import LoadedModel, inference_mode
from mentallama.analysts.encoder.model import TokenizedText, pad_batch
from mentallama.analysts.inference.batching import run_in_batches
from mentallama.errors import UsageError
from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    MetricOptions,
    unscored,
)
from mentallama.explanation_metrics.neural.checkpoints import (
    TextTokenizer,
    Tokens,
    open_checkpoint,
    token_budget,
)
from mentallama.explanation_metrics.neural.locations import split_layer

WINDOW_BATCHES = 8
"""Embeddings are kept of at most as many tokens as this many batches hold."""

TextPair = tuple[str, str]
"""An explanation and its reference."""

TokenPair = tuple[Tokens, Tokens]


class MatchScores(NamedTuple):
    """Precision, recall and F1, from -1 to 1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class MatchedPair:
    """Two texts whose embeddings are matched."""

    explanation: Tokens
    reference: Tokens

    @property
    def n_tokens(self) -> int:
        return max(len(self.explanation), len(self.reference))

    def halves(self) -> list[MatchedPair]:
        """A single pair cannot be split."""
        return [self]


class BertScore(ExplanationMetric):
    """Cosine similarities of matched embeddings, -1 to 1 and in practice 0 to 1; higher is better.

    Columns are `bert_score_precision`, `bert_score_recall` and `bert_score_f1`. A case without a reference is unscored.

    Parameters
    ----------
    loaded
        The encoder.
    options
        Options of metrics.
    layer
        The layer whose output the embeddings are, 0 being the input of the first; None: the last.

    Attributes
    ----------
    counts
        `truncated_texts`: texts longer than the model's context, of which only the beginning was read.
    """

    def __init__(self, loaded: LoadedModel, options: MetricOptions, layer: int | None = None) -> None:
        suffix = "" if layer is None else f":{layer}"
        self.name, self.counts = f"bert_score:{loaded.name.partition(':')[2]}{suffix}", Counter[str]()
        self.model, self._layer = loaded.model, layer
        self._budget = token_budget(options, self.model.device)
        self._tokenizer = TextTokenizer(loaded.tokenizer, loaded.context, self.name, options.log, self.counts)
        tokenizer = loaded.tokenizer
        self._uncounted = {tokenizer.cls_token_id, tokenizer.sep_token_id}

    @classmethod
    def load(cls, location: str, options: MetricOptions) -> BertScore:
        """Open a folder of any encoder of transformers, as `DIR` or, for the output of a layer, `DIR:LAYER`.

        Raises
        ------
        UsageError
            There is no such folder, it holds no complete encoder, or there is no such layer.
        """
        folder, layer = split_layer(location)
        loaded = open_checkpoint("bert_score", folder, "encoder", options)
        n_layers = loaded.model.config.num_hidden_layers
        if layer is not None and layer > n_layers:
            raise UsageError(
                f"bert_score:{location}: the model has {n_layers} layers; name one of 0 to {n_layers}"
            )
        return cls(loaded, options, None if layer == n_layers else layer)

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        pairs = [(case.explanation, case.reference) for case in cases if case.reference]
        scores = self.match(pairs)
        return [
            _case_score(scores[case.explanation, case.reference])
            if case.reference
            else unscored("no reference")
            for case in cases
        ]

    def match(self, pairs: Sequence[TextPair]) -> dict[TextPair, MatchScores | None]:
        """Scores of each distinct pair of explanation and reference; None where one has no token that counts."""
        texts = sorted({text for pair in pairs for text in pair})
        ids = dict(zip(texts, self._tokenizer.sources([text.strip() for text in texts]), strict=True))
        tokens = {pair: (ids[pair[0]], ids[pair[1]]) for pair in pairs}
        scores: dict[TokenPair, MatchScores] = {}
        with inference_mode(self.model, self.name):
            for window in self._windows(sorted(filter(self._countable, set(tokens.values())))):
                scores |= self._match_window(window)
        if not all(isfinite(value) for score in scores.values() for value in score):
            raise NonFiniteOutputError(self.name)
        return {pair: scores.get(key) for pair, key in tokens.items()}

    def _countable(self, pair: TokenPair) -> bool:
        return all(set(ids) - self._uncounted for ids in pair)

    def _windows(self, pairs: Sequence[TokenPair]) -> Iterator[list[TokenPair]]:
        """Pairs whose texts are encoded and kept together."""
        window: list[TokenPair] = []
        texts: set[Tokens] = set()
        n_tokens = 0
        for pair in pairs:
            added = sum(map(len, set(pair) - texts))
            if window and n_tokens + added > WINDOW_BATCHES * self._budget.max_tokens:
                yield window
                window, texts, n_tokens, added = [], set(), 0, sum(map(len, set(pair)))
            window.append(pair)
            texts |= set(pair)
            n_tokens += added
        if window:
            yield window

    def _match_window(self, pairs: Sequence[TokenPair]) -> Mapping[TokenPair, MatchScores]:
        embeddings = self._encode(sorted({ids for pair in pairs for ids in pair}))
        items = [MatchedPair(*pair) for pair in pairs]
        return {
            (item.explanation, item.reference): score
            for batch, scores in run_in_batches(
                items, self._budget, lambda batch: self._match_batch(batch, embeddings)
            )
            for item, score in zip(batch, scores, strict=True)
        }

    def _encode(self, texts: Sequence[Tokens]) -> dict[Tokens, torch.Tensor]:
        """Unit embeddings (tokens, hidden) of each text."""
        items = [TokenizedText(index, ids) for index, ids in enumerate(texts)]
        return {
            texts[text.index]: row[: text.n_tokens]
            for batch, rows in run_in_batches(items, self._budget, self._encode_batch)
            for text, row in zip(batch, rows, strict=True)
        }

    def _encode_batch(self, batch: Sequence[TokenizedText]) -> torch.Tensor:
        ids, mask = pad_batch([text.ids for text in batch], 0, self.model.device)
        output = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=self._layer is not None)
        states = output.last_hidden_state if self._layer is None else output.hidden_states[self._layer]
        return normalize(states.float(), dim=-1)

    def _match_batch(
        self, batch: Sequence[MatchedPair], embeddings: Mapping[Tokens, torch.Tensor]
    ) -> list[MatchScores]:
        explanations = self._matched_side([pair.explanation for pair in batch], embeddings)
        references = self._matched_side([pair.reference for pair in batch], embeddings)
        similarities = torch.bmm(explanations.embeddings, references.embeddings.transpose(1, 2))
        is_token = explanations.is_token[:, :, None] & references.is_token[:, None, :]
        similarities.masked_fill_(~is_token, -1.0)
        precision = (similarities.amax(2) * explanations.weights).sum(1)
        recall = (similarities.amax(1) * references.weights).sum(1)
        f1 = 2 * precision * recall / (precision + recall)
        return [MatchScores(*row) for row in torch.stack([precision, recall, f1], 1).tolist()]

    def _matched_side(
        self, texts: Sequence[Tokens], embeddings: Mapping[Tokens, torch.Tensor]
    ) -> MatchedSide:
        counted = [[token not in self._uncounted for token in ids] for ids in texts]
        rows = [torch.tensor(row, dtype=torch.float32) / sum(row) for row in counted]
        device = self.model.device
        is_token = pad_sequence([torch.ones(len(ids), dtype=torch.bool) for ids in texts], batch_first=True)
        return MatchedSide(
            pad_sequence([embeddings[ids] for ids in texts], batch_first=True),
            is_token.to(device),
            pad_sequence(rows, batch_first=True).to(device),
        )


class MatchedSide(NamedTuple):
    """One side of a batch of pairs: unit embeddings (pairs, tokens, hidden), which positions hold a token (pairs,
    tokens), and the weight of each token in its text's mean (pairs, tokens)."""

    embeddings: torch.Tensor
    is_token: torch.Tensor
    weights: torch.Tensor


def _case_score(scores: MatchScores | None) -> CaseScore:
    if scores is None:
        return unscored("no tokens")
    return CaseScore(values={f"bert_score_{name}": value for name, value in scores._asdict().items()})
