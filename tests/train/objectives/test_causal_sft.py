"""Fine-tuning a decoder: targets token by token, packing, best weights, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from mentallama.analysts.checkpoints.loading import load_pretrained
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.config import FromScratchSettings
from mentallama.files.record_files import read_json
from mentallama.records import Example
from mentallama.tasks import load_tasks
from mentallama.train.loop.random_init import random_llama, train_tokenizer
from mentallama.train.objectives.causal_sft import (
    CausalRow,
    causal_loss,
    collate_causal,
    tokenize_causal,
)
from mentallama.train.objectives.sft import IGNORE_INDEX, label_inference_options, mean_weighted_f1
from mentallama.train.run import run
from tests.factories.answer_kinds import task_of_kind
from tests.factories.causal_cases import NO, YES, make_run, posts, same, save_llama, weights
from tests.factories.training import killed_at_step

CPU = torch.device("cpu")
CHAT = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<s>[INST] {{ m['content'] }} [/INST]"
    "{% else %} {{ m['content'] }} </s>{% endif %}{% endfor %}"
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Llama of random weights."""
    folder = tmp_path_factory.mktemp("base")
    save_llama(folder)
    return folder


def example(text: str) -> Example:
    fields = {"task": "dreaddit", "question": "stress", "form": "instruction"}
    return Example.model_validate(
        {"id": "e", "post_id": "p", **fields, "text": text, "label": "yes", "response": YES}
    )


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    texts = [f"{post.text} {YES} {NO} Consider this post" for post in posts("train", 12)]
    return train_tokenizer(texts, 400)


@pytest.mark.parametrize(
    ("template", "prompt", "response"),
    [
        (
            None,
            '<s>Consider this post: "A loud week." Question: Does the poster suffer from stress?',
            f" {YES}</s>",
        ),
        (
            CHAT,
            '<s>[INST] Consider this post: "A loud week." Question: Does the poster suffer from stress? [/INST]',
            f" {YES} </s>",
        ),
    ],
)
def test_only_response_tokens_are_targets(
    tokenizer: Any, template: str | None, prompt: str, response: str
) -> None:
    tokenizer.chat_template = template
    try:
        rows = tokenize_causal(
            [example("A loud week.")], load_tasks(), PromptEncoder(tokenizer, "instruction", "auto", 500)
        )
    finally:
        tokenizer.chat_template = None
    (row,), batch = rows.rows, collate_causal(rows.rows, [(0,)], CPU)
    assert tokenizer.decode(row.ids[: row.n_prompt]) == prompt
    assert tokenizer.decode(row.ids[row.n_prompt :]) == response
    # the target of a position is the next token; the first target is the response's first token
    ids, targets = batch.input_ids[0].tolist(), batch.targets[0].tolist()
    for index, target in enumerate(targets):
        following = ids[index + 1] if row.n_prompt - 1 <= index < len(ids) - 1 else IGNORE_INDEX
        assert target == following
    assert sum(target != IGNORE_INDEX for target in targets) == row.n_targets > 10


ROWS = [CausalRow([5, 9, 3, 7], 2), CausalRow([8, 4, 6], 1), CausalRow([11, 12, 13, 14, 15, 16], 3)]


def test_batches_by_hand() -> None:
    bucketed = collate_causal(ROWS, [(0,), (1,)], CPU)
    assert bucketed.position_ids is None
    assert bucketed.input_ids.tolist() == [[5, 9, 3, 7], [8, 4, 6, 0]]
    assert bucketed.targets.tolist() == [[-100, 3, 7, -100], [4, 6, -100, -100]]
    packed = collate_causal(ROWS, [(0, 1), (2,)], CPU)
    assert packed.position_ids is not None
    assert packed.input_ids.tolist() == [[5, 9, 3, 7, 8, 4, 6], [11, 12, 13, 14, 15, 16, 0]]
    assert packed.targets.tolist() == [[-100, 3, 7, -100, 4, 6, -100], [-100, -100, 14, 15, 16, -100, -100]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 0, 1, 2], [0, 1, 2, 3, 4, 5, 0]]


def tiny() -> Any:
    shape = FromScratchSettings(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, vocab_size=400)
    return random_llama(shape, [YES, NO] * 3, 200, seed=0)[0].eval()


def test_packed_rows_do_not_see_each_other() -> None:
    model = tiny().double()  # the bound is far above float64's rounding, and far below what a leak would do
    packed = collate_causal(ROWS, [(0, 1, 2)], CPU)
    with torch.no_grad():
        together = model(
            input_ids=packed.input_ids, position_ids=packed.position_ids, use_cache=False
        ).logits[0]
        apart = [model(input_ids=torch.tensor([list(row.ids)]), use_cache=False).logits[0] for row in ROWS]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-5, rtol=0)
    # without position ids the second row attends to the first
    with torch.no_grad():
        unmasked = model(input_ids=packed.input_ids, use_cache=False).logits[0]
    assert (unmasked[4:7] - apart[1]).abs().max() > 1e-3


@pytest.mark.parametrize("bins", [[(0,), (1,), (2,)], [(0, 1), (2,)], [(0, 1, 2)]])
def test_the_loss_does_not_depend_on_packing(bins: list[tuple[int, ...]]) -> None:
    model = tiny()
    with torch.no_grad():
        naive = 0.0
        for row in ROWS:
            logits = model(input_ids=torch.tensor([list(row.ids)])).logits[0]
            naive += float(
                cross_entropy(
                    logits[row.n_prompt - 1 : -1],
                    torch.tensor(list(row.ids[row.n_prompt :])),
                    reduction="sum",
                )
            )
        loss = float(causal_loss(model, collate_causal(ROWS, bins, CPU)))
    assert loss == pytest.approx(naive, rel=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{}, {"batching": "packed"}, {"lora": {"rank": 4}}, {"lora": {"rank": 4, "load_in_4bit": True}}],
    ids=["full", "packed", "lora", "qlora"],
)
def test_losses_fall_and_the_model_reloads_bit_for_bit(
    tmp_path: Path, base: Path, settings: dict[str, Any]
) -> None:
    rate = 2e-2 if "lora" in settings else 3e-3
    counts = run(
        make_run(tmp_path, base=str(base), epochs=4, learning_rate=rate, **settings),
        tmp_path,
        tmp_path / "train",
    )
    assert counts["rows"] == {"train": 24, "validation": 8}
    assert counts["steps"] == 12
    assert counts["evaluations"][-1]["metrics"]["loss"] < counts["evaluations"][0]["metrics"]["loss"]
    assert sum(counts["losses"][-3:]) < sum(counts["losses"][:3])
    assert not (tmp_path / "checkpoints").exists()
    files = {path.name for path in (tmp_path / "train").iterdir()}
    assert files >= {"mentallama.json", "seen.json", "summary.json", "README.md", "tokenizer.json"}
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in files)
    first, second = (load_pretrained(str(tmp_path / "train"), "causal", torch.float32, CPU) for _ in range(2))
    assert first.name == f"causal:{read_json(tmp_path / 'train/mentallama.json')['fingerprint']}"
    input_ids = torch.tensor([[5, 9, 3, 7]])
    with torch.no_grad():
        assert torch.equal(first.model(input_ids=input_ids).logits, second.model(input_ids=input_ids).logits)


def test_a_killed_training_resumes_to_the_same_weights(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"base": str(base), "lora": {"rank": 4, "dropout": 0.2}, "checkpoint_minutes": 1e-9}
    run(make_run(tmp_path / "whole", **settings), tmp_path / "whole", tmp_path / "whole/train")
    killed = make_run(tmp_path / "killed", **settings)
    with killed_at_step(5):
        run(killed, tmp_path / "killed", tmp_path / "killed/train")
    run(killed, tmp_path / "killed", tmp_path / "killed/train")
    assert "resuming from step 4 of 6" in capsys.readouterr().err
    assert same(weights(tmp_path / "killed/train"), weights(tmp_path / "whole/train"))


def test_weighted_f1_of_generated_labels_selects_the_best_weights(tmp_path: Path, base: Path) -> None:
    settings = {"base": str(base), "epochs": 6, "learning_rate": 5e-3, "metric_for_best": "weighted_f1"}
    counts = run(make_run(tmp_path, **settings), tmp_path, tmp_path / "train")
    scores = [evaluation["metrics"]["weighted_f1"] for evaluation in counts["evaluations"]]
    assert scores[0] == 0.0  # nothing can be parsed yet
    assert counts["best"]["metrics"]["weighted_f1"] == max(scores) > 0.0


def test_unparsed_answers_count_as_wrong_by_hand() -> None:
    examples = [example("a"), example("b"), example("c").model_copy(update={"label": "no"})]
    # yes: precision 1, recall 1/2, F1 2/3, weight 2/3; no: F1 1, weight 1/3
    assert mean_weighted_f1(examples, ["yes", "unparsed", "no"]) == pytest.approx(100 * (4 / 9 + 1 / 3))


def test_labels_are_generated_for_the_tasks_of_the_recipe() -> None:
    own, multi = task_of_kind("choice"), task_of_kind("multi")
    short = label_inference_options("plain", {own.set: own})
    assert (short.tasks, short.max_new_tokens, short.mode) == ({own.set: own}, 32, "free")
    # An answer of several parts may be longer than a sentence.
    assert label_inference_options("plain", {multi.set: multi}).max_new_tokens > 32
