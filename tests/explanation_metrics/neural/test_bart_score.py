"""BARTScore against its plain definition, one pair at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mentallama.analysts.base import NonFiniteOutputError
from mentallama.analysts.checkpoints.loading import LoadedModel
from mentallama.errors import UsageError
from mentallama.explanation_metrics.base import MetricOptions
from mentallama.explanation_metrics.neural.bart_score import BartScore
from mentallama.explanation_metrics.registry import open_metrics
from tests.factories.explanation_cases import EXPLANATIONS, POSTS, explanation_case, explanation_cases
from tests.factories.tiny_models import Kind, made_up_posts, tiny_llama, tiny_pair

CONTEXT = 512


def plain_score(model: Any, tokenizer: Any, source: str, target: str, context: int = CONTEXT) -> float:
    """The mean log-probability of the labels, by one pass of the model's own."""
    limits = {"truncation": True, "max_length": context, "return_tensors": "pt"}
    labels = tokenizer(text_target=[target], **limits)["input_ids"]
    with torch.inference_mode():
        inputs = tokenizer([source], **limits)
        logits = model(inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels).logits
    return float(logits[0].log_softmax(-1).gather(1, labels[0][:, None]).mean())


def bart_score(
    kind: Kind, context: int = CONTEXT, log: Any = print, **options: Any
) -> tuple[BartScore, Any, Any]:
    model, tokenizer = tiny_pair(kind)
    loaded = LoadedModel(model, tokenizer, context, f"seq2seq:tiny-{kind}", None)
    return BartScore(loaded, MetricOptions(log=log, **options)), model, tokenizer


@pytest.mark.parametrize("kind", ["bart", "t5"])
@pytest.mark.parametrize("max_batch_tokens", [1, 150, 8192])
def test_the_scores_are_those_of_the_plain_definition(kind: Kind, max_batch_tokens: int) -> None:
    metric, model, tokenizer = bart_score(kind, max_batch_tokens=max_batch_tokens)
    posts = made_up_posts()[::17]
    # Targets from one to four sentences; each source has two of them.
    pairs = [
        (source, " ".join(posts[: 1 + (number + shift) % 4]))
        for number, source in enumerate(posts)
        for shift in (0, 2)
    ]
    scores = metric.mean_logprobs(pairs)
    plain = {pair: plain_score(model, tokenizer, *pair) for pair in pairs}
    assert scores == pytest.approx(plain, abs=1e-5)
    assert max(plain.values()) - min(plain.values()) > 0.3


def test_the_columns_of_a_case() -> None:
    metric, model, tokenizer = bart_score("bart")
    case = explanation_case()
    (score,) = metric.score([case])
    assert case.reference is not None
    precision = plain_score(model, tokenizer, case.reference, case.explanation)
    recall = plain_score(model, tokenizer, case.explanation, case.reference)
    assert score.values == pytest.approx(
        {
            "bart_score_precision": precision,
            "bart_score_recall": recall,
            "bart_score_f": (precision + recall) / 2,
            "bart_score_faithfulness": plain_score(model, tokenizer, case.example.text, case.explanation),
        },
        abs=1e-5,
    )


def test_without_a_reference_the_explanation_is_scored_given_the_post() -> None:
    metric, model, tokenizer = bart_score("t5")
    (score,) = metric.score([explanation_case(reference=None)])
    assert score.reason is None
    assert score.values == pytest.approx(
        {"bart_score_faithfulness": plain_score(model, tokenizer, POSTS[0], EXPLANATIONS[0])}, abs=1e-5
    )


def test_each_distinct_source_is_encoded_once() -> None:
    metric, model, _ = bart_score("bart", max_batch_tokens=100)
    encoded: list[int] = []
    model.get_encoder().register_forward_hook(
        lambda _module, _inputs, output: encoded.append(output.last_hidden_state.shape[0])
    )
    metric.score(explanation_cases())
    before = sum(encoded)
    # Posts, references and explanations are sources, each once although a post is asked about three times.
    encoded.clear()
    metric.score([explanation_case(number, text=POSTS[0]) for number in (0, 1, 2)])
    assert (before, sum(encoded)) == (12 + 1, 7 + 1)  # and one pass that checks the output layer


def test_logits_exist_for_some_positions_at_a_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    metric, model, tokenizer = bart_score("bart")
    monkeypatch.setattr(
        "mentallama.explanation_metrics.neural.seq2seq_logprobs.LOGITS_CELLS", {"cpu": 5 * len(tokenizer)}
    )
    positions: list[int] = []
    model.get_output_embeddings().register_forward_hook(
        lambda _module, _inputs, output: positions.append(output.shape[:-1].numel())
    )
    metric.score(explanation_cases())
    assert max(positions) == 5


@pytest.mark.parametrize("side", ["get_encoder", "get_decoder"])
def test_a_batch_that_does_not_fit_into_memory_is_halved(side: str) -> None:
    messages: list[str] = []
    metric, model, _ = bart_score("bart", log=messages.append)
    cases = explanation_cases()
    expected = [score.values for score in metric.score(cases)]

    def run_out(_module: Any, _inputs: Any, inputs: dict[str, Any]) -> None:
        if len(inputs["input_ids"]) > 1:
            raise torch.OutOfMemoryError("no memory")

    getattr(model, side)().register_forward_pre_hook(run_out, with_kwargs=True)
    for score, values in zip(metric.score(cases), expected, strict=True):
        assert score.values == pytest.approx(values, abs=1e-5)
    assert messages[0].startswith("out of memory: batches are limited to")


def test_the_order_of_cases_changes_nothing() -> None:
    metric, _, _ = bart_score("bart", max_batch_tokens=120)
    cases = explanation_cases()
    assert metric.score(cases[::-1])[::-1] == metric.score(cases)


def test_texts_beyond_the_context_are_truncated_and_counted() -> None:
    messages: list[str] = []
    metric, model, tokenizer = bart_score("bart", context=12, log=messages.append)
    cases = explanation_cases()
    (score, *_) = metric.score(cases)
    expected = plain_score(model, tokenizer, POSTS[0], EXPLANATIONS[0], context=12)
    assert score.values["bart_score_faithfulness"] == pytest.approx(expected, abs=1e-5)
    long = sum(len(tokenizer(text)["input_ids"]) > 12 for case in cases for text in (case.example.text,))
    assert metric.counts["truncated_texts"] >= long > 0
    assert "truncated" in messages[0]
    assert not any(POSTS[0] in message for message in messages)


def test_damaged_weights_are_no_score() -> None:
    metric, model, _ = bart_score("bart")
    with torch.no_grad():
        model.get_output_embeddings().weight[7] = float("nan")
    with pytest.raises(NonFiniteOutputError):
        metric.score(explanation_cases())


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    tiny_llama(tmp_path / "llama")
    (tmp_path / "empty").mkdir()
    for folder, message in (
        ("llama", "is not a seq2seq model"),
        ("missing", "^bart_score:.*missing: there is no model folder"),
        ("empty", "no config.json"),
    ):
        with pytest.raises(UsageError, match=message):
            open_metrics([f"bart_score:{tmp_path / folder}"], MetricOptions())


def test_a_folder_is_opened_by_its_spec(tmp_path: Path) -> None:
    model, tokenizer = tiny_pair("bart")
    model.save_pretrained(tmp_path / "bart-tiny")
    tokenizer.save_pretrained(tmp_path / "bart-tiny")
    ((kind, metric),) = open_metrics([f"bart_score:{tmp_path / 'bart-tiny'}"], MetricOptions())
    (score,) = metric.score([explanation_case()])
    assert metric.name == "bart_score:bart-tiny"
    assert set(score.values) == {column.name for column in kind.columns}
