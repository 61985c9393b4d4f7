"""Contradiction by a classifier whose answer is known, and by a random one against one pass per sentence."""

from __future__ import annotations

from itertools import permutations
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from mentallama.analysts.checkpoints.loading import LoadedModel
from mentallama.errors import UsageError
from mentallama.explanation_metrics.base import MetricOptions
from mentallama.explanation_metrics.neural.contradiction import (
    Contradiction,
    NliLabels,
    nli_labels,
    statements,
)
from mentallama.explanation_metrics.registry import open_metrics
from tests.factories.explanation_cases import explanation_case, explanation_cases
from tests.factories.nli_model import ABSENT, FOUND, keyword_nli, word_tokenizer
from tests.factories.tiny_models import tiny_llama, tiny_tokenizer

LABELS = ("entailment", "neutral", "contradiction")


def probabilities(contradiction: float) -> tuple[float, float]:
    """Contradiction and entailment from the logits `contradiction`, 0 of entailment and `ABSENT` of neutral."""
    total = exp(contradiction) + exp(ABSENT) + 1
    return exp(contradiction) / total, 1 / total


WITH_WORD, WITHOUT_WORD = probabilities(FOUND), probabilities(0.0)


def open_keyword_nli(folder: Path, labels: tuple[str, ...] = LABELS, **options: Any) -> Contradiction:
    keyword_nli(folder / "nli", "never", labels)
    return Contradiction.load(str(folder / "nli"), MetricOptions(**options))


@pytest.mark.parametrize("labels", list(permutations(("ENTAILMENT", "Neutral", "contradiction"))))
def test_labels_are_found_in_any_order_and_spelling(tmp_path: Path, labels: tuple[str, ...]) -> None:
    metric = open_keyword_nli(tmp_path, labels)
    calm, never = "all is calm", "i never sleep"
    scores = metric.infer([(calm, calm), (calm, never), (never, calm)])
    assert scores[calm, calm] == pytest.approx(WITHOUT_WORD, abs=1e-4)
    assert scores[calm, never] == pytest.approx(WITH_WORD, abs=1e-4)
    assert scores[never, calm] == pytest.approx(WITH_WORD, abs=1e-4)


def test_an_explanation_is_as_contradicted_as_its_worst_sentence_and_entailed_on_average(
    tmp_path: Path,
) -> None:
    metric = open_keyword_nli(tmp_path)
    case = explanation_case(text="all is calm", explanation="All is calm. The poster never sleeps. Nice day.")
    (score,) = metric.score([case])
    assert score.values["contradiction"] == pytest.approx(WITH_WORD[0], abs=1e-4)
    mean = (2 * WITHOUT_WORD[1] + WITH_WORD[1]) / 3
    assert score.values["entailment"] == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize("place", [0, 30, 55, 99])
def test_a_long_post_is_read_in_windows(tmp_path: Path, place: int) -> None:
    metric = open_keyword_nli(tmp_path)
    words = ["word"] * 100
    words[place] = "never"
    (score,) = metric.score([explanation_case(text=" ".join(words), explanation="all is calm")])
    # The window with the word contradicts, and those without it entail most.
    assert score.values["contradiction"] == pytest.approx(WITH_WORD[0], abs=1e-4)
    assert score.values["entailment"] == pytest.approx(WITHOUT_WORD[1], abs=1e-4)


def test_a_long_sentence_is_truncated_and_counted(tmp_path: Path) -> None:
    messages: list[str] = []
    metric = open_keyword_nli(tmp_path, log=messages.append)
    (score,) = metric.score([explanation_case(text="all is calm", explanation="word " * 16 + "never")])
    assert score.values["contradiction"] == pytest.approx(WITHOUT_WORD[0], abs=1e-4)
    assert metric.counts["truncated_texts"] == 1
    assert messages == ["contradiction:nli has a context of 32 tokens: 1 of 1 sentences were truncated to 16"]


def random_nli(seed: int = 0) -> tuple[Any, Any]:
    """A random BERT of two layers with a byte-level tokenizer that separates pairs by its end token."""
    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = 200
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=200,
        initializer_range=0.3,
        num_labels=3,
    )
    return BertForSequenceClassification(config).eval(), tokenizer


@pytest.mark.parametrize("max_batch_tokens", [1, 60, 8192])
def test_batches_give_the_scores_of_single_passes(max_batch_tokens: int) -> None:
    model, tokenizer = random_nli()
    loaded = LoadedModel(model, tokenizer, 200, "classifier:random", None)
    metric = Contradiction(
        loaded, NliLabels(contradiction=2, entailment=0), MetricOptions(max_batch_tokens=max_batch_tokens)
    )
    cases = explanation_cases()
    for case, score in zip(cases, metric.score(cases), strict=True):
        with torch.inference_mode():
            rows = [
                model(**tokenizer(case.example.text, sentence, return_tensors="pt")).logits[0].softmax(-1)
                for sentence in statements(case.explanation)
            ]
        expected = {
            "contradiction": max(float(row[2]) for row in rows),
            "entailment": sum(float(row[0]) for row in rows) / len(rows),
        }
        assert score.values == pytest.approx(expected, abs=1e-5)
    assert metric.score(cases[::-1])[::-1] == metric.score(cases)


def test_an_explanation_without_a_word_is_unscored(tmp_path: Path) -> None:
    metric = open_keyword_nli(tmp_path)
    scores = metric.score([explanation_case(explanation="1. …"), explanation_case()])
    assert [score.reason for score in scores] == ["no sentence", None]


@pytest.mark.parametrize(
    "labels",
    [
        ("LABEL_0", "LABEL_1", "LABEL_2"),
        ("entailment", "not_entailment"),
        ("entailment", "neutral", "contradiction", "contradictory"),
        ("positive", "neutral", "negative"),
    ],
)
def test_labels_of_another_kind_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=rf"^folder: its labels are {labels[0]}, {labels[1]}.*id2label"):
        nli_labels(dict(enumerate(labels)), "folder")


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    model, _ = random_nli()
    model.bert.save_pretrained(tmp_path / "encoder")
    word_tokenizer("never").save_pretrained(tmp_path / "encoder")
    tiny_llama(tmp_path / "llama")
    for folder, message in (
        ("encoder", "is it a classifier model"),
        ("llama", "is it a classifier model"),
        ("missing", "^contradiction:.*missing: there is no model folder"),
    ):
        with pytest.raises(UsageError, match=message):
            open_metrics([f"contradiction:{tmp_path / folder}"], MetricOptions())
