"""Preference tuning: where pairs come from, the loss by hand, and that the better response gains."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.factories.causal_cases import NO, YES, posts, same, weights
from tests.factories.tiny_models import tiny_llama
from tests.factories.training import killed_at_step
from torch.nn.functional import logsigmoid

from mentallama.analysts.checkpoints.loading import load_pretrained
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.config import Check, Recipe, Teach
from mentallama.errors import DataError, UsageError
from mentallama.files.record_files import read_json, write_records
from mentallama.records import Response, Verdict, example_of
from mentallama.run_files import POSTS_PATH, RATING_SAMPLE_PATH, TEACH_RESPONSES_PATH, VERDICTS_PATH
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

CPU = torch.device("cpu")
BEST, WORST = {"yes": YES, "no": NO}, {"yes": NO, "no": YES}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny_llama(folder, initializer_range=0.02)
    return folder


def with_verdicts(folder: Path) -> None:
    """A run of two teachers: what the first says is accepted, what the second says is refused by correctness."""
    everything = [*posts("train", 24), *posts("validation", 8, 24), *posts("test", 4, 40)]
    write_records(folder / POSTS_PATH, everything)
    examples = [(example_of(each, "stress", "instruction"), each.labels["stress"]) for each in everything]
    told = [
        Response(example_id=example.id, text=says[label], model=model)
        for example, label in examples
        for model, says in (("first", BEST), ("second", WORST))
    ]
    write_records(folder / TEACH_RESPONSES_PATH, told)
    verdicts = [
        Verdict(example_id=each.example_id, model=each.model, gate="label_match", ok=each.model == "first")
        for each in told
    ]
    write_records(folder / VERDICTS_PATH, verdicts)


def made(folder: Path, base: Path, **settings: Any) -> Recipe:
    given = {"max_tokens": 200, "epochs": 3, "batch_size": 8, "learning_rate": 2e-3, **settings}
    train = {"analyst": "causal", "objective": "dpo", "base": str(base), **given}
    return Recipe(
        name="tiny",
        data=folder,
        sets=("dreaddit",),
        train=train,
        check=Check(),
        teach=Teach(teacher="embedded"),
    )


def test_the_margin_and_the_loss_by_hand() -> None:
    policy = torch.tensor([[-2.0, -6.0], [-3.0, -1.0]])
    reference = torch.tensor([[-3.0, -5.0], [-3.0, -1.0]])
    found = dpo_margins(policy, reference, beta=0.5)
    assert found.tolist() == [0.5 * (1.0 + 1.0), 0.0]
    assert (-logsigmoid(found)).tolist() == pytest.approx([math.log(1 + math.exp(-1)), math.log(2)])


def test_log_probabilities_are_those_of_one_row_at_a_time(base: Path) -> None:
    model = load_pretrained(str(base), "causal", torch.float32, CPU).model.eval()
    rows = [CausalRow([5, 9, 3, 7], 2), CausalRow([8, 4, 6, 9, 11, 2], 1)]
    with torch.no_grad():
        together = response_logprobs(model, collate_causal(rows, [(0,), (1,)], CPU))
        for row, told in zip(rows, together.tolist(), strict=True):
            chances = model(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)
            by_hand = sum(float(chances[at - 1, row.ids[at]]) for at in range(row.n_prompt, len(row.ids)))
            assert told == pytest.approx(by_hand, abs=1e-4)


def test_pairs_of_a_run_are_made_of_verdicts(tmp_path: Path, base: Path) -> None:
    with_verdicts(tmp_path)
    found = load_preferences(made(tmp_path, base), tmp_path)
    assert (len(found.train), len(found.validation)) == (24, 8)
    for pair in found.train:
        label = pair.example.label or ""
        assert (pair.chosen, pair.rejected) == (BEST[label], WORST[label])
    only_told = made(tmp_path, base).model_copy(update={"check": Check(report_only=("label_match",))})
    with pytest.raises(UsageError, match="there are no training pairs"):
        load_preferences(only_told, tmp_path)


def test_a_response_that_raters_found_poor_is_the_worse_one(tmp_path: Path, base: Path) -> None:
    with_verdicts(tmp_path)
    write_records(tmp_path / VERDICTS_PATH, [])
    example = example_of(posts("train", 1)[0], "stress", "instruction")
    path = tmp_path / RATING_SAMPLE_PATH
    path.parent.mkdir()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [["example_id", "model", "overall"], [example.id, "first", "1"], [example.id, "first", "2"]]
        )
    with pytest.raises(UsageError, match="there are no validation pairs"):
        load_preferences(made(tmp_path, base), tmp_path)
    held = example_of(posts("validation", 1, 24)[0], "stress", "instruction")
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [[held.id, "second", "0"], [held.id, "first", "3"], [example.id, "second", ""]]
        )
    found = load_preferences(made(tmp_path, base), tmp_path)
    assert [(pair.chosen, pair.rejected) for pair in found.train] == [(NO, YES)]
    assert [pair.example.id for pair in found.validation] == [held.id]
    assert found.skipped == {"its responses are all good or all bad": 30}


@pytest.mark.parametrize(
    ("separator", "encoding"),
    [(",", "utf-8-sig"), (";", "utf-8-sig"), (";", "utf-8"), ("\t", "utf-16")],
    ids=["as written", "semicolons", "no byte order mark", "UTF-16 with tabs"],
)
def test_ratings_are_read_as_a_spreadsheet_saves_them(
    tmp_path: Path, base: Path, separator: str, encoding: str
) -> None:
    with_verdicts(tmp_path)
    write_records(tmp_path / VERDICTS_PATH, [])
    rated = [example_of(posts("train", 1)[0], "stress", "instruction")]
    rated.append(example_of(posts("validation", 1, 24)[0], "stress", "instruction"))
    path = tmp_path / RATING_SAMPLE_PATH
    path.parent.mkdir()
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["rater", "example_id", "model", "overall"])
        writer.writerows(["ana", example.id, "first", "0"] for example in rated)
    found = load_preferences(made(tmp_path, base), tmp_path)
    assert [(pair.chosen, pair.rejected) for pair in found.train] == [(NO, YES)]
    assert [pair.example.id for pair in found.validation] == [rated[1].id]


def test_a_rating_that_is_no_score_is_named_with_its_row(tmp_path: Path, base: Path) -> None:
    with_verdicts(tmp_path)
    path = tmp_path / RATING_SAMPLE_PATH
    path.parent.mkdir()
    path.write_text("example_id;model;overall\nx;first;3\nx;second;good\n", encoding="utf-8")
    with pytest.raises(DataError, match="row 3: overall is no score; write 0, 1, 2, 3 or nothing"):
        load_preferences(made(tmp_path, base), tmp_path)


def pairs_file(path: Path, count: int = 60, **changed: str) -> Path:
    rows = [
        {
            "task": "dreaddit",
            "question": "stress",
            "text": post.text,
            "chosen": YES,
            "rejected": NO,
            **changed,
        }
        for post in posts("train", count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_pairs_from_a_file_keep_their_places(tmp_path: Path, base: Path) -> None:
    recipe = made(tmp_path, base, preference_pairs=str(pairs_file(tmp_path / "pairs.jsonl")))
    found, again = load_preferences(recipe, tmp_path), load_preferences(recipe, tmp_path)
    assert found == again
    assert len(found.train) + len(found.validation) == 60
    assert 0 < len(found.validation) < 20
    assert not {pair.example.text for pair in found.train} & {pair.example.text for pair in found.validation}


def test_a_pair_of_no_question_is_told_with_its_row(tmp_path: Path, base: Path) -> None:
    recipe = made(
        tmp_path, base, preference_pairs=str(pairs_file(tmp_path / "pairs.jsonl", question="sleep"))
    )
    with pytest.raises(DataError, match=r"pairs.jsonl.*row 1.*no question 'sleep' of a set 'dreaddit'"):
        load_preferences(recipe, tmp_path)
    (tmp_path / "pairs.jsonl").write_text('{"task": "dreaddit"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"pairs.jsonl.*row 1"):
        load_preferences(recipe, tmp_path)


def test_pairs_about_test_posts_are_refused(tmp_path: Path, base: Path) -> None:
    with_verdicts(tmp_path)
    rows = [
        {"task": "dreaddit", "question": "stress", "text": post.text, "chosen": YES, "rejected": NO}
        for post in (*posts("train", 40), *posts("test", 1, 40))
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(UsageError, match="1 rows to train on are about posts that are test posts too"):
        load_preferences(made(tmp_path, base, preference_pairs=str(path)), tmp_path)


@pytest.mark.parametrize("adapter", [None, {"rank": 4, "dropout": 0.0}], ids=["whole", "adapter"])
def test_the_better_response_gains_on_pairs_that_are_held_back(
    tmp_path: Path, base: Path, adapter: Any
) -> None:
    with_verdicts(tmp_path)
    rate = 2e-3 if adapter is None else 2e-2
    recipe = made(tmp_path, base, lora=adapter, learning_rate=rate)
    counts = run(recipe, tmp_path, tmp_path / "train")
    first, best = counts["evaluations"][0]["metrics"], counts["best"]["metrics"]
    assert counts["baseline"] == {
        "loss": pytest.approx(math.log(2), abs=1e-3),
        "margin": 0.0,
        "accuracy": 0.0,
    }
    assert best["accuracy"] > 50
    assert counts["losses"][0] == pytest.approx(math.log(2), abs=1e-3)  # nothing gained yet
    assert best["margin"] > max(first["margin"], 0.1)
    assert best["loss"] < math.log(2)
    # what was measured is what the model on disk gives
    tuned, began = (
        load_pretrained(str(place), "causal", torch.float32, CPU).model.eval()
        for place in (tmp_path / "train", base)
    )
    prompter = PromptEncoder(
        load_pretrained(str(base), "causal", torch.float32, CPU).tokenizer, "instruction", "auto", 200
    )
    rows = tokenize_pairs(load_preferences(recipe, tmp_path).validation, load_tasks(), prompter)
    bins = [(at,) for at in range(len(rows.chosen))]
    with torch.no_grad():
        policy, reference = (
            pair_logprobs(model, rows, bins, DistributedContext(CPU)) for model in (tuned, began)
        )
    assert float(dpo_margins(policy, reference, 0.1).mean()) == pytest.approx(best["margin"], abs=1e-4)
    assert read_json(tmp_path / "train/summary.json")["pairs"] == {"train": 24, "validation": 8}
    assert not (tmp_path / "baseline.json").exists()


def test_a_post_that_is_cut_is_the_same_for_both_responses(base: Path) -> None:
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


def test_a_reference_in_small_passes_is_the_same(base: Path, tmp_path: Path) -> None:
    with_verdicts(tmp_path)
    opened = load_pretrained(str(base), "causal", torch.float32, CPU)
    prompter = PromptEncoder(opened.tokenizer, "instruction", "auto", 200)
    rows = tokenize_pairs(load_preferences(made(tmp_path, base), tmp_path).validation, load_tasks(), prompter)
    with torch.no_grad():
        large, small = (
            reference_logprobs(opened.model.eval(), rows, room, DistributedContext(CPU))
            for room in (10_000, 1)
        )
    torch.testing.assert_close(torch.tensor(large), torch.tensor(small), atol=1e-4, rtol=0)


def test_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("whole", "killed"):
        with_verdicts(tmp_path / name)
    run(made(tmp_path / "whole", base), tmp_path / "whole", tmp_path / "whole/train")
    killed = made(tmp_path / "killed", base, checkpoint_minutes=1e-9)
    with killed_at_step(6):
        run(killed, tmp_path / "killed", tmp_path / "killed/train")
    run(killed, tmp_path / "killed", tmp_path / "killed/train")
    assert "resuming from step 5 of 9" in capsys.readouterr().err
    assert same(weights(tmp_path / "whole/train"), weights(tmp_path / "killed/train"))


def test_weighted_f1_is_not_for_pairs(tmp_path: Path, base: Path) -> None:
    with_verdicts(tmp_path)
    with pytest.raises(ValueError, match="with objective: dpo use metric_for_best: loss"):
        run(made(tmp_path, base, metric_for_best="weighted_f1"), tmp_path, tmp_path / "train")
