"""BARTScore (Yuan, Neubig and Liu 2021): how probable one text is, given another, to an encoder-decoder.

The score of a target y given a source x is the mean log-probability of the target's tokens,
1/m sum_t log p(y_t | x, y_<t), with equal weights as in the paper's experiments; special tokens that the tokenizer adds
to the target count as tokens, as in the published code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mentallama.analysts.checkpoints.loading import LoadedModel, unwrap_peft
from mentallama.explanation_metrics.base import CaseScore, ExplanationCase, ExplanationMetric, MetricOptions
from mentallama.explanation_metrics.neural.checkpoints import TextTokenizer, open_checkpoint, token_budget
from mentallama.explanation_metrics.neural.seq2seq_logprobs import mean_logprobs

TextPair = tuple[str, str]
"""A source and a target."""


class BartScore(ExplanationMetric):
    """Mean log-probabilities in nats per token: negative, and higher is better.

    `bart_score_precision` is that of the explanation given the reference, `bart_score_recall` that of the reference
    given the explanation, `bart_score_f` their arithmetic mean (the paper's F), and `bart_score_faithfulness` that of
    the explanation given the post. A case without a reference has the last only.

    Attributes
    ----------
    counts
        `truncated_texts`: texts longer than the model's context, of which only the beginning was read.
    """

    def __init__(self, loaded: LoadedModel, options: MetricOptions) -> None:
        self.name, self.counts = f"bart_score:{loaded.name.partition(':')[2]}", Counter[str]()
        self._model = unwrap_peft(loaded)
        self._budget = token_budget(options, self._model.device)
        self._tokenizer = TextTokenizer(loaded.tokenizer, loaded.context, self.name, options.log, self.counts)

    @classmethod
    def load(cls, location: str, options: MetricOptions) -> BartScore:
        """Open a folder of any encoder-decoder of transformers.

        Raises
        ------
        UsageError
            There is no such folder, or it holds no complete encoder-decoder.
        """
        return cls(open_checkpoint("bart_score", location, "seq2seq", options), options)

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        directions = [_directions(case) for case in cases]
        means = self.mean_logprobs([pair for named in directions for pair in named.values()])
        return [
            CaseScore(values=_with_f({name: means[pair] for name, pair in named.items()}))
            for named in directions
        ]

    def mean_logprobs(self, pairs: Sequence[TextPair]) -> dict[TextPair, float]:
        """Mean log-probability in nats per token of each distinct pair's target given its source."""
        sources = sorted({source for source, _ in pairs})
        targets = sorted({target for _, target in pairs})
        source_ids = dict(zip(sources, self._tokenizer.sources(sources), strict=True))
        target_ids = dict(zip(targets, self._tokenizer.targets(targets), strict=True))
        tokens = {pair: (source_ids[pair[0]], target_ids[pair[1]]) for pair in pairs}
        means = mean_logprobs(self._model, list(tokens.values()), self._budget, self.name)
        return {pair: means[ids] for pair, ids in tokens.items()}


def _directions(case: ExplanationCase) -> dict[str, TextPair]:
    """The pairs of a case, by column."""
    pairs = {"bart_score_faithfulness": (case.example.text, case.explanation)}
    if case.reference:
        pairs["bart_score_precision"] = (case.reference, case.explanation)
        pairs["bart_score_recall"] = (case.explanation, case.reference)
    return pairs


def _with_f(values: dict[str, float]) -> dict[str, float]:
    if "bart_score_recall" not in values:
        return values
    return {**values, "bart_score_f": (values["bart_score_precision"] + values["bart_score_recall"]) / 2}
