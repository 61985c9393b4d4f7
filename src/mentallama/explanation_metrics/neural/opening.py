"""Columns of the metrics that run a model, and functions that open them; torch is imported when one is opened."""

from __future__ import annotations

from mentallama.analysts.checkpoints.optional_deps import require_torch
from mentallama.explanation_metrics.base import ExplanationMetric, MetricOptions, ScoreColumn

BART_SCORE_COLUMNS = (
    ScoreColumn("bart_score_f", "BARTScore F", (None, 0.0), 3),
    ScoreColumn("bart_score_precision", "BARTScore precision", (None, 0.0), 3),
    ScoreColumn("bart_score_recall", "BARTScore recall", (None, 0.0), 3),
    ScoreColumn("bart_score_faithfulness", "BARTScore given the post", (None, 0.0), 3),
)


def load_bart_score(location: str, options: MetricOptions) -> ExplanationMetric:
    require_torch()
    from mentallama.explanation_metrics.neural.bart_score import BartScore

    return BartScore.load(location, options)


BERT_SCORE_COLUMNS = (
    ScoreColumn("bert_score_f1", "BERTScore F1", (-1.0, 1.0), 3),
    ScoreColumn("bert_score_precision", "BERTScore precision", (-1.0, 1.0), 3),
    ScoreColumn("bert_score_recall", "BERTScore recall", (-1.0, 1.0), 3),
)


def load_bert_score(location: str, options: MetricOptions) -> ExplanationMetric:
    require_torch()
    from mentallama.explanation_metrics.neural.bert_score import BertScore

    return BertScore.load(location, options)


LIKELIHOOD_COLUMNS = (ScoreColumn("likelihood", "log-likelihood per token", (None, 0.0), 3),)


def load_likelihood(location: str, options: MetricOptions) -> ExplanationMetric:
    require_torch()
    from mentallama.explanation_metrics.neural.likelihood import Likelihood

    return Likelihood.load(location, options)


CONTRADICTION_COLUMNS = (
    ScoreColumn("contradiction", "contradiction", (0.0, 1.0), 3, direction=-1),
    ScoreColumn("entailment", "entailment", (0.0, 1.0), 3),
)


def load_contradiction(location: str, options: MetricOptions) -> ExplanationMetric:
    require_torch()
    from mentallama.explanation_metrics.neural.contradiction import Contradiction

    return Contradiction.load(location, options)
