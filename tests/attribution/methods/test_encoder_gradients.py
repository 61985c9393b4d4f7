"""Gradients of an encoder: against values worked by hand on a linear one, and on a real architecture."""

from __future__ import annotations

from math import e, log
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata
from mentallama.analysts.encoder.analyst import EncoderAnalyst
from mentallama.analysts.encoder.model import EncoderClassifier, MultiTaskEncoder
from mentallama.attribution.log_odds import label_log_odds
from mentallama.attribution.methods.encoder_attention import AttentionWeights
from mentallama.attribution.methods.encoder_gradients import GradientTimesInput, IntegratedGradients
from mentallama.errors import UsageError
from mentallama.tasks import load_tasks
from tests.factories.encoder_cases import saved_bert, tokenizer
from tests.factories.toy_analyst import make_example

TEXT = "The rent, the noise."
WORDS = ["The", "rent", "the", "noise"]


class BagOfEmbeddings(torch.nn.Module):
    """An encoder without layers: the hidden state of a token is its embedding."""

    def __init__(self, vocabulary: int, hidden: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(hidden_size=hidden)
        self.words = torch.nn.Embedding(vocabulary, hidden)

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return self.words

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:  # noqa: ARG002
        return SimpleNamespace(last_hidden_state=self.words(input_ids))


def make_analyst(
    encoder: Any,
    labels: tuple[str, ...] = ("yes", "no"),
    temperature: float = 2.0,
    key: tuple[str, str] = ("dreaddit", "stress"),
    max_length: int = 40,
) -> EncoderAnalyst:
    torch.manual_seed(3)
    model = MultiTaskEncoder(encoder, len(labels), "mean")
    torch.nn.init.normal_(model.heads.weight)
    metadata = ModelMetadata(
        analyst="encoder", fingerprint="0", form="instruction", max_tokens=max_length, sets=key[:1],
        heads=(EncoderHead(set=key[0], question=key[1], labels=labels, temperature=temperature),),
    )  # fmt: skip
    classifier = EncoderClassifier(model.eval(), tokenizer(), max_length)
    return EncoderAnalyst(classifier, metadata, "encoder:toy", InferenceOptions(log=lambda _: None))


def linear_analyst() -> EncoderAnalyst:
    """A linear toy: 1 dimension, rent 3, noise 5, everything else 0; the logits are (x, -x) for the mean x of the
    tokens."""
    encoder, ids = BagOfEmbeddings(len(tokenizer()), 1), tokenizer().convert_tokens_to_ids(["rent", "noise"])
    torch.nn.init.zeros_(encoder.words.weight)
    with torch.no_grad():
        encoder.words.weight[ids] = torch.tensor([[3.0], [5.0]])
    analyst = make_analyst(encoder)
    with torch.no_grad():
        analyst.classifier.model.heads.weight[:] = torch.tensor([[1.0], [-1.0]])
    return analyst


def bert_analyst(folder: Path, max_length: int = 40) -> EncoderAnalyst:
    from transformers import BertModel

    return make_analyst(BertModel.from_pretrained(saved_bert(folder)), max_length=max_length)


@pytest.mark.parametrize("steps", [1, 4])
def test_on_a_linear_model_the_weights_are_exact_and_the_gap_is_zero(steps: int) -> None:
    # Eight tokens, [CLS] the rent , the noise . [SEP], have the mean x = (3 + 5) / 8 = 1.
    # At temperature 2 the log-odds of yes are 2x / 2 = 1: rent gives 3/8 of them, noise 5/8.
    analyst = linear_analyst()
    example = make_example(TEXT)
    assert label_log_odds(analyst, [example], ["yes"]) == pytest.approx([1.0])
    yes, no = IntegratedGradients(analyst, steps).attribute([example] * 2, ["yes", "no"])
    assert [TEXT[start:end] for start, end in yes.units] == WORDS
    assert yes.weights == pytest.approx([0, 3 / 8, 0, 5 / 8], abs=1e-6)
    assert no.weights == pytest.approx([0, -3 / 8, 0, -5 / 8], abs=1e-6)
    assert yes.completeness_gap == pytest.approx(0, abs=1e-6)


def test_gradient_times_input_is_the_same_on_a_linear_model() -> None:
    (found,) = GradientTimesInput(linear_analyst()).attribute([make_example(TEXT)], ["yes"])
    assert found.weights == pytest.approx([0, 3 / 8, 0, 5 / 8], abs=1e-6)
    assert found.completeness_gap is None


def test_among_four_labels_the_log_odds_are_against_all_others() -> None:
    # [CLS] noise the the [SEP] has the mean x = 1. From logits of 0 to (x, 0, 0, -x), the log-odds of the first rise
    # from log(1/3) to log(e / (2 + 1/e)).
    labels = tuple(load_tasks()["t-sid"].labels)
    analyst = make_analyst(linear_analyst().classifier.model.encoder, labels, 1.0, ("t-sid", "disorder"))
    with torch.no_grad():
        analyst.classifier.model.heads.weight[:] = torch.tensor([[1.0], [0.0], [0.0], [-1.0]])
    example = make_example("noise the the").model_copy(update={"task": "t-sid", "question": "disorder"})
    (found,) = IntegratedGradients(analyst, 8).attribute([example], [labels[0]])
    assert found.weights == pytest.approx([log(e / (2 + 1 / e)) - log(1 / 3), 0, 0], abs=1e-4)
    assert found.completeness_gap == pytest.approx(0, abs=1e-4)


def test_the_gap_is_what_the_weights_lack(tmp_path: Path) -> None:
    analyst = bert_analyst(tmp_path)
    (found,) = IntegratedGradients(analyst, 2).attribute([make_example(TEXT)], ["yes"])
    classifier = analyst.classifier
    (ids,), _ = classifier.tokenize([TEXT])
    baseline = [ids[0], *[classifier.pad_token_id] * (len(ids) - 2), ids[-1]]
    logits = classifier.logits([ids, baseline], analyst.token_budget) / 2.0
    rise = (logits[0, 0] - logits[0, 1]) - (logits[1, 0] - logits[1, 1])
    assert found.completeness_gap == pytest.approx(abs(sum(found.weights) - rise), abs=1e-5)


def test_the_baseline_keeps_the_positions_of_the_post() -> None:
    """RoBERTa counts positions by ids, and gives padding none."""
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(1)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(
        vocab_size=len(tokenizer()),
        max_position_embeddings=64,
        pad_token_id=tokenizer().pad_token_id,
        initializer_range=0.5,
        **sizes,
    )
    (found,) = IntegratedGradients(make_analyst(RobertaModel(config)), 40).attribute(
        [make_example(TEXT)], ["yes"]
    )
    assert abs(sum(found.weights)) > 0.1
    assert found.completeness_gap == pytest.approx(0, abs=1e-3)


def test_more_steps_leave_a_smaller_gap(tmp_path: Path) -> None:
    analyst = bert_analyst(tmp_path)
    examples = [make_example(text) for text in (TEXT, "A walk, and tea in the garden again")]
    gaps = [
        max(
            found.completeness_gap or 0.0
            for found in IntegratedGradients(analyst, steps).attribute(examples, ["yes"] * 2)
        )
        for steps in (1, 32)
    ]
    assert gaps[1] < min(1e-3, gaps[0])


def test_posts_in_one_batch_are_explained_as_alone(tmp_path: Path) -> None:
    analyst = bert_analyst(tmp_path)
    examples = [make_example(text) for text in (TEXT, "Soup", "A walk, and tea in the garden again")]
    labels = ["yes", "no", "yes"]
    for method in (IntegratedGradients(analyst, 3), GradientTimesInput(analyst), AttentionWeights(analyst)):
        together = method.attribute(examples, labels)
        alone = [
            method.attribute([example], [label])[0] for example, label in zip(examples, labels, strict=True)
        ]
        for found, expected in zip(together, alone, strict=True):
            assert found.weights == pytest.approx(expected.weights, abs=1e-5)


def test_words_beyond_the_context_weigh_nothing(tmp_path: Path) -> None:
    (found,) = IntegratedGradients(bert_analyst(tmp_path, max_length=6)).attribute(
        [make_example("rent bus tea rain work sleep")], ["yes"]
    )
    assert [weight == 0 for weight in found.weights] == [False] * 4 + [True] * 2


def test_a_post_without_words_has_no_units(tmp_path: Path) -> None:
    (found,) = IntegratedGradients(bert_analyst(tmp_path)).attribute([make_example(" … ")], ["yes"])
    assert (found.units, found.weights, found.completeness_gap) == ((), (), pytest.approx(0, abs=1e-6))
    assert IntegratedGradients(linear_analyst()).attribute([], []) == []


def test_attention_is_shared_among_words_and_special_tokens(tmp_path: Path) -> None:
    analyst = bert_analyst(tmp_path)
    (found,) = AttentionWeights(analyst).attribute([make_example(TEXT)], ["yes"])
    assert 0 < sum(found.weights) < 1
    assert min(found.weights) > 0
    before = label_log_odds(analyst, [make_example(TEXT)], ["yes"])
    AttentionWeights(analyst).attribute([make_example(TEXT)], ["yes"])
    assert label_log_odds(analyst, [make_example(TEXT)], ["yes"]) == pytest.approx(before)


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(UsageError, match="encoder:toy gives no label 'maybe'; its labels are yes, no"):
        IntegratedGradients(linear_analyst()).attribute([make_example(TEXT)], ["maybe"])
