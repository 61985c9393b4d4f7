"""Fine-tuning an encoder-decoder: targets token by token, padding, and the answers of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.loading import load_pretrained
from mentallama.analysts.inference.seq2seq_encoding import Seq2seqPromptEncoder
from mentallama.analysts.registry import open_with_options
from mentallama.config import Recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import read_json, write_records
from mentallama.records import Example, Response, example_of
from mentallama.tasks import load_tasks, write_query
from mentallama.train.objectives.seq2seq_sft import (
    Seq2seqRow,
    collate_seq2seq,
    seq2seq_loss,
    tokenize_seq2seq,
)
from mentallama.train.objectives.sft import IGNORE_INDEX
from mentallama.train.run import run
from tests.factories.causal_cases import posts, same, weights
from tests.factories.tiny_models import Kind, tiny_pair
from tests.factories.training import assert_two_processes_train_as_one, killed_at_step

CPU = torch.device("cpu")
KINDS = ("bart", "t5")
YES = "yes. Reasoning: the days are long."
NO = "no. Reasoning: the tone is calm."
RATE = {"bart": 5e-3, "t5": 3e-3}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders with tiny models that can be trained within seconds; embeddings are tied, as in published models."""
    folders = {}
    shapes = {"bart": {"init_std": 0.1, "dropout": 0.0}, "t5": {"d_model": 64, "dropout_rate": 0.0}}
    for kind, config in shapes.items():
        folder = tmp_path_factory.mktemp(kind)
        model, tokenizer = tiny_pair(kind, **config)  # type: ignore[arg-type]
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        folders[kind] = str(folder)
    return folders


def make_run(folder: Path, base: str, **settings: Any) -> Recipe:
    """A run with 24 training rows and 8 validation rows."""
    all_posts = [*posts("train", 24), *posts("validation", 8, 24), *posts("test", 4, 40)]
    write_records(folder / "collect/posts.jsonl.zst", all_posts)
    write_records(
        folder / "collect/responses.jsonl.zst",
        [
            Response(
                example_id=example_of(post, "stress", "completion").id,
                text=YES if post.labels["stress"] == "yes" else NO,
                model="m",
            )
            for post in all_posts
        ],
    )
    given = {"analyst": "seq2seq", "base": base, "max_tokens": 200, "epochs": 2, "batch_size": 8, **settings}
    return Recipe(name="tiny", data=folder, form="completion", sets=("dreaddit",), train=given)


def example(text: str) -> Example:
    fields = {"task": "dreaddit", "question": "stress", "form": "completion"}
    return Example.model_validate(
        {"id": "e", "post_id": "p", **fields, "text": text, "label": "yes", "response": YES}
    )


@pytest.mark.parametrize(
    ("kind", "prefix", "start"), [("bart", "<s>", "</s>"), ("t5", "", "<pad>")], ids=["bart", "t5"]
)
def test_only_response_tokens_are_targets(kind: Kind, prefix: str, start: str) -> None:
    model, tokenizer = tiny_pair(kind)
    rows = tokenize_seq2seq(
        [example("A loud week.")],
        load_tasks(),
        Seq2seqPromptEncoder(model, tokenizer, "completion", "plain", 500),
    )
    (row,), batch = rows.rows, collate_seq2seq(rows.rows, CPU)
    asked = write_query(load_tasks()["dreaddit"], "stress", "completion", "A loud week.").rstrip()
    assert rows.n_truncated == 0
    assert row.prompt == tokenizer(asked)["input_ids"]
    assert row.target == tokenizer(text_target=YES)["input_ids"]
    assert tokenizer.decode(batch.input_ids[0]) == f"{prefix}{asked}</s>"
    assert tokenizer.decode(batch.targets[0]) == f"{prefix}{YES}</s>"
    # the target of a position is the next token: the decoder reads its start token and all targets but the last
    assert tokenizer.convert_ids_to_tokens(batch.decoder_input_ids[0].tolist())[0] == start
    assert batch.decoder_input_ids[0, 1:].tolist() == batch.targets[0, :-1].tolist()
    assert torch.equal(
        batch.decoder_input_ids, model.prepare_decoder_input_ids_from_labels(labels=batch.targets)
    )
    assert row.n_targets == len(row.target) == len(row.ids) - len(row.prompt) > 8


ROWS = [
    Seq2seqRow([5, 9, 3, 7], [6, 2], 2),
    Seq2seqRow([8, 4], [11, 12, 13, 2], 2),
    Seq2seqRow([15, 16, 17], [14, 2], 2),
]


def test_batches_by_hand() -> None:
    batch = collate_seq2seq(ROWS[:2], CPU)
    assert batch.input_ids.tolist() == [[5, 9, 3, 7], [8, 4, 0, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch.decoder_input_ids.tolist() == [[2, 6, 0, 0], [2, 11, 12, 13]]
    assert batch.targets.tolist() == [[6, 2, IGNORE_INDEX, IGNORE_INDEX], [11, 12, 13, 2]]


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_loss(kind: Kind) -> None:
    model, _ = tiny_pair(kind)
    with torch.no_grad():
        naive = 0.0
        for row in ROWS:
            given = torch.tensor([[row.decoder_start_id, *row.target[:-1]]])
            logits = model(input_ids=torch.tensor([list(row.prompt)]), decoder_input_ids=given).logits[0]
            naive += float(cross_entropy(logits, torch.tensor(list(row.target)), reduction="sum"))
        loss = float(seq2seq_loss(model, collate_seq2seq(ROWS, CPU)))
    assert loss == pytest.approx(naive, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_fall_and_the_model_reloads_bit_for_bit(
    tmp_path: Path, bases: dict[str, str], kind: Kind
) -> None:
    recipe = make_run(tmp_path, bases[kind], epochs=4, learning_rate=RATE[kind])
    counts = run(recipe, tmp_path, tmp_path / "train")
    assert counts["rows"] == {"train": 24, "validation": 8}
    assert counts["steps"] == 12
    assert counts["evaluations"][-1]["metrics"]["loss"] < counts["evaluations"][0]["metrics"]["loss"]
    assert sum(counts["losses"][-3:]) < sum(counts["losses"][:3])
    assert not (tmp_path / "checkpoints").exists()
    files = {path.name for path in (tmp_path / "train").iterdir()}
    assert files >= {"mentallama.json", "seen.json", "summary.json", "README.md", "tokenizer.json"}
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in files)
    fingerprint = read_json(tmp_path / "train/mentallama.json")["fingerprint"]
    asked = [example(post.text) for post in posts("test", 4, 40)]
    predictions = []
    for mode in ("answer-first", "free"):
        options = InferenceOptions(mode=mode, max_new_tokens=20, device="cpu")  # type: ignore[arg-type]
        first, second = (
            list(open_with_options(f"seq2seq:{tmp_path / 'train'}", options).predict(asked)) for _ in range(2)
        )
        assert first == second
        predictions += first
    assert {prediction.model for prediction in predictions} == {f"seq2seq:{fingerprint}"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_model_has_the_loss_of_the_summary(
    tmp_path: Path, bases: dict[str, str], kind: Kind
) -> None:
    counts = run(make_run(tmp_path, bases[kind], learning_rate=RATE[kind]), tmp_path, tmp_path / "train")
    opened = load_pretrained(str(tmp_path / "train"), "seq2seq", torch.float32, CPU)
    prompter = Seq2seqPromptEncoder(opened.model, opened.tokenizer, "completion", "plain", 200)
    examples = [
        example(post.text).model_copy(update={"response": YES if post.labels["stress"] == "yes" else NO})
        for post in posts("validation", 8, 24)
    ]
    rows = tokenize_seq2seq(examples, load_tasks(), prompter).rows
    with torch.no_grad():
        summed = sum(float(seq2seq_loss(opened.model.eval(), collate_seq2seq([row], CPU))) for row in rows)
    mean = summed / sum(len(row.target) for row in rows)
    assert mean == pytest.approx(counts["best"]["metrics"]["loss"], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_overfitted_model_writes_its_training_responses(
    tmp_path: Path, bases: dict[str, str], kind: Kind
) -> None:
    settings = {"epochs": 40 if kind == "bart" else 60, "learning_rate": RATE[kind], "eval_steps": 999}
    run(make_run(tmp_path, bases[kind], **settings), tmp_path, tmp_path / "train")
    trained_posts = posts("train", 24)
    asked = [example(post.text) for post in trained_posts]
    where = f"seq2seq:{tmp_path / 'train'}"
    free = list(
        open_with_options(where, InferenceOptions(mode="free", max_new_tokens=40, device="cpu")).predict(
            asked
        )
    )
    scored = list(open_with_options(where, InferenceOptions(max_new_tokens=40, device="cpu")).predict(asked))
    expected = {"yes": YES.partition("Reasoning: ")[2], "no": NO.partition("Reasoning: ")[2]}
    for post, free_prediction, scored_prediction in zip(trained_posts, free, scored, strict=True):
        label = post.labels["stress"]
        assert (
            free_prediction.reading.status,
            free_prediction.reading.label,
            free_prediction.reading.explanation,
        ) == (
            "parsed",
            label,
            expected[label],
        )
        assert (scored_prediction.reading.label, scored_prediction.reading.explanation) == (
            label,
            expected[label],
        )
        assert scored_prediction.probabilities[label] > 0.5


def test_a_killed_training_resumes_to_the_same_weights(tmp_path: Path, bases: dict[str, str]) -> None:
    settings = {"checkpoint_minutes": 1e-9, "learning_rate": 3e-3}
    run(make_run(tmp_path / "whole", bases["t5"], **settings), tmp_path / "whole", tmp_path / "whole/train")
    killed = make_run(tmp_path / "killed", bases["t5"], **settings)
    with killed_at_step(5):
        run(killed, tmp_path / "killed", tmp_path / "killed/train")
    run(killed, tmp_path / "killed", tmp_path / "killed/train")
    assert same(weights(tmp_path / "killed/train"), weights(tmp_path / "whole/train"))


@pytest.mark.parametrize("kind", KINDS)
def test_checkpointed_activations_give_the_same_losses(
    tmp_path: Path, bases: dict[str, str], kind: Kind
) -> None:
    losses = []
    for name, checkpointed in (("a", False), ("b", True)):
        settings = {"max_steps": 2, "gradient_checkpointing": checkpointed, "learning_rate": 3e-3}
        recipe = make_run(tmp_path / name, bases[kind], **settings)
        losses.append(run(recipe, tmp_path / name, tmp_path / name / "train")["losses"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_weighted_f1_of_generated_labels_selects_the_best_weights(
    tmp_path: Path, bases: dict[str, str]
) -> None:
    settings = {"epochs": 8, "learning_rate": 1e-2, "metric_for_best": "weighted_f1"}
    counts = run(make_run(tmp_path, bases["bart"], **settings), tmp_path, tmp_path / "train")
    scores = [evaluation["metrics"]["weighted_f1"] for evaluation in counts["evaluations"]]
    assert scores[0] == 0.0  # nothing can be parsed yet
    assert counts["best"]["metrics"]["weighted_f1"] == max(scores) > 0.0


def test_long_posts_are_truncated_and_long_responses_are_errors(tmp_path: Path) -> None:
    model, tokenizer = tiny_pair("t5")
    prompter = Seq2seqPromptEncoder(model, tokenizer, "completion", "plain", 100)
    rows = tokenize_seq2seq([example("A loud week. " * 50), example("A loud week.")], load_tasks(), prompter)
    assert rows.n_truncated == 1
    assert 90 < len(rows.rows[0].prompt) <= 100
    prompt = tokenizer.decode(rows.rows[0].prompt, skip_special_tokens=True)
    assert prompt.startswith("Post: A loud week.")
    assert prompt.endswith('The answer to the question "Does the poster suffers from stress?" is')
    with pytest.raises(
        UsageError, match=r"a response takes \d+ tokens, but the context is 100 tokens on each side"
    ):
        prompter.encode_target(YES * 30)


def test_no_padding_token_is_needed(tmp_path: Path) -> None:
    model, tokenizer = tiny_pair("t5", pad=False)
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    counts = run(make_run(tmp_path, str(tmp_path / "base"), max_steps=1), tmp_path, tmp_path / "train")
    assert len(counts["losses"]) == 1


def test_a_base_of_another_kind_is_an_error(tmp_path: Path) -> None:
    from tests.factories.tiny_models import tiny_llama

    tiny_llama(tmp_path / "llama")
    with pytest.raises(UsageError, match="a llama is not a seq2seq model"):
        run(make_run(tmp_path, str(tmp_path / "llama")), tmp_path, tmp_path / "train")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_as_one(tmp_path: Path, bases: dict[str, str], kind: Kind) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    # 8 rows per step, one in each batch: each process has its own, and every step takes several passes
    given = {"max_batch_tokens": 100, "epochs": 1, "learning_rate": 1e-3}
    assert_two_processes_train_as_one(
        make_run(one, bases[kind], **given), one, make_run(two, bases[kind], **given), two
    )
    trained, initial = weights(two / "train"), weights(Path(bases[kind]))
    assert max(float((trained[name] - initial[name]).abs().max()) for name in trained) > 1e-3
