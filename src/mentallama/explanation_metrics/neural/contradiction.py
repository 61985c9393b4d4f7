"""Contradiction between a post and its explanation, by a model of natural language inference (NLI).

The post is the premise, each sentence of the explanation a hypothesis. A post that does not fit the model's context
beside the sentence is read in overlapping windows. A sentence is contradicted as strongly as by the window that
contradicts it most, and entailed as strongly as by the window that entails it most. An explanation has the highest
contradiction of its sentences, because one false statement makes it false, and their mean entailment (SummaC-ZS, Laban
et al. 2022).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import NamedTuple

from mentallama.analysts.base import NonFiniteOutputError
from mentallama.analysts.checkpoints.loading import LoadedModel, inference_mode, unwrap_peft
from mentallama.analysts.inference.batching import run_in_batches
from mentallama.analysts.inference.prompt_encoding import escape_special_tokens
from mentallama.answers.label_mentions import sentences
from mentallama.errors import UsageError
from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    MetricOptions,
    unscored,
)
from mentallama.explanation_metrics.neural.checkpoints import (
    TRUNCATED_TEXTS,
    Tokens,
    open_checkpoint,
    padded,
    token_budget,
)

HYPOTHESIS_SHARE = 2
"""A sentence takes at most one part in so many of the context; the rest is for the post."""

OVERLAP_SHARE = 8
"""Windows of a post overlap by one part in so many of the context, so that no statement is cut in all windows."""

SHOWN_LABELS = 5
"""Labels of a classifier of another kind that an error names."""

Hypothesis = tuple[str, str]
"""A post and a sentence about it."""


class NliLabels(NamedTuple):
    """Indices of the outputs of an NLI model."""

    contradiction: int
    entailment: int


class NliScores(NamedTuple):
    """Probabilities that a premise contradicts and entails a hypothesis."""

    contradiction: float
    entailment: float


@dataclass(frozen=True, order=True)
class NliInput:
    """A window of a post and a sentence as tokens; `type_ids` tell one from the other where the model has types."""

    ids: Tokens
    type_ids: Tokens = ()

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    def halves(self) -> list[NliInput]:
        """A single input cannot be split."""
        return [self]


class Contradiction(ExplanationMetric):
    """Probabilities, 0 to 1, that the post contradicts the explanation (`contradiction`, lower is better) and entails
    it (`entailment`, higher is better).

    Attributes
    ----------
    counts
        `truncated_texts`: sentences longer than half of the model's context, of which only the beginning was read.
    """

    def __init__(self, loaded: LoadedModel, labels: NliLabels, options: MetricOptions) -> None:
        self.name, self.counts = f"contradiction:{loaded.name.partition(':')[2]}", Counter[str]()
        self.model, self._tokenizer, self._labels = unwrap_peft(loaded), loaded.tokenizer, labels
        self._context, self._log = loaded.context, options.log
        self._budget = token_budget(options, self.model.device)

    @classmethod
    def load(cls, location: str, options: MetricOptions) -> Contradiction:
        """Open a folder of any sequence classifier of transformers with the three labels of NLI.

        Raises
        ------
        UsageError
            There is no such folder, it holds no complete sequence classifier, or its labels are not those of NLI.
        """
        loaded = open_checkpoint("contradiction", location, "classifier", options)
        return cls(loaded, nli_labels(loaded.model.config.id2label, location), options)

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        hypotheses = [
            [(case.example.text, sentence) for sentence in statements(case.explanation)] for case in cases
        ]
        scores = self.infer([pair for pairs in hypotheses for pair in pairs])
        return [_case_score([scores[pair] for pair in pairs]) for pairs in hypotheses]

    def infer(self, pairs: Sequence[Hypothesis]) -> dict[Hypothesis, NliScores]:
        """Scores of each distinct pair of post and sentence, over the windows of the post."""
        windows = self._windows(sorted(set(pairs)))
        inputs = sorted({window for row in windows.values() for window in row})
        probabilities: dict[NliInput, NliScores] = {}
        with inference_mode(self.model, self.name):
            for batch, rows in run_in_batches(inputs, self._budget, self._probabilities):
                probabilities.update(zip(batch, rows, strict=True))
        if not all(isfinite(value) for row in probabilities.values() for value in row):
            raise NonFiniteOutputError(self.name)
        return {
            pair: NliScores(*map(max, zip(*(probabilities[window] for window in row), strict=True)))
            for pair, row in windows.items()
        }

    def _windows(self, pairs: Sequence[Hypothesis]) -> dict[Hypothesis, list[NliInput]]:
        """The inputs of each pair, one per window of its post."""
        if not pairs:
            return {}
        special = self._tokenizer.all_special_tokens
        hypotheses = self._truncated([escape_special_tokens(sentence, special) for _, sentence in pairs])
        batch = self._tokenizer(
            [escape_special_tokens(post, special) for post, _ in pairs],
            hypotheses,
            truncation="only_first",
            max_length=self._context,
            stride=self._context // OVERLAP_SHARE,
            return_overflowing_tokens=True,
        )
        windows: dict[Hypothesis, list[NliInput]] = {pair: [] for pair in pairs}
        types = batch.get("token_type_ids") or [()] * len(batch["input_ids"])
        for row, ids, type_ids in zip(
            batch["overflow_to_sample_mapping"], batch["input_ids"], types, strict=True
        ):
            windows[pairs[row]].append(NliInput(tuple(ids), tuple(type_ids)))
        return windows

    def _truncated(self, texts: Sequence[str]) -> list[str]:
        """Sentences that leave room for the post."""
        limit = self._context // HYPOTHESIS_SHARE
        batch = self._tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        ends = [
            offsets[limit - 1][1] if len(offsets) > limit else None for offsets in batch["offset_mapping"]
        ]
        n_truncated = len(ends) - ends.count(None)
        if n_truncated:
            self.counts[TRUNCATED_TEXTS] += n_truncated
            self._log(
                f"{self.name} has a context of {self._context} tokens: {n_truncated} of {len(ends)} sentences were "
                f"truncated to {limit}"
            )
        return [text[:end] for text, end in zip(texts, ends, strict=True)]

    def _probabilities(self, batch: Sequence[NliInput]) -> list[NliScores]:
        device = self.model.device
        inputs = {
            "input_ids": padded([each.ids for each in batch], int(self._tokenizer.pad_token_id or 0), device),
            "attention_mask": padded([[1] * each.n_tokens for each in batch], 0, device),
        }
        if batch[0].type_ids:
            inputs["token_type_ids"] = padded([each.type_ids for each in batch], 0, device)
        probabilities = self.model(**inputs).logits.float().softmax(-1)[:, list(self._labels)]
        return [NliScores(*row) for row in probabilities.tolist()]


def statements(explanation: str) -> list[str]:
    """The sentences of an explanation that hold a word."""
    return [text for text in map(str.strip, sentences(explanation)) if any(map(str.isalpha, text))]


def nli_labels(id2label: Mapping[int, str], location: str) -> NliLabels:
    """Which outputs of a classifier are contradiction and entailment, whatever their order and spelling.

    Raises
    ------
    UsageError
        It does not have exactly the outputs entailment, neutral and contradiction.
    """
    names = {index: "".join(filter(str.isalpha, str(label).lower())) for index, label in id2label.items()}
    found = {
        stem: [index for index, name in names.items() if name.startswith(stem)]
        for stem in ("contradict", "entail", "neutral")
    }
    if len(names) != len(found) or any(len(indices) != 1 for indices in found.values()):
        shown = ", ".join(map(str, islice(id2label.values(), SHOWN_LABELS)))
        more = ", …" if len(id2label) > SHOWN_LABELS else ""
        raise UsageError(
            f"{location}: its labels are {shown}{more}; contradiction needs a classifier with the labels entailment, "
            "neutral and contradiction (id2label in its config.json)"
        )
    return NliLabels(found["contradict"][0], found["entail"][0])


def _case_score(scores: Sequence[NliScores]) -> CaseScore:
    if not scores:
        return unscored("no sentence")
    contradiction = max(score.contradiction for score in scores)
    entailment = sum(score.entailment for score in scores) / len(scores)
    return CaseScore(values={"contradiction": contradiction, "entailment": entailment})
