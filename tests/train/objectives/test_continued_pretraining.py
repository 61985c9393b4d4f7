"""Continued pre-training: rows, perplexity, and that documents with test posts are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mentallama.analysts.checkpoints.loading import load_pretrained
from mentallama.analysts.checkpoints.metadata import read_seen_hashes
from mentallama.config import CausalSettings, Recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import read_json, write_records
from mentallama.records import Post, Provenance
from mentallama.train.loop.distributed import DistributedContext
from mentallama.train.loop.lora import merge_lora
from mentallama.train.objectives.continued_pretraining import chunk_documents, pretraining_objective
from mentallama.train.run import run
from tests.factories.causal_cases import make_run as make_sft_run
from tests.factories.causal_cases import same, weights
from tests.factories.tiny_models import made_up_posts, tiny_llama, tiny_tokenizer
from tests.factories.training import killed_at_step

CPU = torch.device("cpu")
LONG = "The bus was late again, and all of the stairs were steep."
GENERAL = (
    "The kettle is on the stove. The train to the coast leaves at noon.\n\nA map shows rivers and roads.\n"
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny_llama(folder, initializer_range=0.02)
    return folder


def text_in(folder: Path, texts: list[str] | None = None) -> Path:
    """A folder of text: half of it passages of a .txt file, half rows of a .jsonl file."""
    texts = made_up_posts()[:80] if texts is None else texts
    middle = len(texts) // 2
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("\n\n".join(texts[:middle]) + "\n", encoding="utf-8")
    (folder / "b.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[middle:]))
    return folder


def make_run(folder: Path, base: Path | None, **settings: Any) -> Recipe:
    text = settings.pop("corpus", None) or text_in(folder / "domain")
    (folder / "general.txt").write_text(GENERAL, encoding="utf-8")
    settings = {"batch_size": 16, "epochs": 3, "learning_rate": 5e-3, "max_tokens": 32, **settings}
    train = {
        "analyst": "causal",
        "objective": "pretrain",
        "base": base and str(base),
        "corpus": text,
        **settings,
    }
    return Recipe(name="tiny", data=folder, train={"general_corpus": folder / "general.txt", **train})


def test_every_token_of_a_long_document_is_predicted_once() -> None:
    tokenizer = tiny_tokenizer()
    (document,) = documents("I walked to the lake this morning. I slept badly again all week.")
    plain = tokenizer(document.text, add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    rows = chunk_documents([document], tokenizer, 6).rows
    assert len(rows) > 2
    assert all(len(row.ids) <= 6 and row.n_prompt == 1 for row in rows)
    assert [token for row in rows for token in row.ids[1:]] == [*plain, end]
    assert [row.ids[0] for row in rows[1:]] == [row.ids[-1] for row in rows[:-1]]
    assert rows[0].ids[0] == end  # this tokenizer has no BOS token
    with_first = tiny_tokenizer(layout="llama")
    assert chunk_documents([document], with_first, 50).rows[0].ids[0] == with_first.bos_token_id


def documents(*texts: str) -> list[Any]:
    from mentallama.train.data.corpus import Document

    return [Document(text, Path("made-up.txt"), position) for position, text in enumerate(texts, 1)]


def test_perplexity_by_hand() -> None:
    """Two documents, a token at a time: exp of the mean of -log p over all tokens and ends."""
    tokenizer = tiny_tokenizer()
    model = tiny_llama(tokenizer=tokenizer)
    texts = ("My sister planted some beans.", "Nobody here slept badly again after work, and felt better.")
    loss, tokens = 0.0, 0
    with torch.no_grad():
        for text in texts:
            ids = [tokenizer.eos_token_id, *tokenizer(text)["input_ids"], tokenizer.eos_token_id]
            for position in range(1, len(ids)):
                logits = model(input_ids=torch.tensor([ids[:position]])).logits[0, -1]
                loss -= float(torch.log_softmax(logits, -1)[ids[position]])
                tokens += 1
    rows = chunk_documents(documents(*texts), tokenizer, 200)
    settings = CausalSettings(analyst="causal", base="b", objective="pretrain", corpus=Path("t"))
    objective = pretraining_objective(
        rows, rows, chunk_documents(documents(texts[0]), tokenizer, 200), settings, DistributedContext(CPU)
    )
    with torch.no_grad():
        measured = objective.evaluate(model)
    assert measured["perplexity"] == pytest.approx(math.exp(loss / tokens), rel=1e-4)
    assert measured["loss"] == pytest.approx(loss / tokens, rel=1e-5)
    assert measured["general_perplexity"] != pytest.approx(measured["perplexity"], rel=1e-2)


@pytest.mark.parametrize(
    "settings",
    [{}, {"batching": "packed"}, {"lora": {"rank": 4}, "learning_rate": 2e-2}],
    ids=["full", "packed", "lora"],
)
def test_domain_perplexity_falls_and_both_perplexities_are_reported(
    tmp_path: Path, base: Path, settings: dict[str, Any]
) -> None:
    counts = run(make_run(tmp_path, base, **settings), tmp_path, tmp_path / "train")
    before, best = counts["baseline"], counts["best"]["metrics"]
    assert best["perplexity"] < 0.9 * before["perplexity"]
    assert set(best) == set(before) == {"loss", "perplexity", "general_perplexity"}
    assert counts["documents"]["train"] + counts["documents"]["validation"] == 80
    assert counts["documents"]["general"] == 2
    assert read_json(tmp_path / "train/summary.json") == json.loads(json.dumps(counts))
    card = (tmp_path / "train/README.md").read_text(encoding="utf-8")
    loss, perplexity = f"{before['loss']:.4g}", f"{before['perplexity']:.4g}"
    baseline_lines = f"- before the first step:\n  - loss: {loss}\n  - perplexity: {perplexity}\n"
    assert baseline_lines in card
    for published in (card, (tmp_path / "train/recipe.yaml").read_text(encoding="utf-8")):
        assert str(tmp_path) not in published
        assert str(base) not in published
    assert f"  - general_perplexity: {best['general_perplexity']:.4g}" in card
    assert len(read_seen_hashes(tmp_path / "train")) == 80
    assert not (tmp_path / "checkpoints").exists()
    assert not (tmp_path / "baseline.json").exists()


def test_a_pretrained_adapter_must_be_merged_before_fine_tuning(tmp_path: Path, base: Path) -> None:
    run(make_run(tmp_path, base, lora={"rank": 4}, epochs=1), tmp_path, tmp_path / "train")
    for adapter in (None, {"rank": 4}):
        recipe = make_sft_run(tmp_path / "tuned", base=str(tmp_path / "train"), lora=adapter, epochs=1)
        with pytest.raises(UsageError, match="is a LoRA adapter; merge it first"):
            run(recipe, tmp_path / "tuned", tmp_path / "tuned/train")
    merge_lora(tmp_path / "train", tmp_path / "merged")
    recipe = make_sft_run(tmp_path / "tuned", base=str(tmp_path / "merged"), epochs=1)
    assert run(recipe, tmp_path / "tuned", tmp_path / "tuned/train")["steps"] == 3
    assert read_seen_hashes(tmp_path / "tuned/train") > read_seen_hashes(
        tmp_path / "train"
    )  # texts that the base was trained on count too


def test_a_model_is_pretrained_from_scratch(tmp_path: Path) -> None:
    new = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 400}
    counts = run(
        make_run(tmp_path, None, from_scratch=new, general_corpus=None), tmp_path, tmp_path / "train"
    )
    assert counts["best"]["metrics"]["perplexity"] < counts["baseline"]["perplexity"]
    opened = load_pretrained(str(tmp_path / "train"), "causal", torch.float32, CPU)
    assert opened.context == 32


def test_a_killed_training_resumes_to_the_same_weights_and_keeps_its_baseline(
    tmp_path: Path, base: Path
) -> None:
    corpus = text_in(tmp_path / "domain")
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    recipe = make_run(tmp_path, base, corpus=corpus, checkpoint_minutes=1e-9)
    whole = run(recipe, tmp_path / "whole", tmp_path / "whole/train")
    with killed_at_step(8):
        run(recipe, tmp_path / "killed", tmp_path / "killed/train")
    assert read_json(tmp_path / "killed/baseline.json")["metrics"] == whole["baseline"]
    assert run(recipe, tmp_path / "killed", tmp_path / "killed/train") == whole
    assert same(weights(tmp_path / "killed/train"), weights(tmp_path / "whole/train"))


def posts_of(folder: Path, text: str) -> None:
    provenance = Provenance(file="made-up.csv", row=2, origin="release")
    write_records(
        folder / "collect/posts.jsonl.zst",
        [Post(id="p", set="DR", split="test", text=text, provenance=provenance)],
    )


@pytest.mark.parametrize(
    ("post", "document"),
    [
        ("Tea.", "tea!"),
        (LONG, "THE bus was late again - and all of the stairs were steep"),
        (LONG, f"A title\nToday. {LONG} Tomorrow will be better."),
    ],
    ids=["short and whole", "another spelling", "inside a document"],
)
def test_a_document_with_a_test_post_is_refused(tmp_path: Path, base: Path, post: str, document: str) -> None:
    posts_of(tmp_path, post)
    text = text_in(
        tmp_path / "domain", ["A cup of tea and a walk.", "The rain has stopped.", document, "A garden."]
    )
    recipe = make_run(tmp_path, base, corpus=text)
    with pytest.raises(
        UsageError, match=r"b\.jsonl, row 1: this document is or contains a test post of the run, as do 1"
    ):
        run(recipe, tmp_path, tmp_path / "train")
    assert not (tmp_path / "checkpoints").exists()


def test_a_short_test_post_is_not_searched_for_inside_documents(tmp_path: Path, base: Path) -> None:
    posts_of(tmp_path, "Tea.")
    text = text_in(tmp_path / "domain", ["A cup of tea and a walk.", "The rain has stopped.", "A garden."])
    assert run(make_run(tmp_path, base, corpus=text, epochs=1), tmp_path, tmp_path / "train")["steps"] == 1


def test_weighted_f1_cannot_select_weights_of_pretraining(tmp_path: Path, base: Path) -> None:
    with pytest.raises(ValueError, match="with objective: pretrain use metric_for_best: loss"):
        run(make_run(tmp_path, base, metric_for_best="weighted_f1"), tmp_path, tmp_path / "train")
