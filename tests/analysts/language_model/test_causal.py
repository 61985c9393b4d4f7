"""The decoder as an analyst: what it answers is what one pass an answer and one token after the other would give."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.digests import write_hashes
from mentallama.analysts.checkpoints.loading import LoadedModel
from mentallama.analysts.checkpoints.metadata import ModelMetadata, write_model_metadata
from mentallama.analysts.inference.unshared import max_tree_length
from mentallama.analysts.language_model import causal
from mentallama.analysts.language_model.causal import CausalAnalyst
from mentallama.analysts.registry import open_with_options
from mentallama.answers.parse import read_answer
from mentallama.errors import MentallamaError, UsageError
from mentallama.prompts.few_shot import read_few_shot_rows
from mentallama.records import FORMS, Example, Form, Prediction
from tests.factories.decoder_cases import (
    CONTEXT,
    TASKS,
    analyst,
    make_examples,
    naive_scores,
    naive_shares,
    naive_text,
)
from tests.factories.project import ROOT
from tests.factories.tiny_models import Layout, bfloat16_attention_works, tiny_llama, tiny_tokenizer

CLOSE = 1e-4
NEW = 24


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def ending_llama(tokenizer: Any, **config: Any) -> Any:
    """A Llama that ends here and there: a tenth of its words end a text."""
    model = tiny_llama(None, tokenizer, **config)
    model.generation_config.eos_token_id = list(range(5, len(tokenizer), 10))
    return model


def check(
    model: Any, tokenizer: Any, examples: list[Example], result: list[Prediction], texts: bool = True
) -> None:
    """Everything that was answered, against the naive way."""
    assert [each.example_id for each in result] == [example.id for example in examples]
    for example, prediction in zip(examples, result, strict=True):
        wanted = naive_shares(naive_scores(model, tokenizer, example, NEW + 40))
        assert prediction.probabilities == pytest.approx(wanted, abs=CLOSE)
        assert math.isclose(sum(prediction.probabilities.values()), 1, abs_tol=1e-9)
        assert prediction.reading.status == "parsed"
        assert prediction.reading.label == max(wanted, key=wanted.__getitem__)
        if texts:
            assert (
                prediction.reading.explanation
                == naive_text(model, tokenizer, example, prediction.reading.label, NEW)[0]
            )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("layout", ["bytes", "llama"])
def test_probabilities_and_explanations_equal_naive_computation(
    layout: Layout, chat: bool, form: Form
) -> None:
    tokenizer = tiny_tokenizer(chat, layout)
    model = ending_llama(tokenizer)
    examples = make_examples(("MultiWD", "CAMS", "DR"), posts=2, form=form)
    causal_analyst = analyst(model, tokenizer)
    predictions = list(causal_analyst.predict(examples))
    check(model, tokenizer, examples, predictions)
    assert len({each.reading.label for each in predictions}) > 1
    # Random models are sure of the shorter answers; the likelihoods behind the probabilities tell more.
    with torch.inference_mode():
        answers = causal_analyst._score_and_generate(
            [causal_analyst._question(example) for example in examples]
        )
    for example, answer in zip(examples, answers, strict=True):
        wanted = naive_scores(model, tokenizer, example, NEW + 40)
        assert answer.answer_logprobs == pytest.approx(list(wanted.values()), abs=CLOSE)


@pytest.mark.parametrize("mode", ["answer-first", "free"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("shared", [True, False])
def test_nan_is_an_error_and_never_a_prediction(
    monkeypatch: pytest.MonkeyPatch, mode: Any, number: float, shared: bool
) -> None:
    tokenizer = tiny_tokenizer()
    model = ending_llama(tokenizer)
    if not shared:
        monkeypatch.setattr("mentallama.analysts.language_model.causal.max_tree_length", lambda *_: 0)
    head, forward = model.lm_head, model.lm_head.forward
    monkeypatch.setattr(head, "forward", lambda hidden: torch.full_like(forward(hidden), number))
    with pytest.raises(MentallamaError, match="causal:tiny: it computed NaN or infinite scores"):
        list(analyst(model, tokenizer, mode=mode).predict(make_examples(posts=2)))


@pytest.mark.parametrize("mode", ["answer-first", "free"])
def test_one_damaged_weight_is_an_error(mode: Any) -> None:
    tokenizer = tiny_tokenizer()
    model = ending_llama(tokenizer)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[3, 5] = float("nan")
    with pytest.raises(MentallamaError, match="causal:tiny: it computed NaN or infinite scores"):
        list(analyst(model, tokenizer, mode=mode).predict(make_examples(posts=2)))


def test_explanations_that_do_not_end_are_kept_and_counted() -> None:
    tokenizer = tiny_tokenizer()
    model, examples = ending_llama(tokenizer), make_examples(posts=4)
    causal_analyst = analyst(model, tokenizer)
    predictions = list(causal_analyst.predict(examples))
    ends = [
        naive_text(model, tokenizer, example, prediction.reading.label, NEW)[1]
        for example, prediction in zip(examples, predictions, strict=True)
    ]
    assert causal_analyst.counts == {"truncated_explanations": ends.count(False)}
    assert 0 < ends.count(False) < len(ends)
    assert {each.reading.status for each in predictions} == {"parsed"}


@pytest.mark.parametrize("budget", [1, 1000, 100_000])
def test_batches_do_not_change_the_answers(budget: int) -> None:
    tokenizer = tiny_tokenizer()
    # In float64: batches round differently, and a tie that float32 rounding breaks would change a text.
    model, examples = ending_llama(tokenizer).double(), make_examples(("Irf", "SAD"), posts=5)
    together = list(analyst(model, tokenizer, max_batch_tokens=budget).predict(examples))
    singly = analyst(model, tokenizer)
    for prediction, example in zip(together, examples, strict=True):
        (alone,) = singly.predict([example])
        assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        assert prediction.reading == alone.reading


def test_questions_about_one_post_are_computed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer()
    model, examples = tiny_llama(None, tokenizer), make_examples(posts=2)
    passes: list[list[int]] = []
    read = causal.score_trees
    monkeypatch.setattr(
        causal,
        "score_trees",
        lambda *args, **more: passes.append([len(g.requests) for g in args[1]]) or read(*args, **more),
    )
    list(analyst(model, tokenizer, labels_only=True).predict(examples))
    assert passes == [[9, 9]]  # six of MultiWD, two of Irf, one of SAD: one pass over two posts
    causal_analyst = analyst(model, tokenizer)
    sizes = [len(causal_analyst._question(example).request.sequences) for example in examples]
    tokens = sum(
        len(sequence)
        for example in examples
        for sequence in causal_analyst._question(example).request.sequences
    )
    shared = sum(group.n_tokens for group in groups_of(causal_analyst, examples))
    assert sum(sizes) == 2 * (6 * 2 + 2 * 2 + 9)
    assert shared < tokens / 3


def groups_of(analyst: CausalAnalyst, examples: list[Example]) -> list[causal.ScoringGroup]:
    questions = [analyst._question(example) for example in examples]
    half = len(examples) // 2
    return [
        causal.ScoringGroup(list(range(half)), [each.request for each in part])
        for part in (questions[:half], questions[half:])
    ]


def test_labels_only_writes_nothing() -> None:
    tokenizer = tiny_tokenizer()
    model, examples = tiny_llama(None, tokenizer), make_examples(("DR", "CAMS"))
    predictions = list(analyst(model, tokenizer, labels_only=True).predict(examples))
    check(model, tokenizer, examples, predictions, texts=False)
    assert {each.reading.explanation for each in predictions} == {""}


@pytest.mark.parametrize("chat", [False, True])
def test_free_answers_are_those_of_generate_and_are_parsed(chat: bool) -> None:
    tokenizer = tiny_tokenizer(chat)
    model, examples = ending_llama(tokenizer), make_examples(posts=4)
    causal_analyst = analyst(model, tokenizer, mode="free")
    predictions = list(causal_analyst.predict(examples))
    cut = 0
    for example, prediction in zip(examples, predictions, strict=True):
        text, ended = naive_text(model, tokenizer, example, None, NEW)
        cut += not ended
        assert prediction.probabilities == {}
        assert prediction.reading == read_answer(
            TASKS[example.task], text, "instruction", "stop" if ended else "length"
        )
    assert 0 < cut < len(predictions)
    assert causal_analyst.counts == {"truncated_answers": cut}


def test_a_free_answer_can_be_parsed_to_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer()
    model, examples = tiny_llama(None, tokenizer), make_examples(("DR",), posts=1)
    causal_analyst = analyst(model, tokenizer, mode="free", max_new_tokens=60)
    answer = causal_analyst._prompt_encoder("instruction").encode_answer(
        "Yes, the poster suffers from depression. Reasoning: Rain."
    )

    def messages(model: Any, rows: Any, *_: Any) -> Any:
        for row in rows:
            row.generated = answer
            yield row

    monkeypatch.setattr(causal, "generate", messages)
    (prediction,) = causal_analyst.predict(examples)
    assert (prediction.reading.status, prediction.reading.label, prediction.reading.explanation) == (
        "parsed",
        "yes",
        "Rain.",
    )
    assert causal_analyst.counts["truncated_answers"] == 0


def test_long_posts_are_truncated_and_counted_once_with_one_message() -> None:
    tokenizer, messages = tiny_tokenizer(), list[str]()
    model = tiny_llama(None, tokenizer)
    long = [
        example.model_copy(update={"text": example.text + " It rained again." * 300})
        for example in make_examples(("MultiWD",), posts=2)
    ]
    short = make_examples(("MultiWD",), posts=1)
    causal_analyst = analyst(model, tokenizer, log=messages.append, max_new_tokens=12)
    predictions = list(causal_analyst.predict([*long, *short]))
    assert causal_analyst.counts["truncated_posts"] == 2
    assert messages == [
        f"causal:tiny has a context of {CONTEXT} tokens: longer posts are truncated at their end, and counted"
    ]
    assert all(each.reading.label for each in predictions)
    list(causal_analyst.predict(long))
    assert causal_analyst.counts["truncated_posts"] == 4
    assert len(messages) == 1


def test_a_question_that_does_not_fit_is_an_error() -> None:
    tokenizer = tiny_tokenizer()
    causal_analyst = analyst(tiny_llama(None, tokenizer), tokenizer, max_new_tokens=CONTEXT)
    with pytest.raises(
        UsageError, match="the model has a context of 512 tokens, too few for the question of MultiWD"
    ):
        list(causal_analyst.predict(make_examples()))


def test_an_unknown_task_is_an_error() -> None:
    tokenizer = tiny_tokenizer()
    example = make_examples(posts=1)[0].model_copy(update={"task": "DRR"})
    with pytest.raises(UsageError, match="did you mean DR"):
        list(analyst(tiny_llama(None, tokenizer), tokenizer).predict([example]))


def test_nothing_asked_nothing_answered() -> None:
    tokenizer = tiny_tokenizer()
    assert list(analyst(tiny_llama(None, tokenizer), tokenizer).predict([])) == []


def test_a_model_in_training_is_asked_without_dropout_and_goes_on_training() -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_llama(None, tokenizer, attention_dropout=0.5)
    examples = make_examples(("DR",))
    still = list(analyst(model, tokenizer).predict(examples))
    model.train()
    assert list(analyst(model, tokenizer).predict(examples)) == still
    assert model.training
    model(torch.tensor([[5, 6, 7]])).logits.sum().backward()  # weights are as trainable as before


@pytest.mark.skipif(not bfloat16_attention_works(), reason="torch has no bfloat16 attention for this CPU")
def test_bfloat16_gives_nearly_the_same_probabilities() -> None:
    tokenizer = tiny_tokenizer()
    examples = make_examples(("Irf", "CAMS"))
    model = tiny_llama(None, tokenizer, initializer_range=0.1)
    exact = list(analyst(model, tokenizer, labels_only=True).predict(examples))
    rough = list(analyst(model.to(torch.bfloat16), tokenizer, labels_only=True).predict(examples))
    for one, other in zip(exact, rough, strict=True):
        assert other.probabilities == pytest.approx(one.probabilities, abs=0.05)
        assert sum(other.probabilities.values()) == pytest.approx(1, abs=1e-9)


SHAPE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
    "num_key_value_heads": 2, "max_position_embeddings": CONTEXT, "initializer_range": 0.3, "bos_token_id": None,
    "pad_token_id": None,
}  # fmt: skip
GPT2 = {
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": CONTEXT,
    "initializer_range": 0.3,
    "bos_token_id": None,
}
OTHERS: list[tuple[str, dict[str, Any], int]] = [
    ("gpt2", GPT2, CONTEXT),  # learned positions
    ("qwen3", SHAPE, CONTEXT),
    ("gemma2", {**SHAPE, "sliding_window": 4096, "query_pre_attn_scalar": 8}, CONTEXT),  # softcapped logits
    ("gemma2", {**SHAPE, "sliding_window": 24, "query_pre_attn_scalar": 8}, 24),  # every other layer sees little
    ("mistral", {**SHAPE, "sliding_window": 24}, 24),
    ("mistral", {**SHAPE, "sliding_window": 150}, 150),  # long enough for some posts
    ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}, 0),  # no positions
    ("lfm2", {**SHAPE, "layer_types": ["conv", "full_attention"]}, 0),
    ("falcon", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True}, 0),
    ("gpt_neo", {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]],
                 "window_size": 24, "max_position_embeddings": CONTEXT, "initializer_range": 0.3}, 24),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "config", "bound"), OTHERS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_other_decoders_in_trees_or_row_by_row(kind: str, config: dict[str, Any], bound: int) -> None:
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    shape = {**config, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **shape)).eval()
    model.generation_config.eos_token_id = list(range(5, len(tokenizer), 10))
    examples = make_examples(("Irf", "CAMS"), posts=2)
    assert max_tree_length(model, CONTEXT) == bound
    check(model, tokenizer, examples, list(analyst(model, tokenizer).predict(examples)))


def test_habits_published_with_a_model_do_not_change_what_is_written() -> None:
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    shape = {
        "hidden_size": 32,
        "n_layer": 2,
        "n_head": 4,
        "initializer_range": 0.3,
        "vocab_size": len(tokenizer),
    }
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("bloom", **shape)).eval()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    examples = make_examples(("DR",))
    plain = [each.reading for each in analyst(model, tokenizer).predict(examples)]
    model.generation_config.update(repetition_penalty=3.0, do_sample=True, temperature=2.0)
    assert [each.reading for each in analyst(model, tokenizer).predict(examples)] == plain
    assert model.generation_config.repetition_penalty == 3.0


def test_adapters_are_asked_and_change_the_answers(tmp_path: Path) -> None:
    from peft import LoraConfig, PromptTuningConfig, get_peft_model

    tokenizer = tiny_tokenizer()
    examples = make_examples(("Irf",))
    before = list(analyst(tiny_llama(None, tokenizer), tokenizer).predict(examples))
    torch.manual_seed(1)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    adapted = get_peft_model(tiny_llama(tmp_path / "base", tokenizer), config).eval()
    predictions = list(analyst(adapted, tokenizer).predict(examples))
    check(adapted, tokenizer, examples, predictions)
    assert [each.probabilities for each in predictions] != [each.probabilities for each in before]

    adapted.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    adapted.save_pretrained(tmp_path / "adapter")
    said = InferenceOptions(max_new_tokens=NEW, device="cpu")
    again = list(open_with_options(f"causal:{tmp_path / 'adapter'}", said).predict(examples))
    assert [each.reading for each in again] == [each.reading for each in predictions]
    assert {each.model for each in again} == {"causal:adapter"}

    tuned = get_peft_model(
        tiny_llama(None, tokenizer), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    )
    with pytest.raises(UsageError, match="prepend learned tokens to the prompt"):
        analyst(tuned, tokenizer)


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_a_model_is_prompted_as_in_training(template: Any, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(chat=True)
    tiny_llama(tmp_path, tokenizer)
    made = ModelMetadata(
        analyst="causal",
        fingerprint="ab12",
        form="instruction",
        max_tokens=64,
        sets=("DR",),
        template=template,
    )
    write_model_metadata(tmp_path, made, [])
    write_hashes(tmp_path)
    causal_analyst = CausalAnalyst.load(str(tmp_path), InferenceOptions(device="cpu"))
    assert causal_analyst.name == "causal:ab12"
    assert causal_analyst._prompt_encoder("instruction").uses_chat_template == (template == "chat")
    other = CausalAnalyst.load(str(tmp_path), InferenceOptions(device="cpu", template="plain"))
    assert not other._prompt_encoder("instruction").uses_chat_template


# -- short memory


def full(model: Any, most: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Let the model fail like a full device wherever it is given more than `most` tokens at once."""
    seen: Counter[str] = Counter()
    forward = model.forward

    def narrow(input_ids: torch.Tensor, *args: Any, **more: Any) -> Any:
        seen["passes"] += 1
        if input_ids.numel() > most:
            seen["failed"] += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(input_ids, *args, **more)

    narrow.__signature__ = __import__("inspect").signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(model, "forward", narrow)
    return seen


def test_out_of_memory_halves_the_batches_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, messages = tiny_tokenizer(), list[str]()
    model, examples = ending_llama(tokenizer), make_examples(posts=4)
    wanted = list(analyst(model, tokenizer).predict(examples))
    seen = full(model, 500, monkeypatch)
    causal_analyst = analyst(model, tokenizer, log=messages.append)
    predictions = list(causal_analyst.predict(examples))
    assert [each.reading for each in predictions] == [each.reading for each in wanted]
    assert seen["failed"] == len(messages) > 0
    assert all(line.startswith("out of memory: batches are limited to ") for line in messages)
    list(causal_analyst.predict(examples))
    assert len(messages) == seen["failed"]
    assert seen["passes"] > 2 * seen["failed"]


def test_questions_about_one_post_are_split_if_they_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, messages = tiny_tokenizer(), list[str]()
    model, examples = ending_llama(tokenizer).double(), make_examples(("MultiWD", "Irf"), posts=1)
    causal_analyst = analyst(model, tokenizer)
    whole = causal_analyst._question(examples[0]).request
    wanted = list(causal_analyst.predict(examples))
    seen = full(model, len(whole.prompt) + 60, monkeypatch)
    predictions = list(analyst(model, tokenizer, log=messages.append).predict(examples))
    assert [each.reading for each in predictions] == [each.reading for each in wanted]
    for one, other in zip(predictions, wanted, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert seen["failed"] == len(messages) > 0


@pytest.mark.parametrize("kind", ["llama", "bloom"])
def test_one_question_that_does_not_fit_is_an_error(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer()
    shape = {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": len(tokenizer)}
    model = (
        tiny_llama(None, tokenizer)
        if kind == "llama"
        else AutoModelForCausalLM.from_config(AutoConfig.for_model("bloom", **shape)).eval()
    )
    full(model, 20, monkeypatch)
    with pytest.raises(
        MentallamaError, match=r"out of memory with a single question of \d+ tokens; use a smaller"
    ):
        list(analyst(model, tokenizer).predict(make_examples(posts=1)))


def test_row_by_row_halves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, messages = tiny_tokenizer(), list[str]()
    torch.manual_seed(0)
    shape = {
        "hidden_size": 32,
        "n_layer": 2,
        "n_head": 4,
        "initializer_range": 0.3,
        "vocab_size": len(tokenizer),
    }
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("bloom", **shape)).eval()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    examples = make_examples(("SAD", "DR"), posts=2)
    wanted = list(analyst(model, tokenizer).predict(examples))
    full(model, 150, monkeypatch)
    predictions = list(analyst(model, tokenizer, log=messages.append).predict(examples))
    assert [each.reading for each in predictions] == [each.reading for each in wanted]
    assert messages


def test_other_faults_are_not_taken_for_short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_llama(None, tokenizer)
    analyst = CausalAnalyst(LoadedModel(model, tokenizer, CONTEXT, "causal:tiny", None), InferenceOptions())

    def broken(*args: Any, **more: Any) -> Any:
        raise RuntimeError("something else")

    monkeypatch.setattr(model, "forward", broken)
    with pytest.raises(RuntimeError, match="something else"):
        list(analyst.predict(make_examples(posts=1)))


# --- instructions and examples ------------------------------------------------------------------------

ROWS = read_few_shot_rows(ROOT / "sample/examples.csv", TASKS)
LONG_CONTEXT = 8192


def prompted(monkeypatch: pytest.MonkeyPatch, model: Any, tokenizer: Any, **asking: Any) -> CausalAnalyst:
    monkeypatch.setattr("tests.factories.decoder_cases.CONTEXT", LONG_CONTEXT)
    return analyst(model, tokenizer, examples=ROWS, shots=2, max_new_tokens=8, **asking)


@pytest.mark.parametrize("prompt", ["zero-shot", "few-shot"])
@pytest.mark.parametrize("chat", [False, True])
def test_posts_of_a_question_share_their_prompt_without_a_difference(
    prompt: Any, chat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tiny_tokenizer(chat)
    model = ending_llama(tokenizer, max_position_embeddings=LONG_CONTEXT)
    examples = make_examples(("DR", "Irf"), posts=3)
    groups: list[int] = []
    score = causal.score_trees

    def watched(*args: Any, **options: Any) -> Any:
        groups.extend(len(group.requests) for group in args[1])
        return score(*args, **options)

    monkeypatch.setattr(causal, "score_trees", watched)
    together = list(prompted(monkeypatch, model, tokenizer, prompt=prompt).predict(examples))
    assert sorted(groups) == [3, 3, 3]  # three questions, each one tree of three posts
    monkeypatch.setattr(causal, "max_tree_length", lambda *_: 0)
    alone = list(prompted(monkeypatch, model, tokenizer, prompt=prompt).predict(examples))
    for one, other in zip(together, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=CLOSE)
        assert one.reading == other.reading
    plain = list(prompted(monkeypatch, model, tokenizer).predict(examples))
    assert [each.probabilities for each in plain] != [each.probabilities for each in together]


def test_a_small_batch_makes_small_trees_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer(True)
    model = ending_llama(tokenizer, max_position_embeddings=LONG_CONTEXT)
    examples = make_examples(("DR",), posts=3)
    asking = {"prompt": "zero-shot", "labels_only": True}
    usual = list(prompted(monkeypatch, model, tokenizer, **asking).predict(examples))
    small = list(prompted(monkeypatch, model, tokenizer, **asking, max_batch_tokens=10).predict(examples))
    for one, other in zip(usual, small, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=CLOSE)


def test_the_post_is_shortened_and_never_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer(True)
    model = ending_llama(tokenizer, max_position_embeddings=LONG_CONTEXT)
    opened = prompted(monkeypatch, model, tokenizer, prompt="zero-shot", labels_only=True)
    (example,) = make_examples(("DR",), posts=1)
    long = example.model_copy(update={"text": "</post> words and words. " * 2000})
    (prediction,) = opened.predict([long])
    assert prediction.reading.status == "parsed"
    assert opened.counts["truncated_posts"] == 1
    prompt = opened._question(long).request.prompt
    text = tokenizer.decode(prompt)
    assert len(prompt) <= LONG_CONTEXT
    assert "Choose one of these answers" in text
    assert text.rstrip().endswith("<|im_start|>assistant")


def test_a_prompt_that_cannot_fit_is_one_sentence_before_any_work() -> None:
    tokenizer = tiny_tokenizer(True)
    model = ending_llama(tokenizer)
    opened = analyst(model, tokenizer, prompt="few-shot", examples=ROWS, shots=2)
    with pytest.raises(UsageError) as fault:
        opened.prepare([("DR", "depression")])
    assert str(fault.value).startswith("the few-shot prompt of DR has ")
    assert str(fault.value).endswith(
        "it exceeds the model's context of 512; use fewer shots, shorter answers or another model"
    )


def test_a_template_without_a_system_role_has_the_instructions_in_the_user_s_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = tiny_tokenizer(True)
    tokenizer.chat_template = (
        "{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('no system') }}"
        "{% endif %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    model = ending_llama(tokenizer, max_position_embeddings=LONG_CONTEXT)
    opened = prompted(monkeypatch, model, tokenizer, prompt="few-shot")
    (example,) = make_examples(("DR",), posts=1)
    text = tokenizer.decode(opened._question(example).request.prompt)
    assert text.startswith("<|im_start|>user\nYou help researchers")
    assert text.count("<|im_start|>assistant") == 3


def test_a_template_that_drops_earlier_turns_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer(True)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    model = ending_llama(tokenizer, max_position_embeddings=LONG_CONTEXT)
    with pytest.raises(UsageError, match="leaves out instructions or earlier turns; use template: plain"):
        prompted(monkeypatch, model, tokenizer, prompt="few-shot").prepare([("DR", "depression")])


def test_free_mode_reads_sentences_of_the_instruction_form(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer()
    model = ending_llama(tokenizer, max_position_embeddings=LONG_CONTEXT)
    opened = prompted(monkeypatch, model, tokenizer, prompt="zero-shot", mode="free")
    decoded = "No, the poster does not suffer from depression. Reasoning: It is calm.\n\n<post>\nYes"
    monkeypatch.setattr(
        "mentallama.analysts.inference.prompt_encoding.PromptEncoder.decode_answer", lambda *_: decoded
    )
    (example,) = make_examples(("DR",), posts=1, form="completion")
    (prediction,) = opened.predict([example])
    assert (prediction.reading.label, prediction.reading.explanation) == ("no", "It is calm.")
    assert opened.counts["truncated_answers"] == 0
