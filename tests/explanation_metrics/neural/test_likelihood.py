"""Likelihood of explanations against one pass per explanation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from mentallama.analysts.base import NonFiniteOutputError
from mentallama.analysts.checkpoints.loading import LoadedModel
from mentallama.errors import UsageError
from mentallama.explanation_metrics.base import ExplanationCase, MetricOptions
from mentallama.explanation_metrics.neural.likelihood import Likelihood
from mentallama.explanation_metrics.registry import open_metrics
from mentallama.tasks import find_task, write_query
from tests.factories.explanation_cases import POSTS, explanation_case, explanation_cases
from tests.factories.nli_model import keyword_nli
from tests.factories.tiny_models import tiny_llama, tiny_pair, tiny_tokenizer

CONTEXT = 512


def likelihood(model: Any, tokenizer: Any, context: int = CONTEXT, **options: Any) -> Likelihood:
    loaded = LoadedModel(model, tokenizer, context, "causal:tiny", None)
    return Likelihood(loaded, MetricOptions(**options))


def plain_likelihood(model: Any, tokenizer: Any, case: ExplanationCase) -> float:
    """The mean log-probability of the explanation's tokens, by a pass of its own."""
    task = find_task(case.example.task)
    prompt = write_query(task, case.example.question, "instruction", case.example.text).rstrip()
    n_prompt = len(tokenizer(prompt)["input_ids"])
    ids = torch.tensor([tokenizer(f"{prompt} {case.explanation}")["input_ids"]])
    with torch.inference_mode():
        logprobs = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])
    return float(logprobs[n_prompt - 1 :].mean())


@pytest.mark.parametrize("max_batch_tokens", [1, 8192])
def test_the_likelihood_is_the_mean_over_the_explanation(max_batch_tokens: int) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_llama(tokenizer=tokenizer)
    # Two explanations of one post share its prompt.
    cases = [*explanation_cases(), explanation_case(4, explanation="Nothing is said about sleep.")]
    scores = likelihood(model, tokenizer, max_batch_tokens=max_batch_tokens).score(cases)
    plain = [plain_likelihood(model, tokenizer, case) for case in cases]
    assert [score.values["likelihood"] for score in scores] == pytest.approx(plain, abs=1e-4)
    assert max(plain) - min(plain) > 0.1


def test_a_model_that_cannot_read_trees_scores_the_same() -> None:
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = GPTNeoConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=8,
        max_position_embeddings=CONTEXT,
        initializer_range=0.3,
    )
    model = GPTNeoForCausalLM(config).eval()
    cases = explanation_cases()
    scores = likelihood(model, tokenizer).score(cases)
    plain = [plain_likelihood(model, tokenizer, case) for case in cases]
    assert [score.values["likelihood"] for score in scores] == pytest.approx(plain, abs=1e-4)


def test_the_order_of_cases_changes_nothing() -> None:
    tokenizer = tiny_tokenizer()
    metric = likelihood(tiny_llama(tokenizer=tokenizer), tokenizer, max_batch_tokens=100, log=lambda _: None)
    cases = explanation_cases()
    assert metric.score(cases[::-1])[::-1] == metric.score(cases)


def test_a_long_explanation_takes_half_of_the_context_and_a_long_post_what_is_left() -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_llama(tokenizer=tokenizer)
    messages: list[str] = []
    metric = likelihood(model, tokenizer, context=100, log=messages.append)
    long = explanation_case(explanation="and felt better. " * 40, text="I slept badly again. " * 40)
    (score,) = metric.score([long])
    assert metric.counts["truncated_texts"] == 2
    assert messages == [
        "likelihood:tiny has a context of 100 tokens: 2 posts or explanations were truncated at their end"
    ]
    kept = tokenizer.decode(tokenizer(f"? {long.explanation}")["input_ids"][1:51])
    rest = [explanation_case(explanation=kept.strip(), text=text) for text in (long.example.text, POSTS[0])]
    assert score.values == metric.score(rest)[0].values
    assert score.values != metric.score(rest)[1].values


def test_damaged_weights_are_no_score() -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_llama(tokenizer=tokenizer)
    with torch.no_grad():
        model.get_output_embeddings().weight[7] = float("nan")
    with pytest.raises(NonFiniteOutputError):
        likelihood(model, tokenizer).score(explanation_cases())


def test_specs_of_folders_of_other_kinds_and_of_servers(tmp_path: Path) -> None:
    tiny_llama(tmp_path / "llama")
    keyword_nli(tmp_path / "bert", "never", ("entailment", "neutral", "contradiction"))
    for part in tiny_pair("t5"):
        part.save_pretrained(tmp_path / "t5")
    ((_, metric),) = open_metrics([f"likelihood:causal:{tmp_path / 'llama'}"], MetricOptions())
    assert metric.name == "likelihood:llama"
    assert metric.score([explanation_case()])[0].values.keys() == {"likelihood"}
    for location, message in (
        (f"{tmp_path / 't5'}", "a t5 is not a causal model"),
        (f"{tmp_path / 'bert'}", "is not a causal model|is it a causal model"),
        (f"{tmp_path / 'missing'}", "^likelihood:.*missing: there is no model folder"),
        ("remote:m@http://localhost", "computed on this machine; name the folder of a decoder"),
    ):
        with pytest.raises(UsageError, match=message):
            open_metrics([f"likelihood:{location}"], MetricOptions())
