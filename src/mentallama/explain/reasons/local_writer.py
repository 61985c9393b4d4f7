"""A language model on this machine that writes reasons; its completions go into a ledger like those of a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from mentallama.analysts.checkpoints.loading import (
    LoadedModel,
    choose_device,
    choose_dtype,
    inference_mode,
    load_pretrained,
    published_eos_ids,
)
from mentallama.analysts.inference.chat_template import keeps_turns, render_chat
from mentallama.errors import UsageError
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.types import Completion, Request
from mentallama.prompts import ChatMessage, with_system_role


class LocalWriter:
    """A decoder with a chat template, which writes the most likely text.

    Raises
    ------
    UsageError
        The model has no chat template: without one it does not follow instructions.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        if not loaded.tokenizer.chat_template:
            raise UsageError(
                f"{loaded.name} has no chat template, so it follows no instructions; name a chat model in explain.bound"
            )
        self._loaded = loaded
        eos = loaded.tokenizer.eos_token_id
        self._stop_ids = sorted({*published_eos_ids(loaded.model), *([] if eos is None else [eos])})

    @classmethod
    def load(cls, location: str) -> LocalWriter:
        """Open a folder, an adapter's folder or an id on the hub."""
        device = choose_device("auto")
        return cls(load_pretrained(location, "causal", choose_dtype("auto", device), device))

    def write(self, messages: list[ChatMessage], max_tokens: int) -> tuple[str, str]:
        """The text that follows the messages, and why it ends: stop, or length."""
        tokenizer, model = self._loaded.tokenizer, self._loaded.model
        turns = messages if keeps_turns(tokenizer, messages) else with_system_role(messages, "user")
        prompt = render_chat(tokenizer, turns, add_generation_prompt=True)
        ids: Any = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids.to(model.device)
        with inference_mode(model, self._loaded.name):
            output = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=max_tokens,
                do_sample=False,
                eos_token_id=self._stop_ids or None,
                pad_token_id=self._stop_ids[0] if self._stop_ids else 0,
            )
        written = output[0, ids.shape[1] :].tolist()
        ended = bool(written) and written[-1] in self._stop_ids
        return tokenizer.decode(written, skip_special_tokens=True).strip(), "stop" if ended else "length"

    def complete(self, requests: Iterable[Request], ledger: Ledger, advance: Callable[[float], None]) -> None:
        """Write a text for each request that the ledger lacks; each is committed before the next is begun."""
        for request in requests:
            if ledger.known_hashes([request.hash]):
                continue
            text, finish_reason = self.write(request.body["messages"], request.body["max_tokens"])
            completion = Completion(
                hash=request.hash,
                example_id=request.example_id,
                model=request.body["model"],
                state="answered",
                text=text,
                finish_reason=finish_reason,
            )
            ledger.commit([(request, completion)])
            advance(1)
