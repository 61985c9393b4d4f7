"""DPO: the loss by hand, reference log-probabilities, and that the chosen response gains."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import logsigmoid

from mentallama.analysts.checkpoints.loading import load_pretrained
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.files.record_files import read_json
from mentallama.records import example_of
from mentallama.tasks import load_tasks
from mentallama.train.data.preference_pairs import PreferencePair, load_preferences
from mentallama.train.loop.distributed import DistributedContext
from mentallama.train.objectives.causal_sft import CausalRow, collate_causal
from mentallama.train.objectives.dpo import (
    dpo_margins,
    pair_logprobs,
    reference_logprobs,
    response_logprobs,
    tokenize_pairs,
)
from mentallama.train.run import run
from tests.factories.causal_cases import NO, posts, same, weights
from tests.factories.preference_cases import make_run, with_verdicts
from tests.factories.tiny_models import tiny_llama
from tests.factories.training import killed_at_step

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny_llama(folder, initializer_range=0.02)
    return folder


def test_the_margin_and_the_loss_by_hand() -> None:
    policy = torch.tensor([[-2.0, -6.0], [-3.0, -1.0]])
    reference = torch.tensor([[-3.0, -5.0], [-3.0, -1.0]])
    margins = dpo_margins(policy, reference, beta=0.5)
    assert margins.tolist() == [0.5 * (1.0 + 1.0), 0.0]
    assert (-logsigmoid(margins)).tolist() == pytest.approx([math.log(1 + math.exp(-1)), math.log(2)])


def test_batched_log_probabilities_equal_those_of_single_rows(base: Path) -> None:
    model = load_pretrained(str(base), "causal", torch.float64, CPU).model.eval()
    rows = [CausalRow([5, 9, 3, 7], 2), CausalRow([8, 4, 6, 9, 11, 2], 1)]
    with torch.no_grad():
        together = response_logprobs(model, collate_causal(rows, [(0,), (1,)], CPU))
        for row, measured in zip(rows, together.tolist(), strict=True):
            logprobs = model(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)
            by_hand = sum(
                float(logprobs[index - 1, row.ids[index]]) for index in range(row.n_prompt, len(row.ids))
            )
            assert measured == pytest.approx(by_hand, abs=1e-4)


@pytest.mark.parametrize("adapter", [None, {"rank": 4, "dropout": 0.0}], ids=["whole", "adapter"])
def test_the_chosen_response_gains_on_validation_pairs(tmp_path: Path, base: Path, adapter: Any) -> None:
    with_verdicts(tmp_path)
    rate = 2e-3 if adapter is None else 2e-2
    recipe = make_run(tmp_path, base, lora=adapter, learning_rate=rate)
    counts = run(recipe, tmp_path, tmp_path / "train")
    first, best = counts["evaluations"][0]["metrics"], counts["best"]["metrics"]
    assert counts["baseline"] == {
        "loss": pytest.approx(math.log(2), abs=1e-3),
        "margin": 0.0,
        "accuracy": 0.0,
    }
    assert best["accuracy"] > 50
    assert counts["losses"][0] == pytest.approx(
        math.log(2), abs=1e-3
    )  # the policy still equals the reference
    assert best["margin"] > max(first["margin"], 0.1)
    assert best["loss"] < math.log(2)
    # the saved model has the measured margin
    tuned, initial = (
        load_pretrained(str(folder), "causal", torch.float32, CPU).model.eval()
        for folder in (tmp_path / "train", base)
    )
    prompter = PromptEncoder(
        load_pretrained(str(base), "causal", torch.float32, CPU).tokenizer, "instruction", "auto", 200
    )
    rows = tokenize_pairs(load_preferences(recipe, tmp_path).validation, load_tasks(), prompter)
    bins = [(index,) for index in range(len(rows.chosen))]
    with torch.no_grad():
        policy, reference = (
            pair_logprobs(model, rows, bins, DistributedContext(CPU)) for model in (tuned, initial)
        )
    assert float(dpo_margins(policy, reference, 0.1).mean()) == pytest.approx(best["margin"], abs=1e-4)
    assert read_json(tmp_path / "train/summary.json")["pairs"] == {"train": 24, "validation": 8}
    assert not (tmp_path / "baseline.json").exists()


def test_a_truncated_post_is_the_same_for_both_responses(base: Path) -> None:
    opened = load_pretrained(str(base), "causal", torch.float32, CPU)
    example = example_of(
        posts("train", 1)[0].model_copy(update={"text": "A long day. " * 60}), "stress", "instruction"
    )
    prompter = PromptEncoder(opened.tokenizer, "instruction", "auto", 150)
    rows = tokenize_pairs([PreferencePair(example, "Yes.", f"{NO} {NO}")], load_tasks(), prompter)
    (chosen,), (rejected,) = rows.chosen, rows.rejected
    assert rows.n_truncated == 1
    assert chosen.n_prompt == rejected.n_prompt
    assert chosen.ids[: chosen.n_prompt] == rejected.ids[: rejected.n_prompt]
    assert len(chosen.ids) < len(rejected.ids) <= 150


def test_reference_log_probabilities_do_not_depend_on_the_token_budget(base: Path, tmp_path: Path) -> None:
    with_verdicts(tmp_path)
    opened = load_pretrained(str(base), "causal", torch.float32, CPU)
    prompter = PromptEncoder(opened.tokenizer, "instruction", "auto", 200)
    rows = tokenize_pairs(
        load_preferences(make_run(tmp_path, base), tmp_path).validation, load_tasks(), prompter
    )
    with torch.no_grad():
        large, small = (
            reference_logprobs(opened.model.double().eval(), rows, budget, DistributedContext(CPU))
            for budget in (10_000, 1)
        )
    torch.testing.assert_close(torch.tensor(large), torch.tensor(small), atol=1e-4, rtol=0)


def test_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("whole", "killed"):
        with_verdicts(tmp_path / name)
    run(make_run(tmp_path / "whole", base), tmp_path / "whole", tmp_path / "whole/train")
    killed = make_run(tmp_path / "killed", base, checkpoint_minutes=1e-9)
    with killed_at_step(6):
        run(killed, tmp_path / "killed", tmp_path / "killed/train")
    run(killed, tmp_path / "killed", tmp_path / "killed/train")
    assert "resuming from step 5 of 9" in capsys.readouterr().err
    assert same(weights(tmp_path / "whole/train"), weights(tmp_path / "killed/train"))


def test_weighted_f1_cannot_select_weights_of_dpo(tmp_path: Path, base: Path) -> None:
    with_verdicts(tmp_path)
    with pytest.raises(ValueError, match="with objective: dpo use metric_for_best: loss"):
        run(make_run(tmp_path, base, metric_for_best="weighted_f1"), tmp_path, tmp_path / "train")
