"""The encoder-decoder as an analyst: what it answers is what one pass an answer and the model's own way would give."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.loading import LoadedModel
from mentallama.analysts.language_model.seq2seq import Seq2seqAnalyst
from mentallama.analysts.registry import open_with_options
from mentallama.answers.format import REASONING_MARKER, label_sentence
from mentallama.answers.parse import read_answer
from mentallama.errors import MentallamaError, UsageError
from mentallama.records import FORMS, Example, Form
from mentallama.tasks import write_query
from tests.factories.decoder_cases import CONTEXT, TASKS, make_examples, naive_shares
from tests.factories.tiny_models import Kind, tiny_llama, tiny_pair

KINDS = ("bart", "t5")
CLOSE = 1e-4
NEW = 24


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def ending_pair(kind: Kind, **config: Any) -> tuple[Any, Any]:
    """A model that ends here and there: a seventh of its words end a text. Tied, it says one word on and on."""
    model, tokenizer = tiny_pair(kind, **{"tie_word_embeddings": False, **config})
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *range(5, len(tokenizer), 7)]
    return model, tokenizer


def analyst(model: Any, tokenizer: Any, **asking: Any) -> Seq2seqAnalyst:
    """The model in memory as an analyst that says nothing."""
    settings = {"max_new_tokens": NEW, "log": lambda _: None, **asking}
    return Seq2seqAnalyst(
        LoadedModel(model, tokenizer, CONTEXT, "seq2seq:tiny", None), InferenceOptions(**settings)
    )


def query(tokenizer: Any, example: Example) -> torch.Tensor:
    """The encoder's tokens as any user of transformers would make them."""
    text = write_query(TASKS[example.task], example.question, example.form, example.text).rstrip()
    return torch.tensor([tokenizer(text)["input_ids"]])


def begun_of(tokenizer: Any) -> list[int]:
    """What the decoder begins with: BART's own start and `<s>`, T5's start alone."""
    return [2, 0] if tokenizer.bos_token else [0]


@pytest.mark.parametrize("mode", ["answer-first", "free"])
@pytest.mark.parametrize("kind", KINDS)
def test_nan_is_an_error_and_never_a_prediction(kind: Kind, mode: Any) -> None:
    model, tokenizer = ending_pair(kind)
    with torch.no_grad():
        model.lm_head.weight[7] = float("nan")
    with pytest.raises(MentallamaError, match="seq2seq:tiny: it computed NaN or infinite scores"):
        list(analyst(model, tokenizer, mode=mode).predict(make_examples(posts=2)))


def naive_scores(model: Any, tokenizer: Any, example: Example) -> dict[str, float]:
    """Log-likelihood of each label's answer, each by a pass of its own over both sides."""
    scores, begun = {}, begun_of(tokenizer)
    for label in TASKS[example.task].labels:
        sentence = label_sentence(TASKS[example.task], label, example.form)
        answer = tokenizer(sentence, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            prediction = torch.tensor([begun + answer])
            chances = (
                model(input_ids=query(tokenizer, example), decoder_input_ids=prediction)
                .logits[0]
                .log_softmax(-1)
            )
        scores[label] = sum(
            float(chances[len(begun) - 1 + place, token]) for place, token in enumerate(answer)
        )
    return scores


def naive_text(model: Any, tokenizer: Any, example: Example, label: str | None) -> tuple[str, bool]:
    """What the model's own `generate` writes behind a label's answer (None: from the start), and whether it ends."""
    begun = begun_of(tokenizer)
    if label is not None:
        sentence = label_sentence(TASKS[example.task], label, example.form)
        begun = begun + tokenizer(f"{sentence} {REASONING_MARKER}", add_special_tokens=False)["input_ids"]
    result = naive_ids(model, tokenizer, query(tokenizer, example), begun)
    ends = model.generation_config.eos_token_id
    ended = result[-1] in (ends if isinstance(ends, list) else [ends, tokenizer.eos_token_id])
    return tokenizer.decode(result[:-1] if ended else result, skip_special_tokens=True).strip(), ended


def naive_ids(model: Any, tokenizer: Any, prompt: torch.Tensor, begun: list[int]) -> list[int]:
    """The tokens that `generate` writes behind what it begins with."""
    ends = model.generation_config.eos_token_id
    model.generation_config.forced_eos_token_id = None  # BART's habit: to end where it must stop anyway
    return model.generate(
        prompt, decoder_input_ids=torch.tensor([begun]), do_sample=False, max_new_tokens=NEW,
        eos_token_id=ends if isinstance(ends, list) else [ends, tokenizer.eos_token_id],
    )[0, len(begun) :].tolist()  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_and_explanations_equal_naive_computation(kind: Kind, form: Form) -> None:
    model, tokenizer = ending_pair(kind)
    examples = make_examples(("MultiWD", "CAMS", "DR"), posts=2, form=form)
    seq2seq_analyst = analyst(model, tokenizer)
    predictions = list(seq2seq_analyst.predict(examples))
    assert [each.example_id for each in predictions] == [example.id for example in examples]
    cut = 0
    for example, prediction in zip(examples, predictions, strict=True):
        wanted = naive_shares(naive_scores(model, tokenizer, example))
        assert prediction.probabilities == pytest.approx(wanted, abs=CLOSE)
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-9)
        assert prediction.reading.label == max(wanted, key=wanted.__getitem__)
        text, ended = naive_text(model, tokenizer, example, prediction.reading.label)
        assert prediction.reading.explanation == text
        cut += not ended
    assert seq2seq_analyst.counts == {"truncated_explanations": cut}
    # Random models are sure of the shorter answers; the likelihoods behind the probabilities tell more.
    with torch.inference_mode():
        said = seq2seq_analyst._score_and_generate(
            [seq2seq_analyst._question(0, example) for example in examples]
        )
    for example, each in zip(examples, said, strict=True):
        assert each.answer_logprobs == pytest.approx(
            list(naive_scores(model, tokenizer, example).values()), abs=CLOSE
        )


@pytest.mark.parametrize("kind", KINDS)
def test_free_answers_are_those_of_generate_and_are_parsed(kind: Kind) -> None:
    model, tokenizer = tiny_pair(kind, tie_word_embeddings=False)
    examples = make_examples(("MultiWD", "SAD"), posts=2)
    texts = [
        naive_ids(model, tokenizer, query(tokenizer, example), begun_of(tokenizer)) for example in examples
    ]
    counted = Counter(token for ids in texts for token in set(ids))
    # a word that some texts have and others have not is from here on an end
    model.generation_config.eos_token_id = next(word for word, often in counted.items() if often < len(texts))
    seq2seq_analyst = analyst(model, tokenizer, mode="free")
    predictions = list(seq2seq_analyst.predict(examples))
    cut = 0
    for example, prediction in zip(examples, predictions, strict=True):
        text, ended = naive_text(model, tokenizer, example, None)
        cut += not ended
        assert prediction.probabilities == {}
        assert prediction.reading == read_answer(
            TASKS[example.task], text, example.form, "stop" if ended else "length"
        )
    assert 0 < cut < len(predictions)
    assert seq2seq_analyst.counts == {"truncated_answers": cut}


def test_labels_only_writes_nothing() -> None:
    model, tokenizer = tiny_pair("t5")
    examples = make_examples(("DR", "CAMS"))
    whole = list(analyst(model, tokenizer).predict(examples))
    predictions = list(analyst(model, tokenizer, labels_only=True).predict(examples))
    assert [each.probabilities for each in predictions] == [each.probabilities for each in whole]
    assert {each.reading.explanation for each in predictions} == {""}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", [1, 300, 100_000])
def test_padding_and_batches_do_not_change_the_answers(kind: Kind, budget: int) -> None:
    model, tokenizer = ending_pair(kind)
    model.double()  # batches round differently, and a tie that float32 rounding breaks would change a text
    examples = make_examples(("Irf", "SAD"), posts=4)
    together = list(analyst(model, tokenizer, max_batch_tokens=budget).predict(examples))
    singly = analyst(model, tokenizer)
    for prediction, example in zip(together, examples, strict=True):
        (alone,) = singly.predict([example])
        assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        assert prediction.reading == alone.reading


def test_a_post_with_its_question_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = tiny_pair("bart")
    examples = make_examples(("SAD",), posts=3)
    read: list[int] = []
    encoder = model.get_encoder()
    forward = encoder.forward
    monkeypatch.setattr(
        encoder,
        "forward",
        lambda *args, **more: read.append(len(more["input_ids"])) or forward(*args, **more),
    )
    list(analyst(model, tokenizer).predict(examples))
    assert sum(read) == 3  # nine answers each, and an explanation


def test_no_padding_token_is_needed() -> None:
    model, tokenizer = ending_pair("bart")
    examples = make_examples(("DR", "CAMS"))
    wanted = list(analyst(model, tokenizer).predict(examples))
    _, padless = tiny_pair("bart", pad=False)
    assert padless.pad_token_id is None
    assert list(analyst(model, padless).predict(examples)) == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_long_posts_are_truncated_and_counted_once_with_one_message(kind: Kind) -> None:
    (model, tokenizer), messages = tiny_pair(kind), list[str]()
    long = [
        example.model_copy(update={"text": example.text + " It rained again." * 300})
        for example in make_examples(("MultiWD",), posts=2)
    ]
    seq2seq_analyst = analyst(model, tokenizer, log=messages.append, labels_only=True)
    predictions = list(seq2seq_analyst.predict([*long, *make_examples(("MultiWD",), posts=1)]))
    assert seq2seq_analyst.counts["truncated_posts"] == 2
    assert messages == [
        f"seq2seq:tiny has a context of {CONTEXT} tokens: longer posts are truncated at their end, and counted"
    ]
    assert all(each.reading.label for each in predictions)
    prompt = seq2seq_analyst._question(0, long[0]).prompt
    assert CONTEXT - 8 < len(prompt) <= CONTEXT
    asked = write_query(TASKS["MultiWD"], long[0].question, "instruction", "It rained again.").partition(
        '" '
    )[2]
    assert tokenizer.decode(prompt, skip_special_tokens=True).endswith(asked)
    assert prompt[-1] == tokenizer.eos_token_id  # closed as every text is


def test_an_explanation_ends_at_the_end_of_the_context() -> None:
    model, tokenizer = tiny_pair("bart", max_position_embeddings=80)
    model.generation_config.eos_token_id = []
    settings = InferenceOptions(max_new_tokens=500, log=lambda _: None)
    seq2seq_analyst = Seq2seqAnalyst(LoadedModel(model, tokenizer, 80, "seq2seq:tiny", None), settings)
    (prediction,) = seq2seq_analyst.predict(make_examples(("DR",), posts=1))
    assert prediction.reading.status == "parsed"
    assert seq2seq_analyst.counts == {"truncated_explanations": 1}


def test_errors_are_one_sentence(tmp_path: Path) -> None:
    model, tokenizer = tiny_pair("t5")
    examples = make_examples(("DR",), posts=1)
    with pytest.raises(UsageError, match="a seq2seq model reads the query as plain text"):
        list(analyst(model, tokenizer, template="chat").predict(examples))
    short = Seq2seqAnalyst(
        LoadedModel(model, tokenizer, 30, "seq2seq:tiny", None), InferenceOptions(log=lambda _: None)
    )
    with pytest.raises(UsageError, match="the model generates at most 30 tokens, but an answer of SAD takes"):
        short._tokenized_answers(TASKS["SAD"], short._prompt_encoder("instruction"))
    model.generation_config.decoder_start_token_id = model.config.decoder_start_token_id = None
    with pytest.raises(UsageError, match="no decoder_start_token_id"):
        list(analyst(model, tokenizer).predict(examples))
    tiny_llama(tmp_path)
    with pytest.raises(UsageError, match="a llama is not a seq2seq model"):
        open_with_options(f"seq2seq:{tmp_path}", InferenceOptions(device="cpu"))


def full(model: Any, most: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Let the encoder fail like a full device wherever it is given more than `most` tokens at once."""
    seen: Counter[str] = Counter()
    encoder = model.get_encoder()
    forward = encoder.forward

    def narrow(input_ids: torch.Tensor, **more: Any) -> Any:
        if input_ids.numel() > most:
            seen["failed"] += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(input_ids=input_ids, **more)

    monkeypatch.setattr(encoder, "forward", narrow)
    return seen


def test_out_of_memory_halves_the_batches_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    (model, tokenizer), messages = ending_pair("bart"), list[str]()
    examples = make_examples(("Irf", "SAD"), posts=3)
    wanted = list(analyst(model, tokenizer).predict(examples))
    seen = full(model, 120, monkeypatch)
    predictions = list(analyst(model, tokenizer, log=messages.append).predict(examples))
    assert [each.reading for each in predictions] == [each.reading for each in wanted]
    assert seen["failed"] == len(messages) > 0
    assert all(line.startswith("out of memory: batches are limited to ") for line in messages)
    full(model, 20, monkeypatch)
    with pytest.raises(
        MentallamaError, match=r"out of memory with a single question of \d+ tokens; use a smaller"
    ):
        list(analyst(model, tokenizer).predict(examples))


def test_a_model_in_training_is_asked_without_dropout_and_goes_on_training() -> None:
    model, tokenizer = tiny_pair("bart", dropout=0.5)
    examples = make_examples(("DR",))
    still = list(analyst(model, tokenizer).predict(examples))
    model.train()
    assert list(analyst(model, tokenizer).predict(examples)) == still
    assert model.training
