"""A model on this machine writes reasons; its replies are in the ledger like those of a server."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mentallama.analysts.checkpoints.loading import LoadedModel
from mentallama.config.explain import BoundText
from mentallama.errors import UsageError
from mentallama.explain.reasons.local_writer import LocalWriter
from mentallama.explain.reasons.run import ReasonWriter, open_writer, write_reasons
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.tasks import load_tasks
from tests.factories.bound_reasons import evidence
from tests.factories.ledgers import all_completions
from tests.factories.tiny_models import tiny_llama, tiny_tokenizer

MESSAGES = [{"role": "system", "content": "Write."}, {"role": "user", "content": "So tired."}]


def loaded(tokenizer: object) -> LoadedModel:
    return LoadedModel(tiny_llama(tokenizer=tokenizer), tokenizer, 512, "causal:tiny", None)


def test_the_likeliest_text_is_written() -> None:
    tokenizer = tiny_tokenizer(chat=True)
    model = loaded(tokenizer)
    text, finish_reason = LocalWriter(model).write(MESSAGES, 6)
    ids = tokenizer(
        tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True),
        add_special_tokens=False,
    ).input_ids
    expected: list[int] = []
    while len(expected) < 6 and tokenizer.eos_token_id not in expected:
        with torch.inference_mode():
            logits = model.model(torch.tensor([[*ids, *expected]])).logits
        expected.append(int(logits[0, -1].argmax()))
    assert text == tokenizer.decode(expected, skip_special_tokens=True).strip()
    assert finish_reason == ("stop" if expected[-1] == tokenizer.eos_token_id else "length")


def test_a_model_without_a_chat_template_is_refused() -> None:
    with pytest.raises(UsageError, match="has no chat template"):
        LocalWriter(loaded(tiny_tokenizer()))


def test_replies_are_kept_and_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_llama(tmp_path / "model", tiny_tokenizer(chat=True), max_position_embeddings=4096)
    bound = BoundText(spec=f"causal:{tmp_path / 'model'}", max_tokens=4, max_attempts=2)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        writer = ReasonWriter(open_writer(bound, {}), load_tasks(), bound, ledger)
        # a model of random weights writes no reason
        assert write_reasons(writer, [evidence()], tmp_path / "a.jsonl", lambda _: None) == {"rejected": 1}
        assert len(all_completions(ledger)) == 2
        monkeypatch.setattr(LocalWriter, "load", lambda _: pytest.fail("the model is not needed"))
        write_reasons(writer, [evidence()], tmp_path / "b.jsonl", lambda _: None)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_another_model_at_the_same_place_writes_anew(tmp_path: Path) -> None:
    bound = BoundText(spec=f"causal:{tmp_path / 'model'}", max_tokens=4, max_attempts=1)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for seed in (0, 1):
            tiny_llama(tmp_path / "model", tiny_tokenizer(chat=True), seed=seed, max_position_embeddings=4096)
            writer = ReasonWriter(open_writer(bound, {}), load_tasks(), bound, ledger)
            write_reasons(writer, [evidence()], tmp_path / f"{seed}.jsonl", lambda _: None)
        assert len(all_completions(ledger)) == 2
